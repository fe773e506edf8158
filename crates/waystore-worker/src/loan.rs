//! A request's body, lent to a worker that may leave the request to the network after all.
//!
//! Who leaves a request has it go out as it came, body and all. So the worker is given a body that
//! takes the real one at its first read, and until then the real one can be had back.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use waystore::{Body, BodyError, Request};

/// What is kept of a request while a worker has it.
#[derive(Debug)]
pub(crate) struct Loan {
    request: Request,
    body: Lent,
}

#[derive(Debug, Clone)]
enum Lent {
    /// There is no body.
    Null,
    /// A body whose bytes are at hand can be sent as often as one likes.
    Known(Bytes),
    /// A body that can be read once.
    Once(Arc<Mutex<Option<Body>>>, Option<u64>),
}

impl Loan {
    /// Keeps `request`.
    pub(crate) fn of(mut request: Request) -> Self {
        let body = match request.body.take() {
            None => Lent::Null,
            Some(body) => match body.as_bytes() {
                Some(bytes) => Lent::Known(bytes.clone()),
                None => {
                    let length = body.length();
                    Lent::Once(Arc::new(Mutex::new(Some(body))), length)
                }
            },
        };
        Self { request, body }
    }

    /// What the request says.
    pub(crate) fn request(&self) -> &Request {
        &self.request
    }

    /// The request for the worker.
    pub(crate) fn lend(&self) -> Request {
        let body = match &self.body {
            Lent::Null => None,
            Lent::Known(bytes) => Some(Body::from(bytes.clone())),
            Lent::Once(body, length) => Some(Body::from_stream(Taken::NotYet(Arc::clone(body)), *length)),
        };
        Request { body, ..self.request.without_body() }
    }

    /// The request as it came; `None` where its body was read and cannot be read again.
    pub(crate) fn give_back(self) -> Option<Request> {
        let body = match self.body {
            Lent::Null => None,
            Lent::Known(bytes) => Some(Body::from(bytes)),
            Lent::Once(body, _) => Some(take(&body)?),
        };
        Some(Request { body, ..self.request })
    }
}

fn take(slot: &Mutex<Option<Body>>) -> Option<Body> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A body that takes the real one when it is read.
enum Taken {
    NotYet(Arc<Mutex<Option<Body>>>),
    Reading(Body),
}

impl Stream for Taken {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Self::NotYet(slot) = &*self {
            match take(slot) {
                Some(body) => *self = Self::Reading(body),
                None => return Poll::Ready(Some(Err(BodyError::failed("the request was left to the network")))),
            }
        }
        match &mut *self {
            Self::Reading(body) => body.poll_next_unpin(cx),
            Self::NotYet(_) => Poll::Ready(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn post(body: Body) -> Loan {
        let request = Request::get("https://a.test/").unwrap();
        Loan::of(Request { body: Some(body), ..request })
    }

    fn stream() -> Body {
        Body::from_stream(stream::iter([Ok(Bytes::from("x"))]), None)
    }

    #[tokio::test]
    async fn a_body_that_was_not_read_comes_back() {
        let loan = post(stream());
        let lent = loan.lend();
        let back = loan.give_back().unwrap();
        assert_eq!(back.body.unwrap().collect(9).await.unwrap(), "x");
        assert!(lent.body.unwrap().collect(9).await.is_err());
    }

    #[tokio::test]
    async fn w39_a_stream_that_was_read_is_gone_and_known_bytes_are_not() {
        let loan = post(stream());
        loan.lend().body.unwrap().collect(9).await.unwrap();
        assert!(loan.give_back().is_none());
        let loan = post(Body::from("x"));
        loan.lend().body.unwrap().collect(9).await.unwrap();
        assert_eq!(loan.give_back().unwrap().body.unwrap().collect(9).await.unwrap(), "x");
    }
}
