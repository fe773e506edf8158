//! Waystore against LMDB, SQLite and plain files behind the same `Cache`, and against its own targets.
//!
//! `cargo bench --manifest-path benches/engines/Cargo.toml`: all of it, in about ten minutes on a quiet
//! machine, with up to 20 GB in a temporary directory. After `--`:
//!
//! * `--entries N`: the size of the small comparison (30,000);
//! * `--large N`: the size of the large one (1,000,000); 0 leaves it out;
//! * `--dir DIR`: where to write, on the disk to be measured;
//! * `--only PART`: of `small`, `strict`, `long` and `large`, only that one;
//! * `--profile WHO:WHAT`: only `put` or `match` of `waystore` or `LMDB`, in the small size, to be run under a
//!   profiler;
//! * `--quick`: small sizes and short rounds, to see that everything works.

mod contenders;
mod load;
mod long;
mod measure;
mod opening;
mod raw;
mod report;
mod room;
mod walks;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use waystore::Cache;
use waystore_engines::Sync;

use contenders::{Competitor, Depth};
use measure::{Contender, Effort, Measured, Result, in_turn};
use report::{Report, Row, Target};

/// Entries of one strict `put_all`.
const BATCH: usize = 100;
/// Look-ups of a round, at most, and how many more such rounds there are. A request that was just parsed is near the
/// processor: no more of them than stay there until it is their turn.
const PARSED: usize = 256;
const MORE: usize = 4;
/// Operations of a round under a profiler, at most.
const PROFILED: usize = 1000;
/// The small side of growth.
const FEW: usize = 1000;

fn main() -> Result {
    let arguments = Arguments::parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match (arguments.child.as_deref(), &arguments.dir) {
        (None, _) => {}
        (Some("open"), Some(dir)) => return opening::open(&runtime, dir, arguments.large, arguments.middle),
        (Some("write"), Some(dir)) => return opening::write(&runtime, dir),
        (Some(other), _) => return Err(format!("no child does `{other}`").into()),
    }
    let began = Instant::now();
    let parent = match &arguments.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let bench = Bench { runtime, dir: parent.path().to_owned(), arguments };
    let mut report = Report::default();
    if let Some(profiled) = &bench.arguments.profile {
        return bench.profile(profiled);
    }
    println!("Bodies of {} bytes, {} bytes of headers; one thread.", load::BODY, load::HEADERS);
    let arguments = &bench.arguments;
    let parts: [(&str, Part); 4] =
        [("small", Bench::small), ("strict", Bench::strict), ("long", Bench::long), ("large", Bench::large)];
    let wanted = |part: &str| arguments.only.as_ref().is_none_or(|only| only == part);
    for (_, measure) in parts.iter().filter(|(part, _)| wanted(part) && (*part != "large" || arguments.large > 0)) {
        measure(&bench, &mut report)?;
    }
    report.summary();
    println!("\nIn {} s.", began.elapsed().as_secs());
    Ok(())
}

/// What `--only` can name.
type Part = fn(&Bench, &mut Report) -> Result;

#[derive(Debug)]
struct Arguments {
    entries: usize,
    large: usize,
    middle: usize,
    walked: usize,
    effort: Effort,
    dir: Option<PathBuf>,
    child: Option<String>,
    only: Option<String>,
    profile: Option<String>,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut parsed = Self {
            entries: 30_000,
            large: 1_000_000,
            middle: 50_000,
            walked: 100_000,
            effort: Effort { round: Duration::from_millis(25), rounds: 31, most: 1000 },
            dir: None,
            child: None,
            only: None,
            profile: None,
        };
        let mut given = std::env::args().skip(1);
        while let Some(name) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("`{name}` needs a value"));
            match name.as_str() {
                "--entries" => parsed.entries = value()?.parse::<usize>()?.max(2 * BATCH),
                "--large" => parsed.large = value()?.parse()?,
                "--middle" => parsed.middle = value()?.parse()?,
                "--dir" => parsed.dir = Some(value()?.into()),
                "--child" => parsed.child = Some(value()?),
                "--only" => parsed.only = Some(value()?),
                "--profile" => parsed.profile = Some(value()?),
                "--quick" => {
                    (parsed.entries, parsed.large) = (3000, 20_000);
                    (parsed.middle, parsed.walked) = (5000, 10_000);
                    parsed.effort = Effort { round: Duration::from_millis(10), rounds: 5, most: 2000 };
                }
                // Cargo's own.
                "--bench" => {}
                other => return Err(format!("`{other}` is no option; the head of this file lists them").into()),
            }
        }
        Ok(parsed)
    }
}

struct Bench {
    runtime: Runtime,
    dir: PathBuf,
    arguments: Arguments,
}

impl Bench {
    /// All engines, relaxed.
    fn small(&self, report: &mut Report) -> Result {
        let size = self.arguments.entries;
        let dir = self.folder("small")?;
        let all = self.runtime.block_on(async {
            let [lmdb, unchecked] = contenders::lmdb(&dir, Sync::Relaxed).await?;
            let ours = contenders::ours(&dir, Sync::Relaxed).await?;
            let (sqlite, files) =
                (contenders::sqlite(&dir, Sync::Relaxed).await?, contenders::files(&dir, Sync::Relaxed).await?);
            let [mapped, tuned] = contenders::tuned(&dir, Sync::Relaxed).await?;
            for filled in [&ours, &lmdb, &sqlite, &files, &mapped, &tuned] {
                load::fill(&filled.cache, size).await?;
            }
            Result::Ok([ours, lmdb, sqlite, files, mapped, tuned, unchecked])
        })?;
        let raw = raw::all(&dir, size)?;
        report.section(&format!("{size} entries, relaxed"));
        // The last one shares its files with another.
        let mut putting: Vec<_> = all[..all.len() - 1].iter().map(|one| one.putting(&self.runtime, size)).collect();
        putting.extend(raw.iter().map(raw::Raw::putting));
        self.puts(report, putting)?;
        let mut matching: Vec<_> = all.iter().map(|one| one.matching(&self.runtime, size, Depth::Body)).collect();
        // The rows that puts left there have other numbers, and are found all the same.
        matching.extend(raw.iter().map(raw::Raw::matching));
        self.matches(report, matching)?;
        drop((all, raw));
        Ok(fs::remove_dir_all(dir)?)
    }

    /// One operation of one contender, and nothing else.
    fn profile(&self, what: &str) -> Result {
        let size = self.arguments.entries;
        let (who, operation) = what.split_once(':').unwrap_or((what, ""));
        let one = self.runtime.block_on(async {
            let one = match who {
                "waystore" => contenders::ours(&self.dir, Sync::Relaxed).await?,
                "LMDB" => contenders::lmdb(&self.dir, Sync::Relaxed).await?[0].clone(),
                other => return Err(format!("`{other}` is neither `waystore` nor `LMDB`").into()),
            };
            load::fill(&one.cache, size).await?;
            Result::Ok(one)
        })?;
        let contender = match operation {
            "put" => one.putting(&self.runtime, size),
            "match" => one.matching(&self.runtime, size, Depth::Body),
            other => return Err(format!("`{other}` is neither `put` nor `match`").into()),
        };
        let measured = in_turn(&mut [contender], Effort { most: PROFILED, ..self.arguments.effort })?;
        println!("{:?}", measured[0]);
        Ok(())
    }

    fn puts(&self, report: &mut Report, mut all: Vec<Contender<'_>>) -> Result {
        let measured = in_turn(&mut all, self.arguments.effort)?;
        report.compared("put over an entry", &measured, |row, ours, other| {
            let ratio = other.each.as_secs_f64() / ours.each.as_secs_f64();
            match other.name {
                "LMDB" => row.judged("", Target::AtLeast(2.0), ratio),
                "SQLite" => row.judged("", Target::AtLeast(15.0), ratio),
                _ => row,
            }
        });
        Ok(())
    }

    fn matches(&self, report: &mut Report, mut all: Vec<Contender<'_>>) -> Result {
        let measured = in_turn(&mut all, self.looking_up())?;
        let of = |time: fn(&Measured) -> Duration, one: &Measured, other: &Measured| {
            time(one).as_secs_f64() / time(other).as_secs_f64()
        };
        report.compared("match with body", &measured, |row, ours, other| match other.name {
            "LMDB" => row.judged("", Target::AtLeast(1.3), of(|one| one.each, other, ours)),
            _ => row,
        });
        let lmdb = measured.iter().find(|one| one.name == "LMDB");
        if let (Some(ours), Some(lmdb)) = (measured.first(), lmdb) {
            let row = Row::new("match with body, p99", ours.name).time(ours.p99);
            report.row(row.judged("of LMDB's", Target::AtMost(1.0), of(|one| one.p99, ours, lmdb)));
        }
        Ok(())
    }

    /// How look-ups are measured.
    fn looking_up(&self) -> Effort {
        let effort = self.arguments.effort;
        Effort { most: PARSED.min(effort.most), rounds: effort.rounds * MORE, ..effort }
    }

    /// Batches that wait for the disk.
    fn strict(&self, report: &mut Report) -> Result {
        let size = self.arguments.entries.min(10_000);
        let dir = self.folder("strict")?;
        let all = self.runtime.block_on(async {
            let [lmdb, _] = contenders::lmdb(&dir, Sync::Strict).await?;
            let (ours, sqlite) =
                (contenders::ours(&dir, Sync::Strict).await?, contenders::sqlite(&dir, Sync::Strict).await?);
            let all = [ours, lmdb, sqlite, contenders::files(&dir, Sync::Strict).await?];
            for filled in &all {
                load::fill(&filled.cache, size).await?;
            }
            Result::Ok(all)
        })?;
        report.section(&format!("Batches of {BATCH}, strict"));
        let mut putting: Vec<_> = all.iter().map(|one| one.putting_batches(&self.runtime, size, BATCH)).collect();
        let measured = in_turn(&mut putting, Effort { most: 20, ..self.arguments.effort })?;
        let best = measured.iter().skip(1).min_by_key(|one| one.each).map(|one| one.name);
        report.compared("`put_all`", &measured, |row, ours, other| {
            let ratio = other.each.as_secs_f64() / ours.each.as_secs_f64();
            if Some(other.name) == best { row.judged("the best of them", Target::AtLeast(2.5), ratio) } else { row }
        });
        drop(putting);
        drop(all);
        Ok(fs::remove_dir_all(dir)?)
    }

    fn long(&self, report: &mut Report) -> Result {
        let dir = self.folder("long")?;
        let ours = self.runtime.block_on(contenders::ours(&dir, Sync::Relaxed))?;
        long::measure(&self.runtime, report, &ours.cache, &dir, 5)?;
        drop(ours);
        Ok(fs::remove_dir_all(dir)?)
    }

    /// Everything that depends on the number of entries.
    fn large(&self, report: &mut Report) -> Result {
        let size = self.arguments.large;
        let dir = self.folder("large")?;
        let ours = self.runtime.block_on(contenders::ours(&dir, Sync::Relaxed))?;
        self.fill(&ours.cache, size)?;
        report.section(&format!("Room for {size} entries"));
        drop(ours);
        room::after_filling(report, "waystore", &dir.join("waystore"), size, Some(1.15))?;
        let ours = self.runtime.block_on(contenders::ours(&dir, Sync::Relaxed))?;
        self.against(report, &ours, &dir, "lmdb")?;
        self.against(report, &ours, &dir, "sqlite")?;
        self.growth(report, &ours)?;
        self.walks(report, &ours)?;
        let all = size + FEW + self.arguments.middle + self.arguments.walked;
        drop(ours);
        opening::measure(report, &dir, size, self.arguments.middle)?;
        let ours = self.runtime.block_on(contenders::ours(&dir, Sync::Relaxed))?;
        report.section("Room in steady overwriting");
        room::overwriting(&self.runtime, report, &ours, &dir.join("waystore"), (size, all, 1.5))?;
        drop(ours);
        Ok(fs::remove_dir_all(dir)?)
    }

    /// Fills another engine with as many entries, compares, and removes it again: together they would not
    /// fit into the memory that keeps files.
    fn against(&self, report: &mut Report, ours: &Competitor, dir: &Path, engine: &str) -> Result {
        let size = self.arguments.large;
        let mut others = self.runtime.block_on(async {
            Result::Ok(match engine {
                "lmdb" => contenders::lmdb(dir, Sync::Relaxed).await?.to_vec(),
                _ => vec![contenders::sqlite(dir, Sync::Relaxed).await?],
            })
        })?;
        let Some(filled) = others.first() else { return Ok(()) };
        self.fill(&filled.cache, size)?;
        room::after_filling(report, filled.name, &dir.join(engine), size, None)?;
        report.section(&format!("{size} entries, relaxed, against {}", filled.name));
        let putting = [ours, filled].map(|one| one.putting(&self.runtime, size));
        self.puts(report, putting.into())?;
        others.insert(0, ours.clone());
        self.matches(report, others.iter().map(|one| one.matching(&self.runtime, size, Depth::Body)).collect())?;
        drop(others);
        Ok(fs::remove_dir_all(dir.join(engine))?)
    }

    /// The same look-ups in a cache of a thousand and in the large one, of the same store.
    fn growth(&self, report: &mut Report, ours: &Competitor) -> Result {
        let size = self.arguments.large;
        let few = self.runtime.block_on(self.cache_of(ours, "few", FEW))?;
        report.section(&format!("From {FEW} to {size} entries"));
        for (what, depth, most) in [
            ("a miss", Depth::Miss, 1.5),
            ("a hit, head alone", Depth::Head, 1.5),
            ("a hit with body", Depth::Body, 2.5),
        ] {
            let few = Competitor { name: "a thousand", cache: few.clone(), ..ours.clone() };
            let many = Competitor { name: "all", ..ours.clone() };
            let mut both = [few.matching(&self.runtime, FEW, depth), many.matching(&self.runtime, size, depth)];
            let measured = in_turn(&mut both, self.looking_up())?;
            report.compared(what, &measured, |row, few, many| {
                let ratio = many.each.as_secs_f64() / few.each.as_secs_f64();
                if many.name == "all" { row.judged("", Target::AtMost(most), ratio) } else { row }
            });
        }
        Ok(())
    }

    /// Measures walks in a further cache of the large store, and leaves one for the first match.
    fn walks(&self, report: &mut Report, ours: &Competitor) -> Result {
        let walked = self.arguments.walked;
        let caches = &ours.caches;
        let cache = self.runtime.block_on(self.cache_of(ours, "walked", walked))?;
        walks::measure(&self.runtime, report, caches, &cache, walked)?;
        self.runtime.block_on(self.cache_of(ours, opening::MIDDLE, self.arguments.middle))?;
        Ok(())
    }

    async fn cache_of(&self, ours: &Competitor, name: &str, size: usize) -> Result<Cache> {
        let cache = ours.caches.open(name).await?;
        load::fill(&cache, size).await?;
        Ok(cache)
    }

    fn fill(&self, cache: &Cache, size: usize) -> Result {
        self.runtime.block_on(load::fill(cache, size))
    }

    fn folder(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}
