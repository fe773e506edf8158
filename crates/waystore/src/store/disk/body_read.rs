//! Bodies on their way out: verified block by block, half a MiB at a time; some are read ahead of who reads on.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use super::{
    blocks::{BLOCK, BlockError, file_length, read_blocks},
    bodies::BodyFile,
    failure::Started,
    io::{Access, DiskFile},
};
use crate::{BodyError, store::StoredBody};

/// Blocks read by one thread before it hands them over.
const BLOCKS: usize = 8;
/// How many the first are: who reads should not wait long for them.
const FIRST: usize = 4;
/// How often that is done ahead, once the reader came back for more. Waking who waits takes about as long as reading one
/// of these: the threads that read have more to do meanwhile.
const AHEAD: usize = 3;

impl StoredBody for BodyFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let reader = Reader { body: self, file: None, next: 0, coming: VecDeque::new(), ready: VecDeque::new() };
        stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

impl BodyFile {
    /// Opens the file, and looks whether it has its length.
    pub(super) fn open_file(&self) -> Result<Arc<dyn DiskFile>, BlockError> {
        let file = self.bodies.io.open(&self.name.path(), Access::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlockError::Damaged("it is missing".into()),
            _ => BlockError::Io(error),
        })?;
        let length = file.length().map_err(BlockError::Io)?;
        if file_length(self.length) != Some(length) {
            return Err(BlockError::Damaged(format!("its file has {length} bytes")));
        }
        Ok(file)
    }

    /// Reads all of it. Only for what may not have reached the disk.
    pub(super) fn verify(&self) -> Result<(), BlockError> {
        let file = self.open_file()?;
        (0..self.length.div_ceil(BLOCK as u64)).step_by(BLOCKS).try_for_each(|first| {
            read_blocks(&*file, self.length, Some(&self.name.hash), first, BLOCKS, &self.bodies.buffers).map(drop)
        })
    }
}

struct Reader {
    body: Arc<BodyFile>,
    file: Option<Arc<dyn DiskFile>>,
    /// The first block that is not being read yet.
    next: u64,
    coming: VecDeque<Started<Result<Blocks, BlockError>>>,
    ready: VecDeque<Bytes>,
}

/// Blocks that were read, and the file they were read from.
type Blocks = (Arc<dyn DiskFile>, Vec<Bytes>);

impl Reader {
    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(chunk) = self.ready.pop_front() {
            return Ok(Some(chunk));
        }
        let ahead = if self.file.is_some() { AHEAD } else { 0 };
        while self.coming.len() <= ahead && !self.is_all_coming() {
            self.start();
        }
        let Some(first) = self.coming.pop_front() else { return Ok(None) };
        match first.finished().await.map_err(BodyError::failed)? {
            Ok((file, blocks)) => {
                self.file = Some(file);
                self.ready = blocks.into();
                Ok(self.ready.pop_front())
            }
            Err(BlockError::Damaged(detail)) => {
                self.body.set_damaged(&detail);
                Err(BodyError::Damaged(format!("{}: {detail}", self.body.name.path())))
            }
            Err(BlockError::Io(error)) => Err(BodyError::failed(error)),
        }
    }

    /// An empty file is opened too: it may be missing.
    fn is_all_coming(&self) -> bool {
        (self.file.is_some() || !self.coming.is_empty()) && self.next >= self.body.length.div_ceil(BLOCK as u64)
    }

    fn start(&mut self) {
        let (body, file, first) = (Arc::clone(&self.body), self.file.clone(), self.next);
        let count = if first == 0 { FIRST } else { BLOCKS };
        self.next += count as u64;
        self.coming.push_back(Started::new(move || {
            let file = file.map_or_else(|| body.open_file(), Ok)?;
            let blocks = read_blocks(&*file, body.length, Some(&body.name.hash), first, count, &body.bodies.buffers)?;
            Ok((file, blocks))
        }));
    }
}
