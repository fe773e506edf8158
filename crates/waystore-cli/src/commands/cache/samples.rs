//! A store in memory to try the commands on.

use std::{path::PathBuf, sync::Arc};

use waystore::{
    Clock, Request, Response, Waystore,
    store::{Store, memory::MemoryStore},
};

use super::{
    Stop,
    place::{Place, Reach},
};
use crate::caches::Desk;

pub(super) struct Sample {
    waystore: Waystore,
    clock: Arc<Clock>,
}

impl Sample {
    pub(super) fn new() -> Self {
        let clock = Arc::new(Clock::fixed(1_000_000, 7));
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        Self { waystore: Waystore::with_store(store, Arc::clone(&clock)), clock }
    }

    pub(super) fn put(&self, origin: &str, cache: &str, path: &str, body: &str) {
        let request = Request::get(&format!("{origin}{path}")).unwrap();
        let response = Response::new(body.to_owned()).header("content-type", "text/plain");
        self.put_pair(origin, cache, request, response);
    }

    pub(super) fn put_pair(&self, origin: &str, cache: &str, request: Request, response: Response) {
        block_on(async {
            let cache = self.waystore.caches(origin).unwrap().open(cache).await.unwrap();
            cache.put(request, response).await.unwrap();
        });
    }

    pub(super) fn reach(&self) -> Reach {
        Reach::Here(Arc::new(Desk::over(self.waystore.clone(), Arc::clone(&self.clock))))
    }
}

pub(super) fn place(origin: Option<&str>) -> Place {
    Place { data: PathBuf::from("data"), origin: origin.map(str::to_owned) }
}

pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What the command would print on stderr.
pub(super) fn failure(stop: Stop) -> String {
    match stop {
        Stop::Failed(failure) => failure.to_string(),
        Stop::NobodyReads => "nobody reads".to_owned(),
    }
}
