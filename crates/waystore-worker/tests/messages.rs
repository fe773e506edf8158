//! Messages with ports, both ways: between a host and its worker, and between workers.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use serde_json::json;
use support::World;
use waystore_worker::{MessageError, MessageEvent, MessagePort, PortMessage, SerializedValue, Site};

/// Sends `data` with a port; what it answers comes out at the other end.
async fn ask(site: &Site, data: serde_json::Value) -> MessagePort {
    let (here, there) = MessagePort::channel();
    site.message(MessageEvent { data: data.into(), ports: vec![there] }).await.unwrap();
    here
}

async fn received(port: &mut MessagePort) -> PortMessage {
    let received = tokio::time::timeout(Duration::from_secs(20), port.receive()).await.expect("it comes in time");
    received.expect("the port is open")
}

async fn json(port: &mut MessagePort) -> serde_json::Value {
    received(port).await.data.to_json().unwrap()
}

async fn is_closed(port: &mut MessagePort) -> bool {
    tokio::time::timeout(Duration::from_secs(20), port.receive()).await.expect("it is told in time").is_none()
}

#[tokio::test]
async fn w53_a_worker_answers_through_the_port_that_came_with_a_message() {
    let world = World::with(
        "onmessage = e => e.ports[0].postMessage({ got: e.data, ports: e.ports.length, source: e.source })",
    );
    let site = world.ready().await;
    let mut port = ask(&site, json!({ "type": "X", "list": [1, null, "é"] })).await;
    let expected = json!({ "got": { "type": "X", "list": [1, null, "é"] }, "ports": 1, "source": null });
    assert_eq!(json(&mut port).await, expected);
}

#[tokio::test]
async fn a_conversation_goes_on_and_hears_of_its_end() {
    let world = World::with(
        "onmessage = e => {
           const [port] = e.ports;
           port.onmessage = e => e.data === 'stop' ? port.close() : port.postMessage(e.data + 1);
           port.onclose = () => console.log('closed by the host');
         }",
    );
    let site = world.ready().await;
    let mut port = ask(&site, json!(null)).await;
    for number in 1..4 {
        port.post(json!(number).into()).unwrap();
        assert_eq!(json(&mut port).await, json!(number + 1));
    }
    port.post(json!("stop").into()).unwrap();
    assert!(is_closed(&mut port).await);
    drop(ask(&site, json!(null)).await);
    assert_eq!(world.line().await, "closed by the host");
}

#[tokio::test]
async fn ports_made_by_script_are_sent_out_with_what_waits_in_them_and_come_back() {
    let world = World::with(
        "onmessage = e => {
           const { port1, port2 } = new MessageChannel();
           port1.postMessage('early');
           port1.onmessage = e => {
             const [back] = e.ports;
             back.onmessage = e => console.log('through the port that came back', e.data);
           };
           e.ports[0].postMessage('take it', [port2]);
         }",
    );
    let site = world.ready().await;
    let mut port = ask(&site, json!(null)).await;
    let mut theirs = received(&mut port).await.ports.pop().unwrap();
    assert_eq!(json(&mut theirs).await, json!("early"));
    let (here, there) = MessagePort::channel();
    theirs.post(PortMessage { data: json!(1).into(), ports: vec![there] }).unwrap();
    here.post(json!("hello").into()).unwrap();
    assert_eq!(world.line().await, "through the port that came back hello");
}

#[tokio::test]
async fn a_port_that_came_from_outside_can_be_given_on_to_the_outside() {
    let world = World::with(
        "onmessage = e => {
           const [here, given] = e.ports;
           given.onmessage = () => console.log('never');
           here.postMessage({ given }, [given]);
         }",
    );
    let site = world.ready().await;
    let ((mut here, there), (mine, given)) = (MessagePort::channel(), MessagePort::channel());
    site.message(MessageEvent { data: json!(null).into(), ports: vec![there, given] }).await.unwrap();
    let mut back = received(&mut here).await.ports.pop().unwrap();
    mine.post(json!("still mine").into()).unwrap();
    assert_eq!(json(&mut back).await, json!("still mine"));
    back.post(json!("and yours").into()).unwrap();
    let mut mine = mine;
    assert_eq!(json(&mut mine).await, json!("and yours"));
}

#[tokio::test]
async fn two_ends_that_script_sends_together_are_connected_outside() {
    let world = World::with(
        "onmessage = e => {
           const { port1, port2 } = new MessageChannel();
           e.ports[0].postMessage(null, [port1, port2]);
         }",
    );
    let site = world.ready().await;
    let mut port = ask(&site, json!(null)).await;
    let mut ports = received(&mut port).await.ports;
    let (mut two, one) = (ports.pop().unwrap(), ports.pop().unwrap());
    one.post(json!("across").into()).unwrap();
    assert_eq!(json(&mut two).await, json!("across"));
}

#[tokio::test]
async fn every_kind_of_value_goes_out_and_comes_back() {
    let world = World::with(
        "onmessage = async e => {
           const [port] = e.ports;
           if (port === undefined) return;
           const bytes = new Uint8Array([1, 2, 3, 250]);
           const value = { map: new Map([[1n, new Set(['x'])]]), date: new Date(NaN), rule: /a+/gi, view: bytes.subarray(1),
             moved: bytes.buffer, error: new RangeError('r', { cause: [undefined, -0, NaN] }), box: Object('s'),
             dom: new DOMException('m', 'AbortError'), quota: new QuotaExceededError('q', { quota: 1, requested: 2 }),
             blob: new Blob(['bl', 'ob'], { type: 'a/b' }), file: new File(['file'], 'name.txt', { lastModified: 7 }), lone: '\\ud800' };
           value.self = value;
           value.list = [, value];
           port.postMessage(value, [bytes.buffer]);
           console.log(bytes.length);
           port.onmessage = async ({ data: v }) => {
             const b = v.blob, f = v.file;
             console.log(v.self === v, v.list[1] === v, 0 in v.list, v.map.get(1n).has('x'), isNaN(v.date), String(v.rule));
             console.log([...v.view].join(), v.view.buffer === v.moved, v.moved.byteLength, v.error.name, Object.is(v.error.cause[1], -0));
             console.log(typeof v.box, v.dom.name, v.quota.requested, v.quota instanceof QuotaExceededError, v.lone === '\\ud800');
             console.log(b.type, await b.text(), f instanceof File, f.name, f.lastModified, await f.text());
           };
         }",
    );
    let site = world.ready().await;
    let mut port = ask(&site, json!(null)).await;
    let value = received(&mut port).await.data;
    let value = SerializedValue::from_text(value.as_str().to_owned()).unwrap();
    port.post(value.into()).unwrap();
    for expected in [
        "0",
        "true true false true true /a+/gi",
        "2,3,250 true 4 RangeError true",
        "object AbortError 2 true true",
        "a/b blob true name.txt 7 file",
    ] {
        assert_eq!(world.line().await, expected);
    }
}

#[tokio::test]
async fn what_is_not_written_as_it_should_be_is_a_messageerror() {
    let world = World::with(
        "onmessageerror = e => console.log(e.type, e.constructor.name, e.data, e.ports.length);
         onmessage = e => { if (e.data === 'fine') console.log('fine') }",
    );
    let site = world.ready().await;
    for text in [
        r#"[{"is":"object","id":0},[]]"#,
        r#"[{"is":"object","id":0},[{"kind":"Nonsense"}]]"#,
        r#"[{"is":"object","id":0},[{"kind":"Port","index":3}]]"#,
        r#"[{"is":"object","id":0},[{"kind":"Moved","target":1}]]"#,
        r#"[{"is":"object","id":0},[{"kind":"View","name":"Nonsense","buffer":1,"offset":0,"length":1}]]"#,
        r#"[{"is":"object","id":0},[{"kind":"Object","entries":7}]]"#,
        r#"[{"is":"object","id":"constructor"},[]]"#,
        r#"[{"is":"strange"},[]]"#,
    ] {
        let (here, there) = MessagePort::channel();
        let data = SerializedValue::from_text(text.to_owned()).unwrap();
        site.message(MessageEvent { data, ports: vec![there] }).await.unwrap();
        assert_eq!(world.line().await, "messageerror ExtendableMessageEvent null 0", "{text}");
        let mut here = here;
        assert!(is_closed(&mut here).await, "a port that did not arrive is closed");
    }
    site.message(MessageEvent::json(&json!("fine"))).await.unwrap();
    assert_eq!(world.line().await, "fine");
}

#[tokio::test]
async fn a_worker_posts_a_port_to_a_worker() {
    let world = World::with(
        "let left = 1;
         onmessage = e => {
           if (e.source !== null) return e.ports[0].postMessage('from the other side');
           const { port1, port2 } = new MessageChannel();
           port1.onmessage = e => console.log(e.data);
           registration.active.postMessage({ port2 }, [port2]);
         }",
    );
    let site = world.ready().await;
    support::tell(&site, json!(null)).await;
    assert_eq!(world.line().await, "from the other side");
}

#[tokio::test]
async fn a_worker_that_stops_closes_its_ports() {
    let world = World::with("onmessage = e => { self.kept = e.ports[0]; kept.onmessage = () => {} }");
    let site = world.ready().await;
    let mut port = ask(&site, json!(null)).await;
    site.close(Duration::from_secs(5)).await;
    assert!(is_closed(&mut port).await);
    assert_eq!(port.post(json!(1).into()), Err(MessageError::Closed));
}

#[tokio::test]
async fn who_does_not_read_loses_the_port_and_not_the_worker() {
    let world = World::with(
        "onmessage = e => {
           const [port] = e.ports;
           if (port) for (let n = 0; n < 1000; n++) port.postMessage(n);
           console.log('posted');
         }",
    );
    let site = world.ready().await;
    let mut port = ask(&site, json!(null)).await;
    assert_eq!(world.line().await, "posted");
    let mut count = 0;
    while let Some(message) = port.receive().await {
        assert_eq!(message.data.to_json(), Some(json!(count)));
        count += 1;
    }
    assert_eq!(count, 256);
    support::tell(&site, json!(null)).await;
    assert_eq!(world.line().await, "posted");
}

#[tokio::test]
async fn more_ports_than_a_worker_may_have_are_refused_and_those_without_use_make_room() {
    let world = World::with("self.kept = []; onmessage = e => { kept.push(...e.ports); console.log(e.ports.length) }");
    let site = world.ready().await;
    let (mut here, there): (Vec<_>, Vec<_>) = (0..1000).map(|_| MessagePort::channel()).unzip();
    site.message(MessageEvent { data: json!(1).into(), ports: there }).await.unwrap();
    assert_eq!(world.line().await, "1000");
    let (_more, there): (Vec<_>, Vec<_>) = (0..100).map(|_| MessagePort::channel()).unzip();
    drop(site.message(MessageEvent { data: json!(2).into(), ports: there }).await);
    here.truncate(500);
    let (_last, there): (Vec<_>, Vec<_>) = (0..100).map(|_| MessagePort::channel()).unzip();
    site.message(MessageEvent { data: json!(3).into(), ports: there }).await.unwrap();
    assert_eq!(world.line().await, "100");
}
