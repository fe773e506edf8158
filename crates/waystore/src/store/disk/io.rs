//! What the disk store asks of a disk, and the real one.
//!
//! Paths are relative to the data directory, with `/` between their parts. Knows files and
//! directories, nothing of what is in them. The simulated disk of the tests is in `sim.rs`.

use std::{
    any::Any,
    borrow::Cow,
    fmt, fs,
    fs::{File, OpenOptions},
    io::{self, Write},
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use bytes::Bytes;
#[cfg(target_os = "linux")]
use rustix::io::{ReadWriteFlags, preadv2};
use rustix::{
    fs::{FallocateFlags, FlockOperation, SeekFrom, fallocate, flock, seek},
    io::Errno,
};

use super::map::FileMap;

/// A data directory on some disk.
pub trait DiskIo: fmt::Debug + Send + Sync + 'static {
    /// The directory, for messages.
    fn root(&self) -> &Path;

    /// Makes a directory for its owner only, and the ones it is in; `""` is the data directory.
    /// One that exists is left as it is.
    fn create_dir(&self, path: &str) -> io::Result<()>;

    /// The names in a directory, in no particular order.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a file for its owner only, to read and write. One that exists is an error.
    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// A file's length.
    fn length(&self, path: &str) -> io::Result<u64>;

    /// Renames a file, in place of one that has the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file's name; those who have it open keep its bytes.
    fn unlink(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a directory survive power loss.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// The size of the volume in bytes, however much of it is free; `None` where nobody can tell.
    fn volume_bytes(&self) -> Option<u64> {
        None
    }

    /// Locks a file, made where it is missing, until the process ends or the lock is dropped, and
    /// leaves `pid` in it.
    fn lock(&self, path: &str, pid: u32) -> io::Result<Lock>;

    /// Waits until nobody has a file locked, and keeps others from locking it until what is returned is dropped.
    /// Others may share it.
    fn share(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// Like [`share`](Self::share), without waiting.
    fn try_share(&self, path: &str) -> io::Result<Lock>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Fills `buffer` from `offset` on, as far as the file goes; returns the bytes read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Like [`read_at`](Self::read_at), where all of that is in memory, so that nobody waits for the disk. `None`: it is not,
    /// or nobody can tell, and what is in `buffer` then counts for nothing.
    fn read_at_hand(&self, _buffer: &mut [u8], _offset: u64) -> io::Result<Option<usize>> {
        Ok(None)
    }

    /// Writes all of `bytes` at `offset`. After an error any of them may have been written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// The length.
    fn length(&self) -> io::Result<u64>;

    /// Makes the file at least `length` bytes long, with room on the disk where it can be reserved.
    fn allocate(&self, length: u64) -> io::Result<()>;

    /// Makes what was written survive power loss.
    fn sync(&self) -> io::Result<()>;

    /// Whether the byte at `offset` is in memory, so that nobody who reads it waits for the disk; `false` where nobody
    /// can tell.
    fn is_at_hand(&self, offset: u64) -> bool {
        matches!(self.read_at_hand(&mut [0], offset), Ok(Some(1..)))
    }

    /// The first offset from `offset` on where there may be anything but zeros.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;

    /// Maps the file as long as it is now. Later writes show in the mapping.
    fn map(&self) -> io::Result<Arc<dyn Mapping>>;
}

/// The bytes of a file, to be looked at without reading them first.
pub trait Mapping: fmt::Debug + Send + Sync {
    /// The number of bytes mapped.
    fn length(&self) -> usize;

    /// Some of the bytes, or `None` where the range goes beyond the end.
    fn slice(&self, range: Range<usize>) -> Option<Bytes>;

    /// Some of the bytes to be looked at now, or `None` where the range goes beyond the end.
    fn view(&self, range: Range<usize>) -> Option<Cow<'_, [u8]>> {
        Some(Cow::Owned(self.slice(range)?.into()))
    }

    /// Has some of the bytes brought near, where they are far; only makes reading them sooner done.
    fn touch(&self, _range: Range<usize>) {}

    /// Has the pages of some of the bytes at hand, reading what is not: nobody who reads or writes them is held up by
    /// that afterwards. Takes some time, and changes nothing else.
    fn populate(&self, _range: Range<usize>) {}

    /// Gone once the mapping and all its slices are.
    fn readers(&self) -> Weak<()>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To look at.
    Read,
    /// To look at and change.
    Write,
}

/// What became of an attempt to lock.
pub enum Lock {
    /// Locked, until this is dropped.
    Held(Box<dyn Any + Send + Sync>),
    /// Somebody else holds it, with the process id they left.
    Busy(Option<u32>),
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(_) => f.write_str("Held"),
            Self::Busy(pid) => f.debug_tuple("Busy").field(pid).finish(),
        }
    }
}

/// A directory of the operating system.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// The directory `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }
}

impl DiskIo for RealDisk {
    fn root(&self) -> &Path {
        &self.root
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.path(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        fs::read_dir(self.path(dir))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(self.path(path))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(self.path(path))?;
        Ok(Arc::new(RealFile(file)))
    }

    fn length(&self, path: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(path))?.len())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn unlink(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.path(path))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }

    fn volume_bytes(&self) -> Option<u64> {
        let volume = rustix::fs::statvfs(&self.root).ok()?;
        volume.f_blocks.checked_mul(volume.f_frsize)
    }

    fn lock(&self, path: &str, pid: u32) -> io::Result<Lock> {
        let path = self.path(path);
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                file.set_len(0)?;
                writeln!(file, "{pid}")?;
                Ok(Lock::Held(Box::new(file)))
            }
            Err(Errno::WOULDBLOCK) => Ok(busy(&path)),
            Err(error) => Err(error.into()),
        }
    }

    fn try_share(&self, path: &str) -> io::Result<Lock> {
        let path = self.path(path);
        let file = File::open(&path)?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(Lock::Held(Box::new(file))),
            Err(Errno::WOULDBLOCK) => Ok(busy(&path)),
            Err(error) => Err(error.into()),
        }
    }

    fn share(&self, path: &str) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = File::open(self.path(path))?;
        flock(&file, FlockOperation::LockShared)?;
        Ok(Box::new(file))
    }
}

/// What is said of a file that somebody else has locked.
fn busy(path: &Path) -> Lock {
    let holder = fs::read_to_string(path).unwrap_or_default();
    Lock::Busy(holder.trim().parse().ok())
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.0.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    #[cfg(target_os = "linux")]
    fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> io::Result<Option<usize>> {
        let mut filled = 0;
        while filled < buffer.len() {
            let rest = &mut [io::IoSliceMut::new(&mut buffer[filled..])];
            match preadv2(&self.0, rest, offset + filled as u64, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                // The last three are of systems and disks that cannot tell.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(filled))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        if self.0.metadata()?.len() >= length {
            return Ok(());
        }
        match fallocate(&self.0, FallocateFlags::empty(), 0, length) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.0.set_len(length),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match seek(&self.0, SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(Errno::NXIO) => Ok(None),
            Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(offset)),
            Err(error) => Err(error.into()),
        }
    }

    fn map(&self) -> io::Result<Arc<dyn Mapping>> {
        Ok(Arc::new(FileMap::new(&self.0)?))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn what_memory_has_is_read_as_the_disk_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = RealDisk::new(dir.path()).create("body").unwrap();
        file.write_at(&[7; 10_000], 0).unwrap();
        let mut buffer = [0; 8000];
        assert_eq!(file.read_at_hand(&mut buffer, 1000).unwrap(), Some(8000), "it was just written");
        assert_eq!(buffer, [7; 8000]);
        assert_eq!(file.read_at_hand(&mut buffer, 9000).unwrap(), Some(1000));
        assert_eq!(file.read_at_hand(&mut buffer, 10_000).unwrap(), Some(0));
    }
}
