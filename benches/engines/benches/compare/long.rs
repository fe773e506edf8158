//! Bodies of 100 MiB, written and read, against a plain file in chunks of the same size.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::StreamExt;
use tokio::runtime::Runtime;
use waystore::{Body, Cache, CacheQueryOptions, Request, Response};

use crate::{
    load::ORIGIN,
    measure::{Result, percentile},
    report::{Report, Row, Target},
};

const CHUNK: usize = 64 * 1024;
const CHUNKS: usize = 1600;

/// Measures `cache`; the plain files go to `dir`.
pub(crate) fn measure(runtime: &Runtime, report: &mut Report, cache: &Cache, dir: &Path, times: usize) -> Result {
    report.section("Bodies of 100 MiB");
    let chunk: Bytes = (0..CHUNK).map(|at| (at * 7 % 253) as u8).collect();
    let mut took = [const { Vec::new() }; 4];
    for time in 0..times {
        // No two bodies the same: equal ones are stored once.
        let first = Bytes::from([&time.to_le_bytes()[..], &chunk[8..]].concat());
        let file = dir.join("plain");
        took[0].push(timed(|| write_file(&file, &first, &chunk))?);
        took[1].push(timed(|| runtime.block_on(put(cache, &first, &chunk)))?);
        took[2].push(timed(|| read_file(&file))?);
        took[3].push(timed(|| runtime.block_on(read(cache)))?);
        fs::remove_file(&file)?;
    }
    let [plain_write, write, plain_read, read] = took.map(|times| percentile(times, 0.5));
    for (what, plain, ours, least) in [("write", plain_write, write, 0.5), ("read", plain_read, read, 0.8)] {
        let speed = |time: Duration| format!("{:.0} MB/s", (CHUNK * CHUNKS) as f64 / 1e6 / time.as_secs_f64());
        let rate = plain.as_secs_f64() / ours.as_secs_f64();
        report.row(Row::new(what, "waystore").value(speed(ours)).judged(
            "of a plain file",
            Target::AtLeast(least),
            rate,
        ));
        report.row(Row::new(what, "plain file").value(speed(plain)));
    }
    Ok(())
}

fn timed(work: impl FnOnce() -> Result) -> Result<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}

fn write_file(file: &Path, first: &Bytes, chunk: &Bytes) -> Result {
    let mut file = File::create(file)?;
    file.write_all(first)?;
    (1..CHUNKS).try_for_each(|_| file.write_all(chunk))?;
    Ok(())
}

fn read_file(file: &Path) -> Result {
    let mut file = File::open(file)?;
    let mut buffer = vec![0; CHUNK];
    let mut length = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => length += read,
        }
    }
    whole(length)
}

async fn put(cache: &Cache, first: &Bytes, chunk: &Bytes) -> Result {
    let rest = std::iter::repeat_n(chunk.clone(), CHUNKS - 1);
    let chunks = std::iter::once(first.clone()).chain(rest).map(Ok);
    let body = Body::from_stream(futures::stream::iter(chunks), None);
    Ok(cache.put(Request::get(&url())?, Response::new(body)).await?)
}

async fn read(cache: &Cache) -> Result {
    let found = cache.match_(&Request::get(&url())?, CacheQueryOptions::default()).await?;
    let mut body = found.and_then(|found| found.body).ok_or("the body is not found")?;
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk?.len();
    }
    whole(length)
}

fn url() -> String {
    format!("{ORIGIN}/video")
}

fn whole(length: usize) -> Result {
    if length == CHUNK * CHUNKS { Ok(()) } else { Err(format!("{length} bytes").into()) }
}
