//! Fetches what a page will need before anybody asks: a list of products, and the pictures that it names.
//!
//! `cargo run -p waystore --example prefetch`: from a small shop that it serves itself. With a plan of your own,
//! as JSON: `cargo run -p waystore --example prefetch -- '{"urls": ["/top.json"], "follow": ["$..pic"]}'`.

use std::sync::Arc;

use futures::StreamExt;
use waystore::{
    Body, CacheQueryOptions, Fetch, FetchError, Request, Response, Waystore,
    prefetch::{Event, Follow, Prefetch},
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    let shop = serve_a_shop().await?;
    let store = Waystore::in_memory(); // `Waystore::open("data")` keeps it
    let cache = store.caches(&shop)?.open("v1").await?;

    let plan = match std::env::args().nth(1).filter(|argument| argument.starts_with('{')) {
        Some(json) => serde_json::from_str(&json)?,
        None => Prefetch::new(["/about"]).require("/top.json").follow(Follow::json_path("$.products[*].pic")?),
    };
    let mut running = plan.start(cache.clone(), Arc::new(Network::new()?))?;
    while let Some(event) = running.next().await {
        if let Event::Progress { done, total, bytes } = event {
            eprintln!("{done} of {total}, {bytes} bytes");
        }
    }
    for row in running.rows() {
        println!("{:?} {} ({} bytes) {}", row.outcome, row.url, row.bytes, row.detail.unwrap_or_default());
    }

    // Whoever asks now, is answered without the shop.
    let hit = cache.match_("/pics/mug.jpg", CacheQueryOptions::default()).await?;
    assert!(hit.is_some(), "it was named by the list, and so it is there");
    Ok(())
}

/// The library knows no network: this is how it is given reqwest's.
struct Network(reqwest::Client);

impl Network {
    fn new() -> Result<Self> {
        Ok(Self(reqwest::Client::builder().no_proxy().build()?))
    }
}

#[async_trait::async_trait]
impl Fetch for Network {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let answer = self.0.get(request.head.url).send().await;
        let answer = answer.map_err(|error| FetchError::Network(error.to_string()))?;
        let url = answer.url().clone(); // the last one, where it was redirected
        let mut response = Response::from(http::Response::from(answer).map(Body::from_http));
        response.url_list = vec![url];
        Ok(response)
    }
}

/// A shop with a list and two pictures, so that the example needs no network; returns its URL.
async fn serve_a_shop() -> Result<String> {
    use axum::{Json, Router, routing::get};

    let list = serde_json::json!({"products": [{"name": "a mug", "pic": "pics/mug.jpg"}, {"name": "a pot", "pic": "pics/pot.jpg"}]});
    let shop = Router::new()
        .route("/top.json", get(move || async move { Json(list) }))
        .route("/about", get(|| async { "about the shop" }))
        .route("/pics/{name}", get(|| async { vec![0; 5000] }));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, shop).await });
    Ok(url)
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
