//! The channel without WebSockets: a stream of server-sent events, and requests with frames.

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use waystore::{Body, HeaderList, Response};

use super::{
    arrivals::Share,
    closing::Closing,
    desk::{Pages, Taken, Who},
    frames::{From, Hello},
    wire::{Out, Wire},
};
use crate::serve::refusal::Refusal;

/// Frames on their way between a conversation and its connection.
const ON_THE_WAY: usize = 4;
/// Room for the line that says whose frames follow, however long these may be.
const FROM_BYTES: usize = 1024;

/// Answers a `hello` with the stream of what the gateway says.
///
/// # Errors
///
/// The body is no `hello`, or comes too slowly, or there is no room.
pub(super) async fn open(pages: &Pages, who: Who, body: Body, room: OwnedSemaphorePermit) -> Result<Response, Refusal> {
    let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "channel", "the page did not say `hello`");
    let (text, _share) = timeout(pages.hello_time(), read(pages, body, pages.frame_bytes())).await.map_err(late)??;
    let hello = Hello::read(text.trim()).map_err(|reason| Refusal::new(StatusCode::BAD_REQUEST, "channel", reason))?;
    let (out, told) = mpsc::channel(ON_THE_WAY);
    let wire = Wire { frames: None, out, cut: CancellationToken::new() };
    pages.connect(&hello, who, wire).await.map_err(refusal)?;
    let mut response = Response::new(Body::from_stream(events(told, room), None));
    response.head.headers = [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        // Proxies that know this word hold nothing back.
        ("x-accel-buffering", "no"),
    ]
    .into_iter()
    .collect::<HeaderList>();
    Ok(response)
}

/// Takes what a page says meanwhile.
///
/// # Errors
///
/// The body is no frames, there is no such client, or the client did what ends its connection.
pub(super) async fn take(pages: &Pages, body: Body) -> Result<Response, Refusal> {
    // Held until it was heard.
    let (text, _share) = read(pages, body, pages.frame_bytes() + FROM_BYTES).await?;
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let from = From::read(first.trim()).map_err(|reason| Refusal::new(StatusCode::BAD_REQUEST, "channel", reason))?;
    match pages.take(&from, rest.to_owned()).await {
        Taken::Yes(Ok(())) => Ok(Response::empty(204)),
        Taken::Yes(Err(closing)) if closing == Closing::goodbye() => Ok(Response::empty(204)),
        Taken::Yes(Err(closing)) => Err(refusal(closing)),
        Taken::NoClient => Err(Refusal::new(StatusCode::CONFLICT, "client", "there is no such client: connect again")),
    }
}

/// The text that a body of at most so many bytes is, and what it takes.
async fn read(pages: &Pages, mut body: Body, most: usize) -> Result<(String, Share), Refusal> {
    let too_large =
        || Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("a body has at most {most} bytes"));
    if body.length().is_some_and(|length| length > most as u64) {
        return Err(too_large());
    }
    let (mut bytes, mut share) = (Vec::new(), pages.arrivals().begin());
    while let Some(chunk) = body.next().await {
        // A body that breaks off is refused with the same words; nobody reads them.
        let chunk = chunk.map_err(|_| too_large())?;
        if bytes.len() + chunk.len() > most {
            return Err(too_large());
        }
        share.grow(chunk.len()).map_err(|_| refusal(Closing::crowded()))?;
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Refusal::new(StatusCode::BAD_REQUEST, "channel", "the body is not UTF-8"))?;
    Ok((text, share))
}

fn refusal(closing: Closing) -> Refusal {
    let (status, class) = match closing.code {
        1001 | 4503 => (StatusCode::SERVICE_UNAVAILABLE, "pages"),
        1009 => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        1013 => (StatusCode::SERVICE_UNAVAILABLE, "crowded"),
        4429 => (StatusCode::TOO_MANY_REQUESTS, "too-many"),
        _ => (StatusCode::BAD_REQUEST, "channel"),
    };
    let refusal = Refusal::new(status, class, closing.reason);
    match closing.retry_ms {
        Some(retry_ms) => refusal.retry_after(retry_ms.div_ceil(1000)),
        None => refusal,
    }
}

/// The stream, until the connection ends.
fn events(
    told: mpsc::Receiver<Out>,
    room: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, waystore::BodyError>> + Send {
    stream::unfold(Some((told, room)), |going_on| async move {
        let (mut told, room) = going_on?;
        match told.recv().await? {
            Out::Frame(frame) => Some((Ok(event(&frame)), Some((told, room)))),
            Out::Close(closing) => Some((Ok(event(closing.frame().as_bytes())), None)),
        }
    })
}

/// A frame as an event. Where there are line breaks, they are between tokens, for inside strings JSON has none.
fn event(frame: &[u8]) -> Bytes {
    let line = frame.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte });
    b"data: ".iter().copied().chain(line).chain(*b"\n\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::pages::{testing, times::Times};

    #[tokio::test]
    async fn a_hello_that_does_not_come_takes_no_room() {
        let hello = std::time::Duration::from_millis(50);
        let pages = testing::pages(1, Times { hello, ..testing::no_times() }).await;
        let never = Body::from_stream(stream::pending::<Result<Bytes, waystore::BodyError>>(), None);
        let room = pages.room().unwrap();
        assert!(pages.room().is_none());
        let refused = open(&pages, testing::who(), never, room).await.unwrap_err();
        assert_eq!(refused, Refusal::new(StatusCode::REQUEST_TIMEOUT, "channel", "the page did not say `hello`"));
        assert!(pages.room().is_some());
    }

    #[test]
    fn a_frame_is_one_event_whatever_its_spaces() {
        assert_eq!(event(b"{\"a\":\r\n\n1}"), "data: {\"a\":   1}\n\n");
    }
}
