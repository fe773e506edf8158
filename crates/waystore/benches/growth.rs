//! What grows with the number of entries and what does not: look-ups, walks; and large bodies beside a plain file.
//!
//! `cargo bench -p waystore --bench growth -- 1000000` (entries; by default a hundred thousand). Writes to a temporary
//! directory, 5.5 KB for each entry.

mod measure;

use std::{
    io::{Read, Write},
    path::Path,
    time::Instant,
};

use futures::StreamExt;
use tokio::runtime::Runtime;
use waystore::{Body, Cache, CacheQueryOptions, EntryRange, Request, Response, Waystore};

use measure::{Result, Work, in_turn, shown};

const ORIGIN: &str = "https://shop.example";
const SMALL: usize = 1_000;
const BODY: usize = 4096;
const LARGE: usize = 100 * 1024 * 1024;

fn main() -> Result {
    let entries = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let parent = tempfile::tempdir()?;
    let dir = parent.path().join("data");
    // Closed and opened again: as it is most of the time.
    for written in [false, true] {
        let store = runtime.block_on(Waystore::open(&dir))?;
        let caches = store.caches(ORIGIN)?;
        for (name, size) in [("small", SMALL), ("large", entries)] {
            for (kind, body) in [("with", BODY), ("without", 0)] {
                let cache = runtime.block_on(caches.open(format!("{name} {kind}")))?;
                if !written {
                    runtime.block_on(fill(&cache, size, body))?;
                }
            }
        }
    }
    let store = runtime.block_on(Waystore::open(&dir))?;
    let caches = store.caches(ORIGIN)?;
    let open = |name: &str| runtime.block_on(caches.open(name));
    println!("{:<40} {:>12} {:>12} {:>7}", "", SMALL, entries, "ratio");
    for (what, kind, hit) in
        [("match, a miss", "with", false), ("match, no body", "without", true), ("match, 4 KiB", "with", true)]
    {
        let (small, large) = (open(&format!("small {kind}"))?, open(&format!("large {kind}"))?);
        let mut work = [look_up(&runtime, &small, SMALL, hit), look_up(&runtime, &large, entries, hit)];
        let times = in_turn(&mut work)?;
        let ratio = times[1].as_secs_f64() / times[0].as_secs_f64();
        println!("{what:<40} {:>12} {:>12} {ratio:>7.2}", shown(times[0]), shown(times[1]));
    }
    let large = open("large with")?;
    for round in ["first", "again"] {
        let start = Instant::now();
        let count = runtime.block_on(async {
            let (mut walk, mut count) = (large.entries(&EntryRange::all())?, 0);
            while let Some(entry) = walk.next().await? {
                count += entry.url().len().min(1);
            }
            Ok::<_, waystore::Error>(count)
        })?;
        println!("cursor over {count}, {round:<24} {:>12}", shown(start.elapsed()));
        let start = Instant::now();
        let count = runtime.block_on(large.keys((), CacheQueryOptions::default()))?.len();
        println!("keys() of {count}, {round:<26} {:>12}", shown(start.elapsed()));
    }
    bodies(&runtime, &caches, parent.path())
}

async fn fill(cache: &Cache, size: usize, body: usize) -> Result {
    for first in (0..size).step_by(500) {
        let pairs = (first..size.min(first + 500)).map(|number| Ok((request(number)?, response(body))));
        cache.put_all(pairs.collect::<Result<Vec<_>>>()?).await?;
    }
    Ok(())
}

fn request(number: usize) -> Result<Request> {
    Ok(Request::get(&format!("{ORIGIN}/products/{number}?variant={}", number % 7))?)
}

fn response(body: usize) -> Response {
    let empty = Response::empty(200);
    let response = if body == 0 { empty } else { Response::new(vec![7; body]) };
    (0..10).fold(response, |response, header| response.header(format!("x-header-{header}"), "v".repeat(45)))
}

fn look_up<'a>(runtime: &'a Runtime, cache: &'a Cache, size: usize, hit: bool) -> Work<'a> {
    let first = if hit { 0 } else { size };
    let sample = (0..size.min(50_000)).map(|index| request(first + index * 7919 % size));
    let (requests, mut at) = (sample.collect::<Result<Vec<_>>>(), 0);
    Box::new(move |count| {
        let requests = requests.as_ref().map_err(|error| error.to_string())?;
        runtime.block_on(async {
            for _ in 0..count {
                at = (at + 1) % requests.len();
                let found = cache.match_(&requests[at], CacheQueryOptions::default()).await?;
                if found.is_some() != hit {
                    return Err("a look-up that must hit missed, or the other way round".into());
                }
            }
            Ok(())
        })
    })
}

/// A body of 100 MiB, written and read, beside a plain file.
fn bodies(runtime: &Runtime, caches: &waystore::CacheStorage, dir: &Path) -> Result {
    let cache = runtime.block_on(caches.open("bodies"))?;
    let mut number = 0_u8;
    let write: Work<'_> = Box::new(move |count| {
        for _ in 0..count {
            number = number.wrapping_add(1);
            let chunk = bytes::Bytes::from(vec![number; 64 * 1024]);
            let chunks = (0..LARGE / chunk.len()).map(move |_| Ok(chunk.clone()));
            let body = Body::from_stream(futures::stream::iter(chunks), Some(LARGE as u64));
            runtime.block_on(cache.put("/large", Response::new(body)))?;
        }
        Ok(())
    });
    let plain = dir.join("plain");
    let write_plain: Work<'_> = Box::new(|count| {
        for _ in 0..count {
            let mut file = std::fs::File::create(&plain)?;
            let chunk = vec![7; 64 * 1024];
            (0..LARGE / chunk.len()).try_for_each(|_| file.write_all(&chunk))?;
        }
        Ok(())
    });
    let times = in_turn(&mut [write_plain, write])?;
    print_bodies("write 100 MiB: plain file, ours", &times);
    let cache = runtime.block_on(caches.open("bodies"))?;
    let read: Work<'_> = Box::new(move |count| {
        runtime.block_on(async {
            for _ in 0..count {
                let found = cache.match_("/large", CacheQueryOptions::default()).await?.ok_or("it was put")?;
                let (mut body, mut length) = (found.body.ok_or("it has a body")?, 0);
                while let Some(chunk) = body.next().await {
                    length += chunk?.len();
                }
                assert_eq!(length, LARGE);
            }
            Ok(())
        })
    });
    let read_plain: Work<'_> = Box::new(|count| {
        for _ in 0..count {
            let (mut file, mut buffer, mut length) = (std::fs::File::open(&plain)?, vec![0; 64 * 1024], 0);
            loop {
                match file.read(&mut buffer)? {
                    0 => break,
                    read => length += read,
                }
            }
            assert_eq!(length, LARGE);
        }
        Ok(())
    });
    let times = in_turn(&mut [read_plain, read])?;
    print_bodies("read 100 MiB: plain file, ours", &times);
    Ok(())
}

fn print_bodies(what: &str, times: &[std::time::Duration]) {
    let ratio = times[0].as_secs_f64() / times[1].as_secs_f64();
    println!("{what:<40} {:>12} {:>12} {ratio:>7.2}", shown(times[0]), shown(times[1]));
}
