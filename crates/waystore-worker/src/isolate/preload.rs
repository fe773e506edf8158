//! A fetch that was begun for an event before its script asked for it.
//!
//! Aborted where nobody wants it: when its event is over before its response came, or never asked.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinError;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};
use waystore::{FetchError, Response};

/// A fetch under way on the host's runtime; dropped, it is aborted.
pub(crate) type Fetching = AbortOnDropHandle<Result<Response, FetchError>>;

/// What a fetch came to.
pub(crate) fn fetched(joined: Result<Result<Response, FetchError>, JoinError>) -> Result<Response, FetchError> {
    joined.unwrap_or_else(|error| Err(FetchError::Network(format!("the fetch ended early: {error}"))))
}

/// A preload, until the isolate that is given the event takes it. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Preloading(Arc<Mutex<Option<Fetching>>>);

impl Preloading {
    pub(crate) fn new(fetching: Fetching) -> Self {
        Self(Arc::new(Mutex::new(Some(fetching))))
    }

    /// The fetch, for the event that is about to be dispatched.
    pub(crate) fn take(&self) -> Option<Preloaded> {
        let fetching = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let over = CancellationToken::new();
        Some(Preloaded { fetching: Some(fetching), over: over.clone(), _guard: over.drop_guard() })
    }
}

/// A preload of an event that is active; dropped when the event is over.
#[derive(Debug)]
pub(crate) struct Preloaded {
    fetching: Option<Fetching>,
    over: CancellationToken,
    _guard: DropGuard,
}

impl Preloaded {
    /// The response, for the script that asks; `None` once the event was over before it came.
    pub(crate) fn ask(&mut self) -> impl Future<Output = Option<Result<Response, FetchError>>> + use<> {
        let (fetching, over) = (self.fetching.take(), self.over.clone());
        async move {
            tokio::select! {
                biased;
                response = fetching? => Some(fetched(response)),
                () = over.cancelled() => None,
            }
        }
    }
}
