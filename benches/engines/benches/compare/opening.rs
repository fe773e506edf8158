//! Opening a large store, after a clean stop and after a kill, and what its index takes in memory: each
//! time in a process of its own, which has nothing at hand.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use waystore::{
    CacheQueryOptions, Waystore,
    store::disk::{DiskOptions, DiskStore},
};
use waystore_engines::Sync;

use crate::{
    contenders, load,
    measure::{Result, percentile},
    report::{Report, Row},
};

/// How often each is opened; the median counts.
const TIMES: usize = 3;
/// What is put before the kill: somewhat less than what makes the store write a checkpoint.
const TAIL_BYTES: usize = 60 << 20;
/// The cache of the smaller first match.
pub(crate) const MIDDLE: &str = "middle";

/// What a child measured.
#[derive(Debug, Default, Clone, Copy)]
struct Opened {
    open: Duration,
    first_in_middle: Duration,
    first_in_large: Duration,
    /// Bytes of private memory for each entry of the large cache.
    memory: f64,
}

/// Measures the store in `dir`, which is closed: `large` entries in the cache that all have, `middle` in
/// [`MIDDLE`].
pub(crate) fn measure(report: &mut Report, dir: &Path, large: usize, middle: usize) -> Result {
    report.section(&format!("Opening a store with a cache of {large} entries"));
    let clean = (0..TIMES).map(|_| child("open", dir, large, middle)).collect::<Result<Vec<_>>>()?;
    let time = |of: fn(&Opened) -> Duration| percentile(clean.iter().map(of).collect(), 0.5);
    let (open, in_middle, in_large) =
        (time(|opened| opened.open), time(|opened| opened.first_in_middle), time(|opened| opened.first_in_large));
    let within =
        |what: &str, took, most| Row::new(what, "waystore").time(took).within(Duration::from_millis(most), took);
    report.row(within("open after a clean stop", open, 20));
    report.row(within(&format!("first match, cache of {middle}"), in_middle, 5));
    report.row(within(&format!("first match, cache of {large}"), in_large, 60));
    let mut memory: Vec<_> = clean.iter().map(|opened| opened.memory).collect();
    memory.sort_by(f64::total_cmp);
    let memory = memory[TIMES / 2];
    report.row(
        Row::new("memory of a loaded entry", "waystore").value(format!("{memory:.1} B")).at_most(96.0, memory, "B"),
    );

    let mut killed = Vec::new();
    for _ in 0..TIMES {
        write_and_kill(dir)?;
        killed.push(child("open", dir, large, middle)?.open);
    }
    report.row(within("open after a kill", percentile(killed, 0.5), 300));
    Ok(())
}

fn child(what: &str, dir: &Path, large: usize, middle: usize) -> Result<Opened> {
    let arguments = ["--child", what, "--large", &large.to_string(), "--middle", &middle.to_string()];
    let output = Command::new(std::env::current_exe()?).args(arguments).arg("--dir").arg(dir).output()?;
    let text = String::from_utf8(output.stdout)?;
    let numbers = text.split_whitespace().map(|number| Ok(number.parse()?)).collect::<Result<Vec<f64>>>()?;
    let &[open, first_in_middle, first_in_large, memory] = &numbers[..] else {
        return Err(format!("opening failed: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    };
    let time = Duration::from_secs_f64;
    Ok(Opened {
        open: time(open),
        first_in_middle: time(first_in_middle),
        first_in_large: time(first_in_large),
        memory,
    })
}

/// Has a child write, and kills it when it has.
fn write_and_kill(dir: &Path) -> Result {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--child", "write"])
        .arg("--dir")
        .arg(dir)
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = String::new();
    let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut said));
    child.kill()?;
    child.wait()?;
    read.transpose()?;
    if said == "written\n" { Ok(()) } else { Err("the child that is to be killed did not write".into()) }
}

/// Opens the store in `dir` and says how long it took.
pub(crate) fn open(runtime: &Runtime, dir: &Path, large: usize, middle: usize) -> Result {
    runtime.block_on(async {
        let began = Instant::now();
        let store = DiskStore::open(dir.join("waystore"), DiskOptions::default()).await?;
        let open = began.elapsed();
        let store = Waystore::with_store(std::sync::Arc::new(store), std::sync::Arc::new(waystore::Clock::system()));
        let caches = store.caches(load::ORIGIN)?;
        let first = async |name: &str, number: usize| {
            let cache = caches.open(name).await?;
            let request = load::request(number)?;
            let began = Instant::now();
            let found = cache.match_(&request, CacheQueryOptions::default()).await?;
            let took = began.elapsed();
            if found.is_some() { Result::Ok(took) } else { Err(format!("entry {number} is not found").into()) }
        };
        let in_middle = first(MIDDLE, middle / 2).await?;
        let before = private_bytes()?;
        let in_large = first(contenders::CACHE, large / 2).await?;
        let memory = (private_bytes()? - before) / large as f64;
        let [open, in_middle, in_large] = [open, in_middle, in_large].map(|time| time.as_secs_f64());
        println!("{open} {in_middle} {in_large} {memory}");
        Ok(())
    })
}

/// Opens the store in `dir`, puts, says so, and waits to be killed.
pub(crate) fn write(runtime: &Runtime, dir: &Path) -> Result {
    runtime.block_on(async {
        let ours = contenders::ours(dir, Sync::Relaxed).await?;
        for number in 0..TAIL_BYTES / load::LOGICAL {
            ours.cache.put(load::request(number)?, load::response(number)).await?;
        }
        println!("written");
        std::thread::park();
        Ok(())
    })
}

/// Memory of this process that is in no file.
fn private_bytes() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("`/proc/self/status` says no `RssAnon`")?;
    Ok(kib.parse::<f64>()? * 1024.0)
}
