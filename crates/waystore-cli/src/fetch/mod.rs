//! The network of the gateway: what scripts fetch, and what goes past them.
//!
//! Same-origin URLs lead to the upstream, others to the world. Spec: <https://fetch.spec.whatwg.org/>.
//! Everything runs on the gateway's runtime, whoever waits for it.

pub(crate) mod client;
pub(crate) mod connector;
mod cors;
pub(crate) mod folder;
mod follow;
pub(crate) mod hidden;
mod outgoing;
mod ports;
pub(crate) mod preflight;
pub(crate) mod private;
mod range;
mod redirect;
mod referrer;
mod script;
pub(crate) mod stream;

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use tokio_util::task::AbortOnDropHandle;
use waystore::{
    Body, Clock, Destination, Fetch, FetchError, HeaderList, Request, RequestHead, Response, ResponseHead,
    ResponseSource, ResponseType,
};

pub(crate) use self::script::LocalScript;
use self::{
    client::{Client, Received, uri},
    folder::Folder,
    hidden::{Events, Hidden},
    preflight::Consents,
};
use crate::serve::{causes::Causes, clear::Clear, personal::Personal, public::Public};

/// What answers for the public origin.
#[derive(Debug)]
pub(crate) enum Origin {
    Server {
        client: Client,
        scheme: String,
        /// The `Host` it is told.
        host: String,
    },
    Folder(Folder),
}

/// What the network is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) public: Arc<Public>,
    pub(crate) origin: Origin,
    pub(crate) world: Client,
    /// Whether every other origin is taken to consent to everything.
    pub(crate) trust_all: bool,
    /// What other origins consented to.
    pub(crate) consents: Consents,
    pub(crate) clock: Arc<Clock>,
    pub(crate) events: Events,
    pub(crate) personal: Personal,
    pub(crate) causes: Causes,
    /// Told of `Clear-Site-Data`, where it is honoured.
    pub(crate) clear: Option<Arc<Clear>>,
    /// The worker's script, where it is a file of this machine.
    pub(crate) script: Option<LocalScript>,
}

/// The network.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    parts: Arc<Parts>,
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl Fetch for Network {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let parts = Arc::clone(&self.parts);
        let task = self.runtime.spawn(async move { parts.fetch(request).await });
        let done = AbortOnDropHandle::new(task).await;
        done.unwrap_or_else(|error| Err(FetchError::Network(format!("the fetch ended early: {error}"))))
    }
}

impl Network {
    /// A network on this runtime. Called inside it.
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), runtime: tokio::runtime::Handle::current() }
    }

    /// Sends a visitor's request on as it is: no redirect is followed, no coding removed.
    ///
    /// # Errors
    ///
    /// There is no response, or not in time.
    pub(crate) async fn forward(&self, request: Request, hidden: &Hidden) -> Result<Response, FetchError> {
        let headers = outgoing::of_visitor(&request.head, hidden, &self.parts.public);
        let received = self.parts.exchange(&request.head, &headers, request.body).await?;
        self.parts.note_clearing(&received.headers);
        let body = received.body;
        let has_body = !is_bodyless(&request.head.method, received.status);
        let head = ResponseHead {
            kind: ResponseType::Basic,
            url_list: vec![request.head.url],
            status: received.status,
            status_text: received.status_text,
            headers: received.headers,
            ..ResponseHead::default()
        };
        let body = has_body.then(|| Body::from_stream(body, received.length));
        Ok(Response { source: ResponseSource::Network, ..Response::from_parts(head, body) })
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }
}

impl Parts {
    fn note_clearing(&self, headers: &HeaderList) {
        if let Some(clear) = &self.clear {
            clear.note(headers);
        }
    }

    /// One request and the head of its response.
    async fn exchange(
        &self,
        head: &RequestHead,
        headers: &HeaderList,
        body: Option<Body>,
    ) -> Result<Received, FetchError> {
        if !self.public.owns(&head.url) {
            let uri = uri(head.url.scheme(), head.url.authority(), &head.url)?;
            return self.world.send(head.method.clone(), uri, headers, body).await;
        }
        match &self.origin {
            Origin::Server { client, scheme, host } => {
                client.send(head.method.clone(), uri(scheme, host, &head.url)?, headers, body).await
            }
            Origin::Folder(folder) => {
                let answer = folder.answer(&head.method, &head.url, headers).await?;
                let body = answer.body.unwrap_or_default();
                Ok(Received {
                    status: answer.status.as_u16(),
                    status_text: answer.status.canonical_reason().unwrap_or_default().into(),
                    headers: answer.headers,
                    length: body.length(),
                    body: Box::pin(body),
                })
            }
        }
    }
}

/// Whether a response has no body whatever it says.
fn is_bodyless(method: &Method, status: u16) -> bool {
    method == Method::HEAD || matches!(status, 101 | 103 | 204 | 205 | 304)
}

/// Whether a request is one for a service worker's main script.
fn is_for_worker(request: &RequestHead) -> bool {
    request.destination == Destination::ServiceWorker
}

#[cfg(test)]
mod tests;
