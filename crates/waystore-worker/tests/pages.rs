//! What pages may do to a worker, and what they may cost: broadcasts, and every bound.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    World, answer,
    pages::{Tells, connect, json_told, page, posted, told},
};
use waystore_worker::{Addressee, ClientError, MessagePort, PortMessage, SerializedValue, SiteError, ToPage};

#[tokio::test]
async fn a_client_is_taken_in_once_and_from_the_sites_origin() {
    let mut world = World::with("");
    world.limits.clients = 2;
    let site = world.ready().await;
    let first = connect(&site, "a", "/");
    assert_eq!(site.connect(page("a", "/")).unwrap_err(), ClientError::Taken { id: "a".to_owned() });
    assert!(matches!(site.connect(page("b", "https://b.test/")), Err(ClientError::Origin { .. })));
    let _second = connect(&site, "b", "/");
    assert_eq!(site.connect(page("c", "/")).unwrap_err(), ClientError::TooMany { most: 2 });
    drop(first);
    let third = connect(&site, "a", "/");
    site.close(Duration::from_secs(5)).await;
    assert_eq!(site.connect(page("d", "/")).unwrap_err(), ClientError::Closed);
    assert!(matches!(told(&third).await, ToPage::Registration(_)));
    assert!(third.receive().await.is_none(), "a closed site says so");
}

#[tokio::test]
async fn a_broadcast_goes_from_worker_to_pages_that_joined_and_back_and_never_from_page_to_page() {
    let world = World::with(
        "const channel = new BroadcastChannel('news');
         channel.onmessage = e => { console.log(e.data, e.origin); channel.postMessage({ said: e.data }) }",
    );
    let site = world.ready().await;
    let (one, two, deaf) = (connect(&site, "1", "/"), connect(&site, "2", "/"), connect(&site, "3", "/"));
    assert!(one.join("news") && two.join("news") && deaf.join("other"));
    one.broadcast("news", json!("hello").into());
    assert_eq!(world.line().await, "hello https://a.test");
    for page in [&one, &two] {
        let ToPage::Broadcast { name, data } = page.message_told().await else { panic!("it is a broadcast") };
        assert_eq!((name.as_str(), data.to_json()), ("news", Some(json!({ "said": "hello" }))));
    }
    two.leave("news");
    one.broadcast("news", json!("again").into());
    assert_eq!(world.line().await, "again https://a.test");
    assert!(matches!(one.message_told().await, ToPage::Broadcast { .. }));
    assert_eq!((two.waiting().0, deaf.waiting().0), (0, 0));
    assert!((0..63).all(|number| one.join(&number.to_string())) && !one.join("one too many"));
}

#[tokio::test]
async fn a_broadcast_reaches_the_versions_that_run_and_not_its_sender_again() {
    let script = |name: &str| {
        format!(
            "const channel = new BroadcastChannel('b');
             channel.onmessage = e => console.log('{name} hears', e.data);
             onmessage = e => e.data === 'stay' ? e.waitUntil(new Promise(() => {{}})) : channel.postMessage(e.data)"
        )
    };
    let world = World::with(&script("one"));
    let site = world.ready().await;
    support::tell(&site, json!("stay")).await;
    world.net.script("/sw.js", &script("two"));
    site.update(false).await.unwrap();
    support::tell(&site, json!("of one")).await;
    assert_eq!(world.line().await, "two hears of one");
    let page = connect(&site, "p", "/");
    page.message(&Addressee::Waiting, json!("of two").into()).await.unwrap();
    assert_eq!(world.line().await, "one hears of two");
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_messages_and_is_told_how_many() {
    let world = World::with(
        "onmessage = e => { for (let n = 0; n < 1000; n++) e.source.postMessage(n); console.log('posted') }",
    );
    let site = world.ready().await;
    let page = connect(&site, "p", "/");
    let other = connect(&site, "q", "/");
    posted(&page, json!(null)).await;
    assert_eq!(world.line().await, "posted");
    told(&page).await;
    for number in 0..256 {
        assert_eq!(json_told(&page).await, json!(number));
    }
    let ToPage::Lost { messages, steps } = told(&page).await else { panic!("it is told") };
    assert_eq!((messages, steps), (744, 0));
    posted(&other, json!(null)).await;
    told(&other).await;
    assert_eq!(json_told(&other).await, json!(0));
}

#[tokio::test]
async fn a_page_whose_messages_never_end_is_refused_and_everybody_else_is_served() {
    let mut world = World::with(
        "onmessage = e => { if (e.data === 'for ever') e.waitUntil(new Promise(() => {})); else console.log(e.data) };
         onfetch = e => e.respondWith(new Response('served'))",
    );
    world.limits.concurrent_events = 256;
    let site = world.ready().await;
    let pages: Vec<_> = (0..3).map(|number| connect(&site, &number.to_string(), "/")).collect();
    let mut refused = 0;
    for page in &pages {
        for _ in 0..40 {
            let sent = page.message(&Addressee::Active, json!("for ever").into()).await;
            refused += usize::from(matches!(sent, Err(SiteError::Busy)));
        }
    }
    assert_eq!(refused, 3 * 40 - 64);
    assert_eq!(answer(&site, "/x").await, "served");
    support::tell(&site, json!("the host's own")).await;
    assert_eq!(world.line().await, "the host's own");
}

#[tokio::test]
async fn a_worker_holds_sixty_four_ports_of_a_page_and_no_more() {
    let world = World::with("self.kept = []; onmessage = e => { kept.push(...e.ports); console.log(kept.length) }");
    let site = world.ready().await;
    let (greedy, other) = (connect(&site, "p", "/"), connect(&site, "q", "/"));
    let with_ports = |count: usize| {
        let (here, ports): (Vec<_>, Vec<_>) = (0..count).map(|_| MessagePort::channel()).unzip();
        (here, PortMessage { data: json!(null).into(), ports })
    };
    let (_mine, message) = with_ports(60);
    greedy.message(&Addressee::Active, message).await.unwrap();
    assert_eq!(world.line().await, "60");
    let (_more, message) = with_ports(5);
    assert!(matches!(greedy.message(&Addressee::Active, message).await, Err(SiteError::Busy)));
    let _channels: Vec<_> = (0..4).map(|_| greedy.port_channel().unwrap()).collect();
    assert!(greedy.port_channel().is_err());
    let (_theirs, message) = with_ports(5);
    other.message(&Addressee::Active, message).await.unwrap();
    assert_eq!(world.line().await, "65");
}

#[tokio::test]
async fn a_client_says_what_is_no_value_and_the_worker_hears_of_an_error() {
    let world = World::with("onmessage = () => {}; onmessageerror = e => console.log(e.type, e.source.id, e.data)");
    let site = world.ready().await;
    let page = connect(&site, "p", "/");
    let data = SerializedValue::from_text(r#"[{"is":"object","id":0},[{"kind":"Nonsense"}]]"#.to_owned()).unwrap();
    page.message(&Addressee::Active, data.into()).await.unwrap();
    assert_eq!(world.line().await, "messageerror p null");
}

#[tokio::test]
async fn thousands_of_connections_that_come_and_go_leave_nothing_behind() {
    let world = World::with("");
    let site = world.ready().await;
    for number in 0..20_000 {
        let id = number.to_string();
        site.reserve_client(&id);
        drop(connect(&site, &id, "/x"));
    }
    assert_eq!(site.clients(), 0);
    let page = connect(&site, "last", "/x");
    assert!(matches!(told(&page).await, ToPage::Registration(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_come_in_the_order_in_which_they_were_posted_while_the_worker_is_started_too() {
    let mut world = World::with(
        "onmessage = e => {
           console.log(e.data);
           if (e.data === 29) for (let n = 30; n < 60; n++) registration.active.postMessage(n);
         }",
    );
    world.limits.idle = Duration::from_millis(5);
    let site = world.ready().await;
    while site.status().active.is_some_and(|worker| worker.running) {
        tokio::task::yield_now().await;
    }
    let page = connect(&site, "p", "/");
    let posted: Vec<_> = (0..30).map(|number| page.message(&Addressee::Active, json!(number).into())).collect();
    for message in posted.into_iter().rev() {
        tokio::spawn(message);
    }
    for number in 0..60 {
        assert_eq!(world.line().await, number.to_string());
    }
}
