//! Puts a body where the store keeps it, before anything names it.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::{Cache, Prepared, url_match};
use crate::{
    AbortSignal, Body, CacheQueryOptions, Error, Request, Response, ResponseHead, Result,
    quota::Reservation,
    spec::batch::{Step, plan_batch},
    store::{Candidate, Entry, INLINE_BYTES, NewBody, Read, Usage, WrittenBody},
};

impl Cache {
    /// Reads the response's body to its end and puts it in place.
    pub(super) async fn prepare_put(&self, request: Request, mut response: Response) -> Result<Prepared> {
        let evictions = self.shared.evictions_of(&self.key);
        let body = response.body.take();
        response.headers.retain(|name, _| !is_set_cookie(name));
        let entry = Entry::new(&request.head, &response.head);
        let (body, room) = self.write_body(body, &request, &entry).await?;
        let entry = self.kept(entry, &response.head, body.length());
        Ok(Prepared::Put { request, entry, body, _room: room, evictions, recorded: false })
    }

    /// The entry as it is kept: pinned or padded, where it is to be.
    pub(super) fn kept(&self, entry: Entry, response: &ResponseHead, body_length: u64) -> Entry {
        let entry = if self.keeping.pin.holds() { entry.pinned() } else { entry };
        match self.shared.padding_of(&self.key, response, body_length) {
            0 => entry,
            padding => entry.with_padding(padding),
        }
    }

    async fn write_body(
        &self,
        body: Option<Body>,
        request: &Request,
        entry: &Entry,
    ) -> Result<(NewBody, Option<Reservation>)> {
        let Some(mut body) = body else { return Ok((NewBody::Null, None)) };
        if let Some(bytes) = body.as_bytes().filter(|bytes| bytes.len() <= INLINE_BYTES) {
            return Ok((NewBody::Inline(bytes.clone()), None));
        }
        let mut start = BytesMut::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            if start.len() + chunk.len() > INLINE_BYTES {
                let room = self.room_for(request, entry).await?;
                let (written, room) = self.write_long(start.freeze(), chunk, body, room).await?;
                return Ok((NewBody::Written(written), Some(room)));
            }
            start.extend_from_slice(&chunk);
        }
        Ok((NewBody::Inline(start.freeze()), None))
    }

    /// Room is taken before a chunk is written, and all of it at once where the length is known.
    async fn write_long(
        &self,
        start: Bytes,
        chunk: Bytes,
        mut rest: Body,
        mut room: Reservation,
    ) -> Result<(WrittenBody, Reservation)> {
        let mut written = (start.len() + chunk.len()) as u64;
        self.reserve(&mut room, written.saturating_add(rest.length().unwrap_or_default())).await?;
        let mut writer = self.store.write_body(&self.key);
        writer.write(start).await?;
        writer.write(chunk).await?;
        while let Some(chunk) = rest.next().await {
            let chunk = chunk?;
            written += chunk.len() as u64;
            self.reserve(&mut room, written).await?;
            writer.write(chunk).await?;
        }
        Ok((writer.finish().await?, room))
    }

    async fn room_for(&self, request: &Request, entry: &Entry) -> Result<Reservation> {
        let replaces = self.replaced_by(request, entry).await?;
        Ok(Reservation::new(&self.shared.reservations, &self.key, replaces))
    }

    /// Takes room for a body of which `bytes` are there.
    pub(super) async fn reserve_for(
        &self,
        room: &mut Option<Reservation>,
        request: &Request,
        entry: &Entry,
        bytes: u64,
    ) -> Result<()> {
        let room = match room {
            Some(room) => room,
            None => room.insert(self.room_for(request, entry).await?),
        };
        self.reserve(room, bytes).await
    }

    async fn reserve(&self, room: &mut Reservation, bytes: u64) -> Result<()> {
        loop {
            let of_bucket = match &self.bucket {
                Some(bucket) => bucket.check_growth(&*self.store, bytes, room.replaces()).await,
                None => Ok(()),
            };
            let grown = match of_bucket {
                Ok(()) => room.grow_to(&*self.store, bytes).await,
                full => full,
            };
            match grown {
                Err(error) if self.shared.make_room(&*self.store, &self.clock, &self.key, &error).await? => {}
                Err(error) if self.evict_for(&error).await? => {}
                grown => return grown,
            }
        }
    }

    /// What a put of `entry` would free, as things are now.
    async fn replaced_by(&self, request: &Request, entry: &Entry) -> Result<u64> {
        let url = url_match(request.url.as_str(), CacheQueryOptions::default());
        let (_, candidates) = self.store.candidates(&[Read { list: &self.list, url }]).await?;
        let step = Step::Put { request: &request.head, visitor: request.visitor, entry };
        let plan = plan_batch(candidates.iter(), &[step])?;
        let replaced = candidates.iter().filter(|candidate| plan.remove.contains(&candidate.id));
        Ok(replaced.map(Candidate::usage).sum::<Usage>().padded)
    }
}

/// Waits for `work`, unless `signal` is aborted first.
pub(super) async fn unless_aborted<T>(
    signal: Option<&AbortSignal>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let Some(signal) = signal else { return work.await };
    tokio::select! {
        biased;
        () = signal.wait() => Err(Error::Aborted),
        done = work => done,
    }
}

pub(super) fn is_set_cookie(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"set-cookie") || name.eq_ignore_ascii_case(b"set-cookie2")
}
