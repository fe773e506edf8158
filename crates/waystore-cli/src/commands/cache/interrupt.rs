//! Ctrl-C while something is read in: the reading ends with an error, and what was begun is taken back.
//!
//! A second one does not ask.

use std::process;

use futures::{Stream, StreamExt, future, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use waystore::BodyError;

use super::Stop;
use crate::failure::Failure;

/// Whether somebody asked to stop.
#[derive(Debug, Clone)]
pub(in crate::commands) struct Interrupt(CancellationToken);

impl Interrupt {
    /// Listens from now on.
    pub(in crate::commands) fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::failed(format!("signals cannot be listened for: {error}")));
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let token = CancellationToken::new();
        let asked = token.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if asked.is_cancelled() {
                    process::exit(1);
                }
                asked.cancel();
            }
        });
        Ok(Self(token))
    }

    /// `chunks`, which end with an error when somebody asks to stop.
    pub(in crate::commands) fn ends<T, S: Stream<Item = Result<T, BodyError>>>(
        &self,
        chunks: S,
    ) -> impl Stream<Item = Result<T, BodyError>> + use<T, S> {
        let token = self.0.clone();
        let asked = stream::once(async move {
            token.cancelled().await;
            Err(BodyError::failed("interrupted".to_owned()))
        });
        // The end of the source is the end of both.
        let chunks = chunks.map(Some).chain(stream::once(future::ready(None)));
        stream::select(chunks, asked.map(Some))
            .take_while(|chunk| future::ready(chunk.is_some()))
            .filter_map(future::ready)
    }

    /// Ends when somebody asks.
    pub(in crate::commands) async fn asked(&self) {
        self.0.cancelled().await;
    }

    /// `done`, or that it was interrupted.
    pub(in crate::commands) fn told(&self, done: Result<(), Stop>) -> Result<(), Stop> {
        match done {
            Err(Stop::Failed(_)) if self.0.is_cancelled() => {
                Err(Failure::failed("interrupted").hint("nothing was changed; run it again to have it done").into())
            }
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reading_ends_with_the_source_or_with_an_error_when_somebody_asks() {
        let interrupt = Interrupt(CancellationToken::new());
        let whole = interrupt.ends(stream::iter([Ok(1), Ok(2)]));
        assert_eq!(whole.map(Result::unwrap).collect::<Vec<_>>().await, [1, 2]);
        let endless = stream::iter([Ok(1)]).chain(stream::pending());
        let mut cut = std::pin::pin!(interrupt.ends(endless));
        assert_eq!(cut.next().await.unwrap().unwrap(), 1);
        interrupt.0.cancel();
        assert!(cut.next().await.unwrap().is_err());
    }
}
