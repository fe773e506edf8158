//! A store that is held up, so that what happens meanwhile can be chosen.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::{
    CacheName, Limits, Place, Result, StorageKey,
    store::{
        BodyWriter, Candidate, Changes, Commit, EntryId, List, OpId, Read, ReadSet, Store, StoredBody, Usage,
        WrittenBody,
    },
};

/// A store that holds up some of what it is asked for until its gate lets it through.
#[derive(Debug)]
pub(super) struct Held {
    store: Arc<dyn Store>,
    what: What,
    pub(super) gate: Semaphore,
    waiting: Semaphore,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Looks,
    Commits,
}

impl Held {
    /// Look-ups, after they have looked.
    pub(super) fn looks(store: &Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, What::Looks)
    }

    /// Commits, before they change anything.
    pub(super) fn commits(store: &Arc<dyn Store>) -> Arc<Self> {
        Self::new(store, What::Commits)
    }

    fn new(store: &Arc<dyn Store>, what: What) -> Arc<Self> {
        Arc::new(Self { store: Arc::clone(store), what, gate: Semaphore::new(0), waiting: Semaphore::new(0) })
    }

    /// Waits until one more came to the gate.
    pub(super) async fn one_more_waits(&self) {
        self.waiting.acquire().await.unwrap().forget();
    }

    async fn pass(&self, what: What) {
        if self.what == what {
            self.waiting.add_permits(1);
            self.gate.acquire().await.unwrap().forget();
        }
    }
}

#[async_trait]
impl Store for Held {
    async fn candidates(&self, reads: &[Read<'_>]) -> Result<(ReadSet, Vec<Candidate>)> {
        let found = self.store.candidates(reads).await;
        self.pass(What::Looks).await;
        found
    }

    async fn storage_keys(&self) -> Result<Vec<StorageKey>> {
        self.store.storage_keys().await
    }

    async fn names(&self, place: &Place) -> Result<Vec<(CacheName, List)>> {
        self.store.names(place).await
    }

    async fn list(&self, place: &Place, name: &CacheName) -> Result<Option<List>> {
        self.store.list(place, name).await
    }

    async fn page(&self, list: &List, after: Option<EntryId>, limit: usize) -> Result<Vec<Candidate>> {
        self.store.page(list, after, limit).await
    }

    async fn commit(&self, key: &StorageKey, op: OpId, read: &ReadSet, changes: &Changes) -> Result<Commit> {
        self.pass(What::Commits).await;
        self.store.commit(key, op, read, changes).await
    }

    fn write_body(&self, key: &StorageKey) -> Box<dyn BodyWriter> {
        self.store.write_body(key)
    }

    fn written(&self, body: &WrittenBody) -> Result<Arc<dyn StoredBody>> {
        self.store.written(body)
    }

    async fn usage(&self, key: Option<&StorageKey>) -> Result<Usage> {
        self.store.usage(key).await
    }

    async fn bucket_usage(&self, key: &StorageKey, bucket: &str) -> Result<Usage> {
        self.store.bucket_usage(key, bucket).await
    }

    fn set_limits(&self, limits: Limits) {
        self.store.set_limits(limits);
    }

    fn set_bucket_limit(&self, key: &StorageKey, bucket: &str, bytes: Option<u64>) {
        self.store.set_bucket_limit(key, bucket, bytes);
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    async fn sync(&self) -> Result<()> {
        self.store.sync().await
    }
}
