//! Origins at private addresses that scripts may reach all the same, because whoever runs the program names them. Pure.

use std::sync::Arc;

use http::Uri;
use url::Url;

use crate::{failure::Failure, serve::config::bare_url};

/// The origins that are named.
#[derive(Debug, Clone, Default)]
pub(crate) struct PrivateOrigins(Arc<[Url]>);

impl PrivateOrigins {
    /// Those of the key or flag `private_origins`.
    ///
    /// # Errors
    ///
    /// One is not a scheme, a host and a port.
    pub(crate) fn new(named: Option<&Vec<String>>) -> Result<Self, Failure> {
        let origin = |text: &String| {
            bare_url(text).ok_or_else(|| {
                Failure::usage(format!("`private_origins` has `{text}`, which is not a scheme, a host and a port"))
                    .hint("such as `http://api.internal:8080`")
            })
        };
        named.into_iter().flatten().map(origin).collect::<Result<Vec<_>, _>>().map(|origins| Self(origins.into()))
    }

    /// Whether `uri` is at one of them.
    pub(super) fn cover(&self, uri: &Uri) -> bool {
        // The URL's parser knows that 0x7f.1 is 127.0.0.1, and which ports are left out.
        !self.0.is_empty()
            && Url::parse(&uri.to_string())
                .is_ok_and(|asked| self.0.iter().any(|origin| origin.origin() == asked.origin()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_covered_whole_and_no_other() {
        let named = vec!["http://api.internal:8080".to_owned(), "https://127.0.0.1".to_owned()];
        let origins = PrivateOrigins::new(Some(&named)).unwrap();
        let covered = |uri: &'static str| origins.cover(&Uri::from_static(uri));
        assert!(covered("http://api.internal:8080/x?y") && covered("https://127.0.0.1:443/"));
        for other in [
            "https://api.internal:8080/",
            "http://api.internal/",
            "http://x.api.internal:8080/",
            "http://127.0.0.1/",
            "https://127.0.0.2/",
        ] {
            assert!(!covered(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused_by_its_name() {
        for wrong in ["api.internal", "http://a.test/path", "ftp://a.test", "http://me@a.test"] {
            let error = PrivateOrigins::new(Some(&vec![wrong.to_owned()])).unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")) && error.contains("private_origins"), "{error}");
        }
    }
}
