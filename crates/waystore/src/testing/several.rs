//! One change to several caches: a batch over them, and a name that goes from one to another.

use super::support::{PLAIN, caches, failing, get, keys, put, request, response};
use crate::{
    BatchOperation, Bottle, Cache, CacheStorage, Error, Place, Response, Waystore,
    store::{Changes, Commit, NameChange, OpId, ReadSet},
};

super::case_list!(Case:
    a_batch_over_several_caches_is_applied_whole,
    a_batch_over_several_caches_that_fails_changes_none,
    a_batch_over_several_caches_is_seen_whole,
    a_cache_that_is_named_twice_is_one,
    a_request_may_be_in_a_batch_once_for_each_cache,
    caches_of_others_are_refused,
    a_name_goes_over_and_the_list_keeps_its_entries,
    the_order_of_names_is_that_of_the_displaced_one,
    a_name_that_is_not_there_is_not_given,
    a_displaced_cache_works_on_for_its_holder,
    somebody_always_has_the_name,
    a_renaming_is_alone_in_its_commit,
);

fn put_op(url: &str, body: &str) -> BatchOperation {
    BatchOperation::Put { request: request(url, &[]), response: response(body, "") }
}

fn delete_op(url: &str) -> BatchOperation {
    BatchOperation::Delete { request: request(url, &[]), options: PLAIN }
}

async fn two(store: &Waystore) -> (CacheStorage, Cache, Cache) {
    let caches = caches(store);
    let (one, two) = (caches.open("one").await.unwrap(), caches.open("two").await.unwrap());
    (caches, one, two)
}

async fn names(caches: &CacheStorage) -> Vec<String> {
    caches.keys().await.unwrap().iter().map(ToString::to_string).collect()
}

async fn a_batch_over_several_caches_is_applied_whole(store: Waystore) {
    let (caches, one, two) = two(&store).await;
    put(&one, "/old", "old").await;
    put(&two, "/x", "before").await;
    let long = "long".repeat(50_000);
    let batches =
        vec![(one.clone(), vec![delete_op("/old"), put_op("/x", "1")]), (two.clone(), vec![put_op("/x", &long)])];
    assert_eq!(caches.batch(batches).await.unwrap(), [vec![1, 0], vec![1]]);
    assert_eq!((keys(&one).await, keys(&two).await), (vec!["/x".to_owned()], vec!["/x".to_owned()]));
    assert_eq!(get(&one, "/x").await, "1");
    assert!(get(&two, "/x").await == long);
    assert_eq!(caches.batch(vec![]).await.unwrap(), [[0; 0]; 0]);
}

async fn a_batch_over_several_caches_that_fails_changes_none(store: Waystore) {
    let (caches, one, two) = two(&store).await;
    put(&one, "/x", "before").await;
    let broken = BatchOperation::Put { request: request("/y", &[]), response: Response::new(failing(&["half"])) };
    let batches = vec![(one.clone(), vec![put_op("/x", "1")]), (two.clone(), vec![broken])];
    assert!(matches!(caches.batch(batches).await, Err(Error::Body(_))));
    let twice = vec![(one.clone(), vec![put_op("/x", "1")]), (two.clone(), vec![put_op("/y", "1"), put_op("/y", "2")])];
    assert!(matches!(caches.batch(twice).await, Err(Error::Duplicate { .. })));
    let refused = BatchOperation::Put { request: request("/y", &[]), response: response("", "*") };
    let batches = vec![(one.clone(), vec![put_op("/x", "1")]), (two.clone(), vec![refused])];
    assert!(matches!(caches.batch(batches).await, Err(Error::Type { .. })));
    assert_eq!(get(&one, "/x").await, "before");
    assert!(keys(&two).await.is_empty());
}

async fn a_batch_over_several_caches_is_seen_whole(store: Waystore) {
    let (caches, one, two) = two(&store).await;
    let writing = tokio::spawn(async move {
        for number in 0..50 {
            let batches = [&two, &one].map(|cache| (cache.clone(), vec![put_op("/x", &number.to_string())]));
            caches.batch(batches.into()).await.unwrap();
        }
        (one, two)
    });
    let caches = super::support::caches(&store);
    let (first, second) = (caches.open("one").await.unwrap(), caches.open("two").await.unwrap());
    let lists = [first.list.clone(), second.list.clone()];
    loop {
        let reads = [0, 1].map(|at| crate::store::Read { list: &lists[at], url: crate::store::UrlMatch::Any });
        let (_, seen) = first.store.candidates(&reads).await.unwrap();
        let bodies: Vec<_> = seen.iter().map(|candidate| format!("{:?}", candidate.body)).collect();
        assert!(bodies.is_empty() || bodies.len() == 2 && bodies[0] == bodies[1], "{bodies:?}");
        if writing.is_finished() {
            break;
        }
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

async fn a_cache_that_is_named_twice_is_one(store: Waystore) {
    let (caches, one, _) = two(&store).await;
    let again = caches.open("one").await.unwrap();
    put(&one, "/x", "before").await;
    let batches = vec![(one.clone(), vec![delete_op("/x")]), (again.clone(), vec![delete_op("/x"), put_op("/y", "1")])];
    assert_eq!(caches.batch(batches).await.unwrap(), [vec![1], vec![0, 0]]);
    let batches = vec![(one.clone(), vec![put_op("/y", "1")]), (again, vec![put_op("/y", "2")])];
    assert!(matches!(caches.batch(batches).await, Err(Error::Duplicate { .. })));
    assert_eq!(keys(&one).await, ["/y"]);
}

async fn a_request_may_be_in_a_batch_once_for_each_cache(store: Waystore) {
    let (caches, one, two) = two(&store).await;
    let batches = vec![(one.clone(), vec![put_op("/x", "1")]), (two.clone(), vec![put_op("/x", "2")])];
    caches.batch(batches).await.unwrap();
    assert_eq!((get(&one, "/x").await, get(&two, "/x").await), ("1".into(), "2".into()));
}

async fn caches_of_others_are_refused(store: Waystore) {
    let caches = caches(&store);
    let elsewhere = store.caches("https://b.test").unwrap().open("one").await.unwrap();
    let refused = caches.batch(vec![(elsewhere.clone(), vec![put_op("/x", "1")])]).await;
    assert!(matches!(refused, Err(Error::Type { .. })));
    assert!(keys(&elsewhere).await.is_empty());
}

async fn a_name_goes_over_and_the_list_keeps_its_entries(store: Waystore) {
    let (caches, one, two) = two(&store).await;
    put(&one, "/x", "1").await;
    put(&two, "/x", "2").await;
    assert!(caches.rename("two", "one").await.unwrap());
    assert_eq!(names(&caches).await, ["one"]);
    let now = caches.open("one").await.unwrap();
    assert_eq!(get(&now, "/x").await, "2");
    put(&two, "/y", "handles follow").await;
    assert_eq!(keys(&now).await, ["/x", "/y"]);
    assert!(caches.rename("one", "three").await.unwrap());
    assert_eq!(keys(&caches.open("three").await.unwrap()).await, ["/x", "/y"]);
    assert!(caches.delete("three").await.unwrap());
    assert!(names(&caches).await.is_empty());
}

async fn the_order_of_names_is_that_of_the_displaced_one(store: Waystore) {
    let caches = caches(&store);
    for name in ["a", "b", "c", "d"] {
        caches.open(name).await.unwrap();
    }
    assert!(caches.rename("d", "b").await.unwrap());
    assert_eq!(names(&caches).await, ["a", "b", "c"]);
    assert!(caches.rename("b", "e").await.unwrap());
    assert_eq!(names(&caches).await, ["a", "e", "c"]);
    assert!(caches.rename("a", "c").await.unwrap());
    assert_eq!(names(&caches).await, ["e", "c"]);
    assert!(caches.rename("c", "c").await.unwrap());
    assert_eq!(names(&caches).await, ["e", "c"]);
}

async fn a_name_that_is_not_there_is_not_given(store: Waystore) {
    let (caches, one, _) = two(&store).await;
    put(&one, "/x", "1").await;
    assert!(!caches.rename("none", "one").await.unwrap());
    assert!(!caches.rename("none", "none").await.unwrap());
    assert_eq!(names(&caches).await, ["one", "two"]);
    assert_eq!(get(&caches.open("one").await.unwrap(), "/x").await, "1");
}

async fn a_displaced_cache_works_on_for_its_holder(store: Waystore) {
    let (caches, one, two) = two(&store).await;
    put(&one, "/x", &"1".repeat(100_000)).await;
    drop(two);
    assert!(caches.rename("two", "one").await.unwrap());
    put(&one, "/y", "doomed").await;
    assert_eq!(keys(&one).await, ["/x", "/y"]);
    assert_eq!(get(&one, "/x").await.len(), 100_000);
    assert!(keys(&caches.open("one").await.unwrap()).await.is_empty());
}

async fn somebody_always_has_the_name(store: Waystore) {
    let caches = caches(&store);
    put(&caches.open("site").await.unwrap(), "/x", "0").await;
    let swapping = tokio::spawn({
        let caches = caches.clone();
        async move {
            for number in 1..50 {
                put(&caches.open("next").await.unwrap(), "/x", &number.to_string()).await;
                assert!(caches.rename("next", "site").await.unwrap());
            }
        }
    });
    while !swapping.is_finished() {
        let only = crate::MultiCacheQueryOptions { cache_name: Some("site".into()), ..Default::default() };
        assert!(caches.match_("/x", only).await.unwrap().is_some());
        tokio::task::yield_now().await;
    }
    swapping.await.unwrap();
    assert_eq!(names(&caches).await, ["site"]);
}

async fn a_renaming_is_alone_in_its_commit(store: Waystore) {
    let (caches, one, _) = two(&store).await;
    let place = Place::new(caches.storage_key().clone(), Bottle::Caches);
    let rename = NameChange::Rename { place: place.clone(), from: "one".into(), to: "three".into() };
    let both = Changes { names: vec![rename.clone(), NameChange::Bind(place, "one".into())], ..Changes::default() };
    let refused = one.store.commit(&one.key, OpId(1), &ReadSet::default(), &both).await;
    assert!(matches!(refused, Err(Error::Type { .. })));
    assert_eq!(names(&caches).await, ["one", "two"]);
    let alone = Changes { names: vec![rename], ..Changes::default() };
    assert_eq!(one.store.commit(&one.key, OpId(1), &ReadSet::default(), &alone).await.unwrap(), Commit::Applied);
    assert_eq!(one.store.commit(&one.key, OpId(1), &ReadSet::default(), &alone).await.unwrap(), Commit::Stale);
}
