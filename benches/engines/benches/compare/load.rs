//! What is stored: 600 bytes of headers, a body of 4 KiB, under a URL with a query.

use std::sync::LazyLock;

use bytes::Bytes;
use waystore::{Cache, HeaderList, Request, Response};

use crate::measure::Result;

pub(crate) const ORIGIN: &str = "https://shop.example";
pub(crate) const BODY: usize = 4096;
/// Names and values, of request and response together.
pub(crate) const HEADERS: usize = 600;
/// What each entry holds: its body, its headers, its URL.
pub(crate) const LOGICAL: usize = BODY + HEADERS + 46;
/// Entries of one commit while a cache is filled.
const BATCH: usize = 500;

static REQUEST_HEADERS: LazyLock<HeaderList> = LazyLock::new(|| {
    let accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    [("accept", accept), ("accept-language", "en-GB,en;q=0.7,de;q=0.3"), ("sec-fetch-dest", "document")]
        .into_iter()
        .collect()
});

static RESPONSE_HEADERS: LazyLock<HeaderList> = LazyLock::new(|| {
    let mut headers: HeaderList = [
        ("content-type", "text/html; charset=utf-8"),
        ("date", "Sat, 21 Nov 2026 10:11:12 GMT"),
        ("last-modified", "Fri, 20 Nov 2026 08:00:00 GMT"),
        ("etag", "\"5f0c7d2a-1000\""),
        ("cache-control", "public, max-age=300, stale-while-revalidate=86400"),
        ("vary", "accept-language"),
        ("server", "shop"),
    ]
    .into_iter()
    .collect();
    let so_far = length(&REQUEST_HEADERS) + length(&headers);
    headers.append("x-fill", "f".repeat(HEADERS - so_far - "x-fill".len()));
    headers
});

fn length(headers: &HeaderList) -> usize {
    headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// Bodies are windows on this, so that making one costs nothing.
static BYTES: LazyLock<Bytes> = LazyLock::new(|| (0..2 * BODY).map(|at| (at * 31 % 251) as u8).collect());

/// Of always the same length.
pub(crate) fn url(number: usize) -> String {
    format!("{ORIGIN}/products/{number:07}?variant={}", number % 7)
}

pub(crate) fn request(number: usize) -> Result<Request> {
    let mut request = Request::get(&url(number))?;
    request.headers = REQUEST_HEADERS.clone();
    Ok(request)
}

pub(crate) fn response(number: usize) -> Response {
    let mut response = Response::new(body(number));
    response.headers = RESPONSE_HEADERS.clone();
    response
}

/// The body that entry `number` must have.
pub(crate) fn body(number: usize) -> Bytes {
    let start = number % BODY;
    BYTES.slice(start..start + BODY)
}

/// Puts the entries 0 to `size` into an empty cache.
pub(crate) async fn fill(cache: &Cache, size: usize) -> Result {
    for first in (0..size).step_by(BATCH) {
        let pairs = (first..size.min(first + BATCH)).map(|number| Ok((request(number)?, response(number))));
        cache.put_all(pairs.collect::<Result<Vec<_>>>()?).await?;
    }
    Ok(())
}
