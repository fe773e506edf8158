//! The network of the tests: canned answers.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use url::Url;
use waystore::{Body, BodyError, Fetch, FetchError, Request, Response, ResponseSource, ResponseType};

/// A network that answers by path; what it was asked is in the answers of `/log`.
#[derive(Default)]
pub(super) struct Canned(Mutex<Vec<String>>);

#[async_trait]
impl Fetch for Canned {
    async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
        let asked: Vec<_> = request.url.path().split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let asked: Vec<_> = asked.iter().map(String::as_str).collect();
        if asked == ["log"] {
            let log = self.0.lock().unwrap().drain(..).collect::<Vec<_>>().join(" ");
            return Ok(network(&request, Response::new(log)));
        }
        self.0.lock().unwrap().push(format!("{}:{}", request.method, request.url.path()));
        Ok(match asked[..] {
            ["status", status] => {
                let mut response = Response::new(format!("status {status}"));
                response.status = status.parse().unwrap();
                network(&request, response)
            }
            ["null"] => network(&request, Response::empty(204)),
            ["vary", value] => network(&request, Response::new("varies").header("Vary", value)),
            ["shape"] => network(&request, Response::new("shape").header("Vary", "x-shape")),
            ["asymmetric"] => {
                let by = if request.headers.get_text("shape").as_deref() == Some("circle") { "shape" } else { "size" };
                network(&request, Response::new(by).header("Vary", by))
            }
            ["referrer"] => {
                let referrer = match &request.referrer {
                    waystore::Referrer::Url(url) => url.to_string(),
                    other => format!("{other:?}"),
                };
                network(&request, Response::new(referrer))
            }
            ["refused"] => return Err(FetchError::Network("connection refused".to_owned())),
            ["redirected"] => {
                let mut response = network(&request, Response::new("target"));
                response.url_list.push(Url::parse("https://a.test/target#z").unwrap());
                response
            }
            ["headers"] => {
                network(&request, Response::new("h").header("X-A", "1").header("X-A", "2").header("Set-Cookie", "a=b"))
            }
            ["cors"] => {
                let mut response = network(&request, Response::new("c").header("Foo", "1").header("Set-Cookie", "a=b"));
                response.kind = ResponseType::Cors;
                response.exposed_headers = vec!["foo".to_owned(), "set-cookie".to_owned()];
                response
            }
            ["opaque"] => {
                let mut response = network(&request, Response::new("hidden").header("Vary", "*"));
                response.kind = ResponseType::Opaque;
                response.status = 206;
                response
            }
            ["manual"] => {
                let mut response = network(&request, Response::empty(302).header("Location", "/y"));
                response.kind = ResponseType::OpaqueRedirect;
                response
            }
            ["never"] => std::future::pending().await,
            ["endless"] => {
                let start = stream::iter([Ok(Bytes::from_static(b"start"))]);
                network(&request, Response::new(Body::from_stream(start.chain(stream::pending()), None)))
            }
            ["slow", milliseconds] => {
                let delay = Duration::from_millis(milliseconds.parse().unwrap());
                let end = stream::once(async move {
                    tokio::time::sleep(delay).await;
                    Ok(Bytes::from_static(b" end"))
                });
                let start = stream::iter([Ok(Bytes::from_static(b"slow"))]);
                network(&request, Response::new(Body::from_stream(start.chain(end), None)))
            }
            ["large", bytes] => {
                let chunks = bytes.parse::<usize>().unwrap() / 1000;
                let chunk = || Ok(Bytes::from(vec![b'x'; 1000]));
                network(
                    &request,
                    Response::new(Body::from_stream(stream::iter((0..chunks).map(move |_| chunk())), None)),
                )
            }
            ["broken"] => {
                let broken = [Ok(Bytes::from_static(b"half")), Err(BodyError::failed("reset"))];
                network(&request, Response::new(Body::from_stream(stream::iter(broken), None)))
            }
            ["echo"] => {
                let body = request.body.unwrap_or_default().collect(10_000).await;
                let body = body.map_err(|error| FetchError::Network(error.to_string()))?;
                let seen: Vec<_> = request.head.headers.iter().map(|(n, v)| [n, b": ", v].concat()).collect();
                let seen = String::from_utf8(seen.join(&b", "[..])).unwrap();
                let text = format!("{} [{seen}] {}", request.head.method, String::from_utf8_lossy(&body));
                network(&Request::from(request.head), Response::new(text))
            }
            _ => network(&request, Response::new(format!("body of {}", request.url.path())).header("X-Path", "yes")),
        })
    }
}

fn network(request: &Request, mut response: Response) -> Response {
    response.kind = ResponseType::Basic;
    response.url_list = vec![request.url.clone()];
    response.source = ResponseSource::Network;
    response
}
