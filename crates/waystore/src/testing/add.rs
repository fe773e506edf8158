//! `add` and `addAll`: what is fetched, what is refused, and that it is all or nothing. Section 7 of
//! `spec/cache.md`.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, channel::mpsc};
use url::Url;

use super::support::{
    Canned, PLAIN, failing, get, is_type_error, keys, matched, of_kind, open, put, request, response, with_method,
};
use crate::{AbortSignal, Body, Error, FetchError, Request, Response, ResponseHead, ResponseType, Waystore};

super::case_list!(Case:
    e102_e105_what_is_added_is_fetched_and_stored,
    e103_e104_e118_nothing_is_fetched_when_a_request_is_not_storable,
    e106_e110_statuses_outside_200_to_299_are_refused,
    e107_the_key_is_the_original_url,
    e108_e119_opaque_answers_are_refused,
    e109_one_failure_stores_nothing,
    e111_e112_e114_a_request_given_twice_is_refused,
    e113_variants_may_be_added_together,
    e115_the_earlier_responses_vary_decides,
    e116_a_refused_batch_leaves_what_was_there,
    e117_a_bad_scheme_stores_nothing,
    e120_an_aborted_request_stores_nothing,
    e121_a_star_in_vary_is_refused,
    e122_an_added_entry_is_there_when_its_body_is,
    e123_entries_come_in_the_order_of_the_arguments,
    e124_what_fails_its_integrity_is_not_added,
    a_body_that_fails_stores_nothing,
    adding_nothing_does_nothing,
);

fn ok(body: &'static str) -> impl Fn(&Request) -> Result<Response, FetchError> {
    move |_| Ok(Response::new(body))
}

fn status(status: u16) -> impl Fn(&Request) -> Result<Response, FetchError> {
    move |_| Ok(Response::from_parts(ResponseHead::with_status(status), Some("x".into())))
}

async fn e102_e105_what_is_added_is_fetched_and_stored(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/app/x", ok("1"));
    cache.add(&network, "./x").await.unwrap();
    cache.add(&network, "./x").await.unwrap();
    assert_eq!(get(&cache, "./x").await, "1");
    assert_eq!(keys(&cache).await, ["/app/x"]);
    assert_eq!(network.asked().len(), 2);
}

async fn e103_e104_e118_nothing_is_fetched_when_a_request_is_not_storable(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/a", ok("1"));
    assert!(is_type_error(&cache.add(&network, "javascript://x").await));
    assert!(is_type_error(&cache.add(&network, with_method("/a", "POST")).await));
    let both = [request("/a", &[]), with_method("/p", "PUT")];
    assert!(is_type_error(&cache.add_all(&network, both).await));
    assert!(network.asked().is_empty());
}

async fn e106_e110_statuses_outside_200_to_299_are_refused(store: Waystore) {
    let cache = open(&store).await;
    for refused in [404, 500, 206, 304] {
        let network = Canned::default().on("/x", status(refused));
        assert!(is_type_error(&cache.add(&network, "/x").await), "{refused}");
    }
    let refusing = Canned::default().on("/x", |_| Err(FetchError::Network("connection refused".into())));
    assert!(matches!(cache.add(&refusing, "/x").await, Err(Error::Fetch { .. })));
    assert!(keys(&cache).await.is_empty());
    cache.add(&Canned::default().on("/x", |_| Ok(Response::empty(204))), "/x").await.unwrap();
    assert_eq!(cache.match_("/x", PLAIN).await.unwrap().unwrap().status, 204);
}

async fn e107_the_key_is_the_original_url(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/x", |request| {
        let url_list = vec![request.url.clone(), Url::parse("https://a.test/y").unwrap()];
        let head = ResponseHead { kind: ResponseType::Basic, url_list, ..ResponseHead::with_status(200) };
        Ok(Response::from_parts(head, Some("1".into())))
    });
    cache.add(&network, "/x").await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert!(stored.redirected());
    assert_eq!(stored.url().unwrap().as_str(), "https://a.test/y");
    assert_eq!(get(&cache, "/y").await, "undef");
}

async fn e108_e119_opaque_answers_are_refused(store: Waystore) {
    let cache = open(&store).await;
    for kind in [ResponseType::Opaque, ResponseType::OpaqueRedirect, ResponseType::Error] {
        let network = Canned::default().on("/x", move |_| Ok(of_kind(kind, 200, &[], "1")));
        assert!(is_type_error(&cache.add(&network, "/x").await), "{kind}");
    }
}

async fn e109_one_failure_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/a", ok("a")).on("/b", ok("b"));
    assert!(is_type_error(&cache.add_all(&network, ["/a", "/missing", "/b"]).await));
    assert!(keys(&cache).await.is_empty());
}

async fn e111_e112_e114_a_request_given_twice_is_refused(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/a", ok("a")).on("/v", |_| Ok(response("v", "x-shape")));
    for urls in [["/a", "/a"], ["/a#1", "/a#2"]] {
        assert!(matches!(cache.add_all(&network, urls).await, Err(Error::Duplicate { .. })));
    }
    let circles = [request("/v", &[("x-shape", "circle")]), request("/v", &[("x-shape", "circle")])];
    assert!(matches!(cache.add_all(&network, circles).await, Err(Error::Duplicate { .. })));
    assert!(keys(&cache).await.is_empty());
}

async fn e113_variants_may_be_added_together(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/v", |_| Ok(response("v", "x-shape")));
    let shapes = ["circle", "square"].map(|shape| request("/v", &[("x-shape", shape)]));
    cache.add_all(&network, shapes).await.unwrap();
    assert_eq!(keys(&cache).await.len(), 2);
}

async fn e115_the_earlier_responses_vary_decides(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/v", |request| {
        let circle = request.headers.get("shape").as_deref() == Some(b"circle");
        Ok(response("v", if circle { "shape" } else { "size" }))
    });
    let circle = || request("/v", &[("shape", "circle"), ("size", "big")]);
    let square = || request("/v", &[("shape", "square"), ("size", "big")]);
    let refused = cache.add_all(&network, [square(), circle()]).await;
    assert!(matches!(refused, Err(Error::Duplicate { .. })));
    cache.add_all(&network, [circle(), square()]).await.unwrap();
}

async fn e116_a_refused_batch_leaves_what_was_there(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/a", "old").await;
    put(&cache, "/b", "later").await;
    let network = Canned::default().on("/a", ok("new"));
    assert!(matches!(cache.add_all(&network, ["/a", "/a#x"]).await, Err(Error::Duplicate { .. })));
    assert_eq!(get(&cache, "/a").await, "old");
    assert_eq!(keys(&cache).await, ["/a", "/b"]);
}

async fn e117_a_bad_scheme_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/a", ok("a"));
    assert!(is_type_error(&cache.add_all(&network, ["/a", "ftp://x/"]).await));
    assert!(keys(&cache).await.is_empty());
}

async fn e120_an_aborted_request_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    let aborted = AbortSignal::new();
    aborted.abort();
    let before = Request { signal: Some(aborted), ..request("/x", &[]) };
    let network = Canned::default().on("/x", ok("1"));
    assert!(matches!(cache.add(&network, before).await, Err(Error::Aborted)));
    assert!(network.asked().is_empty());

    let signal = Arc::new(AbortSignal::new());
    let (sender, receiver) = mpsc::unbounded::<Bytes>();
    sender.unbounded_send("half".into()).unwrap();
    let body = std::sync::Mutex::new(Some(Body::from_stream(receiver.map(Ok), None)));
    let network = Canned::default().on("/x", move |_| Ok(Response::new(body.lock().unwrap().take().unwrap())));
    let during = Request { signal: Some((*signal).clone()), ..request("/x", &[]) };
    let (added, ()) = futures::join!(cache.add(&network, during), async { signal.abort() });
    assert!(matches!(added, Err(Error::Aborted)));
    assert!(keys(&cache).await.is_empty());
}

async fn e121_a_star_in_vary_is_refused(store: Waystore) {
    let cache = open(&store).await;
    for vary in ["*", "a, *"] {
        let network = Canned::default().on("/x", move |_| Ok(response("1", vary)));
        assert!(is_type_error(&cache.add(&network, "/x").await));
    }
}

async fn e122_an_added_entry_is_there_when_its_body_is(store: Waystore) {
    let cache = open(&store).await;
    let (sender, receiver) = mpsc::unbounded::<Bytes>();
    let body = std::sync::Mutex::new(Some(Body::from_stream(receiver.map(Ok), None)));
    let network = Canned::default().on("/slow", move |_| Ok(Response::new(body.lock().unwrap().take().unwrap())));
    let mut adding = Box::pin(cache.add(&network, "/slow"));
    for _ in 0..10 {
        sender.unbounded_send("x".repeat(20_000).into()).unwrap();
        assert!(futures::poll!(&mut adding).is_pending());
        assert_eq!(get(&cache, "/slow").await, "undef");
    }
    drop(sender);
    adding.await.unwrap();
    assert_eq!(get(&cache, "/slow").await.len(), 200_000);
}

async fn e123_entries_come_in_the_order_of_the_arguments(store: Waystore) {
    let cache = open(&store).await;
    let (sender, receiver) = mpsc::unbounded::<Bytes>();
    let slow = std::sync::Mutex::new(Some(Body::from_stream(receiver.map(Ok), None)));
    let sender = std::sync::Mutex::new(Some(sender));
    let network = Canned::default().on("/b", move |_| Ok(Response::new(slow.lock().unwrap().take().unwrap()))).on(
        "/a",
        move |_| {
            drop(sender.lock().unwrap().take());
            Ok(Response::new("a"))
        },
    );
    cache.add_all(&network, ["/b", "/a"]).await.unwrap();
    assert_eq!(keys(&cache).await, ["/b", "/a"]);
}

async fn e124_what_fails_its_integrity_is_not_added(store: Waystore) {
    let cache = open(&store).await;
    // Checking is the network's part: it is told what to check, and its answer counts.
    let network = Canned::default().on("/x", |request| match request.integrity.as_str() {
        "sha256-right" => Ok(Response::new("1")),
        _ => Err(FetchError::Network("the body is not what its digest says".into())),
    });
    let with = |integrity: &str| {
        let mut request = request("/x", &[]);
        request.integrity = integrity.into();
        request
    };
    assert!(matches!(cache.add(&network, with("sha256-wrong")).await, Err(Error::Fetch { .. })));
    assert!(keys(&cache).await.is_empty());
    cache.add(&network, with("sha256-right")).await.unwrap();
    assert_eq!(get(&cache, "/x").await, "1");
}

async fn a_body_that_fails_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    let network = Canned::default().on("/x", |_| Ok(Response::new(failing(&["half"]))));
    assert!(matches!(cache.add(&network, "/x").await, Err(Error::Body(_))));
    assert_eq!(matched(&cache, request("/x", &[]), PLAIN).await, "undef");
}

async fn adding_nothing_does_nothing(store: Waystore) {
    let cache = open(&store).await;
    cache.add_all(&Canned::default(), Vec::<&str>::new()).await.unwrap();
    assert!(keys(&cache).await.is_empty());
}
