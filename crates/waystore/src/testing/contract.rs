//! What [`Store`](crate::store::Store) promises beyond what caches show: staleness, pages, bodies
//! that nobody names.

use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt, channel::mpsc};

use super::support::{PLAIN, caches, get, open, put, request};
use crate::{
    Body, PutLevel, Response, ResponseHead, Waystore,
    store::{Changes, Commit, Entry, ListChange, ListId, NameChange, NewBody, NewEntry, OpId, Read, ReadSet, UrlMatch},
};

super::case_list!(Case:
    a_commit_whose_reads_changed_is_stale,
    a_commit_whose_other_urls_changed_is_applied,
    a_commit_that_expects_other_names_is_stale,
    pages_walk_a_list_in_order,
    what_a_writer_took_can_be_read_back,
    an_unfinished_body_is_no_entry,
    a_tee_gives_both_sides_everything,
    a_tee_holds_little_and_spools_the_rest,
    a_tee_goes_on_when_one_side_leaves,
    a_tee_goes_on_when_nobody_reads_one_side_any_more,
    puts_that_nobody_polls_any_more_hold_up_no_others,
);

fn new_entry(url: &str, body: &'static str) -> NewEntry {
    let entry = Entry::new(&request(url, &[]).head, &ResponseHead::with_status(200));
    NewEntry { entry, body: NewBody::Inline(body.into()) }
}

async fn a_commit_whose_reads_changed_is_stale(store: Waystore) {
    let cache = open(&store).await;
    let url = "https://a.test/x";
    for search in [UrlMatch::Exact(url), UrlMatch::WithoutQuery(url), UrlMatch::Any] {
        let (read, _) = cache.store.candidates(&[Read { list: &cache.list, url: search }]).await.unwrap();
        put(&cache, "/x", "phantom").await;
        let change = ListChange { list: cache.list.clone(), remove: vec![], insert: vec![new_entry("/x", "lost")] };
        let changes = Changes { lists: vec![change], ..Changes::default() };
        let commit = cache.store.commit(&cache.key, OpId(1), &read, &changes).await.unwrap();
        assert_eq!(commit, Commit::Stale, "{search:?}");
        assert_eq!(get(&cache, "/x").await, "phantom");
        assert!(cache.delete("/x", PLAIN).await.unwrap());
    }
}

async fn a_commit_whose_other_urls_changed_is_applied(store: Waystore) {
    let cache = open(&store).await;
    let search = [Read { list: &cache.list, url: UrlMatch::Exact("https://a.test/x") }];
    let (read, _) = cache.store.candidates(&search).await.unwrap();
    put(&cache, "/y", "other").await;
    let change = ListChange { list: cache.list.clone(), remove: vec![], insert: vec![new_entry("/x", "kept")] };
    let changes = Changes { lists: vec![change], ..Changes::default() };
    assert_eq!(cache.store.commit(&cache.key, OpId(1), &read, &changes).await.unwrap(), Commit::Applied);
    assert_eq!(get(&cache, "/x").await, "kept");
}

async fn a_commit_that_expects_other_names_is_stale(store: Waystore) {
    let (one, cache) = (caches(&store).open("one").await.unwrap(), open(&store).await);
    let place = caches(&store).place;
    let is_applied = async |names: &[(&str, ListId)]| {
        let names = names.iter().map(|(name, list)| ((*name).into(), *list)).collect();
        let expect = NameChange::Expect { place: place.clone(), names };
        let bind = NameChange::Bind(place.clone(), "new".into());
        let changes = Changes { names: vec![expect, bind], ..Changes::default() };
        let commit = cache.store.commit(&cache.key, OpId(1), &ReadSet::default(), &changes).await.unwrap();
        let is_there = cache.store.list(&place, &"new".into()).await.unwrap().is_some();
        assert_eq!(commit, if is_there { Commit::Applied } else { Commit::Stale });
        is_there
    };
    let (first, second) = (one.list.id(), cache.list.id());
    assert!(!is_applied(&[]).await);
    assert!(!is_applied(&[("one", first)]).await);
    assert!(!is_applied(&[("one", second), ("c", first)]).await);
    assert!(is_applied(&[("one", first), ("c", second)]).await);
}

async fn pages_walk_a_list_in_order(store: Waystore) {
    let cache = open(&store).await;
    for number in 0..10 {
        put(&cache, &format!("/{number}"), "1").await;
    }
    let mut urls = Vec::new();
    let mut after = None;
    loop {
        let page = cache.store.page(&cache.list, after, 3).await.unwrap();
        urls.extend(page.iter().map(|candidate| candidate.entry.url().to_owned()));
        if page.len() < 3 {
            break;
        }
        after = page.last().map(|candidate| candidate.id);
    }
    assert_eq!(urls, (0..10).map(|number| format!("https://a.test/{number}")).collect::<Vec<_>>());
}

async fn what_a_writer_took_can_be_read_back(store: Waystore) {
    let cache = open(&store).await;
    let mut writer = cache.store.write_body(&cache.key);
    let mut expected = Vec::new();
    for number in 0..50_u32 {
        let chunk = number.to_string().repeat(5_000);
        expected.extend_from_slice(chunk.as_bytes());
        writer.write(chunk.into()).await.unwrap();
        let mut read = Vec::new();
        loop {
            let chunk = writer.read_back(read.len() as u64).await.unwrap();
            assert!(chunk.len() <= 64 * 1024);
            if chunk.is_empty() {
                break;
            }
            read.extend_from_slice(&chunk);
        }
        assert!(read == expected, "after chunk {number}");
    }
    assert_eq!(writer.finish().await.unwrap().length(), expected.len() as u64);
}

async fn an_unfinished_body_is_no_entry(store: Waystore) {
    let cache = open(&store).await;
    let mut writer = cache.store.write_body(&cache.key);
    writer.write("x".repeat(100_000).into()).await.unwrap();
    drop(writer.finish().await.unwrap());
    assert!(cache.keys((), PLAIN).await.unwrap().is_empty());
}

/// A streamed response of `chunks` times 64 KiB, each filled with its number.
fn streamed(chunks: u8) -> Response {
    let chunks = (0..chunks).map(|number| Ok(vec![number; 64 * 1024].into()));
    Response::new(Body::from_stream(futures::stream::iter(chunks), None))
}

async fn length_of(response: Response) -> usize {
    response.body.unwrap().collect(usize::MAX).await.unwrap().len()
}

async fn a_tee_gives_both_sides_everything(store: Waystore) {
    let spooler = caches(&store).spooler();
    let (one, two) = streamed(3).tee(&spooler);
    let (one, two) = futures::join!(length_of(one), length_of(two));
    assert_eq!((one, two), (3 * 64 * 1024, 3 * 64 * 1024));
}

async fn a_tee_holds_little_and_spools_the_rest(store: Waystore) {
    let spooler = caches(&store).spooler();
    let (fast, slow) = streamed(200).tee(&spooler);
    assert_eq!(length_of(fast).await, 200 * 64 * 1024);
    let slow = slow.body.unwrap().collect(usize::MAX).await.unwrap();
    assert!(slow.chunks(64 * 1024).enumerate().all(|(index, chunk)| chunk.iter().all(|byte| *byte as usize == index)));
    assert_eq!(slow.len(), 200 * 64 * 1024);
}

async fn a_tee_goes_on_when_one_side_leaves(store: Waystore) {
    let spooler = caches(&store).spooler();
    let (stays, leaves) = streamed(200).tee(&spooler);
    drop(leaves);
    assert_eq!(length_of(stays).await, 200 * 64 * 1024);
}

async fn a_tee_goes_on_when_nobody_reads_one_side_any_more(store: Waystore) {
    let (mut sender, receiver) = mpsc::channel::<Bytes>(0);
    let streamed = Response::new(Body::from_stream(receiver.map(Ok), None));
    let (left, read) = streamed.tee(&caches(&store).spooler());
    let mut left = left.body.unwrap();
    assert!(left.next().now_or_never().is_none(), "it waits for the source, and is not asked again");
    let reading = tokio::spawn(length_of(read));
    sender.send("x".repeat(1000).into()).await.unwrap();
    drop(sender);
    let length = tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the other side is read");
    assert_eq!(length.unwrap(), 1000);
}

async fn puts_that_nobody_polls_any_more_hold_up_no_others(store: Waystore) {
    let storage = caches(&store).with_put_level(PutLevel::Durable).with_budget(40_000);
    let cache = storage.open("c").await.unwrap();
    let put = |name: String| {
        let cache = cache.clone();
        async move { cache.put(name, Response::new("x".repeat(2_000))).await.unwrap() }
    };
    // Of each number of polls several, so that some are left at every point where they wait.
    let mut left = Vec::new();
    for (number, polls) in (0..24).zip((1..=4).cycle()) {
        let mut put = Box::pin(put(format!("/left/{number}")));
        for _ in 0..polls {
            if futures::poll!(put.as_mut()).is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        left.push(put);
    }
    for round in 0..3 {
        let others = (0..10).map(|number| tokio::spawn(put(format!("/{round}/{number}"))));
        let others = futures::future::try_join_all(others);
        tokio::time::timeout(Duration::from_secs(30), others).await.expect("the others are stored").unwrap();
    }
    drop(left);
}
