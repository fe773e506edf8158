//! Runs one site's own service worker script, outside the browser.
//!
//! A [`Site`] is one registration of one origin: it fetches the script, installs and activates its
//! versions, keeps them in the store, and turns requests into `fetch` events. Between a site and its
//! host pass only owned values: heads, ids and bodies. This crate opens no socket and no file: the
//! network, and the script's bytes, come from the host's [`Fetch`](waystore::Fetch).

mod accept;
mod airwaves;
mod clients;
mod error;
mod event;
mod isolate;
mod js;
mod lifecycle;
mod limits;
mod loan;
mod message;
mod options;
mod policy;
mod prefetch;
mod registration;
mod routes;
mod run;
mod script;
mod site;
mod trouble;
mod update;
mod worker;

pub use self::{
    clients::{Addressee, ClientChange, ClientError, ClientInfo, ClientKind, FrameType, Mirror, MirrorWorker, ToPage},
    error::{RunError, SiteError},
    event::{ConsoleLevel, ConsoleLine, FallbackReason, FetchEvent, FetchOutcome, MessageEvent, Routed},
    lifecycle::WorkerState,
    limits::Limits,
    message::{MessageError, MessagePort, PortMessage, SerializedValue},
    options::{Activation, SiteHost, SiteOptions, UpdateViaCache, WorkerType},
    prefetch::{PrefetchJob, PrefetchRefused, PrefetchStep, Prefetcher},
    run::{ModuleFiles, RunOptions, RunScript, run_scripts},
    site::{Counters, Off, Page, Site, SiteStatus, Updated, WorkerStatus},
    trouble::LastError,
    update::ScriptError,
};
