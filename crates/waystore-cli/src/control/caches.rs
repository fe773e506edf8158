//! The gateway's end of `waystore cache`: a question in, its answer out, both as they come.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use http_body_util::BodyDataStream;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;
use waystore::{Body, BodyError};

use crate::caches::{
    Answer, Asked, Desk, Part, Question,
    frame::{self, Frame, Frames},
};

/// Chunks of a question's body that wait for whoever reads them.
const READY: usize = 4;

/// Answers the question that `request` holds, frame by frame.
///
/// # Errors
///
/// There is none, or it is one that this version does not know.
pub(super) async fn answer(
    desk: &Arc<Desk>,
    request: Incoming,
) -> Result<impl Stream<Item = Result<Bytes, Infallible>> + use<>, (StatusCode, String)> {
    let mut frames = Frames::new(BodyDataStream::new(request));
    let wrong = |reason| (StatusCode::BAD_REQUEST, reason);
    let Frame::Json(json) = frames.next().await.map_err(wrong)? else {
        return Err(wrong("a question comes first".to_owned()));
    };
    let asked: Asked = frame::value(&json).map_err(|reason| {
        (StatusCode::NOT_IMPLEMENTED, format!("this gateway does not know what is asked for: {reason}"))
    })?;
    let (sender, chunks) = mpsc::channel(READY);
    let body = stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
    let length = match asked.question {
        Question::Put { length, .. } | Question::Import { length, .. } => length,
        _ => None,
    };
    let input = asked.question.changes().then(|| Body::from_stream(body.boxed(), length));
    let pump = tokio::spawn(pump(frames, sender));
    let answer = desk.answer(asked, input);
    Ok(parts(answer, AbortOnDropHandle::new(pump)))
}

/// Hands the question's body on, to its end though nobody may want it: a caller that writes must not be cut off
/// before it has read why it failed.
async fn pump<S, E>(mut frames: Frames<S>, sender: mpsc::Sender<Result<Bytes, BodyError>>)
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: std::error::Error + 'static,
{
    loop {
        let (chunk, last) = match frames.next().await {
            Ok(Frame::Bytes(chunk)) => (Ok(chunk), false),
            Ok(Frame::End) => return,
            Ok(Frame::Failed(failure)) => (Err(BodyError::failed(failure.to_string())), true),
            Ok(Frame::Json(_)) => (Err(BodyError::failed("a second question came in its place".to_owned())), true),
            Err(reason) => (Err(BodyError::failed(format!("the command that sent it is gone: {reason}"))), true),
        };
        // Where nobody takes it, the rest is read and thrown away.
        let _ = sender.send(chunk).await;
        if last {
            return;
        }
    }
}

fn parts(answer: Answer, pump: AbortOnDropHandle<()>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let frames = stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        Some(match answer.next().await {
            Ok(Some(Part::Record(record))) => (vec![frame::json(&*record)], Some(answer)),
            Ok(Some(Part::Bytes(bytes))) => (frame::chunk(&bytes).collect(), Some(answer)),
            Ok(None) => (vec![frame::end()], None),
            Err(failure) => (vec![frame::failed(&failure)], None),
        })
    });
    let drained = stream::once(async move {
        let _ = pump.await;
        Vec::new()
    });
    frames.chain(drained).flat_map(stream::iter).map(Ok)
}
