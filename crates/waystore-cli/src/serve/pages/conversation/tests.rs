//! Conversations over connections made of channels: how they end, and how a client goes on.

use std::time::Duration;

use serde_json::json;
use tokio::{runtime::Handle, time::Instant};

use crate::serve::pages::{
    desk::Taken,
    frames::From,
    testing::{Line, clients, no_times, pages},
    times::Times,
};

#[tokio::test]
async fn a_page_that_says_nothing_is_pinged_then_closed_and_given_up_after_its_grace() {
    let grace = Duration::from_millis(100);
    let pages = pages(9, Times { ping_ms: 40, silence_ms: 100, grace, ..no_times() }).await;
    let began = Instant::now();
    let mut page = Line::open(&pages, &json!({})).await.unwrap();
    page.hears("ping").await;
    page.hears("ping").await;
    let closed = page.hears("close").await;
    assert_eq!((&closed["code"], &closed["reason"]), (&4408.into(), &"nothing was heard for two pings".into()));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!(pages.site().clients(), 1, "it may come back");
    clients(&pages, 0).await;
    assert!(began.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_page_that_answers_pings_stays() {
    let pages = pages(9, Times { ping_ms: 20, silence_ms: 1000, ..no_times() }).await;
    let began = Instant::now();
    let mut page = Line::open(&pages, &json!({})).await.unwrap();
    while began.elapsed() < Duration::from_millis(1500) {
        page.hears("ping").await;
        page.say(&json!({ "frame": "pong" })).await;
    }
}

#[tokio::test]
async fn a_page_that_acknowledges_nothing_is_closed_and_goes_on_with_what_it_did_not_get() {
    let pages = pages(9, Times { unread_ms: 100, ..no_times() }).await;
    let mut page = Line::open(&pages, &json!({})).await.unwrap();
    let welcome = page.hears("welcome").await;
    assert_eq!(page.hears("close").await["code"], 4413);
    let again = json!({ "client": welcome["client"], "key": welcome["key"], "received": 0 });
    let mut page = Line::open(&pages, &again).await.unwrap();
    assert_eq!(page.hears("welcome").await["resumed"], true);
    assert_eq!(page.hears("registration").await["n"], 1);
}

#[tokio::test]
async fn what_a_page_says_is_acknowledged_within_a_second_though_it_says_it_once() {
    let pages = pages(9, no_times()).await;
    let mut page = Line::open(&pages, &json!({})).await.unwrap();
    let said = Instant::now();
    page.say(&json!({ "frame": "client", "n": 1, "visible": true })).await;
    assert_eq!(page.hears("ack").await["upto"], 1);
    assert!(said.elapsed() >= Duration::from_millis(400), "not each by itself");
}

#[tokio::test]
async fn a_connection_that_takes_nothing_costs_nothing_until_its_end() {
    let pages = pages(9, Times { ping_ms: 1, silence_ms: 1000, ..no_times() }).await;
    let page = Line::open(&pages, &json!({})).await.unwrap();
    let busy = || Handle::current().metrics().worker_total_busy_duration(0);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (began, before) = (Instant::now(), busy());
    // By now pings fill all that there is room for, and another one has been due for long.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (spent, all) = (busy() - before, began.elapsed());
    assert!(spent * 3 < all, "busy for {spent:?} of {all:?}");
    drop(page);
}

#[tokio::test]
async fn a_page_that_connects_twice_at_once_stays_the_same_client() {
    let pages = pages(9, no_times()).await;
    let mut page = Line::open(&pages, &json!({})).await.unwrap();
    let welcome = page.hears("welcome").await;
    let again = json!({ "client": welcome["client"], "key": welcome["key"] });
    let (first, second) = tokio::join!(Line::open(&pages, &again), Line::open(&pages, &again));
    assert_eq!(first.unwrap().hears("close").await["code"], 4409);
    let welcome = second.unwrap().hears("welcome").await;
    assert_eq!((&welcome["resumed"], &welcome["client"]), (&true.into(), &again["client"]));
    assert_eq!(pages.site().clients(), 1);
}

#[tokio::test]
async fn a_page_without_a_connection_gets_no_more_time_for_what_it_does_wrong() {
    let pages = pages(9, Times { grace: Duration::from_millis(300), ..no_times() }).await;
    let mut page = Line::open(&pages, &json!({})).await.unwrap();
    let welcome = page.hears("welcome").await;
    let text = json!({ "frame": "from", "client": welcome["client"], "key": welcome["key"] }).to_string();
    let from = From::read(&text).unwrap();
    drop(page);
    let began = Instant::now();
    loop {
        match pages.take(&from, "x".repeat(20_000)).await {
            Taken::NoClient => break,
            Taken::Yes(heard) => assert_eq!(heard.unwrap_err().code, 1009),
        }
        assert!(began.elapsed() < Duration::from_secs(10), "it stays for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_page_that_finds_no_room_finds_the_id_of_its_navigation_later() {
    let pages = pages(1, no_times()).await;
    let id = pages.reserve(None);
    let first = Line::open(&pages, &json!({})).await.unwrap();
    let full = Line::open(&pages, &json!({ "client": id })).await;
    assert_eq!(full.err().map(|closing| closing.code), Some(4503));
    first.say(&json!({ "frame": "bye", "n": 1 })).await;
    clients(&pages, 0).await;
    let mut second = loop {
        // Its place is free a moment after the client is gone.
        match Line::open(&pages, &json!({ "client": id })).await {
            Ok(line) => break line,
            Err(closing) => assert_eq!(closing.code, 4503),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(second.hears("welcome").await["client"], id.as_str());
}
