//! Set-up that the cases share: short words for requests, responses and what is expected of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use http::Method;
use url::Url;

use crate::{
    Body, BodyError, Cache, CacheQueryOptions, CacheStorage, Error, Fetch, FetchError, Request, RequestFilter,
    Response, ResponseHead, ResponseType, Waystore,
};

/// The script whose URL relative ones resolve against.
pub(super) const SCRIPT: &str = "https://a.test/app/sw.js";

pub(super) const PLAIN: CacheQueryOptions =
    CacheQueryOptions { ignore_search: false, ignore_method: false, ignore_vary: false };
pub(super) const IGNORE_SEARCH: CacheQueryOptions = CacheQueryOptions { ignore_search: true, ..PLAIN };
pub(super) const IGNORE_METHOD: CacheQueryOptions = CacheQueryOptions { ignore_method: true, ..PLAIN };
pub(super) const IGNORE_VARY: CacheQueryOptions = CacheQueryOptions { ignore_vary: true, ..PLAIN };

pub(super) fn caches(store: &Waystore) -> CacheStorage {
    store.caches(SCRIPT).unwrap()
}

/// The empty cache `c`.
pub(super) async fn open(store: &Waystore) -> Cache {
    caches(store).open("c").await.unwrap()
}

/// `Q(url, {headers})`.
pub(super) fn request(url: &str, headers: &[(&str, &str)]) -> Request {
    let url = Url::parse(SCRIPT).unwrap().join(url).unwrap();
    headers.iter().fold(Request::from(url), |request, (name, value)| request.header(name, value))
}

pub(super) fn with_method(url: &str, method: &'static str) -> Request {
    let mut request = request(url, &[]);
    request.method = Method::from_bytes(method.as_bytes()).unwrap();
    request
}

/// `R(body)` with a `Vary` header, or none where it is empty.
pub(super) fn response(body: &str, vary: &str) -> Response {
    let response = Response::new(body.to_owned());
    if vary.is_empty() { response } else { response.header("vary", vary) }
}

pub(super) fn of_kind(kind: ResponseType, status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let url_list = vec![Url::parse("https://b.test/r").unwrap()];
    let head =
        ResponseHead { kind, status, url_list, headers: headers.iter().copied().collect(), ..Default::default() };
    Response::from_parts(head, Some(Body::from(body.to_owned())))
}

pub(super) async fn put(cache: &Cache, url: &str, body: &str) {
    cache.put(url, Response::new(body.to_owned())).await.unwrap();
}

/// Puts `body` under a request with these headers, varying by `vary`.
pub(super) async fn put_varying(cache: &Cache, url: &str, headers: &[(&str, &str)], vary: &str, body: &str) {
    cache.put(request(url, headers), response(body, vary)).await.unwrap();
}

/// The text of the first match, or `undef`.
pub(super) async fn matched(cache: &Cache, request: Request, options: CacheQueryOptions) -> String {
    match cache.match_(&request, options).await.unwrap() {
        Some(response) => text(response).await,
        None => "undef".into(),
    }
}

pub(super) async fn get(cache: &Cache, url: &str) -> String {
    matched(cache, request(url, &[]), PLAIN).await
}

/// The texts of all matches.
pub(super) async fn all<'a>(
    cache: &Cache,
    request: impl Into<RequestFilter<'a>>,
    options: CacheQueryOptions,
) -> Vec<String> {
    let mut texts = Vec::new();
    for response in cache.match_all(request, options).await.unwrap() {
        texts.push(text(response).await);
    }
    texts
}

/// The paths, queries and fragments of all keys.
pub(super) async fn keys(cache: &Cache) -> Vec<String> {
    let keys = cache.keys((), PLAIN).await.unwrap();
    keys.iter().map(|key| key.url.as_str().trim_start_matches("https://a.test").to_owned()).collect()
}

pub(super) async fn text(response: Response) -> String {
    let body = response.body.unwrap_or_default().collect(1 << 26).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A body that ends with an error after `chunks`.
pub(super) fn failing(chunks: &[&'static str]) -> Body {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from(*chunk))).collect();
    let error = [Err(BodyError::failed("the source broke"))];
    Body::from_stream(stream::iter(chunks.into_iter().chain(error)), None)
}

pub(super) fn is_type_error<T: std::fmt::Debug>(result: &crate::Result<T>) -> bool {
    matches!(result, Err(Error::Type { .. }))
}

/// A network of canned answers, which counts what was asked of it.
#[derive(Default, Clone)]
pub struct Canned(Arc<Mutex<Answers>>);

type Answer = Arc<dyn Fn(&Request) -> Result<Response, FetchError> + Send + Sync>;

#[derive(Default)]
struct Answers {
    answers: HashMap<String, Answer>,
    asked: Vec<String>,
}

impl Canned {
    /// Answers requests for `url` (any query, no fragment) with what `answer` makes.
    #[must_use]
    pub fn on(
        self,
        url: &str,
        answer: impl Fn(&Request) -> Result<Response, FetchError> + Send + Sync + 'static,
    ) -> Self {
        let url = Url::parse(SCRIPT).and_then(|base| base.join(url)).map_or_else(|_| url.to_owned(), String::from);
        self.lock().answers.insert(url, Arc::new(answer));
        self
    }

    /// The URLs that were asked for, in order.
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Fetch for Canned {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let mut url = request.url.clone();
        url.set_fragment(None);
        let answer = {
            let mut answers = self.lock();
            answers.asked.push(url.to_string());
            answers.answers.get(url.as_str()).cloned()
        };
        match answer {
            Some(answer) => answer(&request),
            None => Ok(Response::empty(404)),
        }
    }
}

impl std::fmt::Debug for Canned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Canned").field("asked", &self.asked()).finish()
    }
}
