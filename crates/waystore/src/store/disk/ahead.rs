//! Segments to write to: the next one is made before it is needed, so that nobody who commits waits for that.
//!
//! Knows files and lengths, not what is in the log. The one that is made ahead has its name in `log/` and no record.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{failure::is_full, format::SegmentHeader, io::DiskIo, segment::Segment, spare::Spares};

/// What the log's writer and those who work in the background share of the segments to come.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    spares: Spares,
    made: Option<Arc<Segment>>,
    /// The highest number that was made. One who comes late must not put a new file in its place.
    last: u32,
}

/// A segment that is needed, or will be.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) number: u32,
    /// Its length, or what it has to be at least where there is no room for that.
    pub(super) length: u32,
    pub(super) shortest: u32,
    pub(super) seed: u64,
    /// Where it is made.
    pub(super) temporary: String,
}

impl Ahead {
    /// The segment that is needed now: the one made ahead, or else a new one.
    pub(super) fn take(&self, io: &dyn DiskIo, wanted: &Wanted) -> io::Result<Arc<Segment>> {
        let mut state = self.state();
        let fits = |made: &Arc<Segment>| made.number() == wanted.number && made.header.length >= wanted.shortest;
        let segment = match state.made.take().filter(fits) {
            Some(made) => made,
            None => match state.make(io, wanted, wanted.length) {
                // There may be room for what is needed now, if not for what may come.
                Err(error) if is_full(&error) => {
                    state.spares.clear(io)?;
                    state.make(io, wanted, wanted.shortest)?
                }
                made => made?,
            },
        };
        state.last = wanted.number;
        Ok(segment)
    }

    /// Makes the segment that will be needed, unless it is there.
    pub(super) fn prepare(&self, io: &dyn DiskIo, wanted: &Wanted) -> io::Result<()> {
        let mut state = self.state();
        if state.last >= wanted.number {
            return Ok(());
        }
        let made = state.make(io, wanted, wanted.length)?;
        state.last = wanted.number;
        state.made = Some(made);
        Ok(())
    }

    /// Removes what was made and not needed.
    pub(super) fn discard(&self, io: &dyn DiskIo) -> io::Result<()> {
        let made = self.state().made.take();
        made.map_or(Ok(()), |made| io.unlink(&Segment::path(made.number())))
    }

    /// How many freed segments can be kept. Those that somebody reads from still make room.
    pub(super) fn make_room(&self, io: &dyn DiskIo) -> io::Result<usize> {
        self.state().spares.make_room(io)
    }

    /// Keeps freed segments that were renamed.
    pub(super) fn keep(&self, freed: impl Iterator<Item = (u32, u32, std::sync::Weak<()>)>) {
        let spares = &mut self.state().spares;
        freed.for_each(|(number, length, readers)| spares.keep(number, length, readers));
    }

    /// The bytes of segments with nothing in them: freed ones that are kept, and one made ahead.
    pub(super) fn free_bytes(&self) -> u64 {
        let state = self.state();
        state.spares.bytes() + state.made.as_ref().map_or(0, |made| u64::from(made.header.length))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn make(&mut self, io: &dyn DiskIo, wanted: &Wanted, length: u32) -> io::Result<Arc<Segment>> {
        let Wanted { number, seed, .. } = *wanted;
        let lengths = wanted.shortest..=length.saturating_mul(2);
        let made = self.spares.make(io, number, seed, lengths).map_or_else(
            || {
                let header = SegmentHeader { number, length, seed, recycled: false };
                Segment::create(io, header, &wanted.temporary)
            },
            Ok,
        );
        made.map(Arc::new)
    }
}
