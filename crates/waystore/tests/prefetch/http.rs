//! Over HTTP, with another library's client and server.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Redirect},
    routing::get,
};
use waystore::{
    Body, Fetch, FetchError, Request, Response, Waystore,
    prefetch::{Follow, Outcome, Prefetch, PrefetchLimits, Reason},
};

use super::support::outcomes;

struct Network(reqwest::Client);

impl Network {
    fn new() -> Arc<Self> {
        Arc::new(Self(reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()))
    }
}

#[async_trait::async_trait]
impl Fetch for Network {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let failed = |error: &dyn std::error::Error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            FetchError::Network(format!("{error}{cause}"))
        };
        let answer = self.0.get(request.url.clone()).send().await.map_err(|error| failed(&error))?;
        let url = answer.url().clone();
        let mut response = Response::from(http::Response::from(answer).map(Body::from_http));
        response.url_list = vec![url];
        Ok(response)
    }
}

/// A shop of 1,000 things, a redirect that leads round, and one that leads to a page.
async fn serve() -> String {
    let list = || async {
        let items: Vec<_> = (0..999).map(|number| serde_json::json!({"pic": format!("pics/{number}")})).collect();
        axum::Json(serde_json::json!({ "items": items }))
    };
    let picture = |Path(number): Path<usize>| async move { vec![b'x'; number].into_response() };
    let page = || async { axum::response::Html("<img src=0>") };
    let shop = Router::new()
        .route("/shop/list.json", get(list))
        .route("/shop/pics/{number}", get(picture))
        .route("/round", get(|| async { Redirect::temporary("/round") }))
        .route("/old", get(|| async { Redirect::temporary("/shop/pics/") }))
        .route("/shop/pics/", get(page));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, shop).await });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_urls_are_fetched_followed_and_stored_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = Waystore::open(dir.path()).await.unwrap();
    let site = serve().await;
    let cache = store.caches(&site).unwrap().open("v1").await.unwrap();
    let limits = PrefetchLimits { document_urls: 2000, ..PrefetchLimits::default() };
    let plan = Prefetch::new(["/shop/list.json"]).follow(Follow::json_path("$.items[*].pic").unwrap());
    let rows = plan.with_limits(limits).start(cache.clone(), Network::new()).unwrap().finish().await;
    assert_eq!(rows.len(), 1000);
    assert!(rows.iter().all(|row| row.outcome == Outcome::Stored));
    let lengths: BTreeSet<u64> = rows[1..].iter().map(|row| row.bytes).collect();
    assert!(lengths.into_iter().eq(0..999));
    assert_eq!(cache.keys((), waystore::CacheQueryOptions::default()).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_redirect_that_leads_round_is_a_network_error_and_one_that_leads_somewhere_is_followed() {
    let site = serve().await;
    let cache = Waystore::in_memory().caches(&site).unwrap().open("v1").await.unwrap();
    let plan = Prefetch::new(["/round", "/old"]).follow("html".parse().unwrap());
    let rows = plan.start(cache, Network::new()).unwrap().finish().await;
    assert_eq!(outcomes(&rows[..2]), [(Outcome::Failed, Some(Reason::Network)), (Outcome::Stored, None)]);
    assert!(rows[0].detail.as_ref().unwrap().contains("redirect"), "{:?}", rows[0].detail);
    assert_eq!(rows[2].url, format!("{site}/shop/pics/0"));
}
