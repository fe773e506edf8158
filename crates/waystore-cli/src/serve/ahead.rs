//! What the configuration says of prefetching: rules that answer messages, and how much there may be.

use super::settings::Settings;
use crate::{
    failure::Failure,
    prefetching::{JobLimits, Rule},
};

/// Prefetching, as it is configured.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prefetching {
    /// What messages of pages ask for.
    pub(crate) rules: Vec<Rule>,
    pub(crate) limits: JobLimits,
}

impl Prefetching {
    /// # Errors
    ///
    /// A rule is none; says what is wrong with it.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let rules = settings.prefetch.iter().flatten().map(|text| {
            Rule::new(text).map_err(|reason| {
                Failure::usage(format!("`prefetch` has a rule that cannot be followed: {reason}"))
                    .hint("docs/prefetch.md has the members of a rule")
            })
        });
        let defaults = JobLimits::default();
        let number = |given: Option<u16>, default: usize| given.map_or(default, usize::from);
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
            limits: JobLimits {
                running: number(settings.prefetch_jobs, defaults.running).max(1),
                of_client: number(settings.prefetch_client_jobs, defaults.of_client),
                urls: settings.prefetch_client_urls.map_or(defaults.urls, |urls| urls as usize),
                ..defaults
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_rule_is_named_with_its_reason() {
        let rule = |text: &str| Settings { prefetch: Some(vec![text.parse().unwrap()]), ..Settings::default() };
        let failure = Prefetching::new(&rule(r#"{ "message": "A", "urls": "/u" }"#)).unwrap_err().to_string();
        assert!(failure.contains("`prefetch` has a rule") && failure.contains("`cache` is missing"), "{failure}");
        let read = Prefetching::new(&rule(r#"{ "message": "A", "urls": "/u", "cache": "v1" }"#)).unwrap();
        assert_eq!(read.rules.len(), 1);
    }
}
