//! What grows with the number of entries and what does not: look-ups, walks; and large bodies beside a plain file.
//!
//! `cargo bench -p waystore --bench growth -- 1000000` (entries; by default a hundred thousand). Writes to a temporary
//! directory, 7 KB for each entry. With `--dir DIR` writes there, and uses what an earlier run left; with `--only WHAT`
//! does what has that in its name. Beside the median times stand the least of the processor for this thread, which hold on a
//! busy machine too.
//!
//! A look-up is given a request that was just parsed, as a server's are: they are made some at a time, which is not timed, for
//! the small cache as for the large one. Which entries they are for is random, over all there are.

mod measure;

use std::{
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt;
use tokio::runtime::Runtime;
use waystore::{Body, Cache, CacheQueryOptions, EntryRange, Request, Response, Waystore};

use measure::{Median, Result, Work, in_turn, once, shown};

const ORIGIN: &str = "https://shop.example";
const SMALL: usize = 1_000;
const BODY: usize = 4096;
const LARGE: usize = 100 * 1024 * 1024;
/// Requests that are made at a time: no more than a processor keeps near.
const PARSED: u64 = 256;

/// What the command line says.
struct Arguments {
    entries: usize,
    dir: Option<PathBuf>,
    only: String,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut parsed = Self { entries: 100_000, dir: None, only: String::new() };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            match name.as_str() {
                "--dir" => parsed.dir = given.next().map(PathBuf::from),
                "--only" => parsed.only = given.next().unwrap_or_default(),
                // Cargo's own.
                "--bench" => {}
                number => parsed.entries = number.parse()?,
            }
        }
        Ok(parsed)
    }

    fn wants(&self, what: &str) -> bool {
        what.contains(&self.only)
    }
}

fn main() -> Result {
    let arguments = Arguments::parse()?;
    let entries = arguments.entries;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let parent = tempfile::tempdir()?;
    let dir = arguments.dir.clone().unwrap_or_else(|| parent.path().join("data"));
    // Closed and opened again: as it is most of the time.
    for written in [dir.exists(), true] {
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
    println!("{:<40} {:>12} {:>12} {:>7} {:>27}", "", SMALL, entries, "ratio", "processor, least");
    for (what, kind, hit) in
        [("match, a miss", "with", false), ("match, no body", "without", true), ("match, 4 KiB", "with", true)]
    {
        if arguments.wants(what) {
            let (small, large) = (open(&format!("small {kind}"))?, open(&format!("large {kind}"))?);
            // The system maps what was not looked at yet, which it does once.
            runtime.block_on(walked(&large))?;
            let mut work = [look_up(&runtime, &small, SMALL, hit), look_up(&runtime, &large, entries, hit)];
            print_compared(what, &in_turn(&mut work)?);
        }
    }
    if arguments.wants("walks") {
        walks(&runtime, &open("large with")?)?;
    }
    if arguments.wants("bodies") { bodies(&runtime, &caches, parent.path()) } else { Ok(()) }
}

fn print_compared(what: &str, times: &[Median]) {
    let ratio = |of: fn(&Median) -> Duration| of(&times[1]).as_secs_f64() / of(&times[0]).as_secs_f64();
    let (wall, processor) = (ratio(|time| time.wall), ratio(|time| time.processor));
    let [small, large] = [shown(times[0].wall), shown(times[1].wall)];
    let least = [shown(times[0].processor), shown(times[1].processor)].join(" ");
    println!("{what:<40} {small:>12} {large:>12} {wall:>7.2} {least:>20} {processor:>6.2}");
}

fn walks(runtime: &Runtime, large: &Cache) -> Result {
    for round in ["first", "again", "again"] {
        let walk = once(|| runtime.block_on(walked(large)))?;
        print_walk("cursor over", round, walk);
        let keys = once(|| Ok(runtime.block_on(large.keys((), CacheQueryOptions::default()))?.len()))?;
        print_walk("keys() of", round, keys);
    }
    Ok(())
}

fn print_walk(what: &str, round: &str, (count, took): (usize, Median)) {
    let (wall, processor) = (shown(took.wall), shown(took.processor));
    println!("{:<40} {wall:>12}, of the processor {processor:>12}", format!("{what} {count}, {round}"));
}

async fn walked(cache: &Cache) -> Result<usize> {
    let (mut walk, mut count) = (cache.entries(&EntryRange::all())?, 0);
    while let Some(entry) = walk.next().await? {
        count += entry.url().len().min(1);
    }
    Ok(count)
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
    let (first, mut random) = (if hit { 0 } else { size }, Random(0x5EED));
    Box::new(move |count, watch| {
        let mut left = count;
        while left > 0 {
            let now = left.min(PARSED);
            left -= now;
            let requests: Vec<_> =
                watch.paused(|| (0..now).map(|_| request(first + random.below(size))).collect::<Result<_>>())?;
            runtime.block_on(async {
                for request in &requests {
                    let found = cache.match_(request, CacheQueryOptions::default()).await?;
                    if found.is_some() != hit {
                        return Result::Err("a look-up that must hit missed, or the other way round".into());
                    }
                }
                Ok(())
            })?;
            watch.paused(|| drop(requests));
        }
        Ok(())
    })
}

/// Numbers that are hard to foresee and the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

/// A body of 100 MiB, written and read, beside a plain file.
fn bodies(runtime: &Runtime, caches: &waystore::CacheStorage, dir: &Path) -> Result {
    let cache = runtime.block_on(caches.open("bodies"))?;
    let mut number = 0_u8;
    let write: Work<'_> = Box::new(move |count, _| {
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
    let write_plain: Work<'_> = Box::new(|count, _| {
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
    let read: Work<'_> = Box::new(move |count, _| {
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
    let read_plain: Work<'_> = Box::new(|count, _| {
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

fn print_bodies(what: &str, times: &[Median]) {
    let ratio = times[0].wall.as_secs_f64() / times[1].wall.as_secs_f64();
    println!("{what:<40} {:>12} {:>12} {ratio:>7.2}", shown(times[0].wall), shown(times[1].wall));
}
