//! Batches: what replaces what, where entries land, and that it is all or nothing. Section 9 of
//! `spec/cache.md`.

use super::support::{PLAIN, all, caches, failing, get, keys, matched, open, put, put_varying, request, response};
use crate::{BatchOperation, Error, Response, Waystore};

super::case_list!(Case:
    e142_what_is_stored_decides_what_is_replaced,
    e143_the_new_responses_vary_plays_no_part,
    e144_e145_a_replaced_entry_comes_last,
    e149_a_batch_is_seen_whole,
    a_batch_with_a_failing_body_changes_nothing,
    a_batch_tells_how_much_each_step_removed,
    a_delete_after_a_put_of_the_same_url_is_refused,
    puts_to_one_url_at_a_time_leave_one_entry,
);

async fn e142_what_is_stored_decides_what_is_replaced(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[("x", "1")], "", "one").await;
    put_varying(&cache, "/c", &[("x", "2")], "x", "two").await;
    assert_eq!(all(&cache, (), PLAIN).await, ["two"]);
}

async fn e143_the_new_responses_vary_plays_no_part(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[("x", "1")], "x", "one").await;
    put_varying(&cache, "/c", &[("x", "2")], "", "two").await;
    assert_eq!(matched(&cache, request("/c", &[("x", "1")]), PLAIN).await, "one");
    assert_eq!(all(&cache, &request("/c", &[("x", "1")]), PLAIN).await, ["one", "two"]);
    assert_eq!(all(&cache, &request("/c", &[("x", "3")]), PLAIN).await, ["two"]);
}

async fn e144_e145_a_replaced_entry_comes_last(store: Waystore) {
    let cache = open(&store).await;
    for url in ["/a", "/b", "/c", "/a"] {
        put(&cache, url, "1").await;
    }
    assert_eq!(keys(&cache).await, ["/b", "/c", "/a"]);
    let variants = caches(&store).open("variants").await.unwrap();
    for value in ["1", "2", "1"] {
        put_varying(&variants, "/c", &[("x", value)], "x", value).await;
    }
    assert_eq!(all(&variants, (), PLAIN).await, ["2", "1"]);
}

async fn e149_a_batch_is_seen_whole(store: Waystore) {
    let cache = open(&store).await;
    let pairs: Vec<_> = (0..100).map(|n| (request(&format!("/{n}"), &[]), Response::new("1"))).collect();
    let writing = tokio::spawn({
        let cache = cache.clone();
        async move { cache.put_all(pairs).await.unwrap() }
    });
    loop {
        let seen = cache.keys((), PLAIN).await.unwrap().len();
        assert!(seen == 0 || seen == 100, "{seen}");
        if seen == 100 {
            break;
        }
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

async fn a_batch_with_a_failing_body_changes_nothing(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/a", "old").await;
    let pairs = vec![(request("/a", &[]), response("new", "")), (request("/b", &[]), Response::new(failing(&["b"])))];
    assert!(matches!(cache.put_all(pairs).await, Err(Error::Body(_))));
    assert_eq!(all(&cache, (), PLAIN).await, ["old"]);
}

async fn a_batch_tells_how_much_each_step_removed(store: Waystore) {
    let cache = open(&store).await;
    for value in ["1", "2"] {
        put_varying(&cache, "/c", &[("x", value)], "x", value).await;
    }
    let operations = vec![
        BatchOperation::Delete { request: request("/c", &[]), options: super::support::IGNORE_VARY },
        BatchOperation::Delete { request: request("/none", &[]), options: PLAIN },
        BatchOperation::Put { request: request("/d", &[]), response: response("d", "") },
    ];
    assert_eq!(cache.batch(operations).await.unwrap(), [2, 0, 0]);
    assert_eq!(keys(&cache).await, ["/d"]);
}

async fn a_delete_after_a_put_of_the_same_url_is_refused(store: Waystore) {
    let cache = open(&store).await;
    let operations = vec![
        BatchOperation::Put { request: request("/d", &[]), response: response("d", "") },
        BatchOperation::Delete { request: request("/d", &[]), options: PLAIN },
    ];
    assert!(matches!(cache.batch(operations).await, Err(Error::Duplicate { .. })));
    assert!(keys(&cache).await.is_empty());
}

async fn puts_to_one_url_at_a_time_leave_one_entry(store: Waystore) {
    let cache = open(&store).await;
    let tasks = (0..16).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                put(&cache, "/x", &number.to_string()).await;
            }
        })
    });
    futures::future::try_join_all(tasks).await.unwrap();
    assert_eq!(keys(&cache).await, ["/x"]);
    assert!(get(&cache, "/x").await.parse::<u32>().unwrap() < 16);
}
