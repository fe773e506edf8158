//! Where the log can be read from: its segments, and the checkpoint, where that is of this log.
//!
//! Looks again where a writer changed the directory meanwhile. What the log says is for `replay.rs`.

use std::{io, sync::Arc};

use super::{
    bodies::Bodies,
    checkpoint::{self, Checkpoint},
    format::Position,
    io::Access,
    report::Damage,
    survey::{SegmentFile, fits, open_segments},
};
use crate::{Error, Result};

/// How often a reader looks again when a writer changed the directory under it.
const LOOKS: usize = 10;

/// Does `look` again where a writer changed the directory under it. The argument is whether it is the last time.
pub(super) fn settled<T>(access: Access, mut look: impl FnMut(bool) -> Result<T, Failed>) -> Result<T> {
    let mut looks = 1;
    loop {
        let last = access == Access::Write || looks == LOOKS;
        match look(last) {
            // A writer freed a segment, or wrote a checkpoint for what came since.
            Err(Failed::ChangedMeanwhile) => {}
            Err(Failed::Io(error)) if !last && error.kind() == io::ErrorKind::NotFound => {}
            Err(Failed::Io(error)) => return Err(Error::unavailable(error)),
            Ok(done) => return Ok(done),
        }
        looks += 1;
    }
}

pub(super) enum Failed {
    Io(io::Error),
    ChangedMeanwhile,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where the log can be read from.
pub(super) struct Beginning {
    /// Where the log ended when the store was closed.
    pub(super) closed: Option<Position>,
    pub(super) segments: Vec<SegmentFile>,
    pub(super) base: Option<Checkpoint>,
    /// Why there is no base though there is a checkpoint.
    pub(super) damage: Option<Damage>,
}

pub(super) fn begin(bodies: &Arc<Bodies>, access: Access, last_look: bool) -> Result<Beginning, Failed> {
    let closed = checkpoint::read_closed(&*bodies.io)?;
    let segments = open_segments(bodies, access)?;
    let (base, damage) = match Checkpoint::read(bodies)? {
        checkpoint::Found::None => (None, None),
        checkpoint::Found::Damaged => (None, Some("it is damaged")),
        checkpoint::Found::Whole(checkpoint) if fits(&checkpoint, &segments, closed) => (Some(checkpoint), None),
        checkpoint::Found::Whole(_) if !last_look => return Err(Failed::ChangedMeanwhile),
        checkpoint::Found::Whole(_) => (None, Some("the log is not the one it is of")),
    };
    Ok(Beginning { closed, segments, base, damage: damage.map(Damage::Checkpoint) })
}
