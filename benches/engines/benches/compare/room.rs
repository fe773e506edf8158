//! What stores take on the disk.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;

use crate::{
    contenders::Competitor,
    load::{self, LOGICAL},
    measure::{Random, Result},
    report::{Report, Row, Target},
};

/// Bytes on the disk.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) used: u64,
    /// Of segments that are free and wait to be used again.
    pub(crate) free: u64,
}

impl Room {
    pub(crate) fn of(dir: &Path) -> io::Result<Self> {
        let mut room = Self::default();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // The store works on, and removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if metadata.is_dir() {
                let inside = Self::of(&entry.path())?;
                room.used += inside.used;
                room.free += inside.free;
            } else if entry.file_name().to_string_lossy().starts_with("spare-") {
                room.free += metadata.blocks() * 512;
            } else {
                room.used += metadata.blocks() * 512;
            }
        }
        Ok(room)
    }

    /// Of what `entries` entries hold.
    pub(crate) fn ratio(self, entries: usize) -> f64 {
        self.used as f64 / (entries * LOGICAL) as f64
    }
}

/// A row of what `dir` takes for `entries` entries.
pub(crate) fn after_filling(report: &mut Report, who: &str, dir: &Path, entries: usize, most: Option<f64>) -> Result {
    let room = Room::of(dir)?;
    let row = Row::new("disk after filling, of the logical bytes", who).value(described(room, entries));
    report.row(match most {
        Some(most) => row.judged("", Target::AtMost(most), room.ratio(entries)),
        None => row,
    });
    Ok(())
}

/// Puts over every entry of a cache of `size` about `turns` times, in random order, and reports the most
/// that `dir`, which holds `entries` entries in all, took meanwhile.
pub(crate) fn overwriting(
    runtime: &Runtime,
    report: &mut Report,
    ours: &Competitor,
    dir: &Path,
    (size, entries, turns): (usize, usize, f64),
) -> Result {
    let mut random = Random(1);
    let (mut most, mut seen) = (Room::default(), Instant::now());
    let began = Instant::now();
    let puts = (size as f64 * turns) as usize;
    for put in 0..puts {
        let number = random.below(size);
        let (request, response) = (load::request(number)?, load::response(number));
        runtime.block_on(ours.cache.put(request, response))?;
        // Not while the first entries are overwritten: steady is what comes after.
        if put > puts / 3 && seen.elapsed() > Duration::from_millis(250) {
            seen = Instant::now();
            let room = Room::of(dir)?;
            if room.used > most.used {
                most = room;
            }
        }
    }
    if most.used == 0 {
        most = Room::of(dir)?;
    }
    let row = Row::new("disk while overwriting, the most, of the logical bytes", ours.name);
    report.row(row.value(described(most, entries)).judged("", Target::AtMost(2.0), most.ratio(entries)));
    let each = began.elapsed().div_f64(puts as f64);
    report.row(Row::new(&format!("{puts} puts over random entries, one after the other"), ours.name).time(each));
    Ok(())
}

fn described(room: Room, entries: usize) -> String {
    let mib = |bytes: u64| bytes / (1 << 20);
    let free = if room.free > 0 { format!(" + {} MiB free", mib(room.free)) } else { String::new() };
    format!("{} MiB, {:.2}×{free}", mib(room.used), room.ratio(entries))
}
