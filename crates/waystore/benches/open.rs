//! Opening a store with many entries, the first match, deleting a cache, memory, disk, strict commits.
//!
//! `cargo bench -p waystore --bench open -- 1000000` (entries; by default a hundred thousand). Writes to a temporary
//! directory, 5 KB for each entry.

use std::{path::Path, time::Instant};

use waystore::{
    Bottle, Clock, Place, RequestHead, ResponseHead, Result, StorageKey,
    store::{
        Changes, Entry, ListChange, NameChange, NewBody, NewEntry, Read, ReadSet, Store, UrlMatch,
        disk::{DiskOptions, DiskStore, Durability},
    },
};

const ORIGIN: &str = "https://shop.example";
const BODY: usize = 4096;
const BATCH: usize = 500;
/// How many entries are passed over between two that are looked for: there are as many places in a page of the table.
const NEIGHBOURS: usize = 64;
/// Set where a process only measures what memory the store in this directory takes.
const MEMORY_OF: &str = "WAYSTORE_BENCH_MEMORY_OF";

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let entries = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(100_000);
    if let Some(dir) = std::env::var_os(MEMORY_OF) {
        return memory(Path::new(&dir), entries).await;
    }
    let parent = tempfile::tempdir()?;
    let dir = parent.path().join("data");
    let store = DiskStore::open(&dir, DiskOptions::default()).await?;
    let before = resident()?;
    timed("fill", fill(&store, "large", entries)).await?;
    // With the counters of uses, which are made when an entry is first found.
    walk(&store, "large").await?;
    println!("{:<44} {:>9.1} B", "private memory for each entry just stored", each(before, entries)?);
    fill(&store, "of 50 k", 50_000.min(entries)).await?;
    fill(&store, "of 100 k", 100_000.min(entries)).await?;
    let logical = (all_of(entries) * (BODY + 600)) as f64;
    timed("close", async {
        drop(store);
        Ok(())
    })
    .await?;
    println!("{:<44} {:>9.2}", "disk / (bodies + 600 B of headers)", on_disk(&dir)? as f64 / logical);

    // In a process of its own: this one has memory to use again.
    std::process::Command::new(std::env::current_exe()?).env(MEMORY_OF, &dir).arg(entries.to_string()).status()?;
    let store = timed("open after a clean stop", DiskStore::open(&dir, DiskOptions::default())).await?;
    timed("first match, cache of 50 k", find(&store, "of 50 k", 25_000.min(entries / 2))).await?;
    timed("second match, cache of 50 k", find(&store, "of 50 k", 26_000.min(entries / 2))).await?;
    timed("first match, large cache", find(&store, "large", entries / 2)).await?;
    timed("second match, large cache", find(&store, "large", entries / 3)).await?;
    find(&store, "of 100 k", 1).await?;
    let unbind = NameChange::Unbind(place()?, "of 100 k".into());
    timed("delete a loaded cache of 100 k", commit(&store, Changes { names: vec![unbind], lists: vec![] })).await?;
    timed("a tick after it", async { store.tick() }).await?;
    // A kill: what is committed now is not in a checkpoint.
    fill(&store, "tail", 40_000.min(entries)).await?;
    std::mem::forget(store);
    let copy = parent.path().join("killed");
    copy_dir(&dir, &copy)?;
    let store =
        timed("open after a kill, 60 MB since a checkpoint", DiskStore::open(&copy, DiskOptions::default())).await?;
    drop(store);

    let options = DiskOptions::default().durability(Durability::Strict);
    let store = DiskStore::open(parent.path().join("strict"), options).await?;
    fill(&store, "c", 100).await?;
    timed("strict: 100 times a batch of 100", fill_by(&store, "c", 10_000, 100)).await?;
    timed("strict: 1000 single puts", fill_by(&store, "c", 1000, 1)).await?;
    Ok(())
}

/// The entries of all caches.
fn all_of(entries: usize) -> usize {
    entries + 50_000.min(entries) + 100_000.min(entries)
}

async fn memory(dir: &Path, entries: usize) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let before = resident()?;
    let store = DiskStore::open(dir, DiskOptions::default()).await?;
    let opened = resident()?;
    walk(&store, "large").await?;
    println!("{:<44} {:>9.1} MiB", "private memory, opened", opened - before);
    println!("{:<44} {:>9.1} B", "private memory for each loaded entry", each(opened, entries)?);
    // So that the table of hashes is in memory too, all of it.
    for number in (0..entries).step_by(NEIGHBOURS) {
        find(&store, "large", number).await?;
    }
    // The other caches are in the checkpoint too.
    let mapped = mapped("/checkpoint")? * 1024.0 * 1024.0 / all_of(entries) as f64;
    println!("{:<44} {:>9.1} B", "the same with the checkpoint's mapping, <= 96", each(opened, entries)? + mapped);
    Ok(())
}

async fn timed<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let start = Instant::now();
    let done = work.await;
    println!("{what:<44} {:>9.2} ms", start.elapsed().as_secs_f64() * 1000.0);
    done
}

fn place() -> Result<Place> {
    Ok(Place::new(StorageKey::new(ORIGIN)?, Bottle::Caches))
}

async fn commit(store: &DiskStore, changes: Changes) -> Result<()> {
    store.commit(&place()?.key, Clock::system().op_id(), &ReadSet::default(), &changes).await.map(drop)
}

async fn fill(store: &DiskStore, name: &str, entries: usize) -> Result<()> {
    let bind = NameChange::Bind(place()?, name.into());
    commit(store, Changes { names: vec![bind], lists: vec![] }).await?;
    fill_by(store, name, entries, BATCH).await
}

async fn fill_by(store: &DiskStore, name: &str, entries: usize, batch: usize) -> Result<()> {
    let list = store.list(&place()?, &name.into()).await?.expect("it was bound just before");
    for first in (0..entries).step_by(batch) {
        let insert = (first..entries.min(first + batch)).map(new_entry).collect::<Result<_>>()?;
        let change = ListChange { list: list.clone(), remove: vec![], insert };
        commit(store, Changes { names: vec![], lists: vec![change] }).await?;
    }
    Ok(())
}

fn new_entry(number: usize) -> Result<NewEntry> {
    let request = RequestHead::get(url(number).parse().expect("it is a URL"));
    let headers = (0..10).map(|header| (format!("x-header-{header}"), "v".repeat(45)));
    let headers: Vec<_> = headers.collect();
    let response = ResponseHead {
        headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        ..ResponseHead::default()
    };
    Ok(NewEntry { entry: Entry::new(&request, &response), body: NewBody::Inline(vec![7; BODY].into()) })
}

fn url(number: usize) -> String {
    format!("{ORIGIN}/products/{number}?variant={}", number % 7)
}

async fn find(store: &DiskStore, name: &str, number: usize) -> Result<()> {
    let list = store.list(&place()?, &name.into()).await?.expect("it was filled");
    let url = url(number);
    let found = store.candidates(&[Read { list: &list, url: UrlMatch::Exact(&url) }]).await?.1;
    // A store may find too many, and among so many entries some share their hash.
    let same = found.iter().filter(|candidate| candidate.entry.url() == url).count();
    assert_eq!(same, 1, "{url}");
    Ok(())
}

/// Reads every entry.
async fn walk(store: &DiskStore, name: &str) -> Result<()> {
    let list = store.list(&place()?, &name.into()).await?.expect("it was filled");
    let mut after = None;
    loop {
        let page = store.page(&list, after, 256).await?;
        after = page.last().map(|last| last.id);
        if page.len() < 256 {
            return Ok(());
        }
    }
}

/// Private memory that came since `before`, in bytes for each of `entries`.
fn each(before: f64, entries: usize) -> std::io::Result<f64> {
    Ok((resident()? - before) * 1024.0 * 1024.0 / entries as f64)
}

/// Private memory of this process, in MiB.
fn resident() -> std::io::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(status.lines().find_map(|line| mib(line, "RssAnon:")).unwrap_or(f64::NAN))
}

/// How much of the mapped files whose paths end like this is in memory, in MiB.
fn mapped(end: &str) -> std::io::Result<f64> {
    let maps = std::fs::read_to_string("/proc/self/smaps")?;
    let (mut is_it, mut sum) = (false, 0.0);
    for line in maps.lines() {
        if line.split_whitespace().next().is_some_and(|first| first.contains('-')) {
            is_it = line.ends_with(end);
        } else if is_it {
            sum += mib(line, "Rss:").unwrap_or(0.0);
        }
    }
    Ok(sum)
}

/// What a line of `/proc` that begins with `name` says in KiB, in MiB.
fn mib(line: &str, name: &str) -> Option<f64> {
    let kib: f64 = line.strip_prefix(name)?.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

fn on_disk(dir: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { on_disk(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(sum)
}

fn copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to)?;
        } else {
            match std::fs::copy(entry.path(), to) {
                // The store works on, and removed it.
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
