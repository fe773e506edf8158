//! What the system has of the log in its memory, mapped before anybody looks there.
//!
//! After an open, the first look into each piece of a segment would stop for the system to map it, which takes longer
//! than the look-up. Done in the background, and only where nothing has to be read for it: a log that is longer than the
//! memory is left as it is.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use super::{inner::Inner, segment::Segment};

/// What is mapped in one go: few enough pages that whoever maps something else hardly waits.
const PIECE: usize = 1024 * 1024;
/// Segments of which not half is in memory before the rest is left alone: to ask for what is not there costs a little
/// reading. Nobody looks at the end of a segment, where nothing was written.
const MISSES: usize = 4;

/// Maps what is in memory, for as long as `go_on` says so between two pieces.
pub(super) fn warm(inner: &Inner, mut go_on: impl FnMut() -> ControlFlow<()>) -> ControlFlow<()> {
    let mut segments: Vec<Arc<Segment>> =
        inner.index().usage.iter().map(|(_, used)| Arc::clone(&used.segment)).collect();
    let mut misses = 0;
    // What was written last is the likeliest to be in memory.
    while let Some(segment) = segments.pop() {
        let length = segment.header.length as usize;
        for piece in pieces(length) {
            go_on()?;
            let start = piece.start;
            if !segment.populate_at_hand(piece) {
                misses += usize::from(start < length / 2);
                break;
            }
        }
        if misses == MISSES {
            break;
        }
    }
    ControlFlow::Continue(())
}

fn pieces(length: usize) -> impl Iterator<Item = Range<usize>> {
    (0..length).step_by(PIECE).map(move |start| start..length.min(start + PIECE))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        Clock,
        store::disk::{
            DiskOptions, DiskStore,
            io::{DiskIo, RealDisk},
            sim::SimDisk,
        },
    };

    const BODY: usize = 60_000;
    const ENTRIES: usize = 50;

    /// A store that was closed and opened again: most of its log was not looked at since.
    fn opened_again(dir: &Path) -> DiskStore {
        opened_again_on(&(Arc::new(RealDisk::new(dir)) as Arc<dyn DiskIo>), DiskOptions::default())
    }

    fn opened_again_on(disk: &Arc<dyn DiskIo>, options: DiskOptions) -> DiskStore {
        let options = options.sync_every(None);
        let open = || {
            let disk = Arc::clone(disk);
            DiskStore::open_on(disk, Arc::new(Clock::system()), options.clone()).unwrap()
        };
        let store: Arc<DiskStore> = Arc::new(open());
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let storage = crate::Waystore::with_store(Arc::clone(&store) as _, Arc::new(Clock::system()));
            let cache = storage.caches("https://shop.example").unwrap().open("v1").await.unwrap();
            for number in 0..ENTRIES {
                let response = crate::Response::new(vec![number as u8; BODY]);
                cache.put(format!("/{number}").as_str(), response).await.unwrap();
            }
        });
        drop(store);
        open()
    }

    /// Of which segments it is asked what is in memory, and how many bytes are mapped, where so many from the beginning of each
    /// are.
    fn warmed(at_hand: usize) -> (Vec<String>, usize) {
        let disk = SimDisk::default();
        let store =
            opened_again_on(&(Arc::new(disk.clone()) as Arc<dyn DiskIo>), DiskOptions::default().segment_bytes(LENGTH));
        disk.set_at_hand(at_hand);
        assert!(warm(&store.inner, || ControlFlow::Continue(())).is_continue());
        disk.mapped()
    }

    const LENGTH: u32 = 512 * 1024;
    /// As many as the entries take.
    const SEGMENTS: usize = 7;

    #[test]
    fn all_that_is_in_memory_is_mapped_the_youngest_segment_first() {
        let (asked, mapped) = warmed(usize::MAX);
        let paths: Vec<_> = (1..=SEGMENTS as u32).rev().map(Segment::path).collect();
        assert_eq!((asked, mapped), (paths, SEGMENTS * LENGTH as usize));
    }

    #[test]
    fn a_piece_of_which_some_is_not_in_memory_is_left_alone() {
        assert_eq!(warmed(LENGTH as usize / 2).1, 0);
    }

    #[test]
    fn a_log_that_is_not_in_memory_is_soon_left_alone() {
        let (asked, mapped) = warmed(0);
        assert_eq!((asked.len(), mapped), (MISSES, 0));
    }

    /// How much of the log in `dir` is mapped, in KiB.
    #[cfg(target_os = "linux")]
    fn mapped(dir: &Path) -> usize {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (mut is_it, mut sum) = (false, 0);
        for line in maps.lines() {
            if line.split_whitespace().next().is_some_and(|first| first.contains('-')) {
                is_it = line.contains(dir.join("log").to_str().unwrap());
            } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| is_it) {
                sum += rest.trim_end_matches("kB").trim().parse::<usize>().unwrap();
            }
        }
        sum
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_in_memory_of_the_log_is_mapped() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened_again(dir.path());
        let before = mapped(dir.path());
        assert!(warm(&store.inner, || ControlFlow::Continue(())).is_continue());
        let came = mapped(dir.path()) - before;
        // The end of the segment was never written, so the piece it ends in may be left alone.
        assert!(came >= PIECE / 1024, "{before} KiB, and {came} more");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn it_stops_between_two_pieces_when_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let store = opened_again(dir.path());
        let before = mapped(dir.path());
        assert!(warm(&store.inner, || ControlFlow::Break(())).is_break());
        assert_eq!(mapped(dir.path()), before);
    }
}
