//! What all handles of one [`Waystore`](crate::Waystore) share beside the store itself: room that is
//! taken, how opaque responses are padded, and who is evicted when the store is full.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::{
    Clock, Error, ResponseHead, ResponseType, Result, StorageKey,
    buckets::{Lives, evictable},
    budget::Budgets,
    cache::Flights,
    quota::Reservations,
    recorded::Recorded,
    store::{Candidate, Changes, Commit, List, ListChange, NameChange, ReadSet, Store},
    transfer::gathering::Gathering,
};

/// The largest padding, in steps of 64 KiB: 14 MiB.
const MOST_PADDING: u64 = 224;

/// Entries removed at a time.
const PAGE: usize = 1024;

/// See the module's doc.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) reservations: Arc<Reservations>,
    pub(crate) budgets: Budgets,
    pub(crate) buckets: Lives,
    pub(crate) recorded: Arc<Recorded>,
    pub(crate) flights: Arc<Flights>,
    pub(crate) gathering: Arc<Gathering>,
    /// What padding is drawn with; unset: there is none.
    padding_secret: OnceLock<[u8; 32]>,
    evicts: AtomicBool,
    /// How often anybody was evicted.
    evictions: AtomicU64,
    owners: Mutex<Owners>,
}

/// What is known of storage keys.
#[derive(Debug, Default)]
struct Owners {
    /// Rises with every use.
    uses: u64,
    last_use: HashMap<StorageKey, u64>,
    /// How often each was evicted, where it was.
    evictions: HashMap<StorageKey, u64>,
    /// By configuration.
    persisted: HashSet<StorageKey>,
    /// How many guards hold a key.
    held: HashMap<StorageKey, usize>,
}

impl Shared {
    /// From now on opaque responses are padded.
    pub(crate) fn pad_opaque(&self, clock: &Clock) {
        self.padding_secret.get_or_init(|| {
            let mut secret = [0; 32];
            secret[..16].copy_from_slice(&clock.random().to_le_bytes());
            secret[16..].copy_from_slice(&clock.random().to_le_bytes());
            secret
        });
    }

    /// The padding of a response with a body of `length` bytes, for [`Entry::with_padding`].
    ///
    /// Drawn from what the response is, with a secret: the same response has the same padding however
    /// often it is stored, so that storing it again and again does not average it away.
    ///
    /// [`Entry::with_padding`]: crate::store::Entry::with_padding
    pub(crate) fn padding_of(&self, key: &StorageKey, response: &ResponseHead, length: u64) -> u8 {
        let Some(secret) = self.padding_secret.get() else { return 0 };
        if !matches!(response.kind, ResponseType::Opaque | ResponseType::OpaqueRedirect) {
            return 0;
        }
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(key.to_string().as_bytes());
        for url in &response.url_list {
            hasher.update(&[0]).update(url.as_str().as_bytes());
        }
        hasher.update(&[0]).update(response.headers.as_encoded());
        hasher.update(&response.status.to_le_bytes()).update(&length.to_le_bytes());
        let mut drawn = [0; 8];
        hasher.finalize_xof().fill(&mut drawn);
        let steps = u64::from_le_bytes(drawn) % (MOST_PADDING + 1);
        u8::try_from(steps + 1).expect("there are fewer steps than a byte counts")
    }

    pub(crate) fn set_evicts(&self, evicts: bool) {
        self.evicts.store(evicts, Ordering::Release);
    }

    pub(crate) fn set_persisted(&self, key: &StorageKey, persisted: bool) {
        let mut owners = self.owners();
        if persisted {
            owners.persisted.insert(key.clone());
        } else {
            owners.persisted.remove(key);
        }
    }

    pub(crate) fn is_persisted(&self, key: &StorageKey) -> bool {
        self.owners().persisted.contains(key)
    }

    /// Notes that `key` is used now.
    pub(crate) fn touch(&self, key: &StorageKey) {
        if !self.evicts.load(Ordering::Acquire) {
            return;
        }
        let mut owners = self.owners();
        owners.uses += 1;
        let now = owners.uses;
        match owners.last_use.get_mut(key) {
            Some(last) => *last = now,
            None => drop(owners.last_use.insert(key.clone(), now)),
        }
    }

    /// How often `key` was evicted so far: what began before the last time has lost its place.
    pub(crate) fn evictions_of(&self, key: &StorageKey) -> u64 {
        if self.evictions.load(Ordering::Acquire) == 0 {
            return 0;
        }
        self.owners().evictions.get(key).copied().unwrap_or_default()
    }

    /// Notes that a look-up answers with `found`.
    pub(crate) fn note_use(&self, found: &Candidate, clock: &Clock) {
        let now_ms = clock.about_now_ms();
        found.uses.note(now_ms);
        self.budgets.note_use(found.list, found.id, now_ms);
    }

    fn note_eviction(&self, key: &StorageKey) {
        let mut owners = self.owners();
        owners.last_use.remove(key);
        *owners.evictions.entry(key.clone()).or_default() += 1;
        self.evictions.fetch_add(1, Ordering::AcqRel);
    }

    /// Keeps `key` from eviction while the guard lives.
    pub(crate) fn hold(self: &Arc<Self>, key: &StorageKey) -> KeyGuard {
        *self.owners().held.entry(key.clone()).or_default() += 1;
        KeyGuard { shared: Arc::clone(self), key: key.clone() }
    }

    /// Where `error` says that the store as a whole is full and eviction is on, empties the least
    /// recently used key but `asking`. Returns whether it is worth trying again.
    pub(crate) async fn make_room(
        &self,
        store: &dyn Store,
        clock: &Clock,
        asking: &StorageKey,
        error: &Error,
    ) -> Result<bool> {
        let Error::QuotaExceeded { requested: Some(requested), quota: Some(quota) } = *error else { return Ok(false) };
        if !self.evicts.load(Ordering::Acquire) || store.limits().total_bytes != Some(quota) {
            return Ok(false);
        }
        let others = store.usage(None).await?.padded.saturating_sub(store.usage(Some(asking)).await?.padded);
        if requested.saturating_sub(others) > quota {
            // It would not fit though everybody else were gone.
            return Ok(false);
        }
        let mut keys = Vec::new();
        for key in store.storage_keys().await? {
            keys.push((store.last_used_ms(&key).await?, key));
        }
        for victim in self.least_recently_used_first(keys, asking) {
            if evict(store, clock, &victim, &self.buckets).await? {
                tracing::info!(key = %victim, "everything of a storage key was evicted");
                self.note_eviction(&victim);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keys that were not used since the process started come first, by what the store knows of them.
    fn least_recently_used_first(&self, keys: Vec<(Option<u64>, StorageKey)>, asking: &StorageKey) -> Vec<StorageKey> {
        let owners = self.owners();
        let spared =
            |key: &StorageKey| key == asking || owners.persisted.contains(key) || owners.held.contains_key(key);
        let here = |key: &StorageKey| owners.last_use.get(key).copied().unwrap_or_default();
        let victims = keys.into_iter().filter(|(_, key)| !spared(key));
        let mut victims: Vec<_> = victims.map(|(before, key)| (here(&key), before, key)).collect();
        victims.sort_unstable();
        victims.into_iter().map(|(.., key)| key).collect()
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without the secret, and without what is stored.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Takes every name of `key` away, in one commit; those of buckets that are spared excepted. Returns
/// whether there was one: the key may be persisted, or what is left of it may be.
async fn evict(store: &dyn Store, clock: &Clock, key: &StorageKey, buckets: &Lives) -> Result<bool> {
    let lists = loop {
        let names = evictable(store, key).await?;
        if !names.iter().any(|change| matches!(change, NameChange::Unbind(..))) {
            return Ok(false);
        }
        let mut lists = Vec::with_capacity(names.len());
        for change in &names {
            if let NameChange::Unbind(place, name) = change {
                lists.extend(store.list(place, name).await?);
            }
        }
        let changes = Changes { names, ..Changes::default() };
        match commit(store, clock, key, &changes).await? {
            Commit::Stale => tokio::task::yield_now().await,
            _ => {
                buckets.end_unbound(store, key, &changes.names);
                break lists;
            }
        }
    };
    for list in lists {
        // Its holders keep the list; they would keep the room, too, and others would be evicted for it.
        if list.is_held_elsewhere() {
            empty(store, clock, key, &list).await?;
        }
    }
    Ok(true)
}

/// Removes what is in `list`, which has no name any more.
async fn empty(store: &dyn Store, clock: &Clock, key: &StorageKey, list: &List) -> Result<()> {
    loop {
        let page = store.page(list, None, PAGE).await?;
        if page.is_empty() {
            return Ok(());
        }
        let remove = page.iter().map(|found| found.id).collect();
        let change = ListChange { list: list.clone(), remove, insert: Vec::new() };
        commit(store, clock, key, &Changes { lists: vec![change], ..Changes::default() }).await?;
    }
}

async fn commit(store: &dyn Store, clock: &Clock, key: &StorageKey, changes: &Changes) -> Result<Commit> {
    let op = clock.op_id();
    match store.commit(key, op, &ReadSet::default(), changes).await? {
        Commit::OutcomeUnknown => Err(Error::OutcomeUnknown { op }),
        done => Ok(done),
    }
}

/// Keeps a storage key from eviction while it lives: see [`Waystore::hold`](crate::Waystore::hold).
#[derive(Debug)]
pub struct KeyGuard {
    shared: Arc<Shared>,
    key: StorageKey,
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let mut owners = self.shared.owners();
        let Some(held) = owners.held.get_mut(&self.key) else { return };
        *held -= 1;
        if *held == 0 {
            owners.held.remove(&self.key);
        }
    }
}
