//! Upgrades, WebSockets above all: a connection of its own to the upstream, and bytes both ways.
//!
//! Knows nothing of what is said inside.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header, request::Parts};
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_rustls::{FixedServerNameResolver, HttpsConnector};
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional, sync::Semaphore};
use tower_service::Service;
use url::Url;
use waystore::{Body, FetchError, HeaderList, RequestHead, Response, ResponseSource};

use super::{
    config::{Config, Timeouts},
    public::Public,
};
use crate::fetch::{
    client::{Roots, address, received, server_name, uri},
    connector::Connector,
    hidden::Hidden,
};

/// Opens tunnels to one upstream.
#[derive(Debug, Clone)]
pub(crate) struct Tunnel {
    connector: HttpsConnector<Connector>,
    scheme: String,
    host: String,
    public: Arc<Public>,
    timeouts: Timeouts,
    /// How many more there may be.
    room: Arc<Semaphore>,
}

impl Tunnel {
    /// # Errors
    ///
    /// The URL's host can have no certificate, in words.
    pub(crate) fn new(
        url: &Url,
        host: String,
        public: Arc<Public>,
        roots: &Roots,
        config: &Config,
    ) -> Result<Self, String> {
        let timeouts = config.timeouts;
        let (name, port) = address(url);
        let connector = Connector::upstream(&name, port, timeouts.connect);
        let names = Arc::new(FixedServerNameResolver::new(server_name(&name)?));
        // Upgrades are HTTP/1.1 only.
        let connector = HttpsConnector::new(connector, roots.tls(&[b"http/1.1"]), false, names);
        Ok(Self {
            connector,
            scheme: url.scheme().to_owned(),
            host,
            public,
            timeouts,
            room: Arc::new(Semaphore::new(config.max_connections)),
        })
    }

    /// Asks the upstream; where it agrees, its connection and the client's become one.
    ///
    /// # Errors
    ///
    /// The upstream is not reached, or does not answer.
    pub(crate) async fn open(
        &self,
        parts: &Parts,
        head: &RequestHead,
        hidden: &Hidden,
        client: OnUpgrade,
    ) -> Result<Response, FetchError> {
        let network = |error: &dyn std::fmt::Display| FetchError::Network(format!("the upstream: {error}"));
        let room = Arc::clone(&self.room).try_acquire_owned();
        let room =
            room.map_err(|_| FetchError::Network("there are as many tunnels as connections may be".to_owned()))?;
        let target = uri(&self.scheme, &self.host, &head.url)?;
        let io = self.connector.clone().call(target.clone()).await.map_err(|error| network(&error))?;
        let (mut sender, connection) = http1::handshake(io).await.map_err(|error| network(&error))?;
        tokio::spawn(connection.with_upgrades());

        let mut request = http::Request::new(Body::empty());
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() =
            target.path_and_query().map_or("/", |target| target.as_str()).parse().map_err(|error| network(&error))?;
        *request.headers_mut() = self.headers(parts, head, hidden).map_err(|error| network(&error))?;
        let answered = tokio::time::timeout(self.timeouts.head, sender.send_request(request)).await;
        let late = |_| FetchError::TimedOut("the upstream did not answer the upgrade".to_owned());
        let mut response = answered.map_err(late)?.map_err(|error| network(&error))?;

        let agreed = response.status() == http::StatusCode::SWITCHING_PROTOCOLS;
        if agreed {
            let upstream = hyper::upgrade::on(&mut response);
            tokio::spawn(async move {
                let (Ok(client), Ok(upstream)) = (client.await, upstream.await) else { return };
                // How it ended, the two ends know themselves.
                let _ = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(upstream)).await;
                drop(room);
            });
        }
        let received = received(response, self.timeouts.body, "the upstream");
        let mut response = Response::empty(received.status);
        response.head.headers = received.headers;
        response.head.status_text = received.status_text;
        response.body = (!agreed).then(|| Body::from_stream(received.body, received.length));
        response.source = ResponseSource::Network;
        Ok(response)
    }

    fn headers(&self, parts: &Parts, head: &RequestHead, hidden: &Hidden) -> Result<HeaderMap, http::Error> {
        let mut list: HeaderList = head.headers.clone();
        for (name, value) in &hidden.headers {
            list.append(name, value);
        }
        let mut headers = HeaderMap::try_from(&list)?;
        for (name, value) in [
            ("host", self.host.as_str()),
            ("connection", "upgrade"),
            ("x-forwarded-for", &hidden.forwarded_for),
            ("x-forwarded-host", &self.public.host()),
            ("x-forwarded-proto", self.public.origin().scheme()),
        ] {
            headers.insert(name, HeaderValue::from_str(value)?);
        }
        for protocol in parts.headers.get_all(header::UPGRADE) {
            headers.append(header::UPGRADE, protocol.clone());
        }
        Ok(headers)
    }
}
