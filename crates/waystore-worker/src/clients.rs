//! The pages and workers of a browser that a site's worker can see and talk to: its clients.
//!
//! Knows who is there, in which order, whether the worker controls them, and what waits for each. Knows
//! no socket (a host keeps a [`Page`](crate::Page) for each), no engine, and not when a version takes over.
//! Spec: <https://w3c.github.io/ServiceWorker/#client-interface>

mod outbox;
mod registry;
mod roster;

use url::Url;

pub(crate) use self::{
    outbox::{Outbox, Piece, Room},
    registry::{Type, Wanted},
    roster::Roster,
};
use crate::{MessagePort, SerializedValue, UpdateViaCache, WorkerState};

/// A client as a script sees it: at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// Its id: for a page, `resultingClientId` of the navigation that made it.
    pub id: String,
    /// Its creation URL, with the fragment.
    pub url: Url,
    /// What it is.
    pub kind: ClientKind,
    /// Where its document is shown.
    pub frame: FrameType,
    /// Whether its document can be seen.
    pub visible: bool,
    /// Whether its document has the focus.
    pub focused: bool,
}

impl ClientInfo {
    /// A page in a tab, which is not looked at.
    pub fn window(id: impl Into<String>, url: Url) -> Self {
        Self {
            id: id.into(),
            url,
            kind: ClientKind::Window,
            frame: FrameType::TopLevel,
            visible: false,
            focused: false,
        }
    }
}

/// What a client is. Spec: <https://w3c.github.io/ServiceWorker/#enumdef-clienttype>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// A document.
    Window,
    /// A dedicated worker.
    Worker,
    /// A shared worker.
    SharedWorker,
}

impl ClientKind {
    /// The word that scripts see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Worker => "worker",
            Self::SharedWorker => "sharedworker",
        }
    }
}

/// Where a document is shown. Spec: <https://w3c.github.io/ServiceWorker/#enumdef-frametype>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// In a window that script opened.
    Auxiliary,
    /// In a tab.
    TopLevel,
    /// In a frame of another document.
    Nested,
    /// Nowhere: a worker.
    None,
}

impl FrameType {
    /// The word that scripts see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auxiliary => "auxiliary",
            Self::TopLevel => "top-level",
            Self::Nested => "nested",
            Self::None => "none",
        }
    }
}

/// What changed about a client; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientChange {
    /// Its URL.
    pub url: Option<Url>,
    /// Whether its document can be seen.
    pub visible: Option<bool>,
    /// Whether its document has the focus.
    pub focused: Option<bool>,
}

/// Why a client is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Its id is empty, or longer than 128 bytes.
    #[error("a client's id has 1 to 128 bytes, and this one {bytes}")]
    Id {
        /// Its length.
        bytes: usize,
    },
    /// Another one has this id: it is still there, or was a moment ago.
    #[error("the client {id} is connected already")]
    Taken {
        /// The id.
        id: String,
    },
    /// It is not the site's: its URL is at another origin.
    #[error("{url} is not at the origin of the site")]
    Origin {
        /// Its URL.
        url: Box<Url>,
    },
    /// There are as many as may be; another one can come when one of them goes.
    #[error("{most} clients are connected, and no more may be")]
    TooMany {
        /// [`Limits::clients`](crate::Limits::clients).
        most: usize,
    },
    /// The site was closed.
    #[error("the site is closed")]
    Closed,
}

/// What a client is told.
#[derive(Debug)]
pub enum ToPage {
    /// The worker called `client.postMessage`.
    Message {
        /// `event.data`.
        data: SerializedValue,
        /// `event.ports`.
        ports: Vec<MessagePort>,
        /// The worker, as it was then.
        source: MirrorWorker,
    },
    /// The registration, after a step: each comes, in order, unless `Lost` says otherwise. The first one
    /// comes before everything else.
    Registration(Mirror),
    /// Another version controls the client from now on: `controllerchange`.
    ControllerChange {
        /// Its name; `None` where no worker does any more.
        version: Option<String>,
    },
    /// The worker posted to a `BroadcastChannel`.
    Broadcast {
        /// The channel's name.
        name: String,
        /// `event.data`.
        data: SerializedValue,
    },
    /// So much did not fit in here, since the client did not keep up.
    Lost {
        /// Messages and broadcasts that are gone, with their ports.
        messages: u64,
        /// Steps of the registration that were left out; the next one tells where it is now.
        steps: u64,
    },
}

/// The registration as a client mirrors it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Its scope.
    pub scope: Url,
    /// Its `updateViaCache`.
    pub update_via_cache: UpdateViaCache,
    /// The version that is being installed.
    pub installing: Option<MirrorWorker>,
    /// The version that waits.
    pub waiting: Option<MirrorWorker>,
    /// The version that answers, or is about to.
    pub active: Option<MirrorWorker>,
    /// The version that controls this client: the active one or none.
    pub controller: Option<String>,
}

/// A version in a [`Mirror`]. One that was there before and is in no slot any more is redundant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorWorker {
    /// Its name.
    pub version: String,
    /// Its script's URL.
    pub script_url: String,
    /// Its state.
    pub state: WorkerState,
}

/// To which version a client posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressee {
    /// The one of this name. Where that is gone, the message is dropped.
    Version(String),
    /// `registration.installing`.
    Installing,
    /// `registration.waiting`.
    Waiting,
    /// `registration.active`.
    Active,
}
