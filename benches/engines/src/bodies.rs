//! Bodies over 64 KiB: a file each, beside the engine.
//!
//! Not measured on other engines; here so that the conformance suite has what it needs. The file of a
//! body that was committed stays: nothing here removes it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use waystore::{
    BodyError, Error, Result,
    store::{BodyWriter, StoredBody, WrittenBody},
};

use crate::Sync;

/// Bytes read at a time.
const CHUNK: u64 = 64 * 1024;

/// The folder of bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    dir: PathBuf,
    last: AtomicU64,
    sync: Sync,
}

impl Bodies {
    pub(crate) fn open(dir: &Path, sync: Sync) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::unavailable)?;
        let mut last = 0;
        for file in fs::read_dir(dir).map_err(Error::unavailable)? {
            let name = file.map_err(Error::unavailable)?.file_name();
            last = last.max(name.to_str().and_then(|name| name.parse().ok()).unwrap_or_default());
        }
        Ok(Self { dir: dir.to_owned(), last: AtomicU64::new(last), sync })
    }

    pub(crate) fn writer(&self) -> Box<dyn BodyWriter> {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let hold = Unnamed { path: self.path(number), number, named: AtomicBool::new(false) };
        Box::new(Writer { file: None, hold: Arc::new(hold), length: 0, sync: self.sync })
    }

    /// Opens the body in file `number`.
    pub(crate) fn stored(&self, number: u64, length: u64) -> io::Result<Arc<dyn StoredBody>> {
        Ok(Arc::new(Stored { file: Arc::new(File::open(self.path(number))?), length }))
    }

    /// The number of the file of a body that was written.
    pub(crate) fn number_of(body: &WrittenBody) -> Result<u64> {
        Ok(unnamed(body)?.number)
    }

    /// An entry names the body from now on.
    pub(crate) fn name(body: &WrittenBody) {
        if let Ok(hold) = unnamed(body) {
            hold.named.store(true, Ordering::Relaxed);
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(number.to_string())
    }
}

fn unnamed(body: &WrittenBody) -> Result<Arc<Unnamed>> {
    body.hold().ok_or_else(|| Error::unavailable("the body is of another store"))
}

/// A body that no entry names yet.
#[derive(Debug)]
struct Unnamed {
    path: PathBuf,
    number: u64,
    named: AtomicBool,
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        if !*self.named.get_mut() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[derive(Debug)]
struct Writer {
    file: Option<File>,
    hold: Arc<Unnamed>,
    length: u64,
    sync: Sync,
}

impl Writer {
    fn file(&mut self) -> io::Result<&mut File> {
        if self.file.is_none() {
            self.file = Some(File::options().read(true).write(true).create_new(true).open(&self.hold.path)?);
        }
        Ok(self.file.as_mut().expect("it was opened just before"))
    }
}

#[async_trait]
impl BodyWriter for Writer {
    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.file().and_then(|file| file.write_all(&chunk)).map_err(Error::unavailable)?;
        self.length += chunk.len() as u64;
        Ok(())
    }

    async fn read_back(&mut self, offset: u64) -> Result<Bytes> {
        let length = self.length;
        let read = self.file().and_then(|file| chunk_at(file, offset, length));
        read.map_err(Error::unavailable)
    }

    async fn finish(mut self: Box<Self>) -> Result<WrittenBody> {
        let strict = self.sync == Sync::Strict;
        let synced = self.file().and_then(|file| if strict { file.sync_data() } else { Ok(()) });
        synced.map_err(Error::unavailable)?;
        Ok(WrittenBody::new(self.length, self.hold))
    }
}

#[derive(Debug)]
struct Stored {
    file: Arc<File>,
    length: u64,
}

impl StoredBody for Stored {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let next = move |offset: u64| {
            let chunk = (offset < self.length).then(|| chunk_at(&self.file, offset, self.length));
            let read = chunk.map(|read| match read {
                Ok(chunk) => (Ok(chunk), offset + CHUNK),
                Err(error) => (Err(BodyError::failed(error)), self.length),
            });
            std::future::ready(read)
        };
        stream::unfold(0, next).boxed()
    }
}

fn chunk_at(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    let size = length.saturating_sub(offset).min(CHUNK);
    let mut chunk = vec![0; usize::try_from(size).unwrap_or_default()];
    file.read_exact_at(&mut chunk, offset)?;
    Ok(chunk.into())
}
