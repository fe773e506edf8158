//! Bodies on their way out, verified block by block.
//!
//! Whoever asks reads a piece itself where the system has it in memory: that takes less time than to wake a thread. Of a long
//! body a thread reads other pieces meanwhile (`turns.rs`). What has to come from the disk is read by threads alone.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec,
};

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{runtime::Handle, sync::Notify};

use super::{
    blocks::{BLOCK, BlockError, Blocks, file_length},
    bodies::BodyFile,
    failure::Started,
    io::Access,
    turns::Turns,
};
use crate::{BodyError, store::StoredBody};

/// The blocks of a piece: who asks is held up by one for about 20 µs.
const PIECE: usize = 4;
/// Pieces that are being read, or wait for who asks, at most; the blocks of one more are on their way out.
const MOST: usize = 8;
/// As many have to be free before a thread is woken for them.
const WORTH_A_THREAD: usize = MOST / 2;
/// Threads that read what is in memory beside who asks, and what is not.
const NEAR: usize = 1;
const FAR: usize = 4;

impl StoredBody for BodyFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn open(self: Arc<Self>) -> BoxStream<'static, Result<Bytes, BodyError>> {
        let reader = Reader { body: self, shared: None, ready: Vec::new().into_iter() };
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
    pub(super) fn blocks(&self) -> Result<Blocks, BlockError> {
        let file = self.bodies.io.open(&self.name.path(), Access::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => BlockError::Damaged("it is missing".into()),
            _ => BlockError::Io(error),
        })?;
        let length = file.length().map_err(BlockError::Io)?;
        if file_length(self.length) != Some(length) {
            return Err(BlockError::Damaged(format!("its file has {length} bytes")));
        }
        let buffers = Arc::clone(&self.bodies.buffers);
        Ok(Blocks { file, length: self.length, hash: Some(self.name.hash), buffers })
    }

    /// Reads all of it. Only for what may not have reached the disk.
    pub(super) fn verify(&self) -> Result<(), BlockError> {
        let blocks = self.blocks()?;
        let mut pieces = (0..self.length.div_ceil(BLOCK as u64)).step_by(PIECE);
        pieces.try_for_each(|first| blocks.read(first, PIECE).map(drop))
    }
}

/// A piece that was read, or why it could not be.
type Read = Result<Vec<Bytes>, BlockError>;

/// Who asks for a body.
struct Reader {
    body: Arc<BodyFile>,
    /// `None`: the file is not open yet.
    shared: Option<Arc<Shared>>,
    /// Blocks on their way out.
    ready: vec::IntoIter<Bytes>,
}

impl Reader {
    async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        if let Some(chunk) = self.ready.next() {
            return Ok(Some(chunk));
        }
        match self.piece().await? {
            None => Ok(None),
            Some(Ok(blocks)) => {
                self.ready = blocks.into_iter();
                Ok(self.ready.next())
            }
            Some(Err(BlockError::Damaged(detail))) => {
                self.body.set_damaged(&detail);
                Err(BodyError::Damaged(format!("{}: {detail}", self.body.name.path())))
            }
            Some(Err(BlockError::Io(error))) => Err(BodyError::failed(error)),
        }
    }

    async fn piece(&mut self) -> Result<Option<Read>, BodyError> {
        if let Some(shared) = &self.shared {
            return Ok(shared.next().await);
        }
        // An empty file is opened too: it may be missing. To find a file may take the disk.
        let body = Arc::clone(&self.body);
        let opened = Started::new(move || body.blocks().map(Shared::with_first)).finished().await;
        Ok(match opened.map_err(BodyError::failed)? {
            Ok(shared) => self.shared.insert(shared).state().turns.next(),
            Err(error) => Some(Err(error)),
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.state().turns.stop();
        }
    }
}

/// What who asks and the threads that help have in common.
struct Shared {
    blocks: Blocks,
    state: Mutex<State>,
    /// Told when the next piece is read, and when a thread leaves.
    moved: Notify,
}

struct State {
    turns: Turns<Read>,
    /// Threads that read, or are about to.
    helpers: usize,
    /// Some of it was not in memory.
    is_far: bool,
}

impl Shared {
    /// Reads the first piece, and may wait for the disk.
    fn with_first(blocks: Blocks) -> Arc<Self> {
        let turns = Turns::new(blocks.length.div_ceil((PIECE * BLOCK) as u64), MOST);
        let state = Mutex::new(State { turns, helpers: 0, is_far: false });
        let shared = Self { blocks, state, moved: Notify::new() };
        let first = shared.state().turns.take();
        if let Some(number) = first {
            shared.finish(number, shared.read(number));
        }
        Arc::new(shared)
    }

    /// The next piece. `None`: there is no more.
    async fn next(self: &Arc<Self>) -> Option<Read> {
        loop {
            let runtime = Handle::try_current().ok();
            if let Some(runtime) = &runtime {
                self.call_help(runtime);
            }
            let number = {
                let mut state = self.state();
                if let Some(piece) = state.turns.next() {
                    return Some(piece);
                }
                if state.turns.is_over() {
                    return None;
                }
                let is_for_threads = state.is_far && runtime.is_some();
                (!is_for_threads).then(|| state.turns.take()).flatten()
            };
            match number {
                Some(number) => {
                    self.read_here(number, runtime.as_ref());
                    if !self.state().turns.is_next_read() {
                        // A thread has that one. Others have their turn before one more is read here.
                        tokio::task::yield_now().await;
                    }
                }
                // Some thread has taken it, and tells when it leaves, if not before.
                None => self.moved.notified().await,
            }
        }
    }

    /// Wakes threads where there is enough to do for them.
    fn call_help(self: &Arc<Self>, runtime: &Handle) {
        for _ in 0..FAR {
            let Some(helper) = self.helper() else { break };
            helper.start(runtime);
        }
    }

    /// A thread's work, where that is worth a thread.
    fn helper(self: &Arc<Self>) -> Option<Helper> {
        let mut state = self.state();
        let piece = match (state.is_far, state.helpers) {
            (true, ..FAR) => Some(state.turns.take()?),
            // It takes one when it begins: nobody waits for a thread that has not.
            (false, ..NEAR) if state.turns.free() >= WORTH_A_THREAD => None,
            _ => return None,
        };
        state.helpers += 1;
        Some(Helper { shared: Arc::clone(self), piece })
    }

    /// Reads a piece that was taken without waiting for the disk, or has a thread do it. Without a runtime there are none.
    fn read_here(self: &Arc<Self>, number: u64, runtime: Option<&Handle>) {
        let Some(runtime) = runtime else { return self.finish(number, self.read(number)) };
        match self.blocks.read_at_hand(number * PIECE as u64, PIECE).transpose() {
            Some(piece) => self.finish(number, piece),
            None => {
                let mut state = self.state();
                (state.is_far, state.helpers) = (true, state.helpers + 1);
                drop(state);
                Helper { shared: Arc::clone(self), piece: Some(number) }.start(runtime);
            }
        }
    }

    fn read(&self, number: u64) -> Read {
        self.blocks.read(number * PIECE as u64, PIECE)
    }

    fn finish(&self, number: u64, piece: Read) {
        let mut state = self.state();
        state.turns.finish(number, piece);
        if state.turns.is_next_read() {
            drop(state);
            self.moved.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread's part in reading a body.
struct Helper {
    shared: Arc<Shared>,
    /// What it has taken and not read yet.
    piece: Option<u64>,
}

impl Helper {
    fn start(self, runtime: &Handle) {
        runtime.spawn_blocking(move || self.work());
    }

    /// Reads what nobody else does until there is no more, or too much waits for who asks.
    fn work(mut self) {
        while let Some(number) = self.piece.or_else(|| self.shared.state().turns.take()) {
            self.piece = Some(number);
            let piece = self.shared.read(number);
            self.piece = None;
            self.shared.finish(number, piece);
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.shared.state().helpers -= 1;
        if let Some(number) = self.piece {
            // It ended before its time, or never began: nobody waits for ever.
            self.shared.finish(number, Err(BlockError::Io(io::Error::other("the thread that reads the body ended"))));
        }
        self.shared.moved.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{
        Clock,
        store::disk::{
            blocks::{checksum, checksum_of_first},
            bodies::{Bodies, BodyName},
            io::DiskIo,
            sim::SimDisk,
        },
    };

    const BLOCKS: u64 = 100;

    /// A long body in its place.
    fn long(disk: &SimDisk) -> Arc<BodyFile> {
        let body: Vec<u8> = (0..BLOCKS as usize * BLOCK).map(|at| (at % 251) as u8).collect();
        let hash = *blake3::hash(&body).as_bytes();
        let bodies = Bodies::new(Arc::new(disk.clone()), Arc::new(Clock::fixed(0, 0)), false, false);
        let file = bodies.get(BodyName { owner: [1; 16], hash }, body.len() as u64);
        let in_file = body.chunks(BLOCK).zip(0..).flat_map(|(block, number)| {
            let own = checksum(number, block);
            [block, &if number == 0 { checksum_of_first(own, &hash) } else { own }].concat()
        });
        disk.create_dir(&file.name.dir()).unwrap();
        disk.create(&file.name.path()).unwrap().write_at(&in_file.collect::<Vec<_>>(), 0).unwrap();
        file
    }

    fn reader(body: Arc<BodyFile>) -> Reader {
        Reader { body, shared: None, ready: Vec::new().into_iter() }
    }

    async fn rest(reader: &mut Reader) -> u64 {
        let mut blocks = 0;
        while reader.chunk().await.unwrap().is_some() {
            blocks += 1;
        }
        blocks
    }

    #[tokio::test]
    async fn no_more_than_so_much_is_read_for_who_does_not_come_back() {
        for far in [false, true] {
            let disk = SimDisk::default();
            disk.set_far(far);
            let mut reader = reader(long(&disk));
            for _ in 0..=PIECE {
                reader.chunk().await.unwrap().unwrap();
            }
            let shared = Arc::clone(reader.shared.as_ref().unwrap());
            while shared.state().helpers > 0 {
                tokio::task::yield_now().await;
            }
            let free = shared.state().turns.free();
            assert!(free <= 1, "threads go on beside who asks, as far as they may");
            assert_eq!(rest(&mut reader).await, BLOCKS - PIECE as u64 - 1);
        }
    }

    #[tokio::test]
    async fn threads_stop_when_nobody_asks_any_more() {
        let disk = SimDisk::default();
        let mut reader = reader(long(&disk));
        reader.chunk().await.unwrap().unwrap();
        let shared = Arc::clone(reader.shared.as_ref().unwrap());
        drop(reader);
        assert_eq!(shared.state().turns.take(), None);
    }

    #[tokio::test]
    async fn a_thread_that_never_began_leaves_nobody_waiting() {
        let disk = SimDisk::default();
        let mut reader = reader(long(&disk));
        reader.chunk().await.unwrap().unwrap();
        let shared = Arc::clone(reader.shared.as_ref().unwrap());
        reader.ready = Vec::new().into_iter();
        let piece = shared.state().turns.take();
        shared.state().helpers += 1;
        drop(Helper { shared: Arc::clone(&shared), piece });
        assert!(matches!(reader.chunk().await, Err(BodyError::Failed(_))));
    }

    #[test]
    fn without_a_runtime_who_asks_reads_it_all() {
        for far in [false, true] {
            let disk = SimDisk::default();
            disk.set_far(far);
            assert_eq!(rest(&mut reader(long(&disk))).now_or_never(), Some(BLOCKS));
        }
    }
}
