//! `match` and `put` with a thousand and a hundred thousand entries, in memory and on disk.
//!
//! `cargo bench -p waystore --bench cache`: about a minute. Writes to a temporary directory.

mod measure;

use std::path::Path;

use tokio::runtime::Runtime;
use waystore::{
    Cache, CacheQueryOptions, Request, Response, Waystore,
    store::disk::{DiskOptions, Durability},
};

use measure::{Result, Work, in_turn, shown};

const SIZES: [usize; 2] = [1_000, 100_000];
/// Small enough to be kept in its entry, as most of a site's responses are.
const BODY: usize = 1024;
const ORIGIN: &str = "https://shop.example";

fn main() -> Result {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let parent = tempfile::tempdir()?;
    let mut caches = Vec::new();
    for size in SIZES {
        caches.push(("memory", size, runtime.block_on(filled(Waystore::in_memory(), size))?));
        let dir = parent.path().join(size.to_string());
        let store = runtime.block_on(on_disk(&dir, Durability::Relaxed))?;
        caches.push(("disk", size, runtime.block_on(filled(store, size))?));
    }
    let strict = runtime.block_on(on_disk(&parent.path().join("strict"), Durability::Strict))?;
    let strict = runtime.block_on(async { strict.caches(ORIGIN)?.open("v1").await })?;

    println!("bodies of {BODY} bytes; medians, and the ratio to memory with {} entries\n", SIZES[0]);
    println!("{:<28} {:<8} {:>8} {:>12} {:>8}", "", "store", "entries", "time", "ratio");
    let operations: [(&str, Operation); 4] = [
        ("match, a hit", match_a_hit),
        ("match, a miss", match_a_miss),
        ("match, ignoring the query", match_ignoring_the_query),
        ("put, in place of another", put_in_place),
    ];
    for (name, operation) in operations {
        let mut contenders: Vec<_> = caches.iter().map(|(_, size, cache)| operation(&runtime, cache, *size)).collect();
        let times = in_turn(&mut contenders)?;
        for ((store, size, _), time) in caches.iter().zip(&times) {
            let ratio = time.wall.as_secs_f64() / times[0].wall.as_secs_f64();
            println!("{name:<28} {store:<8} {size:>8} {:>12} {ratio:>8.1}", shown(time.wall));
        }
    }
    let mut contenders = [put_in_place(&runtime, &strict, SIZES[0])];
    println!(
        "{:<28} {:<8} {:>8} {:>12}",
        "put, waiting for the disk",
        "strict",
        "-",
        shown(in_turn(&mut contenders)?[0].wall)
    );
    Ok(())
}

async fn on_disk(dir: &Path, durability: Durability) -> Result<Waystore> {
    let mut options = DiskOptions::default();
    options.durability = durability;
    Ok(Waystore::open_with(dir, options).await?)
}

async fn filled(store: Waystore, size: usize) -> Result<Cache> {
    let cache = store.caches(ORIGIN)?.open("v1").await?;
    for number in 0..size {
        cache.put(request(number)?, response()).await?;
    }
    Ok(cache)
}

fn request(number: usize) -> Result<Request> {
    Ok(Request::get(&format!("{ORIGIN}/products/{number}?variant={}", number % 7))?.header("accept", "text/html"))
}

fn response() -> Response {
    Response::new(vec![b'x'; BODY]).header("content-type", "text/html").header("vary", "accept")
}

/// Requests all over the cache, so that no entry is always at hand.
fn requests(size: usize) -> Result<Vec<Request>> {
    (0..size).step_by((size / 1000).max(1)).map(request).collect()
}

type Operation = for<'a> fn(&'a Runtime, &'a Cache, usize) -> Work<'a>;

fn match_a_hit<'a>(runtime: &'a Runtime, cache: &'a Cache, size: usize) -> Work<'a> {
    look_up(runtime, cache, requests(size), CacheQueryOptions::default(), true)
}

fn match_a_miss<'a>(runtime: &'a Runtime, cache: &'a Cache, size: usize) -> Work<'a> {
    let missing = (size..size + 1000).map(request).collect();
    look_up(runtime, cache, missing, CacheQueryOptions::default(), false)
}

fn match_ignoring_the_query<'a>(runtime: &'a Runtime, cache: &'a Cache, size: usize) -> Work<'a> {
    let options = CacheQueryOptions { ignore_search: true, ..CacheQueryOptions::default() };
    look_up(runtime, cache, requests(size), options, true)
}

fn look_up<'a>(
    runtime: &'a Runtime,
    cache: &'a Cache,
    requests: Result<Vec<Request>>,
    options: CacheQueryOptions,
    hit: bool,
) -> Work<'a> {
    let mut requests = Cycle::over(requests);
    Box::new(move |count, _| {
        let requests = requests.as_mut().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            for _ in 0..count {
                let found = cache.match_(requests.next(), options).await?;
                if found.is_some() != hit {
                    return Err("a look-up that must hit missed, or the other way round".into());
                }
            }
            Ok(())
        })
    })
}

fn put_in_place<'a>(runtime: &'a Runtime, cache: &'a Cache, size: usize) -> Work<'a> {
    let mut requests = Cycle::over(requests(size));
    Box::new(move |count, _| {
        let requests = requests.as_mut().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            for _ in 0..count {
                cache.put(requests.next(), response()).await?;
            }
            Ok(())
        })
    })
}

/// Requests in an order that is hard to foresee, again and again.
struct Cycle {
    requests: Vec<Request>,
    at: usize,
}

impl Cycle {
    fn over(requests: Result<Vec<Request>>) -> Result<Self> {
        Ok(Self { requests: requests?, at: 0 })
    }

    fn next(&mut self) -> &Request {
        // A step that shares no factor with the number of requests visits them all.
        self.at = (self.at + 7919) % self.requests.len();
        &self.requests[self.at]
    }
}
