//! Makes a data directory whole: what is damaged is set aside, what is whole is written anew where it stood beside it.
//!
//! What a look found decides what is done. Whatever is taken out goes to `damaged/N`, with the path it had. Each step leaves a
//! directory that can be opened, or repaired again.

use std::{collections::BTreeSet, io, sync::Arc};

use super::{
    files::PAGE,
    look::{Hurt, Look, look},
    report::{CheckProgress, RepairReport},
    writer,
};
use crate::{
    Clock, Error, Result,
    store::{
        ListId,
        disk::{
            DiskOptions, checkpoint, home,
            inner::Inner,
            io::{Access, DiskIo},
            segment::Segment,
        },
    },
};

/// Where what was taken out is.
const ASIDE: &str = "damaged";
/// What is copied in one go.
const WINDOW: usize = 1024 * 1024;

pub(super) fn repair(
    io: &Arc<dyn DiskIo>,
    clock: &Arc<Clock>,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<RepairReport> {
    // Before anything is made in it: it may be somebody else's.
    look_at_mark(&**io)?;
    let claim = home::lock(&**io)?;
    let first = look(io, clock, None, progress)?;
    let before = first.report.clone();
    if before.is_whole() {
        return Ok(RepairReport { after: before.clone(), before, set_aside: None });
    }
    let mut aside = Aside::new(&**io).map_err(Error::unavailable)?;
    let second = save_unreadable(io, clock, first, &mut aside, progress)?;
    set_aside(&**io, &second.hurt, &mut aside).map_err(Error::unavailable)?;
    if second.hurt.format {
        home::mark(&**io).map_err(Error::unavailable)?;
    }
    home::make_ready(&**io)?;
    let options = DiskOptions::default().sync_every(None);
    let inner = Inner::open_claimed(claim, Arc::clone(io), Arc::clone(clock), options)?;
    rewrite(&inner, &second.hurt, &mut aside)?;
    inner.close()?;
    drop(inner);
    let set_aside = aside.used.then_some(aside.dir);
    let after = look(io, clock, writer(&**io)?, progress)?.report;
    Ok(RepairReport { before, after, set_aside })
}

/// Fails where the directory is not ours.
fn look_at_mark(io: &dyn DiskIo) -> Result<()> {
    Look::default().check_format(io)
}

/// Writes what the log holds in damaged segments to its end, and takes these out.
fn rewrite(inner: &Inner, hurt: &Hurt, aside: &mut Aside<'_>) -> Result<()> {
    drop_unreadable(inner)?;
    let there: Vec<u32> = inner.index().usage.iter().map(|(number, _)| number).collect();
    // A deletion that cannot be read may be of anything before it: nothing of that must be read again.
    let before = |number: &u32| hurt.unknown.is_some_and(|unknown| *number <= unknown);
    let mut segments = hurt.segments.clone();
    segments.extend(there.into_iter().filter(before));
    if segments.is_empty() {
        return Ok(());
    }
    inner.rewrite(&segments, || {
        let damaged = segments.iter().filter(|number| hurt.segments.contains(number));
        damaged.map(|number| Segment::path(*number)).try_for_each(|path| aside.take(&path))
    })
}

/// Removes the entries that cannot be read. Those without a body went when the directory was opened.
fn drop_unreadable(inner: &Inner) -> Result<()> {
    let lists: Vec<ListId> = {
        let (log, index) = (inner.log()?, inner.index());
        index.checkpoint(log.end, log.next).lists.into_iter().map(|told| told.list).collect()
    };
    inner.load(lists)?;
    let broken: Vec<_> = {
        let index = inner.index();
        let found = index.all().filter_map(|(list, slot)| Some((list, index.get(list, slot.entry)?)));
        let located = found.filter_map(|(list, found)| index.locate(list, found));
        let looked_at = located.map(|located| (located.place, located.reads_whole()));
        looked_at.filter(|(_, is_whole)| !is_whole).map(|(place, _)| place).collect()
    };
    broken.into_iter().for_each(|place| inner.note_damaged(place));
    inner.remove_damaged(&mut *inner.log()?)
}

/// Takes out what must not be found when the directory is opened.
fn set_aside(io: &dyn DiskIo, hurt: &Hurt, aside: &mut Aside<'_>) -> io::Result<()> {
    let paths = hurt.bodies.iter().chain(&hurt.strays).cloned();
    let mut paths: Vec<String> = paths.chain(hurt.headless.iter().map(|number| Segment::path(*number))).collect();
    paths.extend(hurt.checkpoint.then(|| checkpoint::PATH.to_owned()));
    // Without the checkpoint it says nothing.
    paths.extend((hurt.closed || hurt.checkpoint).then(|| checkpoint::CLOSED.to_owned()));
    paths.extend(hurt.format.then(|| "format".to_owned()));
    paths.iter().try_for_each(|path| aside.take(path))?;
    let dirs: BTreeSet<&str> = paths.iter().map(|path| path.rsplit_once('/').map_or("", |(dir, _)| dir)).collect();
    dirs.into_iter().try_for_each(|dir| match io.sync_dir(dir) {
        Err(error) if super::is_missing(&error) => Ok(()),
        synced => synced,
    })
}

/// Where there are files that the disk cannot read, puts what it can read of them in their place, and looks again.
fn save_unreadable(
    io: &Arc<dyn DiskIo>,
    clock: &Arc<Clock>,
    mut look: Look,
    aside: &mut Aside<'_>,
    progress: &mut dyn FnMut(CheckProgress),
) -> Result<Look> {
    if look.hurt.unreadable.is_empty() {
        return Ok(look);
    }
    for path in std::mem::take(&mut look.hurt.unreadable) {
        if path == checkpoint::PATH { aside.take(&path) } else { copy_readable(&**io, clock, &path) }
            .map_err(Error::unavailable)?;
    }
    super::look::look(io, clock, None, progress)
}

/// Replaces a file by a copy with zeros where it cannot be read: nothing that can be is lost by that.
fn copy_readable(io: &dyn DiskIo, clock: &Clock, path: &str) -> io::Result<()> {
    io.create_dir("tmp")?;
    let temporary = format!("tmp/{:032x}", clock.random());
    let (from, to) = (io.open(path, Access::Read)?, io.create(&temporary)?);
    let length = from.length()?;
    to.allocate(length)?;
    let mut buffer = vec![0; WINDOW];
    let mut at = 0;
    while at < length {
        at = from.next_data(at)?.map_or(length, |data| data.clamp(at, length));
        let window = &mut buffer[..WINDOW.min(usize::try_from(length - at).unwrap_or(WINDOW))];
        if from.read_at(window, at).is_ok() {
            to.write_at(window, at)?;
        } else {
            for (page, offset) in window.chunks_mut(PAGE).zip((at..).step_by(PAGE)) {
                if from.read_at(page, offset).is_ok() {
                    to.write_at(page, offset)?;
                }
            }
        }
        at += window.len() as u64;
    }
    // Synced before the rename: otherwise power loss can leave the name on half a file.
    to.sync()?;
    io.rename(&temporary, path)?;
    io.sync_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir))
}

/// A folder for what is taken out.
struct Aside<'a> {
    io: &'a dyn DiskIo,
    dir: String,
    used: bool,
}

impl<'a> Aside<'a> {
    fn new(io: &'a dyn DiskIo) -> io::Result<Self> {
        let earlier = match io.list(ASIDE) {
            Err(error) if super::is_missing(&error) => Vec::new(),
            names => names?,
        };
        let last = earlier.iter().filter_map(|name| name.parse::<u32>().ok()).max().unwrap_or(0);
        Ok(Self { io, dir: format!("{ASIDE}/{}", last.saturating_add(1)), used: false })
    }

    /// Moves a file there, with its path. One that is not there needs not be.
    fn take(&mut self, path: &str) -> io::Result<()> {
        let to = format!("{}/{path}", self.dir);
        let dir = to.rsplit_once('/').map_or(self.dir.as_str(), |(dir, _)| dir);
        self.io.create_dir(ASIDE)?;
        self.io.create_dir(dir)?;
        match self.io.rename(path, &to) {
            Err(error) if super::is_missing(&error) => return Ok(()),
            moved => moved?,
        }
        self.used = true;
        // Before its old name can be gone for good.
        self.io.sync_dir(dir)
    }
}
