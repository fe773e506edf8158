//! Walking over what a cache holds.

use std::time::{Duration, SystemTime};

use futures::TryStreamExt;

use super::support::{PLAIN, caches, of_kind, open, put, request, text};
use crate::{Body, Cache, CredentialHash, EmbedderPolicy, EntryRange, Response, ResponseType, Waystore};

super::case_list!(Case:
    a_walk_gives_every_entry_once_and_in_order,
    a_walk_under_a_prefix_gives_what_starts_like_it,
    a_walk_goes_on_where_an_earlier_one_ended,
    a_walk_minds_what_changes_ahead_of_it,
    an_entry_tells_of_itself_without_its_body,
    an_entry_tells_how_often_look_ups_answered_with_it_and_when_last,
    a_walk_shows_what_belongs_to_a_visitor_and_keeps_what_a_policy_keeps,
);

async fn urls(cache: &Cache, range: &EntryRange) -> Vec<String> {
    let entries = cache.entries(range).unwrap().into_stream();
    let entries: Vec<_> = entries.try_collect().await.unwrap();
    entries.iter().map(|entry| entry.url().trim_start_matches("https://a.test").to_owned()).collect()
}

async fn a_walk_gives_every_entry_once_and_in_order(store: Waystore) {
    let cache = open(&store).await;
    assert!(urls(&cache, &EntryRange::all()).await.is_empty());
    let pairs = (0..600).map(|number| (request(&format!("/{number}"), &[]), Response::new("x")));
    cache.put_all(pairs.collect::<Vec<_>>()).await.unwrap();
    put(&cache, "/3", "again").await;
    let expected: Vec<_> =
        (0..600).filter(|number| *number != 3).chain([3]).map(|number| format!("/{number}")).collect();
    assert_eq!(urls(&cache, &EntryRange::all()).await, expected);
}

async fn a_walk_under_a_prefix_gives_what_starts_like_it(store: Waystore) {
    let cache = open(&store).await;
    for url in ["/app/x", "/app/x?q", "/app", "/apple", "/b?to=https://d.test/", "https://c.test/app/x"] {
        put(&cache, url, "1").await;
    }
    assert_eq!(urls(&cache, &EntryRange::all().under("/app/")).await, ["/app/x", "/app/x?q"]);
    assert_eq!(urls(&cache, &EntryRange::all().under("./x?")).await, ["/app/x?q"]);
    assert_eq!(urls(&cache, &EntryRange::all().under("/app")).await, ["/app/x", "/app/x?q", "/app", "/apple"]);
    assert_eq!(urls(&cache, &EntryRange::all().under("https://c.")).await, ["https://c.test/app/x"]);
    assert_eq!(urls(&cache, &EntryRange::all().under("/b?to=https://d")).await, ["/b?to=https://d.test/"]);
    assert!(urls(&cache, &EntryRange::all().under("/none")).await.is_empty());
}

async fn a_walk_goes_on_where_an_earlier_one_ended(store: Waystore) {
    let cache = open(&store).await;
    for number in 0..10 {
        put(&cache, &format!("/{number}"), "1").await;
    }
    let mut walk = cache.entries(&EntryRange::all()).unwrap();
    let mut last = walk.next().await.unwrap().unwrap();
    for _ in 0..4 {
        last = walk.next().await.unwrap().unwrap();
    }
    cache.delete(last.url(), PLAIN).await.unwrap();
    assert_eq!(urls(&cache, &EntryRange::all().after(last.id())).await, ["/5", "/6", "/7", "/8", "/9"]);
}

async fn a_walk_minds_what_changes_ahead_of_it(store: Waystore) {
    let cache = open(&store).await;
    let pairs = (0..600).map(|number| (request(&format!("/{number}"), &[]), Response::new("x")));
    cache.put_all(pairs.collect::<Vec<_>>()).await.unwrap();
    let mut walk = cache.entries(&EntryRange::all()).unwrap();
    assert_eq!(walk.next().await.unwrap().unwrap().url(), "https://a.test/0");
    cache.delete("/599", PLAIN).await.unwrap();
    put(&cache, "/new", "1").await;
    let rest: Vec<_> = walk.into_stream().try_collect().await.unwrap();
    assert_eq!(rest.len(), 599);
    assert_eq!(rest.last().unwrap().url(), "https://a.test/new");
}

async fn an_entry_tells_of_itself_without_its_body(store: Waystore) {
    let cache = open(&store).await;
    cache.put(request("/x#f", &[("a", "1")]), Response::new("hello").header("b", "2")).await.unwrap();
    cache.put("/null", Response::empty(204)).await.unwrap();
    cache.put("/long", Response::new(Body::from(vec![7; 100_000]))).await.unwrap();
    let mut walk = cache.entries(&EntryRange::all()).unwrap();
    let small = walk.next().await.unwrap().unwrap();
    assert_eq!((small.url(), small.status(), small.body_length()), ("https://a.test/x#f", 200, Some(5)));
    assert_eq!(small.request().unwrap().headers.get_text("a").unwrap(), "1");
    assert_eq!(small.response_headers().get_text("b").unwrap(), "2");
    assert!(small.stored_at() >= SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let null = walk.next().await.unwrap().unwrap();
    assert_eq!((null.status(), null.body_length()), (204, None));
    let long = walk.next().await.unwrap().unwrap();
    assert!(long.id() > null.id());
    assert_eq!(long.body_length(), Some(100_000));
    assert_eq!(text(long.response().unwrap()).await.len(), 100_000);
    assert!(walk.next().await.unwrap().is_none());
    assert!(walk.next().await.unwrap().is_none());
}

async fn an_entry_tells_how_often_look_ups_answered_with_it_and_when_last(store: Waystore) {
    let cache = open(&store).await;
    let pairs = (0..600).map(|number| (request(&format!("/{number}"), &[]), Response::new("x")));
    cache.put_all(pairs.collect::<Vec<_>>()).await.unwrap();
    for number in [0, 300, 300, 599] {
        assert!(cache.match_(format!("/{number}"), PLAIN).await.unwrap().is_some());
    }
    assert!(caches(&store).match_("/300#f", PLAIN).await.unwrap().is_some());
    // These answer with nothing, or with everything.
    assert!(cache.match_("/none", PLAIN).await.unwrap().is_none());
    assert_eq!(cache.match_all("/1", PLAIN).await.unwrap().len(), 1);
    assert_eq!(cache.keys("/1", PLAIN).await.unwrap().len(), 1);
    let entries: Vec<_> = cache.entries(&EntryRange::all()).unwrap().into_stream().try_collect().await.unwrap();
    for (number, entry) in entries.iter().enumerate() {
        let hits =
            [(0, 1), (300, 3), (599, 1)].into_iter().find(|(used, _)| *used == number).map_or(0, |(_, hits)| hits);
        assert_eq!((entry.hits(), entry.last_used().is_some()), (hits, hits > 0), "{number}");
        assert!(
            entry.last_used().is_none_or(|last| last > SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_999_900))
        );
    }
    put(&cache, "/300", "again").await;
    let after = cache.entries(&EntryRange::all().under("/300")).unwrap().next().await.unwrap().unwrap();
    assert_eq!((after.hits(), after.last_used()), (0, None));
}

async fn a_walk_shows_what_belongs_to_a_visitor_and_keeps_what_a_policy_keeps(store: Waystore) {
    let cache = caches(&store).with_embedder_policy(EmbedderPolicy::RequireCorp).open("c").await.unwrap();
    let mut personal = Response::new("anna's");
    personal.personal = Some(CredentialHash([1; 16]));
    cache.put("/me", personal).await.unwrap();
    cache.put("/image", of_kind(ResponseType::Opaque, 200, &[], "image")).await.unwrap();
    let entries: Vec<_> = cache.entries(&EntryRange::all()).unwrap().into_stream().try_collect().await.unwrap();
    assert_eq!(entries[0].personal(), Some(CredentialHash([1; 16])));
    assert_eq!(text(entries[0].response().unwrap()).await, "anna's");
    assert_eq!(entries[1].kind(), ResponseType::Opaque);
    assert!(entries[1].response().is_err());
}
