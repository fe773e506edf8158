//! What is stored comes back as it was. Section 10 of `spec/cache.md`.

use url::Url;

use super::support::{PLAIN, keys, of_kind, open, request, text};
use crate::{
    Destination, Referrer, RequestCache, RequestCredentials, RequestMode, RequestRedirect, Response, ResponseHead,
    ResponseType, Waystore,
};

super::case_list!(Case:
    e101_e150_a_request_keeps_every_field,
    e151_e152_filtered_headers_stay_filtered,
    e153_an_opaque_response_keeps_its_body,
    e154_e155_types_and_url_lists_survive,
    e156_a_made_response_keeps_status_and_text,
    e158_coding_headers_stay_as_received,
    e159_repeated_headers_are_kept,
    bodies_of_every_length_come_back,
);

async fn e101_e150_a_request_keeps_every_field(store: Waystore) {
    let cache = open(&store).await;
    let mut stored = request("/x#f", &[("a", "1")]);
    stored.mode = RequestMode::Navigate;
    stored.destination = Destination::Document;
    stored.credentials = RequestCredentials::Omit;
    stored.cache = RequestCache::Reload;
    stored.redirect = RequestRedirect::Manual;
    stored.referrer = Referrer::NoReferrer;
    stored.integrity = "sha256-abc".into();
    stored.keepalive = true;
    stored.is_reload_navigation = true;
    stored.is_history_navigation = true;
    cache.put(&stored, Response::new("1")).await.unwrap();
    let read = cache.keys((), PLAIN).await.unwrap();
    assert_eq!(read[0].head, stored.head);
    assert_eq!(keys(&cache).await, ["/x#f"]);
}

async fn e151_e152_filtered_headers_stay_filtered(store: Waystore) {
    let cache = open(&store).await;
    let headers = [("foo", "1"), ("bar", "2"), ("set-cookie", "a=b"), ("content-type", "text/plain")];
    cache.put("/basic", of_kind(ResponseType::Basic, 200, &headers, "1")).await.unwrap();
    let mut cors = of_kind(ResponseType::Cors, 200, &headers, "1");
    cors.exposed_headers = vec!["foo".into()];
    cache.put("/cors", cors).await.unwrap();
    let basic = cache.match_("/basic", PLAIN).await.unwrap().unwrap().visible_headers();
    assert!(basic.contains("foo") && basic.contains("bar") && !basic.contains("set-cookie"));
    let stored = cache.match_("/basic", PLAIN).await.unwrap().unwrap();
    assert_eq!((stored.kind, stored.url().unwrap().as_str()), (ResponseType::Basic, "https://b.test/r"));
    let cors = cache.match_("/cors", PLAIN).await.unwrap().unwrap();
    assert!(cors.visible_headers().contains("foo") && cors.visible_headers().contains("content-type"));
    assert!(!cors.visible_headers().contains("bar") && cors.headers.contains("bar"));
    let mut all = of_kind(ResponseType::Cors, 200, &headers, "1");
    // What `*` stands for is known when the response comes, and written out.
    all.exposed_headers = ["foo", "bar", "set-cookie", "content-type"].map(str::to_owned).to_vec();
    cache.put("/cors", all).await.unwrap();
    let all = cache.match_("/cors", PLAIN).await.unwrap().unwrap().visible_headers();
    assert!(all.contains("foo") && all.contains("bar") && !all.contains("set-cookie"));
}

async fn e153_an_opaque_response_keeps_its_body(store: Waystore) {
    let cache = open(&store).await;
    cache.put("/x", of_kind(ResponseType::Opaque, 200, &[("a", "1")], "image")).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert_eq!((stored.visible_status(), stored.url(), stored.visible_headers().is_empty()), (0, None, true));
    assert_eq!(text(stored).await, "image");
}

async fn e154_e155_types_and_url_lists_survive(store: Waystore) {
    let cache = open(&store).await;
    for kind in ResponseType::ALL {
        cache.put("/x", of_kind(*kind, 200, &[], "1")).await.unwrap();
        let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
        assert_eq!(stored.head, of_kind(*kind, 200, &[], "1").head);
        let status =
            if matches!(kind, ResponseType::Basic | ResponseType::Cors | ResponseType::Default) { 200 } else { 0 };
        assert_eq!(stored.visible_status(), status, "{kind}");
        // Of a redirect that was not followed the URL is shown; of what is opaque nothing is.
        assert_eq!(stored.url().is_none(), *kind == ResponseType::Opaque, "{kind}");
    }
    let url_list = ["https://a.test/x", "https://a.test/y#z"].map(|url| Url::parse(url).unwrap()).to_vec();
    let head = ResponseHead { kind: ResponseType::Basic, url_list, ..ResponseHead::with_status(200) };
    cache.put("/x", Response::from_parts(head, None)).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert!(stored.redirected());
    assert_eq!(stored.url().unwrap().as_str(), "https://a.test/y");
}

async fn e156_a_made_response_keeps_status_and_text(store: Waystore) {
    let cache = open(&store).await;
    let head = ResponseHead { status_text: "Odd".into(), ..ResponseHead::with_status(299) };
    cache.put("/x", Response::from_parts(head, Some("1".into()))).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert_eq!((stored.status, stored.visible_status_text()), (299, &b"Odd"[..]));
    assert_eq!((stored.kind, stored.url()), (ResponseType::Default, None));
}

async fn e158_coding_headers_stay_as_received(store: Waystore) {
    let cache = open(&store).await;
    cache.put("/x", Response::new("decoded").header("Content-Encoding", "gzip")).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert_eq!(stored.headers.get_text("content-encoding").unwrap(), "gzip");
    assert_eq!(text(stored).await, "decoded");
}

async fn e159_repeated_headers_are_kept(store: Waystore) {
    let cache = open(&store).await;
    cache.put("/x", Response::new("").header("X-A", "1").header("X-A", "2")).await.unwrap();
    let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert_eq!(stored.headers.get("x-a").unwrap(), b"1, 2");
}

async fn bodies_of_every_length_come_back(store: Waystore) {
    let cache = open(&store).await;
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 131_073, 1_000_000] {
        let body: String = (0..length).map(|index: usize| char::from(b'a' + (index % 23) as u8)).collect();
        cache.put("/x", Response::new(body.clone())).await.unwrap();
        let stored = cache.match_("/x", PLAIN).await.unwrap().unwrap();
        assert_eq!(stored.body.as_ref().unwrap().length(), Some(length as u64));
        assert!(text(stored).await == body, "{length} bytes");
    }
}
