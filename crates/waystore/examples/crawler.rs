//! A crawler that fetches each page once. Started again, it asks the network for nothing, and it can go on
//! where the site is down.
//!
//! `cargo run -p waystore --example crawler`: crawls a small site that it serves itself, twice.

use std::{collections::BTreeSet, time::Duration};

use waystore::{Body, Cache, Fetch, FetchError, Request, Response, Waystore};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[tokio::main]
async fn main() -> Result<()> {
    let dir = tempfile::tempdir()?; // of your own: where pages are kept, whatever becomes of the process
    let site = serve_a_site().await?;

    let store = Waystore::open(dir.path()).await?;
    let pages = store.caches(&site)?.open("pages").await?;
    println!("first: {} pages", crawl(&pages, &Network::new()?).await?.len());
    drop((pages, store));

    // The next day. Nothing is fetched: whoever asks this network is refused.
    let store = Waystore::open(dir.path()).await?;
    let pages = store.caches(&site)?.open("pages").await?;
    let found = crawl(&pages, &Offline).await?;
    println!("again, offline: {} pages", found.len());
    assert_eq!(found, ["/", "/cups", "/cups/blue", "/pots"].map(str::to_owned).into());
    Ok(())
}

/// Follows every link, from the root on; returns the paths of the pages.
async fn crawl(pages: &Cache, network: &dyn Fetch) -> Result<BTreeSet<String>> {
    let mut seen = BTreeSet::from(["/".to_owned()]);
    let mut to_visit = vec!["/".to_owned()];
    while let Some(path) = to_visit.pop() {
        // From the cache, or else from the network and into the cache; many tasks may ask at a time, and one
        // fetches. What is not a success is given back and not stored.
        let response = pages.match_or_fetch(network, path.as_str(), Duration::from_secs(10)).await?;
        let Some(body) = response.body else { continue };
        let html = body.collect(4 << 20).await?; // a longer page is an error
        for link in links(&String::from_utf8_lossy(&html)) {
            if seen.insert(link.clone()) {
                to_visit.push(link);
            }
        }
    }
    Ok(seen)
}

/// The links of a page; a real crawler has a parser for this.
fn links(html: &str) -> Vec<String> {
    html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

/// The library knows no network: this is how it is given reqwest's. With `https`, enable reqwest's `rustls`.
struct Network(reqwest::Client);

impl Network {
    fn new() -> Result<Self> {
        Ok(Self(reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?))
    }
}

#[async_trait::async_trait]
impl Fetch for Network {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let failed = |error: &dyn std::error::Error| FetchError::Network(error.to_string());
        let request = http::Request::<Body>::try_from(request).map_err(|error| failed(&error))?;
        let request = request.map(|_| reqwest::Body::default()); // a GET has none
        let request = reqwest::Request::try_from(request).map_err(|error| failed(&error))?;
        let answer = self.0.execute(request).await.map_err(|error| failed(&error))?;
        let url = answer.url().clone(); // the last one, where it was redirected
        let mut response = Response::from(http::Response::from(answer).map(Body::from_http));
        response.url_list = vec![url];
        Ok(response)
    }
}

/// A network that is down.
struct Offline;

#[async_trait::async_trait]
impl Fetch for Offline {
    async fn fetch(&self, _: Request) -> Result<Response, FetchError> {
        Err(FetchError::Network("the network is down".into()))
    }
}

/// A site of four pages, so that the example needs no network; returns its URL.
async fn serve_a_site() -> Result<String> {
    use axum::{Router, response::Html, routing::get};

    let page = |html: &'static str| get(move || async move { Html(html) });
    let site = Router::new()
        .route("/", page(r#"<a href="/cups">cups</a> <a href="/pots">pots</a>"#))
        .route("/cups", page(r#"<a href="/cups/blue">a blue cup</a> <a href="/">home</a>"#))
        .route("/cups/blue", page(r#"<a href="/pots">pots</a>"#))
        .route("/pots", page(r#"<a href="/">home</a>"#));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, site).await });
    Ok(url)
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
