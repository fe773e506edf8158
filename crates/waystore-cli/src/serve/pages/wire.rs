//! A connection as a conversation sees it: frames both ways, whatever carries them.

use std::future::pending;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use super::{arrivals::Share, closing::Closing};

/// What carries frames at the moment.
pub(crate) struct Wire {
    /// What the page says; `None` where that comes in requests of its own.
    pub(crate) frames: Option<mpsc::Receiver<Arrived>>,
    /// What it is told.
    pub(crate) out: mpsc::Sender<Out>,
    /// Cancelled when the connection has to end, whether the page reads or not.
    pub(crate) cut: CancellationToken,
}

/// A frame that has arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) text: Utf8Bytes,
    /// Held until it was heard.
    pub(crate) _share: Share,
}

/// What goes to the connection.
#[derive(Debug)]
pub(crate) enum Out {
    Frame(Bytes),
    Close(Closing),
}

/// A connection for a client.
pub(crate) struct Attach {
    pub(crate) wire: Wire,
    /// The number of the last frame that the page has received.
    pub(crate) received: u64,
    /// Whether the page knows this client already.
    pub(crate) resumed: bool,
}

/// Frames that came in a request of their own.
pub(crate) struct Batch {
    pub(crate) lines: String,
    pub(crate) done: oneshot::Sender<Result<(), Closing>>,
}

/// What the page says next; `None` once its connection has ended.
pub(crate) async fn said(frames: Option<&mut mpsc::Receiver<Arrived>>) -> Option<Arrived> {
    match frames {
        Some(frames) => frames.recv().await,
        None => pending().await,
    }
}

/// Gives the next frame to the connection, where there are both; `false` once the connection has ended.
pub(crate) async fn give(out: Option<&mut mpsc::Sender<Out>>, next: &mut Option<Bytes>) -> bool {
    let Some(out) = out else { return pending().await };
    if next.is_none() {
        out.closed().await;
        return false;
    }
    match out.reserve().await {
        Ok(room) => {
            if let Some(frame) = next.take() {
                room.send(Out::Frame(frame));
            }
            true
        }
        Err(_) => false,
    }
}
