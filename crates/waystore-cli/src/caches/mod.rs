//! What `waystore cache` and `waystore prefetch` ask of a store, and what they are told: the same whether the command
//! opens the store itself or a running gateway holds it.
//!
//! Knows no terminal, no file and no socket: questions and answers are values that can be written down
//! (`frame.rs`), bodies are streams.

mod change;
pub(crate) mod frame;
mod look;
mod owner;
mod prefetch;
mod record;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use waystore::{Body, Waystore, prefetch::Prefetch};

pub(crate) use self::record::{Candidate, Changed, Explained, Found, Key, Moment, Record, Summary, pairs};
use crate::{failure::Failure, fetch::Network, prefetching::Jobs};

/// Parts of an answer that wait for whoever reads them.
const READY: usize = 16;

/// A question and whom it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    /// The data directory, as it was named: for messages.
    pub(crate) dir: String,
    /// Whose caches; without it, those of the only origin there is.
    pub(crate) origin: Option<String>,
    pub(crate) question: Question,
}

/// What a command wants to know, or to have done. Whoever does not know a question refuses it whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Question {
    Ls,
    Keys {
        cache: String,
        prefix: Option<String>,
    },
    Get {
        cache: String,
        url: String,
        headers: Vec<(String, String)>,
    },
    Explain {
        cache: String,
        url: String,
        headers: Vec<(String, String)>,
    },
    Export {
        cache: String,
        /// Whether somebody looks at how far it is, and wants to know how much there is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        watched: bool,
    },
    Put {
        cache: String,
        url: String,
        status: u16,
        headers: Vec<(String, String)>,
        length: Option<u64>,
    },
    Add {
        cache: String,
        urls: Vec<String>,
    },
    Rm {
        cache: String,
        urls: Vec<String>,
    },
    /// `file` is what it was called, for messages.
    Import {
        cache: String,
        file: String,
        length: Option<u64>,
    },
    /// The prefetches that run or wait.
    Prefetches,
    /// Stop a prefetch.
    Stop {
        /// The job's name.
        job: String,
    },
    /// Fetch ahead. The body that comes with it has no bytes: its end, or its failure, is the wish to stop.
    Prefetch {
        plan: Box<Prefetch>,
        /// Lists to fetch, whose URLs come after those of the plan.
        lists: Vec<String>,
        /// Whether what they list is required.
        required: bool,
    },
}

impl Question {
    /// Whether it changes the store.
    pub(crate) fn changes(&self) -> bool {
        match self {
            Self::Put { .. } | Self::Add { .. } | Self::Rm { .. } | Self::Import { .. } | Self::Prefetch { .. } => true,
            Self::Ls | Self::Keys { .. } | Self::Get { .. } | Self::Explain { .. } | Self::Export { .. } => false,
            Self::Prefetches | Self::Stop { .. } => false,
        }
    }
}

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    Record(Box<Record>),
    Bytes(Bytes),
}

/// Where questions are answered: a store, and what `add` fetches with.
#[derive(Debug)]
pub(crate) struct Desk {
    store: Waystore,
    clock: Arc<waystore::Clock>,
    network: Line,
    /// The origin that is meant where none is named and there is a choice.
    home: Option<String>,
    /// The gateway's prefetches.
    jobs: Option<Jobs>,
}

/// A way to the network.
#[derive(Debug)]
pub(crate) enum Line {
    /// The gateway's own.
    Gateway(Box<Network>),
    /// As a page of the origin would fetch, trusting these authorities too.
    Plain { authorities: Option<std::path::PathBuf> },
}

impl Desk {
    /// A desk of a command that opened the store itself.
    pub(crate) fn of_command(store: Waystore, authorities: Option<std::path::PathBuf>) -> Self {
        let clock = Arc::new(waystore::Clock::system());
        Self { store, clock, network: Line::Plain { authorities }, home: None, jobs: None }
    }

    /// A desk of a gateway in front of `home`.
    pub(crate) fn of_gateway(store: Waystore, network: Network, home: String) -> Self {
        let clock = Arc::new(waystore::Clock::system());
        Self { store, clock, network: Line::Gateway(Box::new(network)), home: Some(home), jobs: None }
    }

    /// The same, which begins prefetches of `home` beside those that are under way.
    pub(crate) fn with_jobs(self, jobs: Jobs) -> Self {
        Self { jobs: Some(jobs), ..self }
    }

    #[cfg(test)]
    pub(crate) fn over(store: Waystore, clock: Arc<waystore::Clock>) -> Self {
        Self { store, clock, network: Line::Plain { authorities: None }, home: None, jobs: None }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Begins to answer, in a task of its own. `input` is the body that some questions bring.
    pub(crate) fn answer(self: &Arc<Self>, asked: Asked, input: Option<Body>) -> Answer {
        let (parts, receiver) = mpsc::channel(READY);
        let desk = Arc::clone(self);
        let task = tokio::spawn(async move {
            let out = Out(parts);
            match asked.question {
                Question::Prefetch { .. } => desk.prefetch(asked, input.unwrap_or_default(), &out).await,
                Question::Prefetches => desk.prefetches(&out).await,
                Question::Stop { job } => desk.stop(&job, &out).await,
                _ if asked.question.changes() => desk.change(asked, input, &out).await,
                _ => desk.look(asked, &out).await,
            }
        });
        Answer::new(receiver, task)
    }
}

/// Takes the parts of an answer.
#[derive(Debug)]
struct Out(mpsc::Sender<Part>);

impl Out {
    async fn record(&self, record: Record) -> Result<(), Failure> {
        self.send(Part::Record(Box::new(record))).await
    }

    /// Fails where nobody reads on, which nobody will hear of.
    async fn send(&self, part: Part) -> Result<(), Failure> {
        self.0.send(part).await.map_err(|_| Failure::failed("nobody reads the answer"))
    }

    /// Ends when nobody reads on.
    async fn closed(&self) {
        self.0.closed().await;
    }
}

/// An answer that comes in parts.
#[derive(Debug)]
pub(crate) struct Answer {
    parts: mpsc::Receiver<Part>,
    done: Option<tokio::task::JoinHandle<Result<(), Failure>>>,
}

impl Answer {
    /// The parts, and the task that sends them and knows how it ended.
    pub(crate) fn new(parts: mpsc::Receiver<Part>, done: tokio::task::JoinHandle<Result<(), Failure>>) -> Self {
        Self { parts, done: Some(done) }
    }

    /// The next part; `None` after the last.
    ///
    /// # Errors
    ///
    /// What was asked for failed: everything that came before counts.
    pub(crate) async fn next(&mut self) -> Result<Option<Part>, Failure> {
        if let Some(part) = self.parts.recv().await {
            return Ok(Some(part));
        }
        let Some(done) = self.done.take() else { return Ok(None) };
        match done.await {
            Ok(ended) => ended.map(|()| None),
            Err(error) => Err(Failure::failed(format!("the command ended early: {error}"))),
        }
    }
}
