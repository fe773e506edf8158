//! What a worker fetches from another origin, over the network: who has to consent, what script sees, and what visitors get.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;

use http::Request;
use serde_json::{Value, json};
use support::{Answer, Gateway, Seen, mirror, text, upstream, with};

/// Answers `/try?FETCH`, where FETCH is the arguments of `fetch` as JSON, with what script sees of the response; and
/// `/hand-on?FETCH` with the response itself.
const SCRIPT: &str = r#"
onfetch = event => {
  const { pathname, search } = new URL(event.request.url);
  if (pathname !== "/try" && pathname !== "/hand-on") return;
  const [url, init] = JSON.parse(decodeURIComponent(search.slice(1)));
  const response = fetch(url, init);
  if (pathname === "/hand-on") return event.respondWith(response);
  const seen = async response =>
    ({ type: response.type, status: response.status, url: response.url, headers: [...response.headers.keys()], text: await response.text() });
  event.respondWith(response.then(seen, error => ({ error: error.name })).then(seen => Response.json(seen)));
};"#;

/// Another origin: each path consents to something else.
async fn other(seen: &Seen) -> SocketAddr {
    let seen = seen.clone();
    upstream(move |request| {
        seen.note(&request);
        let asked_by = request.headers().get("origin").map_or("", |value| value.to_str().unwrap()).to_owned();
        let method = request.method().to_string();
        let answer = answer(request.uri().path(), &method, &asked_by);
        async move { answer }
    })
    .await
}

fn answer(path: &str, method: &str, asked_by: &str) -> Answer {
    let words = format!("{method} {path}");
    let cookie = ("set-cookie", "other=1");
    match path {
        "/open" => with(text(200, words), &[("access-control-allow-origin", "*"), cookie, ("x-hidden", "1")]),
        "/named" => with(
            text(200, words),
            &[
                ("access-control-allow-origin", asked_by),
                ("access-control-allow-credentials", "true"),
                ("access-control-expose-headers", "x-shown"),
                ("x-shown", "1"),
                ("x-hidden", "1"),
                cookie,
            ],
        ),
        "/put" => with(
            text(if method == "OPTIONS" { 204 } else { 200 }, if method == "OPTIONS" { String::new() } else { words }),
            &[
                ("access-control-allow-origin", asked_by),
                ("access-control-allow-methods", "PUT"),
                ("access-control-allow-headers", "x-a"),
            ],
        ),
        _ => with(text(200, words), &[cookie]),
    }
}

/// A gateway whose worker may reach `other`, with these flags.
async fn gateway(other: SocketAddr, flags: &[&str]) -> Gateway {
    let upstream = mirror(&Seen::default()).await;
    let origin = format!("http://{other}");
    Gateway::with_worker(upstream, SCRIPT, &[&["--private-origins", &origin], flags].concat())
}

/// The target that has the worker do this fetch.
fn target(path: &str, url: &str, init: &Value) -> String {
    let arguments: String = url::form_urlencoded::byte_serialize(json!([url, init]).to_string().as_bytes()).collect();
    format!("{path}?{}", arguments.replace('+', "%20"))
}

/// What script sees of a fetch.
async fn tried(gateway: &Gateway, url: &str, init: Value) -> Value {
    serde_json::from_str(&gateway.get(&target("/try", url, &init)).await.text()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f79_what_another_origin_does_not_consent_to_script_does_not_see() {
    let seen = Seen::default();
    let address = other(&seen).await;
    let (gateway, refused) = (gateway(address, &[]).await, json!({ "error": "TypeError" }));
    let at = |path: &str| format!("http://{address}{path}");
    assert_eq!(tried(&gateway, &at("/closed"), json!({})).await, refused);
    assert_eq!(seen.last("/closed")["origin"], format!("http://localhost:{}", gateway.address.port()));
    assert_eq!(tried(&gateway, &at("/open"), json!({})).await["type"], "cors");
    assert_eq!(tried(&gateway, &at("/open"), json!({ "credentials": "include" })).await, refused);
    let named = tried(&gateway, &at("/named"), json!({ "credentials": "include" })).await;
    assert_eq!(
        (&named["type"], &named["text"], &named["url"]),
        (&json!("cors"), &json!("GET /named"), &json!(at("/named")))
    );
    assert_eq!(tried(&gateway, &at("/open"), json!({ "mode": "same-origin" })).await, refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f80_only_the_headers_that_another_origin_exposes_are_seen() {
    let address = other(&Seen::default()).await;
    let gateway = gateway(address, &[]).await;
    let named = tried(&gateway, &format!("http://{address}/named"), json!({})).await;
    assert_eq!(named["headers"], json!(["content-length", "x-shown"]));
    let open = tried(&gateway, &format!("http://{address}/open"), json!({})).await;
    assert_eq!(open["headers"], json!(["content-length"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_form_could_send_is_sent_only_after_a_preflight() {
    let seen = Seen::default();
    let address = other(&seen).await;
    let gateway = gateway(address, &[]).await;
    let init = json!({ "method": "PUT", "headers": { "X-A": "1" }, "body": "b" });
    let put = tried(&gateway, &format!("http://{address}/put"), init.clone()).await;
    assert_eq!(put["text"], "PUT /put");
    assert_eq!((seen.count("/put"), seen.last("/put")["x-a"].to_str().unwrap()), (2, "1"));
    let refused = tried(&gateway, &format!("http://{address}/open"), init).await;
    assert_eq!(refused, json!({ "error": "TypeError" }));
    // The question was asked, and what it was about never sent.
    assert_eq!(seen.count("/open"), 1);
    assert_eq!(seen.last("/open")["access-control-request-method"], "PUT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w44_what_is_opaque_to_script_reaches_who_asked_without_cors_and_nobody_else() {
    let address = other(&Seen::default()).await;
    let gateway = gateway(address, &[]).await;
    let (url, init) = (format!("http://{address}/closed"), json!({ "mode": "no-cors" }));
    let opaque = tried(&gateway, &url, init.clone()).await;
    assert_eq!(opaque, json!({ "type": "opaque", "status": 0, "url": "", "headers": [], "text": "" }));
    let hand_on = target("/hand-on", &url, &init);
    let image = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image"), ("sec-fetch-site", "same-origin")];
    let image = gateway.get_with(&hand_on, &image).await;
    assert_eq!((image.status, image.text().as_str(), image.header("set-cookie")), (200, "GET /closed", None));
    let script = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("sec-fetch-site", "same-origin")];
    assert_eq!(gateway.get_with(&hand_on, &script).await.error(), (502, "worker-network-error"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitors_cookies_do_not_reach_another_origin_nor_its_cookies_the_visitor() {
    let seen = Seen::default();
    let address = other(&seen).await;
    let gateway = gateway(address, &[]).await;
    let init = json!({ "credentials": "include" });
    let hand_on = target("/hand-on", &format!("http://{address}/named"), &init);
    let reply = gateway.get_with(&hand_on, &[("cookie", "sid=1"), ("authorization", "Basic eDp5")]).await;
    assert_eq!((reply.text().as_str(), reply.header("set-cookie")), ("GET /named", None));
    assert!(!seen.last("/named").contains_key("cookie") && !seen.last("/named").contains_key("authorization"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_are_trusted_nobody_is_asked_and_script_sees_everything() {
    let seen = Seen::default();
    let address = other(&seen).await;
    let gateway = gateway(address, &["--cors", "trust-all"]).await;
    let put = tried(&gateway, &format!("http://{address}/closed"), json!({ "method": "PUT" })).await;
    assert_eq!((&put["type"], &put["text"], seen.count("/closed")), (&json!("cors"), &json!("PUT /closed"), 1));
    let open = tried(&gateway, &format!("http://{address}/open"), json!({})).await;
    assert!(open["headers"].as_array().unwrap().contains(&json!("x-hidden")), "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g4_the_own_network_is_out_of_reach_also_by_redirect_unless_it_is_named() {
    let seen = Seen::default();
    let address = other(&seen).await;
    let url = format!("http://{address}/open");
    let location = url.clone();
    let redirects = upstream(move |_: Request<_>| {
        let answer = with(text(302, ""), &[("location", &location)]);
        async move { answer }
    })
    .await;
    let unnamed = Gateway::with_worker(redirects, SCRIPT, &["--private-origins", "http://127.0.0.1:1"]);
    for from in [url.as_str(), "/out"] {
        assert_eq!(tried(&unnamed, from, json!({})).await, json!({ "error": "TypeError" }), "{from}");
    }
    assert_eq!(seen.count("/open"), 0);
    let named = Gateway::with_worker(redirects, SCRIPT, &["--private-origins", &format!("http://{address}")]);
    for from in [url.as_str(), "/out"] {
        assert_eq!(tried(&named, from, json!({})).await["text"], "GET /open", "{from}");
    }
}
