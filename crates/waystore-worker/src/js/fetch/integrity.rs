//! Whether a body is the one that its request promised. Its bytes are not held to find out.
//!
//! Spec: <https://w3c.github.io/webappsec-subresource-integrity/#does-response-match-metadatalist>

use futures::StreamExt;
use ring::digest::{Algorithm, Context, Digest, SHA256, SHA384, SHA512};
use waystore::{Body, BodyError, FetchError, Response, ResponseType, Spooler};

use crate::js::base64;

/// Reads the whole body of `response`, and gives it back as it was where it is one of those `promised`.
///
/// # Errors
///
/// It is another, script may not see it, or it does not come to its end.
pub(super) async fn checked(mut response: Response, promised: &str, spooler: &Spooler) -> Result<Response, FetchError> {
    let hidden = matches!(response.kind, ResponseType::Opaque | ResponseType::OpaqueRedirect | ResponseType::Error);
    let Some(body) = response.body.take().filter(|_| !hidden) else {
        return Err(FetchError::Network("there is no body whose integrity could be checked".to_owned()));
    };
    let Some((algorithm, values)) = strongest(promised) else {
        response.body = Some(body);
        return Ok(response);
    };
    let (read, kept) = body.tee(spooler);
    let digest = digest(read, algorithm).await?;
    if !values.iter().any(|value| base64::forgiving(value.as_bytes()).as_deref() == Some(digest.as_ref())) {
        return Err(FetchError::Network(format!("the body is not the one that `{promised}` promises")));
    }
    response.body = Some(kept);
    Ok(response)
}

async fn digest(mut body: Body, algorithm: &'static Algorithm) -> Result<Digest, FetchError> {
    let mut context = Context::new(algorithm);
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => context.update(&chunk),
            Err(BodyError::Aborted) => return Err(FetchError::Aborted),
            Err(error) => return Err(FetchError::Network(error.to_string())),
        }
    }
    Ok(context.finish())
}

/// The strongest algorithm that is named, and the digests given for it; `None` where none is known.
///
/// Spec: <https://w3c.github.io/webappsec-subresource-integrity/#get-the-strongest-metadata>
fn strongest(promised: &str) -> Option<(&'static Algorithm, Vec<String>)> {
    let known = [("sha512", &SHA512), ("sha384", &SHA384), ("sha256", &SHA256)];
    known.into_iter().find_map(|(name, algorithm)| {
        let expressions = promised.split_ascii_whitespace().map(|item| item.split('?').next().unwrap_or_default());
        let values = expressions.filter_map(|expression| {
            let (named, value) = expression.split_once('-')?;
            // Also as URLs spell it.
            named.eq_ignore_ascii_case(name).then(|| value.replace('-', "+").replace('_', "/"))
        });
        let values: Vec<String> = values.collect();
        (!values.is_empty()).then_some((algorithm, values))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_strongest_algorithm_counts() {
        let named = |text| strongest(text).map(|(algorithm, values)| (algorithm == &SHA384, values));
        assert_eq!(named("sha256-a sha384-b?x=y sha384-c-_"), Some((true, vec!["b".into(), "c+/".into()])));
        assert_eq!(named("md5-a sha256 "), None);
    }
}
