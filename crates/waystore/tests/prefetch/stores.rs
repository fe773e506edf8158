//! What is fetched, what is stored, and what the rows and events say of it.

use std::sync::atomic::{AtomicU32, Ordering};

use waystore::{
    CacheQueryOptions, FetchError, Limits, RequestCache, RequestCredentials, Response, ResponseType, Waystore,
    prefetch::{Event, Follow, Hints, HtmlLinks, Outcome, Prefetch, Reason, Source, Summary, WhenSaving},
    testing::Canned,
};

use super::support::{get, json, keys, limited, new_cache, only, open, outcomes, plan, run, start, told};

/// The guide's page of products, whose pictures another origin has.
fn shop() -> Canned {
    Canned::default()
        .on("/apis/data_1.json", |_| {
            Ok(json(r#"{"productName": "banana", "productPic": "https://cdn.test/banana.jpeg", "unitPrice": "1.99"}"#))
        })
        .on("/apis/data_2.json", |_| Ok(json(r#"{"productName": "kiwi", "productPic": "https://cdn.test/kiwi.jpeg"}"#)))
        .on("https://cdn.test/banana.jpeg", |_| Ok(Response::new("a picture").header("content-type", "image/jpeg")))
}

#[tokio::test]
async fn the_guides_products_and_their_pictures_are_in_the_cache_and_the_figures_are_the_stores() {
    let cache = new_cache().await;
    let plan = Prefetch::new(["/apis/data_1.json", "/apis/data_2.json"]);
    // One at a time, so that what follows comes in the order of the documents.
    let plan = Prefetch { concurrency: 1, ..plan.follow(Follow::json_pointer("/productPic").unwrap()) };
    let rows = run(plan, &cache, &shop()).await;
    let urls: Vec<_> = rows.iter().map(|row| row.url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "https://a.test/apis/data_1.json",
            "https://a.test/apis/data_2.json",
            "https://cdn.test/banana.jpeg",
            "https://cdn.test/kiwi.jpeg",
        ]
    );
    let failed = (Outcome::Failed, Some(Reason::Status));
    assert_eq!(outcomes(&rows), [(Outcome::Stored, None), (Outcome::Stored, None), (Outcome::Stored, None), failed]);
    assert_eq!(rows[0].followed, ["https://cdn.test/banana.jpeg"]);
    assert_eq!(rows[2].from.as_deref(), Some("https://a.test/apis/data_1.json"));
    assert_eq!((rows[2].status, rows[2].source), (Some(200), Some(Source::Network)));
    assert_eq!((rows[3].status, rows[3].detail.as_deref()), (Some(404), Some("the status is 404")));
    assert_eq!(keys(&cache).await.len(), 3);
    for row in &rows[..3] {
        assert_eq!(get(&cache, &row.url).await.unwrap().len() as u64, row.bytes);
    }
}

#[tokio::test]
async fn what_is_in_the_cache_is_not_fetched_and_followed_all_the_same() {
    let cache = new_cache().await;
    let network = shop();
    let plan = Prefetch::new(["/apis/data_1.json"]).follow(Follow::json_path("$.productPic").unwrap());
    cache.put("/apis/data_1.json", json(r#"{"productPic": "/old.jpg"}"#)).await.unwrap();
    let rows = run(plan.clone(), &cache, &network).await;
    assert_eq!(network.asked(), ["https://a.test/old.jpg"]);
    assert_eq!((rows[0].outcome, rows[0].source, rows[0].bytes), (Outcome::Cached, Some(Source::Cache), 26));

    let plan = Prefetch { refresh: true, ..plan };
    let rows = run(plan, &cache, &network).await;
    assert_eq!((rows[0].outcome, rows[0].source), (Outcome::Stored, Some(Source::Network)));
    assert_eq!(rows[0].followed, ["https://cdn.test/banana.jpeg"]);
    assert!(get(&cache, "/apis/data_1.json").await.unwrap().contains("banana"));
    assert_eq!(cache.keys("/apis/data_1.json", CacheQueryOptions::default()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_page_is_followed_by_its_elements_and_its_redirect_is_what_they_are_relative_to() {
    let cache = new_cache().await;
    let network = only(|_| {
        let mut page =
            Response::new("<link rel=stylesheet href=s.css><img src=i.jpg>").header("content-type", "text/html");
        page.url_list = ["https://a.test/x", "https://a.test/moved/here"].map(|url| url.parse().unwrap()).to_vec();
        Ok(page)
    });
    let rows = run(plan().follow(Follow::html(HtmlLinks::default())), &cache, &network).await;
    assert_eq!(rows[0].followed, ["https://a.test/moved/s.css", "https://a.test/moved/i.jpg"]);
}

#[tokio::test]
async fn requests_are_anonymous_and_a_refresh_asks_for_what_is_new() {
    let cache = new_cache().await;
    let network = only(|request| {
        assert_eq!(request.credentials, RequestCredentials::Omit);
        assert!(request.visitor.is_none() && request.headers.is_empty());
        let body = if request.cache == RequestCache::NoCache { "asked anew" } else { "asked" };
        Ok(Response::new(body))
    });
    run(plan(), &cache, &network).await;
    assert_eq!(get(&cache, "/x").await.as_deref(), Some("asked"));
    run(Prefetch { refresh: true, ..plan() }, &cache, &network).await;
    assert_eq!(get(&cache, "/x").await.as_deref(), Some("asked anew"));
}

#[tokio::test]
async fn no_cache_is_stored_on_request_and_what_is_personal_is_not() {
    let cache = new_cache().await;
    let network = Canned::default()
        .on("/detail", |_| Ok(Response::new("d").header("cache-control", "no-cache")))
        .on("/account", |_| Ok(Response::new("a").header("cache-control", "private, no-cache")));
    let plan = Prefetch::new(["/detail", "/account"]);
    let rows = run(plan.clone(), &cache, &network).await;
    let skipped = |reason| (Outcome::Skipped, Some(reason));
    assert_eq!(outcomes(&rows), [skipped(Reason::NoCache), skipped(Reason::Personal)]);
    let rows = run(Prefetch { override_no_cache: true, ..plan }, &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Stored, None), skipped(Reason::Personal)]);
    assert_eq!(keys(&cache).await, ["/detail"]);
}

#[tokio::test]
async fn of_an_opaque_response_nothing_is_told_and_nothing_followed() {
    let cache = new_cache().await;
    let opaque = || {
        let mut response = json(r#"["/secret"]"#);
        (response.kind, response.status) = (ResponseType::Opaque, 202);
        response
    };
    cache.put("/x", opaque()).await.unwrap();
    let network = Canned::default().on("/y", move |_| Ok(opaque()));
    let rows = run(plan().with("/y").follow(Follow::json_pointer("").unwrap()), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Cached, None), (Outcome::Skipped, Some(Reason::Unstorable))]);
    assert_eq!((rows[0].status, rows[0].bytes, rows[1].status, rows[1].bytes), (None, 0, None, 0));
}

#[tokio::test]
async fn what_fails_leaves_what_was_there_and_harms_nobody() {
    let cache = new_cache().await;
    cache.put("/x", Response::new("before")).await.unwrap();
    let network = Canned::default()
        .on("/x", |_| Ok(Response::empty(500)))
        .on("/y", |_| Err(FetchError::Network("refused".into())))
        .on("/z", |_| Ok(Response::new("z")));
    let rows = run(Prefetch { refresh: true, ..plan().with("/y").with("/z") }, &cache, &network).await;
    let failed = |reason| (Outcome::Failed, Some(reason));
    assert_eq!(outcomes(&rows), [failed(Reason::Status), failed(Reason::Network), (Outcome::Stored, None)]);
    assert_eq!(get(&cache, "/x").await.as_deref(), Some("before"));
}

#[tokio::test(start_paused = true)]
async fn what_is_required_is_tried_again_until_it_is_there() {
    let cache = new_cache().await;
    let asked = AtomicU32::new(0);
    let network = only(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => Err(FetchError::Network("refused".into())),
        1 => Ok(Response::empty(503).header("retry-after", "5")),
        _ => Ok(Response::new("x")),
    });
    let events = told(start(Prefetch::new([""; 0]).require("/x"), &cache, &network)).await;
    let wait = |event: &Event| if let Event::Retrying { after_ms, .. } = event { Some(*after_ms) } else { None };
    let waits: Vec<_> = events.iter().filter_map(wait).collect();
    assert!(waits.len() == 2 && (250..=500).contains(&waits[0]) && waits[1] == 5000, "{waits:?}");
    let Some(Event::Ended(summary)) = events.last() else { panic!("it ends") };
    assert!(summary.is_complete());
    let attempts: Vec<_> = events.iter().filter(|event| matches!(event, Event::Started { .. })).collect();
    assert_eq!(attempts.len(), 3);
}

#[tokio::test]
async fn events_tell_the_whole_from_the_first_to_the_last() {
    let cache = new_cache().await;
    let network = only(|_| Ok(json(r#"["/y"]"#))).on("/y", |_| Ok(Response::new("12345")));
    let plan = plan().with("https://").follow(Follow::json_pointer("").unwrap());
    let events = told(start(plan, &cache, &network)).await;
    let kinds: Vec<_> = events.iter().map(|event| serde_json::to_value(event).unwrap()["type"].clone()).collect();
    assert_eq!(kinds, ["queued", "failed", "started", "stored", "followed", "started", "stored", "progress", "ended"]);
    let Some(Event::Ended(summary)) = events.last() else { panic!("it ends") };
    let expected = Summary { total: 3, stored: 2, failed: 1, followed: 1, bytes: 11, ..Summary::default() };
    assert_eq!(Summary { elapsed_ms: 0, ..*summary }, expected);
}

#[tokio::test]
async fn who_saves_data_is_given_nothing() {
    let cache = new_cache().await;
    let network = only(|_| Ok(Response::new("x")));
    let slow = Hints { rtt: Some(1400.0), ..Hints::default() };
    let rows = run(Prefetch { connection: slow, ..plan() }, &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Skipped, Some(Reason::SaveData))]);
    assert!(network.asked().is_empty());
    let rows = run(Prefetch { connection: slow, when_saving: WhenSaving::Fetch, ..plan() }, &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Stored, None)]);
}

#[tokio::test]
async fn a_document_that_is_too_long_to_be_searched_is_stored_all_the_same() {
    let cache = new_cache().await;
    let network =
        Canned::default().on("/x", |_| Ok(json(format!(r#"["/y", "{}"]"#, "z".repeat(5000))))).on("/page", |_| {
            let page = format!("<img src=/y>{}<img src=/z>", " ".repeat(5000));
            Ok(Response::new(page).header("content-type", "text/html"))
        });
    let rules = ["", "html"].map(|rule| rule.parse::<Follow>().unwrap());
    let plan = Prefetch { follow: rules.to_vec(), ..plan().with("/page") };
    let rows = run(limited(plan, |limits| limits.document_bytes = 4000), &cache, &network).await;
    assert_eq!(outcomes(&rows)[..2], [(Outcome::Stored, Some(Reason::Document)); 2]);
    // The beginning of a page is a page; that of JSON is nothing.
    assert_eq!((rows[0].followed.len(), rows[1].followed.len()), (0, 1));
    assert_eq!(get(&cache, "/x").await.unwrap().len(), 5010);
}

#[tokio::test]
async fn where_there_is_no_room_the_rest_goes_on() {
    let store = Waystore::in_memory();
    let cache = open(&store).await;
    store.set_limits(Limits::default().per_key(20_000));
    let network = only(|_| Ok(Response::new("x".repeat(50_000)))).on("/y", |_| Ok(Response::new("y")));
    let rows = run(plan().with("/y"), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Skipped, Some(Reason::Quota)), (Outcome::Stored, None)]);
    assert_eq!(keys(&cache).await, ["/y"]);
}
