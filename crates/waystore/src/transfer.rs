//! A cache as one file: out of one store and into another (`docs/format.md`, "A cache as a file").
//!
//! Both ways stream: memory use depends neither on the number of entries nor on their lengths. Knows
//! what the frames mean; how they stand in the file is the business of `frame.rs`.

mod frame;
pub(crate) mod gathering;

use std::collections::VecDeque;

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, channel::mpsc, stream};

use self::{
    frame::{Frame, FrameReader, FrameWriter},
    gathering::GatheringGuard,
};
use crate::{
    Body, BodyError, Cache, CacheName, CacheStorage, Entries, EntryRange, Error, Request, Response, Result,
    StoredEntry, spec::batch::check_put, store::Entry,
};

/// Entries between two pauses in which others may run.
const TURN: u64 = 256;
/// How much of a URL a message shows.
const SHOWN: usize = 200;

impl Cache {
    /// Returns the whole cache as the bytes of one file, for [`CacheStorage::import`]: every entry with
    /// its body, oldest first, entries of single visitors included.
    ///
    /// The store is read as the file is. What is stored meanwhile comes at the end; a body that cannot be
    /// read ends the file with its error, and so does an entry whose heads are longer than 64 MiB, which no
    /// import would take.
    ///
    /// ```
    /// use waystore::{CacheQueryOptions, Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let caches = Waystore::in_memory().caches("https://shop.example")?;
    /// let cache = caches.open("v1").await?;
    /// cache.put("/pear", Response::new("sweet")).await?;
    ///
    /// let elsewhere = Waystore::in_memory().caches("https://shop.example")?;
    /// assert_eq!(elsewhere.import("copy", cache.export()).await?, 1);
    /// assert!(elsewhere.match_("/pear", CacheQueryOptions::default()).await?.is_some());
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn export(&self) -> Body {
        let walk = self.entries(&EntryRange::all());
        let export = walk.map(|entries| Export {
            entries,
            writer: FrameWriter::default(),
            ready: VecDeque::new(),
            body: None,
            count: 0,
            stage: Stage::Start,
        });
        let chunks = stream::try_unfold(export, |export| async move {
            let mut export = export.map_err(|error| BodyError::failed(error.to_string()))?;
            Ok(export.next().await?.map(|chunk| (chunk, Ok(export))))
        });
        Body::from_stream(chunks, None)
    }

    /// About how many bytes [`export`](Self::export) gives, for whoever shows how far one is. Walks over the entries and
    /// reads no body; what is stored or deleted later makes it another number.
    ///
    /// ```
    /// use waystore::{Response, Waystore};
    ///
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let cache = Waystore::in_memory().caches("https://shop.example")?.open("v1").await?;
    /// cache.put("/pear", Response::new("sweet")).await?;
    /// let file = cache.export().collect(usize::MAX).await?;
    /// assert_eq!(cache.export_length().await?, file.len() as u64);
    /// # Ok::<(), waystore::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn export_length(&self) -> Result<u64> {
        let mut entries = self.entries(&EntryRange::all())?;
        let (mut length, mut walked) = (frame::length_of_ends(), 0_u64);
        while let Some(entry) = entries.next().await? {
            let heads = entry.encoded().as_bytes().len() as u64;
            length = length.saturating_add(frame::length_of_entry(heads, entry.body_length()));
            walked += 1;
            if walked.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        Ok(length)
    }
}

/// A file that is being written.
struct Export {
    entries: Entries,
    writer: FrameWriter,
    ready: VecDeque<Bytes>,
    body: Option<Body>,
    count: u64,
    stage: Stage,
}

#[derive(PartialEq, Eq)]
enum Stage {
    Start,
    Entries,
    End,
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.stage == Stage::End {
                return Ok(None);
            }
            if self.stage == Stage::Start {
                self.stage = Stage::Entries;
                self.ready.push_back(frame::start());
            } else if let Some(body) = &mut self.body {
                match body.next().await.transpose()? {
                    Some(chunk) => self.ready.extend(self.writer.chunks(&chunk)),
                    None => {
                        self.body = None;
                        self.ready.push_back(self.writer.frame(&Frame::BodyEnd));
                    }
                }
            } else {
                let failed = |error: Error| BodyError::failed(error.to_string());
                match self.entries.next().await.map_err(failed)? {
                    Some(entry) => self.begin(&entry)?,
                    None => {
                        self.stage = Stage::End;
                        self.ready.push_back(self.writer.frame(&Frame::End { entries: self.count }));
                    }
                }
            }
        }
    }

    fn begin(&mut self, entry: &StoredEntry) -> Result<(), BodyError> {
        let heads = entry.encoded().as_bytes().clone();
        if heads.len() > frame::LONGEST_HEADS {
            let (url, length) = (entry.url().chars().take(SHOWN).collect::<String>(), heads.len());
            let longest = frame::LONGEST_HEADS;
            let message = format!("the heads of `{url}` have {length} bytes, and a file takes at most {longest}");
            return Err(BodyError::failed(message));
        }
        self.count += 1;
        self.body = entry.body();
        let frame = Frame::Entry { stored_at_ms: entry.stored_at_ms(), has_body: self.body.is_some(), heads };
        self.ready.push_back(self.writer.frame(&frame));
        Ok(())
    }
}

impl CacheStorage {
    /// Makes `name` a cache of what `file` holds, which [`Cache::export`] wrote, in place of the one that
    /// has the name; returns the number of entries.
    ///
    /// The name goes over in one commit, when the file was read to its end and all of it is right. Until
    /// then, and whatever fails, the cache that has the name is as it was, and nobody finds the new
    /// entries: they gather in a cache that [`keys`](Self::keys) does not list and
    /// [`match_`](Self::match_) does not search. It is gone when the import fails or is dropped; what a crash
    /// leaves of one is removed when the store is opened again.
    ///
    /// The entries count as stored now. Their URLs are kept as they are, whatever the origin.
    ///
    /// # Errors
    ///
    /// * [`Error::Damaged`]: the file is not one, was changed, or ends early.
    /// * [`Error::Type`]: an entry is one that [`Cache::put`] refuses.
    /// * [`Error::Body`], [`Error::Aborted`]: reading the file failed.
    /// * [`Error::QuotaExceeded`]: there is no room for both.
    pub async fn import(&self, name: impl Into<CacheName>, file: Body) -> Result<u64> {
        self.remove_gathered().await?;
        let import = Import { storage: self, gathering: self.shared.gathering.begin(self.new_op()) };
        let cache = self.open(import.gathering.name()).await?;
        let imported = match read_in(&cache, file).await {
            Ok(count) => self.rename(import.gathering.name(), name).await.map(|renamed| renamed.then_some(count)),
            Err(error) => Err(error),
        };
        match imported {
            Ok(Some(count)) => Ok(count),
            Ok(None) => Err(Error::unavailable("what was imported has been evicted, or deleted with its origin")),
            Err(error) => {
                // The failure that led here is the one to tell.
                let _ = self.delete(import.gathering.name()).await;
                Err(error)
            }
        }
    }

    /// The same as [`remove_gathered`](Self::remove_gathered), in every bucket.
    pub(crate) async fn remove_all_gathered(&self) -> Result<()> {
        self.remove_gathered().await?;
        for bucket in self.buckets().all_caches().await? {
            bucket.remove_gathered().await?;
        }
        Ok(())
    }

    /// Removes what imports gathered that came to no end.
    pub(crate) async fn remove_gathered(&self) -> Result<()> {
        for name in self.all_names().await? {
            if gathering::is_gathering(&name) && !self.shared.gathering.is_under_way(&name) {
                self.delete(name).await?;
            }
        }
        Ok(())
    }
}

/// An import under way. However it ends, nothing stays under the name that it gathered under.
struct Import<'a> {
    storage: &'a CacheStorage,
    gathering: GatheringGuard,
}

impl Drop for Import<'_> {
    fn drop(&mut self) {
        // A name is taken away on the first poll, mostly; else the next import does it. After its end it is gone already.
        let _ = self.storage.delete(self.gathering.name()).now_or_never();
    }
}

/// Puts every entry of `file` into `cache`.
async fn read_in(cache: &Cache, file: Body) -> Result<u64> {
    let mut frames = FrameReader::new(file);
    frames.start().await?;
    let mut count = 0;
    loop {
        match frames.next().await? {
            Frame::Entry { has_body, heads, .. } => {
                take_in(cache, &mut frames, heads, has_body).await?;
                count += 1;
            }
            Frame::End { entries } if entries == count => {
                frames.end().await?;
                return Ok(count);
            }
            Frame::End { entries } => {
                return Err(frame::damaged(format!("it names {entries} entries and holds {count}")));
            }
            Frame::Body(_) | Frame::BodyEnd => return Err(frame::damaged("a body belongs to no entry")),
        }
    }
}

async fn take_in(cache: &Cache, frames: &mut FrameReader, heads: Bytes, has_body: bool) -> Result<()> {
    let entry = Entry::parse(heads)?;
    let (request, head) = (Request::from(entry.request()?), entry.response()?);
    check_put(&request, &head)?;
    let cache = if entry.is_pinned() { cache.pinning() } else { cache.clone() };
    if !has_body {
        return cache.put_whole(request, Response::from_parts(head, None)).await;
    }
    let (mut sender, chunks) = mpsc::channel(1);
    let response = Response::from_parts(head, Some(Body::from_stream(chunks, None)));
    let pump = async {
        loop {
            match frames.next().await {
                // Where nobody takes it, the put has failed, and says why.
                Ok(Frame::Body(chunk)) => {
                    if sender.send(Ok(chunk)).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(Frame::BodyEnd) => {
                    sender.close_channel();
                    return Ok(());
                }
                Ok(_) => return broken(&mut sender, frame::damaged("a body has no end")).await,
                Err(error) => return broken(&mut sender, error).await,
            }
        }
    };
    let (put, pumped) = futures::join!(cache.put_whole(request, response), pump);
    pumped.and(put)
}

/// Ends the body with an error, so that it is not stored.
async fn broken(sender: &mut mpsc::Sender<Result<Bytes, BodyError>>, error: Error) -> Result<()> {
    // Nobody takes it where the put has failed already.
    let _ = sender.send(Err(BodyError::failed(error.to_string()))).await;
    sender.close_channel();
    Err(error)
}

#[cfg(test)]
mod tests {
    use crate::{Response, Waystore};

    #[tokio::test]
    async fn heads_too_long_for_an_import_are_named_when_they_are_exported() {
        let [from, to] = [(); 2].map(|()| Waystore::in_memory().caches("https://a.test").unwrap());
        let cache = from.open("c").await.unwrap();
        for (length, fits) in [((64 << 20) - 1000, true), (64 << 20, false)] {
            let response = Response::new("").header("x-much", "m".repeat(length));
            cache.put("/much", response).await.unwrap();
            let exported = cache.export().collect(usize::MAX).await;
            match exported {
                Ok(file) => assert!(fits && to.import("c", file.into()).await.unwrap() == 1),
                Err(error) => assert!(!fits && error.to_string().contains("https://a.test/much"), "{error}"),
            }
        }
    }
}
