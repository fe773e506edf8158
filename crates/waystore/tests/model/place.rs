//! Where a run's store is, and what can be done to it there.

use std::sync::Arc;

use waystore::{
    Clock,
    store::{
        Store,
        disk::{
            DiskOptions, DiskStore, Durability,
            io::{DiskIo, RealDisk},
            sim::SimDisk,
        },
        memory::MemoryStore,
    },
};

/// Where a store is.
pub enum Where {
    Memory(Arc<MemoryStore>),
    Real(tempfile::TempDir),
    Simulated(SimDisk, Durability),
}

/// An open store.
#[derive(Clone)]
pub enum Opened {
    Memory(Arc<MemoryStore>),
    Disk(Arc<DiskStore>),
}

impl Where {
    pub fn memory() -> Self {
        Self::Memory(Arc::new(MemoryStore::new(clock())))
    }

    pub fn real() -> Self {
        Self::Real(tempfile::tempdir().unwrap())
    }

    pub fn simulated(durability: Durability) -> Self {
        Self::Simulated(SimDisk::default(), durability)
    }

    /// Opens the store; where one change to the disk was to fail and did now, once more.
    pub fn open(&self) -> Opened {
        let opened = self.try_open().or_else(|_| self.try_open()).unwrap();
        if let Opened::Disk(store) = &opened {
            assert_eq!(store.report().damage, [""; 0]);
        }
        opened
    }

    fn try_open(&self) -> waystore::Result<Opened> {
        // Short segments, so that compaction has something to do, and no thread, so that a run can be repeated.
        let options = DiskOptions::default().sync_every(None).segment_bytes(16 * 1024);
        let (io, options): (Arc<dyn DiskIo>, _) = match self {
            Self::Memory(store) => return Ok(Opened::Memory(Arc::clone(store))),
            Self::Real(dir) => (Arc::new(RealDisk::new(dir.path())), options),
            Self::Simulated(disk, durability) => (Arc::new(disk.clone()), options.durability(*durability)),
        };
        Ok(Opened::Disk(Arc::new(DiskStore::open_on(io, clock(), options)?)))
    }

    pub fn disk(&self) -> Option<&SimDisk> {
        if let Self::Simulated(disk, _) = self { Some(disk) } else { None }
    }

    /// Whether what is acknowledged survives power loss.
    pub fn is_strict(&self) -> bool {
        matches!(self, Self::Simulated(_, Durability::Strict))
    }
}

impl Opened {
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::clone(store) as _,
            Self::Disk(store) => Arc::clone(store) as _,
        }
    }

    /// Does what the background does; a disk may refuse.
    pub fn tick(&self) {
        if let Self::Disk(store) = self {
            let _ = store.tick();
        }
    }

    /// Whether a list without a name is gone when the store is opened again.
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Disk(_))
    }
}

pub fn clock() -> Arc<Clock> {
    Arc::new(Clock::fixed(1_700_000_000_000, 7))
}
