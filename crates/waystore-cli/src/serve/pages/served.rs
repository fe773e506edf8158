//! client.js as it is sent: with the registration as it is now, in a coding that the browser takes.
//!
//! Put together and compressed once for each state of the registration, and kept until there is another.

use std::sync::Arc;

use async_compression::{
    Level,
    tokio::bufread::{BrotliEncoder, GzipEncoder},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Mutex,
};
use waystore::{HeaderList, Response};
use waystore_worker::Mirror;

use super::{client, told::registration};

/// Of Brotli: as small as it gets within milliseconds.
const BROTLI: Level = Level::Precise(9);

/// The script as it was sent last.
#[derive(Debug, Default)]
pub(crate) struct Served(Mutex<Option<Arc<Script>>>);

/// The script at one state of the registration.
#[derive(Debug)]
struct Script {
    of: Mirror,
    /// Names the text, whatever its coding.
    hash: String,
    plain: Bytes,
    brotli: Bytes,
    gzip: Bytes,
}

impl Served {
    /// Answers a request that has these headers.
    pub(super) async fn response(&self, mirror: &Mirror, headers: &HeaderMap) -> Response {
        let script = self.script(mirror).await;
        let (coding, bytes) = script.in_coding(headers);
        let tag = coding.map_or_else(|| format!("\"{}\"", script.hash), |name| format!("\"{}-{name}\"", script.hash));
        let mut response = if is_known(headers, &tag) { Response::empty(304) } else { Response::new(bytes) };
        response.head.headers = [
            ("content-type", "text/javascript; charset=utf-8"),
            ("cache-control", "no-cache"),
            ("etag", &tag),
            ("vary", "accept-encoding"),
            ("x-content-type-options", "nosniff"),
        ]
        .into_iter()
        .chain(coding.map(|name| ("content-encoding", name)))
        .collect::<HeaderList>();
        response
    }

    async fn script(&self, mirror: &Mirror) -> Arc<Script> {
        let mut kept = self.0.lock().await;
        match &*kept {
            Some(script) if script.of == *mirror => Arc::clone(script),
            _ => Arc::clone(kept.insert(Arc::new(Script::new(mirror).await))),
        }
    }
}

impl Script {
    async fn new(mirror: &Mirror) -> Self {
        let plain = Bytes::from(client::script(&registration(mirror)));
        let hash = blake3::hash(&plain).to_hex()[..32].to_owned();
        let brotli = encoded(BrotliEncoder::with_quality(&plain[..], BROTLI)).await;
        let gzip = encoded(GzipEncoder::with_quality(&plain[..], Level::Best)).await;
        Self { of: mirror.clone(), hash, brotli, gzip, plain }
    }

    /// The smallest that whoever sends these headers takes, and its coding.
    fn in_coding(&self, headers: &HeaderMap) -> (Option<&'static str>, Bytes) {
        let codings = [("br", &self.brotli), ("gzip", &self.gzip)];
        let taken = codings.into_iter().find(|(name, _)| takes(headers, name));
        taken.map_or_else(|| (None, self.plain.clone()), |(name, bytes)| (Some(name), bytes.clone()))
    }
}

async fn encoded(mut encoder: impl AsyncRead + Unpin) -> Bytes {
    let mut bytes = Vec::new();
    encoder.read_to_end(&mut bytes).await.expect("it is read from memory and written to memory");
    bytes.into()
}

/// Whether `Accept-Encoding` names this coding. Spec: RFC 9110, section 12.5.3.
fn takes(headers: &HeaderMap, coding: &str) -> bool {
    listed(headers, &header::ACCEPT_ENCODING).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// Whether the client has what this tag names. Spec: RFC 9110, section 13.1.2.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    listed(headers, &header::IF_NONE_MATCH)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn listed<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use url::Url;
    use waystore_worker::UpdateViaCache;

    use super::*;

    fn mirror(scope: &str) -> Mirror {
        Mirror {
            scope: Url::parse(scope).unwrap(),
            update_via_cache: UpdateViaCache::Imports,
            installing: None,
            waiting: None,
            active: None,
            controller: None,
        }
    }

    async fn asked(served: &Served, headers: &[(HeaderName, &str)]) -> (Response, Vec<u8>) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let mut response = served.response(&mirror("https://a.test/"), &headers).await;
        let body = response.body.take().unwrap_or_default().collect(1 << 20).await.unwrap();
        (response, body.into())
    }

    #[test]
    fn a_tag_is_compared_weakly() {
        let knows = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
            is_known(&headers, "\"a\"")
        };
        assert!(knows("\"a\"") && knows("W/\"a\"") && knows("\"b\", \"a\"") && knows("*"));
        assert!(!knows("\"b\"") && !knows("a"));
    }

    #[test]
    fn a_coding_is_taken_where_it_is_named_and_not_refused() {
        let takes =
            |value: &str| takes(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]), "br");
        assert!(takes("gzip, deflate, br") && takes("BR;q=0.5") && takes("gzip;q=0, br ; q=1"));
        assert!(!takes("") && !takes("gzip") && !takes("br;q=0") && !takes("br;q=0.000") && !takes("brx, *;q=0"));
    }

    #[tokio::test]
    async fn the_script_comes_in_the_smallest_coding_that_is_taken_with_a_tag_of_its_own() {
        let served = Served::default();
        let (plain, text) = asked(&served, &[]).await;
        assert!(!plain.headers.contains("content-encoding"));
        let (gzip, packed) = asked(&served, &[(header::ACCEPT_ENCODING, "gzip")]).await;
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == text && gzip.headers.get_text("content-encoding").as_deref() == Some("gzip"));
        let (brotli, smaller) = asked(&served, &[(header::ACCEPT_ENCODING, "gzip, br")]).await;
        assert_eq!(brotli.headers.get_text("content-encoding").as_deref(), Some("br"));
        assert!(smaller.len() < packed.len() && packed.len() * 3 < text.len(), "{} {}", smaller.len(), packed.len());
        let tags = [&plain, &gzip, &brotli].map(|response| response.headers.get_text("etag").unwrap());
        assert!(tags[0] != tags[1] && tags[1] != tags[2]);
        assert!([plain, gzip, brotli].iter().all(|response| response.headers.contains("vary")));
        let known = [(header::ACCEPT_ENCODING, "br"), (header::IF_NONE_MATCH, tags[2].as_str())];
        let (unchanged, body) = asked(&served, &known).await;
        assert_eq!((unchanged.status, body.len()), (304, 0));
        let (other, _) = asked(&served, &[(header::IF_NONE_MATCH, tags[2].as_str())]).await;
        assert_eq!(other.status, 200, "it is another coding");
    }

    #[tokio::test]
    async fn a_state_is_put_together_once() {
        let served = Served::default();
        let first = served.script(&mirror("https://a.test/")).await;
        assert!(Arc::ptr_eq(&first, &served.script(&mirror("https://a.test/")).await));
        assert!(!Arc::ptr_eq(&first, &served.script(&mirror("https://b.test/")).await));
    }
}
