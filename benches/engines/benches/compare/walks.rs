//! What visits a whole cache, or ends it: the cursor, `keys()`, deleting.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use waystore::{Cache, CacheQueryOptions, CacheStorage, EntryRange};

use crate::{
    load,
    measure::{Result, percentile, timed},
    report::{Report, Row},
};

const TIMES: usize = 5;
const DELETED: usize = 3;

/// Measures `cache`, which has `size` entries, and deletes caches as large.
pub(crate) fn measure(
    runtime: &Runtime,
    report: &mut Report,
    caches: &CacheStorage,
    cache: &Cache,
    size: usize,
) -> Result {
    report.section(&format!("A cache of {size} entries as a whole"));
    let cursor = median(|| runtime.block_on(walk(cache, size)))?;
    report.row(
        Row::new("cursor over the stored keys", "waystore").time(cursor).within(Duration::from_millis(20), cursor),
    );
    let keys = median(|| {
        let keys = runtime.block_on(cache.keys((), CacheQueryOptions::default()))?;
        if keys.len() == size { Ok(()) } else { Err(format!("{} keys of {size}", keys.len()).into()) }
    })?;
    report.row(Row::new("`keys()`", "waystore").time(keys).within(Duration::from_millis(100), keys));
    let mut deletes = Vec::new();
    for number in 0..DELETED {
        let name = format!("to delete {number}");
        runtime.block_on(async {
            load::fill(&caches.open(name.as_str()).await?, size).await?;
            let began = Instant::now();
            caches.delete(name.as_str()).await?;
            deletes.push(began.elapsed());
            Result::Ok(())
        })?;
    }
    let delete = percentile(deletes, 0.5);
    report.row(Row::new("delete", "waystore").time(delete).within(Duration::from_millis(2), delete));
    Ok(())
}

async fn walk(cache: &Cache, size: usize) -> Result {
    let mut entries = cache.entries(&EntryRange::all())?;
    let mut bytes = 0;
    let mut count = 0;
    while let Some(entry) = entries.next().await? {
        bytes += entry.url().len();
        count += 1;
    }
    if (count, bytes) == (size, size * load::url(0).len()) { Ok(()) } else { Err(format!("{count} of {size}").into()) }
}

fn median(mut work: impl FnMut() -> Result) -> Result<Duration> {
    let times = (0..TIMES).map(|_| timed(&mut work).map(|(_, took)| took));
    Ok(percentile(times.collect::<Result<_>>()?, 0.5))
}
