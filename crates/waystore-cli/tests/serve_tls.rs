//! An upstream over TLS: which certificates are believed, and both versions of HTTP.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{net::SocketAddr, path::Path, sync::Arc};

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use support::{Gateway, Seen, mirror, text, with};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

fn certificate(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/certificates").join(name).to_string_lossy().into_owned()
}

/// Serves over TLS, in the version of HTTP that `protocol` names, and says which host it was asked for.
async fn tls_upstream(protocol: &'static [u8]) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(certificate("localhost.pem")).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(certificate("localhost.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut tls = versions.with_no_client_auth().with_single_cert(chain, key).unwrap();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let (listener, acceptor) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), TlsAcceptor::from(Arc::new(tls)));
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request: http::Request<hyper::body::Incoming>| async move {
                    let host = match request.uri().authority() {
                        Some(authority) => authority.to_string(),
                        None => request.headers()["host"].to_str().unwrap().to_owned(),
                    };
                    let answer = text(200, format!("{:?} {host}", request.version()));
                    Ok::<_, std::convert::Infallible>(with(answer, &[("access-control-allow-origin", "*")]))
                });
                let io = TokioIo::new(stream);
                if protocol == b"h2" {
                    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(io, service)
                        .await;
                } else {
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                }
            });
        }
    });
    address
}

async fn asked(upstream: &str, flags: &[&str]) -> support::Reply {
    let gateway = Gateway::start(&[&["--no-worker", "--upstream", upstream], flags].concat());
    gateway.get("/").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_versions_are_spoken_over_tls_and_the_public_host_is_told() {
    let ca = certificate("ca.pem");
    for (protocol, version) in [(&b"h2"[..], "HTTP/2.0"), (b"http/1.1", "HTTP/1.1")] {
        let upstream = format!("https://{}", tls_upstream(protocol).await);
        let flags = ["--upstream-ca", &ca, "--origin", "https://shop.example", "--aliases", "127.0.0.1"];
        assert_eq!(asked(&upstream, &flags).await.text(), format!("{version} shop.example"));
        let flags = [&flags[..], &["--upstream-host", "inner.example:8443"]].concat();
        assert_eq!(asked(&upstream, &flags).await.text(), format!("{version} inner.example:8443"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_an_unknown_authority_or_another_name_is_not_believed() {
    let address = tls_upstream(b"http/1.1").await;
    let ca = certificate("ca.pem");
    assert_eq!(asked(&format!("https://{address}"), &[]).await.error(), (502, "upstream"));
    let other = format!("https://127.0.0.2:{}", address.port());
    assert_eq!(asked(&other, &["--upstream-ca", &ca]).await.error(), (502, "upstream"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_speaks_the_best_version_that_another_origin_does() {
    let (upstream, ca) = (mirror(&Seen::default()).await, certificate("ca.pem"));
    for (protocol, version) in [(&b"h2"[..], "HTTP/2.0"), (b"http/1.1", "HTTP/1.1")] {
        let address = tls_upstream(protocol).await;
        let other = format!("https://localhost:{}", address.port());
        let script = format!("onfetch = event => event.respondWith(fetch('{other}/x'))");
        let trusting = Gateway::with_worker(upstream, &script, &["--upstream-ca", &ca, "--private-origins", &other]);
        assert_eq!(trusting.get("/").await.text(), format!("{version} localhost:{}", address.port()));
        let doubting = Gateway::with_worker(upstream, &script, &["--private-origins", &other]);
        assert_eq!(doubting.get("/").await.error(), (502, "worker-network-error"), "an unknown authority");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_run_reach_their_page_and_another_origin_over_tls_where_the_authority_is_named() {
    let (own, other) = (tls_upstream(b"h2").await.port(), tls_upstream(b"http/1.1").await.port());
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script.js");
    let tell = "fetch(url).then(response => response.text()).then(console.log, error => console.log(error.name))";
    let text = format!("(async () => {{ for (const url of ['/x', 'https://localhost:{other}/x']) await {tell} }})()");
    std::fs::write(&script, text).unwrap();
    let (page, other_origin) = (format!("https://localhost:{own}/"), format!("https://localhost:{other}"));
    let run = |flags: &[&str]| {
        let output = support::run(&[&["run", "--url", &page], flags, &[script.to_str().unwrap()]].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let ca = certificate("ca.pem");
    let both = run(&["--cacert", &ca, "--private-origins", &other_origin]);
    assert_eq!(both, format!("HTTP/2.0 localhost:{own}\nHTTP/1.1 localhost:{other}\n"));
    assert_eq!(run(&["--cacert", &ca]), format!("HTTP/2.0 localhost:{own}\nTypeError\n"));
    assert_eq!(run(&["--private-origins", &other_origin]), "TypeError\nTypeError\n");
}
