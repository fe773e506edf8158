//! What a look-up finds in a list. Sections 4 and 5 of `spec/cache.md`.

use url::Url;

use super::support::{
    Canned, IGNORE_METHOD, IGNORE_SEARCH, IGNORE_VARY, PLAIN, all, get, keys, matched, of_kind, open, put, put_varying,
    request, response, with_method,
};
use crate::{
    CacheQueryOptions, Error, Request, ResponseType, Waystore,
    store::{Changes, Entry, ListChange, NewBody, NewEntry, OpId, ReadSet},
};

super::case_list!(Case:
    e12_e43_an_empty_query_differs_from_none,
    e35_e36_strings_resolve_against_the_script,
    e37_e38_credentials_and_broken_urls_are_refused_everywhere,
    e39_a_data_url_can_be_asked_for_and_never_hits,
    e41_e47_urls_are_compared_as_the_parser_leaves_them,
    e42_e44_e45_e46_e48_what_the_parser_leaves_apart_stays_apart,
    e49_e50_fragments_do_not_count_and_prefixes_do_not_match,
    e51_credentials_in_a_url_are_part_of_it,
    e52_the_responses_url_is_no_key,
    e53_e54_ignore_search_finds_all_in_order,
    e55_the_stored_url_keeps_query_and_fragment,
    e56_e57_e58_e59_only_get_finds_anything,
    e60_e61_e62_vary_decides,
    e63_e64_e65_values_are_compared_exactly,
    e66_values_are_combined,
    e67_e68_e69_all_vary_headers_make_one_list,
    e70_variants_of_one_url_live_side_by_side,
    e71_e72_a_hidden_vary_does_not_apply,
    e73_a_stored_star_matches_with_ignore_vary_only,
    e74_a_header_that_neither_request_has_matches,
    e75_authorization_may_vary,
);

async fn e12_e43_an_empty_query_differs_from_none(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x?q", "1").await;
    assert_eq!(get(&cache, "/x").await, "undef");
    assert_eq!(matched(&cache, request("/x", &[]), IGNORE_SEARCH).await, "1");
    put(&cache, "/y", "2").await;
    assert_eq!(get(&cache, "/y?").await, "undef");
    assert_eq!(matched(&cache, request("/y?", &[]), IGNORE_SEARCH).await, "2");
}

async fn e35_e36_strings_resolve_against_the_script(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "x", "1").await;
    assert_eq!(keys(&cache).await, ["/app/x"]);
    assert!(cache.match_("/x", PLAIN).await.unwrap().is_none());
    assert!(cache.match_("http", PLAIN).await.unwrap().is_none());
}

async fn e37_e38_credentials_and_broken_urls_are_refused_everywhere(store: Waystore) {
    let cache = open(&store).await;
    for url in ["https://", "https://u:p@a.test/x"] {
        assert!(matches!(cache.match_(url, PLAIN).await, Err(Error::Type { .. })));
        assert!(matches!(cache.match_all(url, PLAIN).await, Err(Error::Type { .. })));
        assert!(matches!(cache.keys(url, PLAIN).await, Err(Error::Type { .. })));
        assert!(matches!(cache.delete(url, PLAIN).await, Err(Error::Type { .. })));
        assert!(matches!(cache.put(url, response("1", "")).await, Err(Error::Type { .. })));
        assert!(matches!(cache.add(&Canned::default(), url).await, Err(Error::Type { .. })));
    }
}

async fn e39_a_data_url_can_be_asked_for_and_never_hits(store: Waystore) {
    assert!(open(&store).await.match_("data:text/plain,hi", PLAIN).await.unwrap().is_none());
}

async fn e41_e47_urls_are_compared_as_the_parser_leaves_them(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "https://a.test/x", "1").await;
    put(&cache, "/é", "2").await;
    assert_eq!(get(&cache, "https://A.TEST:443/./y/../x").await, "1");
    assert_eq!(get(&cache, "/%C3%A9").await, "2");
    assert_eq!(get(&cache, "http://a.test/x").await, "undef");
    assert_eq!(get(&cache, "/X").await, "undef");
}

async fn e42_e44_e45_e46_e48_what_the_parser_leaves_apart_stays_apart(store: Waystore) {
    let cache = open(&store).await;
    let pairs = [
        ("/x", "/X"),
        ("/x", "/x/"),
        ("/x?a=1&b=2", "/x?b=2&a=1"),
        ("/%7Ejoe", "/~joe"),
        ("/a%2fb", "/a%2Fb"),
        ("http://a.test/x", "https://a.test/x"),
    ];
    for (stored, asked) in pairs {
        put(&cache, stored, "1").await;
        assert_eq!(get(&cache, asked).await, "undef", "{asked}");
        assert_eq!(get(&cache, stored).await, "1", "{stored}");
        assert!(!cache.delete(asked, PLAIN).await.unwrap() && cache.delete(stored, PLAIN).await.unwrap());
    }
}

async fn e49_e50_fragments_do_not_count_and_prefixes_do_not_match(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/cat#a", "1").await;
    assert_eq!(get(&cache, "/cat#b").await, "1");
    for url in ["/catmandu", "/cat/in/the/hat", "/ca"] {
        assert_eq!(get(&cache, url).await, "undef");
    }
}

async fn e51_credentials_in_a_url_are_part_of_it(store: Waystore) {
    let cache = open(&store).await;
    let with = |url: &str| Request::from(Url::parse(url).unwrap());
    for user in ["u:p@", "v:p@"] {
        cache.put(with(&format!("https://{user}a.test/f")), response(user, "")).await.unwrap();
    }
    assert_eq!(matched(&cache, with("https://u:p@a.test/f"), PLAIN).await, "u:p@");
    assert_eq!(matched(&cache, with("https://v:p@a.test/f"), PLAIN).await, "v:p@");
    assert_eq!(get(&cache, "https://a.test/f").await, "undef");
    assert_eq!(cache.keys((), PLAIN).await.unwrap().len(), 2);
}

async fn e52_the_responses_url_is_no_key(store: Waystore) {
    let cache = open(&store).await;
    cache.put("https://a.test/a", of_kind(ResponseType::Basic, 200, &[], "1")).await.unwrap();
    assert_eq!(get(&cache, "https://b.test/r").await, "undef");
}

async fn e53_e54_ignore_search_finds_all_in_order(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    put(&cache, "/x?q=r", "2").await;
    assert_eq!(all(&cache, "/x", IGNORE_SEARCH).await, ["1", "2"]);
    assert_eq!(all(&cache, "/x?zzz", IGNORE_SEARCH).await, ["1", "2"]);
    assert_eq!(matched(&cache, request("/x?zzz", &[]), IGNORE_SEARCH).await, "1");
}

async fn e55_the_stored_url_keeps_query_and_fragment(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x?q#f", "1").await;
    assert_eq!(matched(&cache, request("/x#g", &[]), IGNORE_SEARCH).await, "1");
    assert_eq!(keys(&cache).await, ["/x?q#f"]);
}

async fn e56_e57_e58_e59_only_get_finds_anything(store: Waystore) {
    let cache = open(&store).await;
    put(&cache, "/x", "1").await;
    assert_eq!(matched(&cache, with_method("/x", "HEAD"), PLAIN).await, "undef");
    assert_eq!(matched(&cache, with_method("/x", "HEAD"), IGNORE_METHOD).await, "1");
    assert_eq!(matched(&cache, with_method("/x", "HEAD"), IGNORE_SEARCH).await, "undef");
    assert_eq!(matched(&cache, with_method("/x", "patch"), PLAIN).await, "undef");
    assert!(cache.match_all(&with_method("/x", "POST"), PLAIN).await.unwrap().is_empty());
    assert!(cache.keys(&with_method("/x", "HEAD"), PLAIN).await.unwrap().is_empty());
}

async fn e60_e61_e62_vary_decides(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[("x", "1")], "x", "one").await;
    assert_eq!(matched(&cache, request("/c", &[("x", "1")]), PLAIN).await, "one");
    assert_eq!(matched(&cache, request("/c", &[("x", "2")]), PLAIN).await, "undef");
    assert_eq!(get(&cache, "/c").await, "undef");
    assert_eq!(matched(&cache, request("/c", &[]), IGNORE_VARY).await, "one");
    put_varying(&cache, "/d", &[], "x", "none").await;
    assert_eq!(get(&cache, "/d").await, "none");
    assert_eq!(matched(&cache, request("/d", &[("x", "1")]), PLAIN).await, "undef");
}

async fn e63_e64_e65_values_are_compared_exactly(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/a", &[], "x", "1").await;
    assert_eq!(matched(&cache, request("/a", &[("x", "")]), PLAIN).await, "undef");
    put_varying(&cache, "/b", &[("X-A", "1")], "x-a", "1").await;
    assert_eq!(matched(&cache, request("/b", &[("x-A", "1")]), PLAIN).await, "1");
    put_varying(&cache, "/c", &[("x", "EN")], "x", "1").await;
    assert_eq!(matched(&cache, request("/c", &[("x", "en")]), PLAIN).await, "undef");
}

async fn e66_values_are_combined(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[("Accept", "a"), ("Accept", "b")], "Accept", "1").await;
    assert_eq!(matched(&cache, request("/c", &[("accept", "a, b")]), PLAIN).await, "1");
    assert_eq!(matched(&cache, request("/c", &[("accept", "a,b")]), PLAIN).await, "undef");
}

async fn e67_e68_e69_all_vary_headers_make_one_list(store: Waystore) {
    let cache = open(&store).await;
    let all_three = [("x", "1"), ("y", "2"), ("z", "3")];
    let varies = response("1", "x").header("Vary", "y, z");
    cache.put(request("/lines", &all_three), varies).await.unwrap();
    assert_eq!(matched(&cache, request("/lines", &all_three), PLAIN).await, "1");
    assert_eq!(matched(&cache, request("/lines", &[("x", "1"), ("y", "2"), ("z", "4")]), PLAIN).await, "undef");
    for empty in [",", " , ,"] {
        cache.put(request("/empty", &[("x", "1")]), response("1", empty)).await.unwrap();
        assert_eq!(matched(&cache, request("/empty", &[("x", "2")]), PLAIN).await, "1", "{empty:?}");
    }
    let none = response("1", "").header("Vary", "");
    cache.put(request("/empty", &[("x", "1")]), none).await.unwrap();
    assert_eq!(matched(&cache, request("/empty", &[("x", "2")]), PLAIN).await, "1");
    put_varying(&cache, "/twice", &[("x", "1")], "x, x", "1").await;
    assert_eq!(matched(&cache, request("/twice", &[("x", "1")]), PLAIN).await, "1");
    assert_eq!(matched(&cache, request("/twice", &[("x", "2")]), PLAIN).await, "undef");
}

async fn e70_variants_of_one_url_live_side_by_side(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[("x", "1")], "x", "1").await;
    put_varying(&cache, "/c", &[("x", "2")], "x", "2").await;
    put_varying(&cache, "/c", &[], "x", "absent").await;
    assert_eq!(all(&cache, "/c", PLAIN).await, ["absent"]);
    assert_eq!(all(&cache, "/c", IGNORE_VARY).await, ["1", "2", "absent"]);
}

async fn e71_e72_a_hidden_vary_does_not_apply(store: Waystore) {
    let cache = open(&store).await;
    let query = || request("/c", &[("foo", "2")]);
    for kind in [ResponseType::Opaque, ResponseType::Cors] {
        cache.put(request("/c", &[("foo", "1")]), of_kind(kind, 200, &[("vary", "foo")], "1")).await.unwrap();
        assert_eq!(matched(&cache, query(), PLAIN).await, "1", "{kind}");
        assert!(cache.delete("/c", PLAIN).await.unwrap());
    }
    let visible = of_kind(ResponseType::Basic, 200, &[("vary", "foo")], "1");
    cache.put(request("/c", &[("foo", "1")]), visible).await.unwrap();
    assert_eq!(matched(&cache, query(), PLAIN).await, "undef");
}

async fn e73_a_stored_star_matches_with_ignore_vary_only(store: Waystore) {
    let cache = open(&store).await;
    // Past `put`, which refuses it: as an import of somebody else's data would.
    let entry = Entry::new(&request("/c", &[]).head, &response("", "*").head);
    let insert = vec![NewEntry { entry, body: NewBody::Inline("1".into()) }];
    let change = ListChange { list: cache.list.clone(), remove: vec![], insert };
    let changes = Changes { lists: vec![change], ..Changes::default() };
    cache.store.commit(&cache.key, OpId(1), &ReadSet::default(), &changes).await.unwrap();
    assert_eq!(get(&cache, "/c").await, "undef");
    assert_eq!(matched(&cache, request("/c", &[]), IGNORE_VARY).await, "1");
    assert_eq!(keys(&cache).await, ["/c"]);
}

async fn e74_a_header_that_neither_request_has_matches(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[], "Cookie, Accept-Encoding", "1").await;
    assert_eq!(get(&cache, "/c").await, "1");
}

async fn e75_authorization_may_vary(store: Waystore) {
    let cache = open(&store).await;
    put_varying(&cache, "/c", &[("Authorization", "A")], "Authorization", "1").await;
    assert_eq!(matched(&cache, request("/c", &[("Authorization", "B")]), CacheQueryOptions::default()).await, "undef");
}
