//! What other origins are asked, told, and have to consent to.

use std::{sync::Arc, time::Instant};

use http::Method;
use waystore::{
    Body, CredentialHash, Referrer, ReferrerPolicy, RequestCredentials, RequestMode, ResponseType, Visitor,
};

use super::{Asked, World, answer, get, text};
use crate::fetch::hidden::Hidden;

const OPEN: (&str, &str) = ("access-control-allow-origin", "*");
const TO_SHOP: (&str, &str) = ("access-control-allow-origin", "http://shop.example");

/// A request that needs consent beforehand.
fn put(url: &str) -> waystore::Request {
    let mut request = get(url).header("X-A", "1");
    request.method = Method::PUT;
    request.body = Some(Body::from("body"));
    request
}

fn grants(asked: &Asked) -> super::Answer {
    let headers = [TO_SHOP, ("access-control-allow-methods", "PUT"), ("access-control-allow-headers", "x-a")];
    answer(if asked.method == Method::OPTIONS { 204 } else { 200 }, &headers)
}

#[tokio::test]
async fn another_origin_is_told_who_asks_and_has_to_consent() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/open" => answer(200, &[OPEN]),
        _ => answer(200, &[]),
    })
    .await;
    let open = world.fetch(get("http://cdn.example/open")).await.unwrap();
    assert_eq!((open.kind, open.visible_status()), (ResponseType::Cors, 200));
    assert_eq!(world.last("/open").header("origin"), "http://shop.example");
    let error = world.fetch(get("http://cdn.example/closed")).await.unwrap_err().to_string();
    assert!(error.contains("http://cdn.example/closed") && error.contains("Access-Control-Allow-Origin"), "{error}");
}

#[tokio::test]
async fn the_own_origin_needs_no_consent() {
    let world = World::new(|_| answer(200, &[])).await;
    let own = world.fetch(put("http://shop.example/x")).await.unwrap();
    assert_eq!(own.kind, ResponseType::Basic);
    assert_eq!(world.asked(), ["PUT shop.example/x"]);
}

#[tokio::test]
async fn what_no_form_could_send_is_asked_about_first() {
    let world = World::new(grants).await;
    assert_eq!(world.fetch(put("http://cdn.example/x")).await.unwrap().kind, ResponseType::Cors);
    let preflight = world.log.lock().unwrap()[0].clone();
    assert_eq!(preflight.method, Method::OPTIONS);
    let said = ["origin", "access-control-request-method", "access-control-request-headers", "x-a", "accept"];
    assert_eq!(said.map(|name| preflight.header(name)), ["http://shop.example", "PUT", "x-a", "-", "*/*"]);
    assert!(preflight.body.is_empty());
    assert_eq!(world.last("/x").body, "body");
    assert_eq!(world.asked(), ["OPTIONS cdn.example/x", "PUT cdn.example/x"]);
}

#[tokio::test]
async fn a_consent_is_asked_for_again_when_its_time_is_over() {
    let world = World::new(grants).await;
    for (seconds, asked) in [(0, 2), (4, 1), (5, 2)] {
        world.clock.set(1_000_000 + seconds * 1000);
        world.fetch(put("http://cdn.example/x")).await.unwrap();
        assert_eq!(world.asked().len(), asked, "after {seconds} seconds");
    }
    world.fetch(put("http://cdn.example/other")).await.unwrap();
    assert_eq!(world.asked().len(), 2, "another URL");
}

#[tokio::test]
async fn what_is_not_consented_to_is_never_sent() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/no-origin" => {
            answer(204, &[("access-control-allow-methods", "PUT"), ("access-control-allow-headers", "x-a")])
        }
        "/no-method" => answer(204, &[TO_SHOP, ("access-control-allow-headers", "x-a")]),
        "/no-header" => answer(204, &[TO_SHOP, ("access-control-allow-methods", "PUT")]),
        "/moved" => answer(302, &[TO_SHOP, ("location", "/elsewhere")]),
        _ => answer(404, &[TO_SHOP, ("access-control-allow-methods", "*"), ("access-control-allow-headers", "*")]),
    })
    .await;
    for path in ["/no-origin", "/no-method", "/no-header", "/moved", "/missing"] {
        assert!(world.fetch(put(&format!("http://cdn.example{path}"))).await.is_err(), "{path}");
        assert_eq!(world.asked(), [format!("OPTIONS cdn.example{path}")]);
    }
}

#[tokio::test]
async fn a_consent_that_proves_wrong_is_forgotten() {
    let world = World::new(|asked| match asked.method {
        Method::OPTIONS => grants(asked),
        _ => answer(200, &[]),
    })
    .await;
    for _ in 0..2 {
        assert!(world.fetch(put("http://cdn.example/x")).await.is_err());
        assert_eq!(world.asked(), ["OPTIONS cdn.example/x", "PUT cdn.example/x"]);
    }
}

#[tokio::test]
async fn a_redirect_by_another_origin_needs_its_consent_and_hides_who_asked() {
    let world = World::new(|asked| match (asked.host.as_str(), asked.path.as_str()) {
        ("shop.example", "/out") => answer(302, &[("location", "http://cdn.example/on")]),
        ("cdn.example", "/on") => answer(302, &[OPEN, ("location", "http://third.example/end")]),
        ("cdn.example", "/back") => answer(302, &[OPEN, ("location", "http://shop.example/home")]),
        ("cdn.example", "/closed") => answer(302, &[("location", "http://shop.example/home")]),
        _ => answer(200, &[("access-control-allow-origin", "null")]),
    })
    .await;
    let end = world.fetch(get("http://shop.example/out")).await.unwrap();
    assert_eq!((end.kind, end.url().unwrap().as_str()), (ResponseType::Cors, "http://third.example/end"));
    assert_eq!(world.last("/on").header("origin"), "http://shop.example");
    assert_eq!(world.last("/end").header("origin"), "null");
    let back = world.fetch(get("http://cdn.example/back")).await.unwrap();
    assert_eq!(back.kind, ResponseType::Cors);
    assert_eq!(world.last("/home").header("origin"), "null");
    assert!(world.fetch(get("http://cdn.example/closed")).await.is_err());
}

#[tokio::test]
async fn f77_authorization_is_not_sent_on_to_another_origin() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/out" => answer(302, &[("location", "http://cdn.example/in")]),
        _ => answer(200, &[OPEN]),
    })
    .await;
    world.fetch(get("http://shop.example/out").header("Authorization", "secret")).await.unwrap();
    assert_eq!(
        (world.last("/out").header("authorization"), world.last("/in").header("authorization")),
        ("secret", "-")
    );
    assert_eq!(world.asked(), ["GET shop.example/out", "GET cdn.example/in"]);
}

#[tokio::test]
async fn without_cors_another_origins_response_is_opaque() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/own" => answer(200, &[("cross-origin-resource-policy", "same-origin")]),
        "/site" => answer(200, &[("cross-origin-resource-policy", "same-site")]),
        _ => answer(200, &[("x-a", "1")]),
    })
    .await;
    let fetch = async |url: &str| {
        let mut request = get(url);
        request.mode = RequestMode::NoCors;
        world.fetch(request).await
    };
    let opaque = fetch("http://cdn.example/x").await.unwrap();
    assert_eq!((opaque.kind, opaque.visible_status(), opaque.url()), (ResponseType::Opaque, 0, None));
    assert!(opaque.visible_headers().is_empty());
    assert_eq!(world.last("/x").header("origin"), "-");
    assert_eq!(text(opaque).await, "status 200");
    assert!(fetch("http://cdn.example/own").await.is_err());
    assert!(fetch("http://cdn.example/site").await.is_err());
    assert_eq!(fetch("http://img.shop.example/site").await.unwrap().kind, ResponseType::Opaque);
    assert_eq!(fetch("http://shop.example/own").await.unwrap().kind, ResponseType::Basic);
}

#[tokio::test]
async fn where_all_are_trusted_nobody_is_asked_and_everything_shows() {
    let world = World::with(true, |_| answer(200, &[("x-a", "1")])).await;
    let response = world.fetch(put("http://cdn.example/x")).await.unwrap();
    assert_eq!(response.kind, ResponseType::Cors);
    assert!(response.visible_headers().contains("x-a"));
    assert_eq!(world.asked(), ["PUT cdn.example/x"]);
}

/// A request of a visitor with a cookie.
fn of_visitor(world: &World, url: &str) -> waystore::Request {
    let visitor = Visitor { credentials: Some(CredentialHash([1; 16])), event: CredentialHash([2; 16]) };
    let hidden = Hidden { headers: [("cookie", "sid=1")].into_iter().collect(), forwarded_for: String::new() };
    world.network.parts().events.hold(visitor.event, Arc::new(hidden), Instant::now());
    waystore::Request { visitor: Some(visitor), ..get(url) }
}

#[tokio::test]
async fn cookies_never_go_to_another_origin_nor_home_again_by_way_of_one() {
    let world = World::new(|asked| match (asked.host.as_str(), asked.path.as_str()) {
        ("shop.example", "/out") => answer(302, &[("location", "http://cdn.example/back")]),
        (_, "/back") => answer(
            302,
            &[TO_SHOP, ("access-control-allow-credentials", "true"), ("location", "http://shop.example/home")],
        ),
        _ => answer(
            200,
            &[
                ("access-control-allow-origin", "null"),
                ("access-control-allow-credentials", "true"),
                ("set-cookie", "sid=2"),
            ],
        ),
    })
    .await;
    for credentials in [RequestCredentials::SameOrigin, RequestCredentials::Include] {
        let mut request = of_visitor(&world, "http://shop.example/out");
        request.credentials = credentials;
        let response = world.fetch(request).await.unwrap();
        assert!(!response.headers.contains("set-cookie"), "{credentials:?}");
        let cookies = ["/out", "/back", "/home"].map(|path| world.last(path).header("cookie").to_owned());
        assert_eq!(cookies, ["sid=1", "-", "-"], "{credentials:?}");
    }
}

#[tokio::test]
async fn a_referrer_says_as_much_as_its_policy_and_no_more_after_a_redirect() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/out" => answer(302, &[("referrer-policy", "no-referrer"), ("location", "/quiet")]),
        _ => answer(200, &[OPEN]),
    })
    .await;
    let from = |url: &str, policy| {
        let mut request = get(url);
        request.referrer = Referrer::Url(Box::new(url::Url::parse("http://shop.example/sw.js").unwrap()));
        request.referrer_policy = policy;
        request
    };
    world.fetch(from("http://shop.example/own", ReferrerPolicy::Empty)).await.unwrap();
    assert_eq!(world.last("/own").header("referer"), "http://shop.example/sw.js");
    world.fetch(from("http://cdn.example/other", ReferrerPolicy::Empty)).await.unwrap();
    assert_eq!(world.last("/other").header("referer"), "http://shop.example/");
    world.fetch(from("http://cdn.example/none", ReferrerPolicy::SameOrigin)).await.unwrap();
    assert_eq!(world.last("/none").header("referer"), "-");
    world.fetch(from("http://shop.example/out", ReferrerPolicy::Empty)).await.unwrap();
    assert_eq!(world.last("/out").header("referer"), "http://shop.example/sw.js");
    assert_eq!(world.last("/quiet").header("referer"), "-");
}
