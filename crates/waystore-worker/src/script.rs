//! The scripts of one version of a worker: its main script and what it imported.
//!
//! A version starts from these bytes for as long as it lives; nothing is fetched again for it. Knows
//! no engine, no network and no store.
//! Spec: <https://w3c.github.io/ServiceWorker/#dfn-script-resource-map>

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use url::Url;

use crate::{WorkerType, policy::ScriptPolicy};

/// The [script resource map][spec] of a worker, shared with the thread that runs it.
///
/// [spec]: https://w3c.github.io/ServiceWorker/#dfn-script-resource-map
#[derive(Debug)]
pub(crate) struct ScriptMap {
    worker_type: WorkerType,
    policy: ScriptPolicy,
    main: Bytes,
    imports: Mutex<Imports>,
}

#[derive(Debug, Default)]
struct Imports {
    known: BTreeMap<Url, Bytes>,
    used: BTreeSet<Url>,
    /// Once set, no script is added: what was imported until then is all there is.
    sealed: bool,
}

impl ScriptMap {
    /// A new version's map: `fetched` are imports that the update check had to fetch anyway.
    pub(crate) fn new(
        worker_type: WorkerType,
        policy: ScriptPolicy,
        main: Bytes,
        fetched: BTreeMap<Url, Bytes>,
    ) -> Self {
        let imports = Imports { known: fetched, ..Imports::default() };
        Self { worker_type, policy, main, imports: Mutex::new(imports) }
    }

    /// The map of a version that was installed before.
    pub(crate) fn stored(
        worker_type: WorkerType,
        policy: ScriptPolicy,
        main: Bytes,
        imports: BTreeMap<Url, Bytes>,
    ) -> Self {
        let used = imports.keys().cloned().collect();
        Self { worker_type, policy, main, imports: Mutex::new(Imports { known: imports, used, sealed: true }) }
    }

    /// How the main script is evaluated.
    pub(crate) fn worker_type(&self) -> WorkerType {
        self.worker_type
    }

    /// What the response demanded that the main script came in.
    pub(crate) fn policy(&self) -> ScriptPolicy {
        self.policy
    }

    /// The main script.
    pub(crate) fn main(&self) -> &Bytes {
        &self.main
    }

    /// The copy of `url`, now marked as used.
    pub(crate) fn import(&self, url: &Url) -> Option<Bytes> {
        let mut imports = self.lock();
        let found = imports.known.get(url).cloned();
        if found.is_some() && !imports.sealed {
            imports.used.insert(url.clone());
        }
        found
    }

    /// Whether scripts may still be added: until the version is installed.
    pub(crate) fn is_open(&self) -> bool {
        !self.lock().sealed
    }

    /// Adds a script that was imported for the first time.
    pub(crate) fn add(&self, url: Url, script: Bytes) {
        let mut imports = self.lock();
        if !imports.sealed {
            imports.used.insert(url.clone());
            imports.known.insert(url, script);
        }
    }

    /// Ends the additions and drops what was never used.
    pub(crate) fn seal(&self) {
        let mut imports = self.lock();
        let Imports { known, used, sealed } = &mut *imports;
        known.retain(|url, _| used.contains(url));
        *sealed = true;
    }

    /// The imported scripts, by URL.
    pub(crate) fn imports(&self) -> BTreeMap<Url, Bytes> {
        self.lock().known.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Imports> {
        self.imports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name of a version: the first twelve hexadecimal digits of the BLAKE3 hash of its main script,
/// and how many versions the registration has seen, which keeps apart two versions whose main
/// scripts are equal and whose imports differ.
pub(crate) fn version_name(main: &[u8], number: u64) -> String {
    format!("{}-{number}", &blake3::hash(main).to_hex()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(path: &str) -> Url {
        Url::parse("https://a.test/").unwrap().join(path).unwrap()
    }

    #[test]
    fn what_was_fetched_and_never_imported_is_dropped_at_the_seal() {
        let fetched = [(url("/used.js"), Bytes::from("1")), (url("/unused.js"), Bytes::from("2"))];
        let map =
            ScriptMap::new(WorkerType::Classic, ScriptPolicy::default(), Bytes::new(), fetched.into_iter().collect());
        assert_eq!(map.import(&url("/used.js")).unwrap(), "1");
        map.add(url("/new.js"), Bytes::from("3"));
        map.seal();
        let left: Vec<_> = map.imports().into_keys().collect();
        assert_eq!(left, [url("/new.js"), url("/used.js")]);
        map.add(url("/late.js"), Bytes::from("4"));
        assert_eq!(map.import(&url("/late.js")), None);
    }

    #[test]
    fn versions_of_equal_scripts_have_names_of_their_own() {
        assert_ne!(version_name(b"x", 1), version_name(b"x", 2));
        assert_eq!(version_name(b"x", 1).len(), 14);
    }
}
