//! Bodies on their way out: verified block by block, 256 KiB at a time.

use std::{collections::VecDeque, io, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

use super::{
    blocks::{BLOCK, BlockError, file_length, read_blocks},
    bodies::BodyFile,
    failure::blocking,
    io::{Access, DiskFile},
};
use crate::{BodyError, store::StoredBody};

/// Blocks read in one go.
const BLOCKS: usize = 4;

impl StoredBody for BodyFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let reader = Reader { body: self, file: None, next: 0, ready: VecDeque::new() };
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
        (0..self.length.div_ceil(BLOCK as u64))
            .step_by(BLOCKS)
            .try_for_each(|first| read_blocks(&*file, self.length, Some(&self.name.hash), first, BLOCKS).map(drop))
    }
}

struct Reader {
    body: Arc<BodyFile>,
    file: Option<Arc<dyn DiskFile>>,
    /// The first block that was not read yet.
    next: u64,
    ready: VecDeque<Bytes>,
}

impl Reader {
    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(chunk) = self.ready.pop_front() {
            return Ok(Some(chunk));
        }
        if self.file.is_some() && self.next >= self.body.length.div_ceil(BLOCK as u64) {
            return Ok(None);
        }
        let (body, file, first) = (Arc::clone(&self.body), self.file.take(), self.next);
        let read = blocking(move || {
            let file = file.map_or_else(|| body.open_file(), Ok)?;
            let blocks = read_blocks(&*file, body.length, Some(&body.name.hash), first, BLOCKS)?;
            Ok((file, blocks))
        });
        match read.await.map_err(BodyError::failed)? {
            Ok((file, blocks)) => {
                self.file = Some(file);
                self.next += blocks.len() as u64;
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
}
