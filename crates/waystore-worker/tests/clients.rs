//! Clients, as a worker's script sees the pages that its host connected, and as those hear of it.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::{
    Waits, World, get,
    pages::{InWords, Tells, Told, connect, lines, page, posted, told},
    words,
};
use waystore_worker::{
    Addressee, ClientChange, ClientKind, FetchEvent, FrameType, MessagePort, PortMessage, Site, SiteError, ToPage,
};

/// Answers what `ask` is with, about clients.
const ASKED: &str = "
    const shown = c => c && [c.constructor.name, c.id, c.url, c.type, c.frameType, c.visibilityState, c.focused].join(' ');
    onmessage = e => e.waitUntil(eval(e.data));
";

async fn tell(site: &Site, script: &str) {
    support::tell(site, json!(script)).await;
}

/// A navigation to `path`, whose page would have the client `id`.
fn navigation(path: &str, id: &str) -> FetchEvent {
    FetchEvent { resulting_client_id: id.to_owned(), ..FetchEvent::of(get(path)) }
}

#[tokio::test]
async fn w51_a_page_gets_back_what_it_posts_from_a_worker_to_which_it_is_a_window_client() {
    let world = World::with(
        "onmessage = e => {
           const { source } = e;
           console.log(source instanceof WindowClient, source.id, source.url, e.origin, e.ports.length);
           source.postMessage({ echo: e.data });
         }",
    );
    let site = world.ready().await;
    let page = connect(&site, "p", "/app?q#here");
    posted(&page, json!({ "type": "X", "list": [1, null] })).await;
    assert_eq!(world.line().await, "true p https://a.test/app?q#here https://a.test 0");
    assert!(matches!(told(&page).await, ToPage::Registration(_)));
    let ToPage::Message { data, source, ports } = told(&page).await else { panic!("it is a message") };
    assert_eq!(data.to_json(), Some(json!({ "echo": { "type": "X", "list": [1, null] } })));
    assert_eq!((source.version, ports.len()), (support::active(&site), 0));
    assert_eq!(source.state, waystore_worker::WorkerState::Activated);
}

#[tokio::test]
async fn w53_ports_go_both_ways_between_page_and_worker() {
    let world = World::with(
        "onmessage = e => {
           const { port1, port2 } = new MessageChannel();
           port1.onmessage = e => console.log('through mine:', e.data);
           e.ports[0].postMessage('x');
           e.source.postMessage('take it', [port2]);
         }",
    );
    let site = world.ready().await;
    let page = connect(&site, "p", "/");
    let (mut here, there) = MessagePort::channel();
    let message = PortMessage { data: json!(null).into(), ports: vec![there] };
    page.message(&Addressee::Active, message).await.unwrap();
    assert_eq!(here.receive().await.unwrap().data.to_json(), Some(json!("x")));
    let ToPage::Message { mut ports, .. } = page.message_told().await else { panic!("it is a message") };
    ports.pop().unwrap().post(json!("hello").into()).unwrap();
    assert_eq!(world.line().await, "through mine: hello");
}

#[tokio::test]
async fn w54_before_a_page_is_controlled_it_is_found_only_by_who_asks_for_all() {
    let world = World::with(&format!("oninstall = e => e.waitUntil(fetch('/gate')); {ASKED}"));
    world.net.text("/gate", "");
    let gate = world.net.gate("/gate");
    let site = world.open().await;
    let _page = connect(&site, "p", "/x");
    gate.notify_one();
    site.ready().await.unwrap();
    tell(&site, "clients.matchAll().then(all => console.log(all.length, Object.isFrozen(all)))").await;
    assert_eq!(world.line().await, "0 true");
    tell(&site, "clients.matchAll({ includeUncontrolled: true }).then(all => console.log(all.map(shown).join()))")
        .await;
    assert_eq!(world.line().await, "WindowClient p https://a.test/x window top-level hidden false");
    // Uncontrolled clients can be got, too.
    tell(&site, "clients.get('p').then(client => console.log(client.id))").await;
    assert_eq!(world.line().await, "p");
}

#[tokio::test]
async fn w55_the_client_that_a_navigation_makes_is_waited_for_until_its_page_is_there() {
    let world = World::with(
        "onfetch = e => {
           e.respondWith(new Response(`for ${e.resultingClientId} of ${e.clientId || 'nobody'}`));
           e.waitUntil(clients.get(e.resultingClientId).then(client => console.log('got', client?.url)));
         }",
    );
    let site = world.ready().await;
    site.reserve_client("new");
    assert_eq!(words(site.fetch(navigation("/app", "new")).await).await, "for new of nobody");
    assert!(world.lines().await.is_empty());
    let page = connect(&site, "new", "/app#top");
    assert_eq!(world.line().await, "got https://a.test/app#top");
    assert!(page.is_controlled());
}

#[tokio::test]
async fn a_navigation_whose_page_never_connects_makes_no_client() {
    let mut world = World::with(
        "onfetch = e => {
           e.respondWith(new Response(''));
           e.waitUntil(clients.get(e.resultingClientId).then(client => console.log('got', client)));
         }",
    );
    world.limits.binding = Duration::from_millis(20);
    let site = world.ready().await;
    site.reserve_client("new");
    site.fetch(navigation("/app", "new")).await;
    assert_eq!(world.line().await, "got undefined");
}

#[tokio::test]
async fn w56_an_id_of_nobody_is_no_client_and_no_window_is_opened_or_led_elsewhere() {
    let world = World::with(ASKED);
    let site = world.ready().await;
    let _page = connect(&site, "p", "/x");
    for (script, expected) in [
        ("clients.get('nope')", "undefined"),
        ("clients.get('\\ud800')", "undefined"),
        ("clients.openWindow('/x')", "InvalidAccessError"),
        ("clients.openWindow('about:blank')", "TypeError"),
        ("clients.openWindow('https://')", "TypeError"),
        ("clients.get('p').then(c => c.focus())", "InvalidAccessError"),
        ("clients.get('p').then(c => c.navigate('/y'))", "TypeError"),
        ("clients.get('p').then(c => c.navigate('about:blank'))", "TypeError"),
        ("clients.matchAll({ type: 'tab' })", "TypeError"),
        ("clients.matchAll(1)", "TypeError"),
    ] {
        tell(&site, &format!("{script}.then(given => console.log(String(given)), error => console.log(error.name))"))
            .await;
        assert_eq!(world.line().await, expected, "{script}");
    }
}

#[tokio::test]
async fn clients_are_shown_as_they_are_in_the_standards_order_and_stay_as_they_were() {
    let world = World::with(&format!("let first; {ASKED}"));
    let site = world.ready().await;
    let pages = [connect(&site, "a", "/a"), connect(&site, "b", "/b")];
    let worker =
        waystore_worker::ClientInfo { kind: ClientKind::SharedWorker, frame: FrameType::None, ..page("w", "/w.js") };
    let _worker = site.connect(worker).unwrap();
    pages[1].update(ClientChange { focused: Some(true), visible: Some(true), url: None });
    let list =
        "clients.matchAll({ type: 'all' }).then(all => { first ??= all[0]; console.log(all.map(shown).join('\\n')) })";
    tell(&site, list).await;
    assert_eq!(
        world.line().await,
        "WindowClient b https://a.test/b window top-level visible true\n\
         WindowClient a https://a.test/a window top-level hidden false\n\
         Client w https://a.test/w.js sharedworker none  "
    );
    pages[0].update(ClientChange { focused: Some(true), ..ClientChange::default() });
    pages[1].update(ClientChange { focused: Some(false), ..ClientChange::default() });
    tell(
        &site,
        "clients.matchAll().then(([a, b]) => console.log(a.id, a.focused, b.focused, first.focused, first === b))",
    )
    .await;
    assert_eq!(world.line().await, "a true false true false");
}

#[tokio::test]
async fn posting_to_a_client_follows_the_rules_of_post_message() {
    let world = World::with(ASKED);
    let site = world.ready().await;
    let page = connect(&site, "p", "/x");
    tell(
        &site,
        "clients.get('p').then(c => {
           for (const given of [[{ f() {} }], [new Response()], [1, [{}]], [1, 2], []]) {
             try { c.postMessage(...given) } catch (error) { console.log(error.name) }
           }
           const bytes = new Uint8Array([1, 2]);
           c.postMessage(bytes, { transfer: [bytes.buffer] });
           console.log(bytes.length);
         })",
    )
    .await;
    for expected in ["DataCloneError", "DataCloneError", "DataCloneError", "TypeError", "TypeError", "0"] {
        assert_eq!(world.line().await, expected);
    }
    assert!(matches!(page.message_told().await, ToPage::Message { .. }));
}

#[tokio::test]
async fn a_message_event_that_script_makes_has_a_client_a_worker_or_a_port_as_its_source() {
    let world = World::with(
        "onmessage = e => {
           const { port1 } = new MessageChannel();
           for (const source of [e.source, registration.active, port1, null]) {
             console.log(new ExtendableMessageEvent('message', { source, ports: [port1] }).source === source);
           }
           for (const init of [{ source: {} }, { source: 1 }, { ports: [{}] }]) {
             try { new ExtendableMessageEvent('message', init) } catch (error) { console.log(error.name) }
           }
         }",
    );
    let site = world.ready().await;
    let page = connect(&site, "p", "/");
    posted(&page, json!(null)).await;
    let told = lines(&world, 7).await;
    assert_eq!(told, ["true", "true", "true", "true", "TypeError", "TypeError", "TypeError"]);
}

#[tokio::test]
async fn what_is_posted_to_a_client_that_has_gone_is_dropped() {
    let world =
        World::with("let kept; onmessage = e => { kept ??= e.source; kept.postMessage(1); console.log('posted') }");
    let site = world.ready().await;
    let page = connect(&site, "p", "/x");
    posted(&page, json!(null)).await;
    drop(page);
    support::tell(&site, json!(null)).await;
    assert_eq!(lines(&world, 2).await, ["posted", "posted"]);
    assert_eq!(site.clients(), 0);
}

#[tokio::test]
async fn claim_takes_the_pages_in_the_scope_over_and_tells_them() {
    let mut world = World::with(
        "oninstall = e => e.waitUntil(fetch('/gate'));
         onactivate = e => e.waitUntil(clients.claim().then(() => clients.matchAll()).then(all => console.log(all.map(c => c.id).join())))",
    );
    world.scope = Some("/app/");
    world.net.text("/gate", "");
    let gate = world.net.gate("/gate");
    let site = world.open().await;
    let (inside, outside) = (connect(&site, "in", "/app/x"), connect(&site, "out", "/other"));
    gate.notify_one();
    assert_eq!(world.line().await, "in");
    site.ready().await.unwrap();
    assert!(inside.is_controlled() && !outside.is_controlled());
    let version = support::active(&site);
    let steps = lines_told(&inside, &version).await;
    assert_eq!(steps, ["-", "installing", "installed", "activating", "change to it", "activated by it"]);
}

/// The steps that a page hears, until its worker is activated: of the version that the test knows.
async fn lines_told(page: &waystore_worker::Page, version: &str) -> Vec<String> {
    let mut steps = Vec::new();
    while !steps.last().is_some_and(|step: &String| step.starts_with("activated")) {
        let step = match told(page).await {
            ToPage::Registration(mirror) => {
                let worker = [mirror.installing, mirror.waiting, mirror.active].into_iter().flatten().next();
                let state = worker.map_or("-", |worker| worker.state.as_str());
                let by = if mirror.controller.as_deref() == Some(version) { " by it" } else { "" };
                format!("{state}{by}")
            }
            ToPage::ControllerChange { version: now } if now.as_deref() == Some(version) => "change to it".to_owned(),
            other => format!("{other:?}"),
        };
        if steps.last() != Some(&step) {
            steps.push(step);
        }
    }
    steps
}

#[tokio::test]
async fn a_new_version_takes_over_the_pages_of_the_old_one_and_they_hear_every_step_in_order() {
    let world = World::with("onmessage = () => {}");
    let site = world.ready().await;
    let page = connect(&site, "p", "/x");
    let one = support::active(&site);
    world.net.script("/sw.js", "onmessage = e => e.source.postMessage('two')");
    let waystore_worker::Updated::Installed { version: two } = site.update(false).await.unwrap() else { panic!() };
    site.activated(&two).await;
    assert!(page.is_controlled());
    posted(&page, json!(null)).await;
    let name = |version: &str| if version == one { "one" } else { "two" };
    let mut steps = Vec::new();
    loop {
        match told(&page).await.in_words(name) {
            Told::Step(step) => steps.push(step),
            Told::Message(said) => {
                assert_eq!(said, json!("two"));
                break;
            }
        }
    }
    assert_eq!(
        steps,
        [
            "one activated, controller one",
            "two installing, one activated, controller one",
            "two installed, one activated, controller one",
            "two activating, controller two",
            "controllerchange two",
            "two activated, controller two",
        ]
    );
}

#[tokio::test]
async fn a_page_loses_its_worker_where_the_registration_is_removed() {
    let world = World::with("onmessage = () => {}");
    let site = world.ready().await;
    let page = connect(&site, "p", "/x");
    assert!(site.unregister().await);
    assert!(!page.is_controlled());
    let mut last = Vec::new();
    while last.last().is_none_or(|step: &String| step != "controllerchange none") {
        let Told::Step(step) = told(&page).await.in_words(|_| "one") else { panic!("nothing was posted") };
        last.push(step);
    }
    assert_eq!(last, ["one activated, controller one", "nobody, controller none", "controllerchange none"]);
    assert!(page.message(&Addressee::Active, json!(1).into()).await.is_ok(), "it is dropped");
}

#[tokio::test]
async fn a_message_goes_to_the_version_or_the_slot_that_is_named() {
    let world = World::with(
        "onmessage = e => e.data === 'stay' ? e.waitUntil(new Promise(() => {})) : console.log('one', e.data)",
    );
    let site = world.ready().await;
    let page = connect(&site, "p", "/x");
    posted(&page, json!("stay")).await;
    let one = support::active(&site);
    world.net.script("/sw.js", "onmessage = e => console.log('two', e.data, e.source.id)");
    site.update(false).await.unwrap();
    let two = site.status().waiting.unwrap().version;
    for (to, expected) in [
        (Addressee::Version(one), "one to"),
        (Addressee::Active, "one to"),
        (Addressee::Version(two), "two to p"),
        (Addressee::Waiting, "two to p"),
    ] {
        page.message(&to, json!("to").into()).await.unwrap();
        assert_eq!(world.line().await, expected);
    }
    for to in [Addressee::Version("gone".to_owned()), Addressee::Installing] {
        page.message(&to, json!("to").into()).await.unwrap();
    }
    site.switch_off().await.unwrap();
    assert!(matches!(page.message(&Addressee::Active, json!(1).into()).await, Err(SiteError::Off { .. })));
}

#[tokio::test]
async fn who_comes_back_after_a_restart_is_controlled_as_before() {
    let world = World::with("onmessage = () => {}");
    let site = world.ready().await;
    site.reserve_client("p");
    site.fetch(navigation("/x", "p")).await;
    assert!(connect(&site, "p", "/x").is_controlled());
    site.close(Duration::from_secs(5)).await;
    let site = world.ready().await;
    assert!(connect(&site, "p", "/x").is_controlled());
}
