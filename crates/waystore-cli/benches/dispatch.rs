//! What a fetch event costs: dispatched to a worker that answers from the cache, against the same
//! look-up by the library alone.
//!
//! `cargo bench -p waystore-cli --bench dispatch`: half a minute. Writes to a temporary directory.

#[path = "../../waystore/benches/measure/mod.rs"]
mod measure;

use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use url::Url;
use waystore::{
    CacheStorage, Clock, Fetch, FetchError, MultiCacheQueryOptions, Request, Response, ResponseType, Waystore,
};
use waystore_worker::{FetchEvent, FetchOutcome, Site, SiteHost, SiteOptions};

use measure::{Result, Work, in_turn, shown};

const ORIGIN: &str = "https://shop.example";
const ENTRIES: usize = 1_000;
const BODY: usize = 1024;
/// Events under way at a time, where several are.
const AT_A_TIME: usize = 32;

const SCRIPT: &str = r#"
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("fetch", (event) => {
  const { pathname } = new URL(event.request.url);
  if (pathname.startsWith("/products/")) {
    event.respondWith(caches.match(event.request));
  } else if (pathname === "/made") {
    event.respondWith(new Response("made"));
  }
});
"#;

fn main() -> Result {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let (site, caches) = runtime.block_on(open(folder.path()))?;
    let names = [
        "library alone: match".to_owned(),
        "event: nobody answers".to_owned(),
        "event: a new Response".to_owned(),
        "event: a hit in the cache".to_owned(),
        format!("the same, {AT_A_TIME} at a time"),
    ];
    let mut contenders = [
        look_up(&runtime, &caches),
        dispatch(&runtime, &site, |_| "/left-alone".to_owned(), is_left_alone, 1),
        dispatch(&runtime, &site, |_| "/made".to_owned(), is_answer, 1),
        dispatch(&runtime, &site, product, is_answer, 1),
        dispatch(&runtime, &site, product, is_answer, AT_A_TIME),
    ];
    let times = in_turn(&mut contenders)?;

    println!("{ENTRIES} entries on disk, bodies of {BODY} bytes; medians\n");
    println!("{:<28} {:>10} {:>24}", "", "time", "times the look-up alone");
    for (name, time) in names.iter().zip(&times) {
        println!("{name:<28} {:>10} {:>24.1}", shown(*time), time.as_secs_f64() / times[0].as_secs_f64());
    }
    drop(contenders);
    runtime.block_on(site.close(std::time::Duration::from_secs(5)));
    Ok(())
}

async fn open(folder: &std::path::Path) -> Result<(Site, CacheStorage)> {
    let store = Waystore::open(folder.join("data")).await?;
    let caches = store.caches(ORIGIN)?;
    let cache = caches.open("v1").await?;
    for number in 0..ENTRIES {
        cache.put(product(number as u64), Response::new(vec![b'x'; BODY]).header("content-type", "text/html")).await?;
    }
    let options = SiteOptions::new(Url::parse(ORIGIN)?.join("/sw.js")?);
    let host = SiteHost {
        fetch: Arc::new(OnlyTheScript),
        clock: Arc::new(Clock::system()),
        console: Arc::new(|line| eprintln!("{}", line.text)),
    };
    let site = Site::open(options, &store, host).await?;
    site.ready().await?;
    Ok((site, caches))
}

/// A network that has the worker's script and nothing else.
struct OnlyTheScript;

#[async_trait]
impl Fetch for OnlyTheScript {
    async fn fetch(&self, request: Request) -> std::result::Result<Response, FetchError> {
        if request.url.path() != "/sw.js" {
            return Err(FetchError::Network("nothing here but the script".to_owned()));
        }
        let mut response = Response::new(SCRIPT).header("content-type", "text/javascript");
        response.head.kind = ResponseType::Basic;
        response.head.url_list = vec![request.head.url];
        Ok(response)
    }
}

fn product(number: u64) -> String {
    // A step that shares no factor with the number of entries visits them all.
    format!("/products/{}", number * 7919 % ENTRIES as u64)
}

fn request(path: &str) -> Result<Request> {
    Ok(Request::get(&format!("{ORIGIN}{path}"))?.header("accept", "*/*"))
}

fn look_up<'a>(runtime: &'a Runtime, caches: &'a CacheStorage) -> Work<'a> {
    Box::new(move |count| {
        runtime.block_on(async {
            for number in 0..count {
                let found = caches.match_(&request(&product(number))?, MultiCacheQueryOptions::default()).await?;
                found.ok_or("a look-up that must hit missed")?;
            }
            Ok(())
        })
    })
}

fn dispatch<'a>(
    runtime: &'a Runtime,
    site: &'a Site,
    path: fn(u64) -> String,
    is_right: fn(&FetchOutcome) -> bool,
    at_a_time: usize,
) -> Work<'a> {
    Box::new(move |count| {
        let one = move |number| async move {
            let request = request(&path(number))?;
            let event = FetchEvent { request, client_id: String::new(), resulting_client_id: String::new() };
            let outcome = site.fetch(event).await;
            if is_right(&outcome) { Ok(()) } else { Err(format!("an unexpected outcome: {outcome:?}").into()) }
        };
        runtime.block_on(stream::iter(0..count).map(one).buffer_unordered(at_a_time).try_for_each(async |()| Ok(())))
    })
}

fn is_left_alone(outcome: &FetchOutcome) -> bool {
    matches!(outcome, FetchOutcome::Fallback { .. })
}

fn is_answer(outcome: &FetchOutcome) -> bool {
    matches!(outcome, FetchOutcome::Response { response, .. } if response.head.status == 200)
}
