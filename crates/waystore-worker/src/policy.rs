//! What the response of a worker's script demands of the worker: the part of its policy container that matters here.
//!
//! Knows two headers. Spec: <https://html.spec.whatwg.org/#policy-containers>

use serde::{Deserialize, Serialize};
use waystore::{EmbedderPolicy, HeaderList, ReferrerPolicy};

/// The policies of one version of a worker: those of the response that its main script came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Words", into = "Words")]
pub(crate) struct ScriptPolicy {
    /// What it demands of the responses of other origins that it may not look into.
    pub(crate) embedder: EmbedderPolicy,
    /// What its requests say of where they come from, unless script says.
    pub(crate) referrer: ReferrerPolicy,
}

impl ScriptPolicy {
    /// The policies in the headers of a script's response.
    pub(crate) fn of(headers: &HeaderList) -> Self {
        Self { embedder: embedder(headers), referrer: referrer(headers).unwrap_or_default() }
    }
}

/// Spec: <https://html.spec.whatwg.org/#obtain-an-embedder-policy>
fn embedder(headers: &HeaderList) -> EmbedderPolicy {
    let text = headers.get_text("cross-origin-embedder-policy").unwrap_or_default();
    // An item with parameters; of several values, which would be a list, none counts.
    let word = text.split(';').next().unwrap_or_default().trim();
    EmbedderPolicy::from_word(word).unwrap_or_default()
}

/// The last one that is known. Spec: <https://w3c.github.io/webappsec-referrer-policy/#parse-referrer-policy-from-header>
fn referrer(headers: &HeaderList) -> Option<ReferrerPolicy> {
    let text = headers.get_text("referrer-policy")?.to_ascii_lowercase();
    let words = text.rsplit(',').map(str::trim).filter(|word| !word.is_empty());
    words.into_iter().find_map(ReferrerPolicy::from_word)
}

/// The policies as they are written down.
#[derive(Serialize, Deserialize)]
struct Words {
    embedder: String,
    referrer: String,
}

impl From<Words> for ScriptPolicy {
    /// A word that is not known was written by a later version; the default stands for it.
    fn from(words: Words) -> Self {
        Self {
            embedder: EmbedderPolicy::from_word(&words.embedder).unwrap_or_default(),
            referrer: ReferrerPolicy::from_word(&words.referrer).unwrap_or_default(),
        }
    }
}

impl From<ScriptPolicy> for Words {
    fn from(policy: ScriptPolicy) -> Self {
        Self { embedder: policy.embedder.as_str().to_owned(), referrer: policy.referrer.as_str().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&str, &str)]) -> ScriptPolicy {
        ScriptPolicy::of(&headers.iter().copied().collect())
    }

    #[test]
    fn an_embedder_policy_is_one_word_with_parameters() {
        let embedder = |value: &str| of(&[("cross-origin-embedder-policy", value)]).embedder;
        assert_eq!(embedder("require-corp"), EmbedderPolicy::RequireCorp);
        assert_eq!(embedder(" credentialless; report-to=\"x\""), EmbedderPolicy::Credentialless);
        for none in ["", "unsafe-none", "Require-Corp", "require-corp, require-corp", "\"require-corp\""] {
            assert_eq!(embedder(none), EmbedderPolicy::UnsafeNone, "{none}");
        }
    }

    #[test]
    fn the_last_referrer_policy_that_is_known_counts() {
        let referrer = |value: &str| of(&[("referrer-policy", value)]).referrer;
        assert_eq!(referrer("no-referrer, ORIGIN , new-policy"), ReferrerPolicy::Origin);
        assert_eq!((referrer("x"), of(&[]).referrer), (ReferrerPolicy::Empty, ReferrerPolicy::Empty));
    }

    #[test]
    fn policies_are_kept_by_their_words() {
        let policy = of(&[("cross-origin-embedder-policy", "require-corp"), ("referrer-policy", "origin")]);
        let json = serde_json::to_value(policy).unwrap();
        assert_eq!(json, serde_json::json!({ "embedder": "require-corp", "referrer": "origin" }));
        assert_eq!(serde_json::from_value::<ScriptPolicy>(json).unwrap(), policy);
        let later = serde_json::json!({ "embedder": "stricter", "referrer": "origin" });
        assert_eq!(serde_json::from_value::<ScriptPolicy>(later).unwrap().embedder, EmbedderPolicy::UnsafeNone);
    }
}
