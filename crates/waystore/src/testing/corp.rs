//! Who may read stored opaque responses. Section 11 of `spec/cache.md`.

use super::support::{IGNORE_SEARCH, PLAIN, caches, get, is_type_error, keys, of_kind, put, text};
use crate::{CacheStorage, EmbedderPolicy, Response, ResponseType, Waystore};

super::case_list!(Case:
    e161_a_reader_who_requires_a_policy_is_refused_a_response_without_one,
    e162_what_says_cross_origin_is_read_and_so_is_all_where_nothing_is_required,
    e163_one_refused_response_refuses_them_all,
    e164_two_policies_at_once_are_none,
);

fn image(policies: &[&str]) -> Response {
    let headers: Vec<_> = policies.iter().map(|value| ("Cross-Origin-Resource-Policy", *value)).collect();
    of_kind(ResponseType::Opaque, 200, &headers, "image")
}

fn strict(store: &Waystore) -> CacheStorage {
    caches(store).with_embedder_policy(EmbedderPolicy::RequireCorp)
}

async fn e161_a_reader_who_requires_a_policy_is_refused_a_response_without_one(store: Waystore) {
    caches(&store).open("c").await.unwrap().put("/x", image(&[])).await.unwrap();
    let cache = strict(&store).open("c").await.unwrap();
    assert!(is_type_error(&cache.match_("/x", PLAIN).await));
    assert!(is_type_error(&cache.match_all("/x", PLAIN).await));
    assert!(is_type_error(&cache.match_all((), PLAIN).await));
    assert!(is_type_error(&strict(&store).match_("/x", PLAIN).await));
    assert_eq!(keys(&cache).await, ["/x"]);
    put(&cache, "/y", "put works").await;
    assert!(cache.delete("/x", PLAIN).await.unwrap());
    assert_eq!(get(&cache, "/y").await, "put works");
}

async fn e162_what_says_cross_origin_is_read_and_so_is_all_where_nothing_is_required(store: Waystore) {
    let lax = caches(&store).open("c").await.unwrap();
    lax.put("/with", image(&["cross-origin"])).await.unwrap();
    lax.put("/without", image(&[])).await.unwrap();
    let cache = strict(&store).open("c").await.unwrap();
    assert_eq!(text(cache.match_("/with", PLAIN).await.unwrap().unwrap()).await, "image");
    assert_eq!(get(&lax, "/without").await, "image");
    lax.put("/own", image(&["same-origin"])).await.unwrap();
    assert!(is_type_error(&lax.match_("/own", PLAIN).await));
}

async fn e163_one_refused_response_refuses_them_all(store: Waystore) {
    let cache = strict(&store).open("c").await.unwrap();
    cache.put("/x", of_kind(ResponseType::Basic, 200, &[], "basic")).await.unwrap();
    cache.put("/x?1", image(&[])).await.unwrap();
    assert!(is_type_error(&cache.match_("/x", IGNORE_SEARCH).await));
    assert!(is_type_error(&strict(&store).match_("/x", IGNORE_SEARCH).await));
    assert_eq!(get(&cache, "/x").await, "basic");
}

async fn e164_two_policies_at_once_are_none(store: Waystore) {
    let cache = caches(&store).open("c").await.unwrap();
    cache.put("/x", image(&["same-site", "same-origin"])).await.unwrap();
    assert_eq!(get(&cache, "/x").await, "image");
}
