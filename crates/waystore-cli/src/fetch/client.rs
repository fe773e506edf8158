//! One HTTP exchange: a request out, the head of its response back, over HTTP/1.1 or HTTP/2.
//!
//! Knows connections, TLS and time limits; not whose request it is, nor what becomes of the response.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri, uri::Authority};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, ext::ReasonPhrase};
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use tokio::time::Instant;
use url::Url;
use waystore::{Body, BodyError, FetchError, HeaderList};

use super::{
    connector::{Connector, NotPublic},
    private::PrivateOrigins,
    stream::{Chunks, incoming, timed},
};
use crate::{failure::chain, serve::config::Timeouts};

/// How long an unused connection is kept for the next request.
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// Unused connections to one host that are kept.
const MOST_IDLE: usize = 64;

/// Certificate authorities to trust.
#[derive(Debug, Clone)]
pub(crate) struct Roots(Arc<RootCertStore>);

impl Roots {
    /// The well-known ones, and those of a PEM file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or holds no certificate, in words.
    pub(crate) fn new(file: Option<&Path>) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(file) = file {
            let wrong =
                |reason: &dyn std::fmt::Display| format!("`{}` holds no certificates: {reason}", file.display());
            let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
            let mut added = 0;
            for certificate in certificates {
                roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
                added += 1;
            }
            if added == 0 {
                return Err(wrong(&"it has no PEM section of that kind"));
            }
        }
        Ok(Self(Arc::new(roots)))
    }

    /// How to speak TLS, offering these protocols.
    pub(crate) fn tls(&self, protocols: &[&[u8]]) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let builder = versions.expect("the provider has suites for both versions");
        let mut tls = builder.with_root_certificates(Arc::clone(&self.0)).with_no_client_auth();
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        tls
    }
}

/// The head of a response, and its body on the way.
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) status_text: Bytes,
    pub(crate) headers: HeaderList,
    pub(crate) body: Chunks,
    /// The body's length, where it is known.
    pub(crate) length: Option<u64>,
}

/// Sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    pool: Arc<legacy::Client<HttpsConnector<Connector>, Upload>>,
    timeouts: Timeouts,
    /// Whom the client talks to, for messages.
    whose: &'static str,
}

impl Client {
    /// A client of the whole public internet, and of the origins of `private`.
    pub(crate) fn world(roots: &Roots, timeouts: Timeouts, private: PrivateOrigins) -> Self {
        let names = Arc::new(DefaultServerNameResolver::default());
        Self::new(Connector::world(timeouts.connect, private), roots, names, timeouts, "the server")
    }

    /// A client of one server, whatever host its requests name.
    ///
    /// # Errors
    ///
    /// The URL's host can have no certificate, in words.
    pub(crate) fn upstream(url: &Url, roots: &Roots, timeouts: Timeouts) -> Result<Self, String> {
        let (host, port) = address(url);
        let names = Arc::new(FixedServerNameResolver::new(server_name(&host)?));
        let connector = Connector::upstream(&host, port, timeouts.connect);
        Ok(Self::new(connector, roots, names, timeouts, "the upstream"))
    }

    fn new(
        connector: Connector,
        roots: &Roots,
        names: Arc<dyn ResolveServerName + Send + Sync>,
        timeouts: Timeouts,
        whose: &'static str,
    ) -> Self {
        let https = HttpsConnector::new(connector, roots.tls(&[b"h2", b"http/1.1"]), false, names);
        let pool = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEEP_IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(https);
        Self { pool: Arc::new(pool), timeouts, whose }
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    ///
    /// There is none, or not in time; the time counts from the last byte of the request that went out.
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: &HeaderList,
        body: Option<Body>,
    ) -> Result<Received, FetchError> {
        let network = |error: &dyn std::fmt::Display| FetchError::Network(error.to_string());
        let mut request = http::Request::new(());
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = HeaderMap::try_from(headers).map_err(|error| network(&error))?;
        let clock = Arc::new(LastSent::new());
        let upload = Upload { body: body.unwrap_or_default(), clock: Arc::clone(&clock) };
        let sending = self.pool.request(request.map(|()| upload));
        let response = tokio::select! {
            response = sending => response.map_err(|error| self.failure(&error))?,
            () = clock.silence(self.timeouts.head) => {
                return Err(FetchError::TimedOut(format!("{} sent no response for {:?}", self.whose, self.timeouts.head)));
            }
        };
        Ok(self.received(response))
    }

    /// Takes a response apart.
    pub(crate) fn received(&self, response: http::Response<Incoming>) -> Received {
        received(response, self.timeouts.body, self.whose)
    }

    fn failure(&self, whole: &legacy::Error) -> FetchError {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(whole);
        while let Some(error) = cause {
            let failed = error.downcast_ref::<io::Error>();
            if failed.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
                return FetchError::TimedOut(format!("{} was not reached in {:?}", self.whose, self.timeouts.connect));
            }
            if failed.and_then(io::Error::get_ref).is_some_and(|refused| refused.is::<NotPublic>()) {
                return FetchError::Refused(format!("{}: {}", self.whose, chain(whole)));
            }
            if let Some(BodyError::Aborted) = error.downcast_ref::<BodyError>() {
                return FetchError::Aborted;
            }
            cause = error.source();
        }
        FetchError::Network(format!("{}: {}", self.whose, chain(whole)))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("whose", &self.whose).finish_non_exhaustive()
    }
}

/// Takes a response apart; its body may stand still for `limit`. Called inside the runtime.
pub(crate) fn received(response: http::Response<Incoming>, limit: Duration, whose: &'static str) -> Received {
    let (parts, body) = response.into_parts();
    let reason = parts.extensions.get::<ReasonPhrase>().map(|reason| Bytes::copy_from_slice(reason.as_bytes()));
    let canonical = || match parts.version {
        http::Version::HTTP_2 => Bytes::new(),
        _ => parts.status.canonical_reason().unwrap_or_default().into(),
    };
    Received {
        status: parts.status.as_u16(),
        status_text: reason.unwrap_or_else(canonical),
        headers: HeaderList::from(&parts.headers),
        length: body.size_hint().exact(),
        body: timed(incoming(body), limit, whose),
    }
}

/// Host and port of an HTTP(S) URL; an IPv6 address without its brackets.
pub(crate) fn address(url: &Url) -> (String, u16) {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    (host.to_owned(), url.port_or_known_default().unwrap_or(80))
}

pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("`upstream`: `{host}` is not a name of a server"))
}

/// The URI of a path at `authority`.
///
/// # Errors
///
/// The two do not make a URI.
pub(crate) fn uri(scheme: &str, authority: &str, url: &Url) -> Result<Uri, FetchError> {
    let authority: Result<Authority, _> = authority.parse();
    let built = authority.map_err(http::Error::from).and_then(|authority| {
        Uri::builder()
            .scheme(scheme)
            .authority(authority)
            .path_and_query(&url[url::Position::BeforePath..url::Position::AfterQuery])
            .build()
    });
    built.map_err(|error| FetchError::Network(format!("`{url}` cannot be asked for: {error}")))
}

/// A request's body, which notes when a chunk of it went out.
struct Upload {
    body: Body,
    clock: Arc<LastSent>,
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // Also while it waits for the client: the client's silence is not the upstream's.
        self.clock.touch();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// When something was last sent.
struct LastSent {
    start: Instant,
    after_ms: AtomicU64,
}

impl LastSent {
    fn new() -> Self {
        Self { start: Instant::now(), after_ms: AtomicU64::new(0) }
    }

    fn touch(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.after_ms.store(elapsed, Ordering::Relaxed);
    }

    /// Waits until nothing was sent for `limit`.
    async fn silence(&self, limit: Duration) {
        loop {
            let deadline = self.start + Duration::from_millis(self.after_ms.load(Ordering::Relaxed)) + limit;
            if deadline <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}
