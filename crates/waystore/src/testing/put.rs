//! What `put` refuses, replaces and keeps. Section 6 of `spec/cache.md`.

use bytes::Bytes;
use futures::{SinkExt, StreamExt, channel::mpsc};

use super::support::{
    PLAIN, all, failing, get, is_type_error, keys, matched, of_kind, open, put, request, response, with_method,
};
use crate::{
    AbortSignal, Body, BodyError, CredentialHash, Error, Response, ResponseHead, ResponseType, Visitor, Waystore,
};

super::case_list!(Case:
    e40_e77_only_http_urls_are_stored,
    e76_e92_what_is_put_is_matched_and_replaced,
    e78_only_get_is_stored,
    e79_e80_a_206_is_refused_and_other_statuses_are_not,
    e81_a_star_in_vary_is_refused,
    e85_e86_e157_a_null_body_stays_null,
    e88_a_body_that_fails_stores_nothing,
    a_body_that_ends_before_its_length_stores_nothing,
    e90_e91_errors_and_redirects_are_storable,
    e93_the_fragment_of_the_latest_put_is_kept,
    e94_an_aborted_request_is_stored_all_the_same,
    e95_a_body_whose_fetch_is_aborted_is_refused,
    e97_keys_may_be_of_any_origin,
    e99_a_body_under_way_is_not_seen,
    e100_an_opaque_206_or_vary_is_accepted,
    e169_the_put_that_ends_last_wins,
    e170_a_match_beside_a_put_finds_it_or_nothing,
    set_cookie_is_never_stored,
    a_personal_entry_is_for_its_visitor_only,
    a_personal_entry_displaces_no_shared_one,
    an_entry_of_an_event_is_for_that_event_only,
);

async fn e40_e77_only_http_urls_are_stored(store: Waystore) {
    let cache = open(&store).await;
    for url in ["data:text/plain,hi", "ftp://a.test/x", "blob:https://a.test/1", "about:blank"] {
        assert!(is_type_error(&cache.put(url, response("1", "")).await), "{url}");
    }
}

async fn e76_e92_what_is_put_is_matched_and_replaced(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "old").await;
    assert_eq!(get(&cache, "/x").await, "old");
    put(&cache, "/x", "new").await;
    assert_eq!(get(&cache, "/x").await, "new");
    assert_eq!(keys(&cache).await, ["/x"]);
}

async fn e78_only_get_is_stored(store: Waystore) {
    let cache = open(&store).await;
    for method in ["HEAD", "POST", "get"] {
        let refused = response("1", "");
        // What is refused is known before its body is touched.
        assert!(is_type_error(&cache.check_put(with_method("/x", method), &refused.head)), "{method}");
        assert!(is_type_error(&cache.put(with_method("/x", method), refused).await), "{method}");
    }
    assert!(keys(&cache).await.is_empty());
}

async fn e79_e80_a_206_is_refused_and_other_statuses_are_not(store: Waystore) {
    let cache = open(&store).await;
    let with_status = |status| Response::from_parts(ResponseHead::with_status(status), Some("1".into()));
    assert!(is_type_error(&cache.put("/x", with_status(206)).await));
    for status in [416, 404, 500, 301, 304] {
        cache.put("/x", with_status(status)).await.unwrap();
        assert_eq!(cache.match_("/x", PLAIN).await.unwrap().unwrap().status, status);
    }
}

async fn e81_a_star_in_vary_is_refused(store: Waystore) {
    let cache = open(&store).await;
    for vary in ["*", "a , *", "Accept-Language,*"] {
        assert!(is_type_error(&cache.put("/x", response("1", vary)).await), "{vary}");
    }
    cache.put("/x", response("1", "a*b")).await.unwrap();
}

async fn e85_e86_e157_a_null_body_stays_null(store: Waystore) {
    let cache = open(&store).await;
    cache.put("/null", Response::empty(204)).await.unwrap();
    cache.put("/empty", Response::new("")).await.unwrap();
    assert!(cache.match_("/null", PLAIN).await.unwrap().unwrap().body.is_none());
    assert!(cache.match_("/empty", PLAIN).await.unwrap().unwrap().body.is_some());
    assert_eq!(get(&cache, "/empty").await, "");
}

async fn e88_a_body_that_fails_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "before").await;
    let result = cache.put("/x", Response::new(failing(&["a", "b", "c"]))).await;
    assert!(matches!(result, Err(Error::Body(BodyError::Failed(error))) if error.to_string() == "the source broke"));
    assert_eq!(get(&cache, "/x").await, "before");
}

async fn a_body_that_ends_before_its_length_stores_nothing(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "before").await;
    let chunks = futures::stream::iter([Ok(Bytes::from("half"))]);
    let result = cache.put("/x", Response::new(Body::from_stream(chunks, Some(8)))).await;
    assert!(
        matches!(result, Err(Error::Body(BodyError::Failed(error))) if error.to_string() == "it ended 4 bytes early")
    );
    assert_eq!(get(&cache, "/x").await, "before");
}

async fn e90_e91_errors_and_redirects_are_storable(store: Waystore) {
    let cache = open(&store).await;
    cache.put("/e", Response::error()).await.unwrap();
    let error = cache.match_("/e", PLAIN).await.unwrap().unwrap();
    assert_eq!((error.kind, error.status, error.headers.is_empty()), (ResponseType::Error, 0, true));
    cache.put("/r", Response::empty(302).header("Location", "http://e.test/y")).await.unwrap();
    let redirect = cache.match_("/r", PLAIN).await.unwrap().unwrap();
    assert_eq!(redirect.status, 302);
    assert_eq!(redirect.headers.get_text("location").unwrap(), "http://e.test/y");
}

async fn e93_the_fragment_of_the_latest_put_is_kept(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x#a", "1").await;
    put(&cache, "/x#b", "2").await;
    assert_eq!(keys(&cache).await, ["/x#b"]);
}

async fn e94_an_aborted_request_is_stored_all_the_same(store: Waystore) {
    let cache = open(&store).await;
    let signal = AbortSignal::new();
    signal.abort();
    let mut aborted = request("/x", &[]);
    aborted.signal = Some(signal);
    cache.put(aborted, response("1", "")).await.unwrap();
    assert_eq!(get(&cache, "/x").await, "1");
}

async fn e95_a_body_whose_fetch_is_aborted_is_refused(store: Waystore) {
    let cache = open(&store).await;
    let body = Body::from_stream(futures::stream::iter([Ok("a".into()), Err(BodyError::Aborted)]), None);
    assert!(matches!(cache.put("/x", Response::new(body)).await, Err(Error::Aborted)));
    assert_eq!(get(&cache, "/x").await, "undef");
}

async fn e97_keys_may_be_of_any_origin(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "https://b.test/x", "1").await;
    assert_eq!(get(&cache, "https://b.test/x").await, "1");
}

async fn e99_a_body_under_way_is_not_seen(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "before").await;
    let (mut sender, receiver) = mpsc::channel::<Bytes>(0);
    let body = Body::from_stream(receiver.map(Ok), None);
    let pending = cache.put("/x", Response::new(body));
    let writer = async {
        for _ in 0..40 {
            sender.send(vec![b'n'; 8 * 1024].into()).await.unwrap();
            assert_eq!(get(&cache, "/x").await, "before");
        }
        drop(sender);
    };
    let (put, ()) = futures::join!(pending, writer);
    put.unwrap();
    assert_eq!(get(&cache, "/x").await.len(), 40 * 8 * 1024);
}

async fn e100_an_opaque_206_or_vary_is_accepted(store: Waystore) {
    let cache = open(&store).await;
    cache.put("/x", of_kind(ResponseType::Opaque, 206, &[("vary", "*")], "1")).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert_eq!((stored.kind, stored.visible_status(), stored.status), (ResponseType::Opaque, 0, 206));
}

async fn e169_the_put_that_ends_last_wins(store: Waystore) {
    let cache = open(&store).await;
    let (sender, receiver) = mpsc::channel::<Bytes>(0);
    let slow = Body::from_stream(receiver.map(Ok), None);
    let second = async {
        put(&cache, "/x", "2").await;
        let mut sender = sender;
        sender.send("1".into()).await.unwrap();
    };
    let (first, ()) = futures::join!(cache.put("/x", Response::new(slow)), second);
    first.unwrap();
    assert_eq!(all(&cache, (), PLAIN).await, ["1"]);
}

async fn e170_a_match_beside_a_put_finds_it_or_nothing(store: Waystore) {
    let cache = open(&store).await;
    for long in ["1".to_owned(), "1".repeat(200_000)] {
        let asked = request("/x", &[]);
        let (put, beside) = futures::join!(
            cache.put("/x", Response::new(Body::from_stream(futures::stream::iter([Ok(long.clone().into())]), None))),
            matched(&cache, asked, PLAIN)
        );
        put.unwrap();
        assert!(beside == "undef" || beside == long);
        assert!(get(&cache, "/x").await == long);
        assert!(cache.delete("/x", PLAIN).await.unwrap());
    }
}

async fn set_cookie_is_never_stored(store: Waystore) {
    let cache = open(&store).await;
    let headers = [("Set-Cookie", "a=b"), ("x", "1")];
    cache.put("/x", of_kind(ResponseType::Basic, 200, &headers, "1")).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert!(!stored.headers.contains("set-cookie") && stored.headers.contains("x"));
}

const ANNA: CredentialHash = CredentialHash([1; 16]);
const BEN: CredentialHash = CredentialHash([2; 16]);

fn asked_by(credentials: Option<CredentialHash>, event: u8) -> crate::Request {
    let visitor = Some(Visitor { credentials, event: CredentialHash([event; 16]) });
    crate::Request { visitor, ..request("/x", &[]) }
}

fn personal(body: &str, hash: CredentialHash) -> Response {
    let mut response = response(body, "");
    response.personal = Some(hash);
    response
}

async fn a_personal_entry_is_for_its_visitor_only(store: Waystore) {
    let cache = open(&store).await;
    cache.put(asked_by(Some(ANNA), 10), personal("anna's", ANNA)).await.unwrap();
    cache.put(asked_by(Some(BEN), 11), personal("ben's", BEN)).await.unwrap();
    assert_eq!(matched(&cache, asked_by(Some(ANNA), 12), PLAIN).await, "anna's");
    assert_eq!(matched(&cache, asked_by(Some(BEN), 13), PLAIN).await, "ben's");
    assert_eq!(matched(&cache, asked_by(None, 14), PLAIN).await, "undef");
    assert_eq!(get(&cache, "/x").await, "undef");
    assert!(all(&cache, (), PLAIN).await.is_empty());
    assert_eq!(keys(&cache).await, ["/x", "/x"]);
    cache.put(asked_by(Some(ANNA), 15), personal("anna's new", ANNA)).await.unwrap();
    assert_eq!(keys(&cache).await.len(), 2);
    assert!(cache.delete("/x", PLAIN).await.unwrap());
    assert!(keys(&cache).await.is_empty());
}

async fn a_personal_entry_displaces_no_shared_one(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "shared").await;
    cache.put(asked_by(Some(ANNA), 10), personal("anna's", ANNA)).await.unwrap();
    assert_eq!(matched(&cache, asked_by(Some(ANNA), 11), PLAIN).await, "anna's");
    assert_eq!(matched(&cache, asked_by(Some(BEN), 12), PLAIN).await, "shared");
    cache.put(asked_by(Some(ANNA), 13), response("for all", "")).await.unwrap();
    assert_eq!(matched(&cache, asked_by(Some(ANNA), 14), PLAIN).await, "for all");
    assert_eq!(keys(&cache).await.len(), 1);
}

async fn an_entry_of_an_event_is_for_that_event_only(store: Waystore) {
    let cache = open(&store).await;
    cache.put(asked_by(None, 10), personal("once", CredentialHash([10; 16]))).await.unwrap();
    assert_eq!(matched(&cache, asked_by(None, 10), PLAIN).await, "once");
    assert_eq!(matched(&cache, asked_by(None, 11), PLAIN).await, "undef");
}
