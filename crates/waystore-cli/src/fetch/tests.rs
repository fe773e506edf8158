//! The network as scripts see it: a server of ours is every host there is.

mod consent;
mod exchange;
mod page;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response as HttpResponse};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use url::Url;
use waystore::{Clock, FetchError, Request, Response};

use super::{
    Network, Origin, Parts,
    client::{Client, Roots},
    hidden::Events,
    preflight::Consents,
};
use crate::serve::{
    causes::Causes,
    config::Timeouts,
    patterns::{Globs, Names},
    personal::Personal,
    public::Public,
};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);
const TIMEOUTS: Timeouts = Timeouts { connect: PATIENCE, head: PATIENCE, body: PATIENCE };

/// What a server was asked.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("-", |value| value.to_str().unwrap())
    }
}

/// What it answers.
pub(super) type Answer = HttpResponse<Full<Bytes>>;

/// An answer with this status, headers, and its status as text.
pub(super) fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
    let mut answer = HttpResponse::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(Full::from(format!("status {status}"))).unwrap()
}

/// A network of which a server is every part: the public origin `http://shop.example` and all others.
pub(super) struct World {
    pub(super) network: Network,
    pub(super) clock: Arc<Clock>,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl World {
    pub(super) async fn new(answers: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::with(false, answers).await
    }

    pub(super) async fn with(trust_all: bool, answers: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let log: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answers, noted) = (Arc::new(answers), Arc::clone(&log));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answers, noted) = (Arc::clone(&answers), Arc::clone(&noted));
                let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                    let (answers, noted) = (Arc::clone(&answers), Arc::clone(&noted));
                    async move {
                        let (parts, body) = request.into_parts();
                        let asked = Asked {
                            method: parts.method,
                            host: parts.headers["host"].to_str().unwrap().to_owned(),
                            path: parts.uri.path().to_owned(),
                            headers: parts.headers,
                            body: body.collect().await.map(|body| body.to_bytes()).unwrap_or_default(),
                        };
                        noted.lock().unwrap().push(asked.clone());
                        Ok::<_, Infallible>(answers(&asked))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self::at(&server, trust_all, log)
    }

    /// A network of which the server at `server` is every part.
    pub(super) fn at(server: &Url, trust_all: bool, log: Arc<Mutex<Vec<Asked>>>) -> Self {
        let roots = Roots::new(None).unwrap();
        let client = || Client::upstream(server, &roots, TIMEOUTS).unwrap();
        let clock = Arc::new(Clock::fixed(1_000_000, 1));
        let network = Network::new(Parts {
            public: Arc::new(Public::new(Url::parse("http://shop.example").unwrap(), &[]).unwrap()),
            origin: Origin::Server { client: client(), scheme: "http".to_owned(), host: "shop.example".to_owned() },
            world: client(),
            trust_all,
            consents: Consents::default(),
            clock: Arc::clone(&clock),
            events: Events::new(PATIENCE),
            personal: Personal::new([1; 32], Names::new([]), Globs::new([])),
            causes: Causes::default(),
            script: None,
            clear: None,
        });
        Self { network, clock, log }
    }

    /// What was asked since this was last called, as `METHOD host/path`.
    pub(super) fn asked(&self) -> Vec<String> {
        let log = std::mem::take(&mut *self.log.lock().unwrap());
        log.iter().map(|asked| format!("{} {}{}", asked.method, asked.host, asked.path)).collect()
    }

    /// The last request for `path`.
    pub(super) fn last(&self, path: &str) -> Asked {
        self.log.lock().unwrap().iter().rev().find(|asked| asked.path == path).expect("it was asked for").clone()
    }

    pub(super) async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        use waystore::Fetch;
        tokio::time::timeout(PATIENCE, self.network.fetch(request)).await.expect("it ends")
    }
}

pub(super) fn get(url: &str) -> Request {
    Request::get(url).unwrap()
}

pub(super) async fn text(response: Response) -> String {
    let bytes = response.body.unwrap_or_default().collect(1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}
