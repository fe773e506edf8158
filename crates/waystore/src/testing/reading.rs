//! `match`, `matchAll`, `keys` and `delete` on what is there. Section 8 of `spec/cache.md`.

use futures::{FutureExt, StreamExt};

use super::support::{
    IGNORE_METHOD, IGNORE_SEARCH, IGNORE_VARY, PLAIN, all, get, keys, open, put, put_varying, request, text,
    with_method,
};
use crate::{Body, CredentialHash, Response, Verdict, Waystore};

super::case_list!(Case:
    e11_nothing_given_is_everything,
    e125_an_empty_cache_has_nothing,
    e126_two_matches_are_independent,
    e129_e130_delete_minds_the_query,
    e131_delete_minds_the_method,
    e132_e133_delete_minds_vary,
    e134_delete_leaves_fragments_out,
    e135_e136_a_matched_body_outlives_its_entry,
    e140_match_all_gives_everything_in_order,
    e141_keys_of_variants_have_their_own_headers,
    explain_names_the_rule_that_decided,
    e171_e172_a_large_body_is_read_in_parts_and_again,
);

async fn e11_nothing_given_is_everything(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    put(&cache, "/y", "2").await;
    assert_eq!(all(&cache, (), PLAIN).await, ["1", "2"]);
    assert_eq!(keys(&cache).await, ["/x", "/y"]);
}

async fn e125_an_empty_cache_has_nothing(store: Waystore) {
    let cache = open(&store).await;
    assert!(keys(&cache).await.is_empty() && all(&cache, (), PLAIN).await.is_empty());
    assert!(cache.match_("/x", PLAIN).await.unwrap().is_none());
    assert!(!cache.delete("/x", PLAIN).await.unwrap());
}

async fn e126_two_matches_are_independent(store: Waystore) {
    let cache = open(&store).await;
    let long = "x".repeat(200_000);
    put(&cache, "/x", &long).await;
    let one = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    let two = cache.match_("/x", PLAIN).await.unwrap().unwrap();
    assert!(text(one).await == long && text(two).await == long);
}

async fn e129_e130_delete_minds_the_query(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    put(&cache, "/x?q", "2").await;
    assert!(cache.delete("/x?q", PLAIN).await.unwrap());
    assert_eq!(all(&cache, "/x", IGNORE_SEARCH).await, ["1"]);
    put(&cache, "/x?q", "2").await;
    assert!(cache.delete("/x", IGNORE_SEARCH).await.unwrap());
    assert!(keys(&cache).await.is_empty());
}

async fn e131_delete_minds_the_method(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    assert!(!cache.delete(with_method("/x", "HEAD"), PLAIN).await.unwrap());
    assert_eq!(get(&cache, "/x").await, "1");
    assert!(cache.delete(with_method("/x", "HEAD"), IGNORE_METHOD).await.unwrap());
}

async fn e132_e133_delete_minds_vary(store: Waystore) {
    let cache = open(&store).await;
    for value in ["1", "2", "3"] {
        put_varying(&cache, "/c", &[("x", value)], "x", value).await;
    }
    assert!(!cache.delete("/c", PLAIN).await.unwrap());
    assert!(cache.delete("/c", IGNORE_VARY).await.unwrap());
    assert!(keys(&cache).await.is_empty());
}

async fn e134_delete_leaves_fragments_out(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    assert!(cache.delete("/x#frag", PLAIN).await.unwrap());
}

async fn e135_e136_a_matched_body_outlives_its_entry(store: Waystore) {
    let cache = open(&store).await;
    for old in ["short".to_owned(), "long".repeat(50_000)] {
        put(&cache, "/x", &old).await;
        let before_put = cache.match_("/x", PLAIN).await.unwrap().unwrap();
        put(&cache, "/x", "new").await;
        assert_eq!(text(before_put).await, old);
        put(&cache, "/x", &old).await;
        let before_delete = cache.match_("/x", PLAIN).await.unwrap().unwrap();
        assert!(cache.delete("/x", PLAIN).await.unwrap());
        assert_eq!(text(before_delete).await, old);
    }
}

async fn e140_match_all_gives_everything_in_order(store: Waystore) {
    let cache = open(&store).await;
    for number in 0..10 {
        put(&cache, &format!("/{number}"), &number.to_string()).await;
    }
    cache.put("/404", Response::empty(404)).await.unwrap();
    cache.put("/error", Response::error()).await.unwrap();
    let all = cache.match_all((), PLAIN).await.unwrap();
    let statuses: Vec<_> = all.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 200, 200, 200, 404, 0]);
}

async fn e141_keys_of_variants_have_their_own_headers(store: Waystore) {
    let cache = open(&store).await;
    for value in ["1", "2", "3"] {
        put_varying(&cache, "/c", &[("x", value)], "x", value).await;
    }
    let keys = cache.keys("/c", IGNORE_VARY).await.unwrap();
    let values: Vec<_> = keys.iter().filter_map(|key| key.headers.get_text("x")).collect();
    assert_eq!(values, ["1", "2", "3"]);
}

async fn explain_names_the_rule_that_decided(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x?q", "query").await;
    put_varying(&cache, "/x", &[("k", "1")], "k", "varies").await;
    put(&cache, "/y", "elsewhere").await;
    let mut personal = Response::new("personal");
    personal.personal = Some(CredentialHash([1; 16]));
    cache.put("/x", personal).await.unwrap();
    put_varying(&cache, "/x", &[("k", "2")], "k", "answers").await;
    let asked = request("/x", &[("k", "2")]);
    let explanation = cache.explain(&asked, PLAIN).await.unwrap();
    let verdicts: Vec<_> = explanation.considered.iter().map(|considered| considered.verdict.clone()).collect();
    let vary = Verdict::Vary { name: "k".into(), stored: Some("1".into()), asked: Some("2".into()) };
    assert_eq!(verdicts, [Verdict::Query, vary, Verdict::Personal, Verdict::Matches]);
    assert_eq!(explanation.answer, Some(explanation.considered[3].id));
    assert!(!cache.explain(&with_method("/x", "HEAD"), PLAIN).await.unwrap().method_is_looked_up);
}

async fn e171_e172_a_large_body_is_read_in_parts_and_again(store: Waystore) {
    let cache = open(&store).await;
    let chunk = |number: u8| -> bytes::Bytes { vec![number; 64 * 1024].into() };
    let chunks = futures::stream::iter((0..128).map(move |number| Ok(chunk(number))));
    cache.put("/x", Response::new(Body::from_stream(chunks, None))).await.unwrap();
    // Found without a wait, and so without its body.
    let found = cache.match_("/x", PLAIN).now_or_never().expect("a look-up waits for nothing");
    let mut half = found.unwrap().unwrap().body.unwrap();
    let mut read = 0;
    while read < 4 << 20 {
        let part = half.next().await.unwrap().unwrap();
        assert!(part.len() <= 1 << 20, "{} bytes at once", part.len());
        read += part.len();
    }
    drop(half);
    let again = cache.match_("/x", PLAIN).await.unwrap().unwrap().body.unwrap().collect(usize::MAX).await.unwrap();
    assert_eq!(again.len(), 8 << 20);
    assert!(again.chunks(64 * 1024).zip(0..).all(|(part, number)| part == chunk(number)));
}
