//! `check` and `repair`: verifies everything in a data directory, and keeps what is whole
//! (`docs/format.md`, "Checking").
//!
//! ```text
//! check     look.rs ─► files.rs, entries.rs, damage.rs, books.rs ─► report.rs
//! repair    look.rs ─► repair.rs ─► look.rs
//! ```
//!
//! How the bytes stand is known to those who read them every day; here they are asked.

mod books;
mod damage;
mod entries;
mod files;
mod look;
mod repair;
mod report;

use std::{io, path::Path, sync::Arc};

pub use self::report::{CheckProgress, CheckReport, Effect, Finding, LostEntry, RepairReport, Writer};
use self::{look::look, repair::repair};
use super::{
    DiskStore,
    failure::blocking,
    io::{DiskIo, Lock, RealDisk},
};
use crate::{Clock, Error, Result};

impl DiskStore {
    /// Verifies the data directory `dir`: every checksum, every reference, every counter. Changes nothing, and works beside a
    /// process that writes to it. `progress` is told now and then how far it is.
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: there is no data directory, or of another format.
    /// * [`Error::Unavailable`]: the disk refused. Places that it cannot read are findings.
    pub async fn check(
        dir: impl AsRef<Path>,
        mut progress: impl FnMut(CheckProgress) + Send + 'static,
    ) -> Result<CheckReport> {
        let io: Arc<dyn DiskIo> = Arc::new(RealDisk::new(dir.as_ref()));
        blocking(move || Self::check_on(&io, &Arc::new(Clock::system()), &mut progress)).await?
    }

    /// Like [`check`](Self::check), on any disk and with any clock. Waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check).
    pub fn check_on(
        io: &Arc<dyn DiskIo>,
        clock: &Arc<Clock>,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<CheckReport> {
        // While it is held, the writer uses no segment again.
        let _looking = match io.share("readers") {
            Ok(looking) => Some(looking),
            Err(error) if is_missing(&error) => None,
            Err(error) => return Err(Error::unavailable(error)),
        };
        let writer = writer(&**io)?;
        let first = look(io, clock, writer, progress)?.report;
        let writer = writer.or(self::writer(&**io)?);
        if writer.is_none() || first.is_whole() {
            return Ok(CheckReport { writer, ..first });
        }
        // What was written under the look may have seemed damaged; what is so twice is.
        let second = look(io, clock, writer, progress)?.report;
        Ok(second.seen_before_in(&first))
    }

    /// Makes the data directory `dir` whole: drops entries that cannot be read, writes anew what is told elsewhere, and keeps
    /// everything else. What it takes out is moved to a folder of its own, `damaged/N`; nothing reads that. Where nothing is
    /// damaged, nothing is changed.
    ///
    /// # Errors
    ///
    /// * [`Error::NotAStore`]: there is no data directory, or of another format.
    /// * [`Error::Locked`]: another process writes to it.
    /// * [`Error::QuotaExceeded`]: there is no room to write anew what is whole in the damaged parts of the log.
    /// * [`Error::Unavailable`]: the disk refused. What was done until then stays; repairing again goes on from there.
    pub async fn repair(
        dir: impl AsRef<Path>,
        mut progress: impl FnMut(CheckProgress) + Send + 'static,
    ) -> Result<RepairReport> {
        let io: Arc<dyn DiskIo> = Arc::new(RealDisk::new(dir.as_ref()));
        blocking(move || Self::repair_on(&io, &Arc::new(Clock::system()), &mut progress)).await?
    }

    /// Like [`repair`](Self::repair), on any disk and with any clock. Waits for the disk.
    ///
    /// # Errors
    ///
    /// As [`repair`](Self::repair).
    pub fn repair_on(
        io: &Arc<dyn DiskIo>,
        clock: &Arc<Clock>,
        progress: &mut dyn FnMut(CheckProgress),
    ) -> Result<RepairReport> {
        repair(io, clock, progress)
    }
}

/// Who has the directory open to write.
fn writer(io: &dyn DiskIo) -> Result<Option<Writer>> {
    match io.try_share("lock") {
        Ok(Lock::Held(_)) => Ok(None),
        Ok(Lock::Busy(pid)) => Ok(Some(Writer { pid })),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(Error::unavailable(error)),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
