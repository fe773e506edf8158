//! A page that says this and that, without a socket and without a worker.

use serde_json::{Value, json};

use super::*;

fn rules(allowed: &[&str]) -> Arc<Rules> {
    let allowed = Allowed::new(allowed.iter().copied());
    Arc::new(Rules { allowed, frame_bytes: 10_000, messages: 20, bytes: 100_000, times: Times::default() })
}

/// A page that is connected, and the time.
struct Talk {
    session: Session,
    n: u64,
    now_ms: u64,
}

fn talk(allowed: &[&str]) -> Talk {
    let mut session = Session::new(rules(allowed), Memory::new(1 << 20), 0);
    assert_eq!(session.attach(0, 0), Ok(0));
    Talk { session, n: 0, now_ms: 0 }
}

impl Talk {
    fn say(&mut self, mut frame: Value) -> Result<Option<Action>, Closing> {
        self.n += 1;
        frame["n"] = self.n.into();
        self.session.hear(&frame.to_string(), self.now_ms)
    }

    fn told(&mut self) -> Vec<Value> {
        let frames = std::iter::from_fn(|| self.session.next(self.now_ms));
        frames.map(|frame| serde_json::from_slice(&frame).unwrap()).collect()
    }

    fn refusals(&mut self) -> Vec<String> {
        let refused = self.told().into_iter().filter(|frame| frame["frame"] == "refused");
        refused.map(|frame| frame["reason"].as_str().unwrap().to_owned()).collect()
    }
}

fn post(kind: &str) -> Value {
    let data = SerializedValue::from_json(&json!({ "type": kind }));
    let data: Value = serde_json::from_str(data.as_str()).unwrap();
    json!({ "frame": "message", "slot": "active", "data": data })
}

fn with_ports(mut frame: Value, ports: &[u64]) -> Value {
    frame["ports"] = ports.into();
    frame
}

#[test]
fn a_message_of_an_allowed_type_is_posted() {
    let mut talk = talk(&["PREFETCH"]);
    let action = talk.say(with_ports(post("PREFETCH"), &[1])).unwrap().unwrap();
    let Action::Post { of: 1, to: To::Slot(_), data, ports } = action else { panic!("{action:?}") };
    assert_eq!((data.member("type"), ports), (Some("PREFETCH".into()), vec![1]));
    assert!(talk.session.is_open(1));
}

#[test]
fn one_of_another_type_is_refused_with_the_reason_and_its_ports_stay_closed() {
    let mut talk = talk(&["PREFETCH"]);
    assert_eq!(talk.say(with_ports(post("CLEAR"), &[1])), Ok(None));
    let [refused] = &talk.told()[..] else { panic!() };
    assert_eq!((&refused["frame"], &refused["of"], &refused["type"]), (&"refused".into(), &1.into(), &"CLEAR".into()));
    assert!(refused["reason"].as_str().unwrap().contains("`messages`"), "{refused}");
    assert!(!talk.session.is_open(1));
    assert!(talk.say(with_ports(post("PREFETCH"), &[3])).unwrap().is_some(), "the connection goes on");
}

#[test]
fn calls_that_are_not_listed_are_echoes_and_a_prefetch_is_refused() {
    let mut talk = talk(&[]);
    assert_eq!(talk.say(json!({ "frame": "request", "id": 7, "ask": "update" })), Ok(None));
    assert_eq!(talk.say(json!({ "frame": "request", "id": 8, "ask": "unregister" })), Ok(None));
    assert_eq!(talk.say(json!({ "frame": "prefetch", "id": 9, "plan": {} })), Ok(None));
    let [update, unregister, prefetch] = &talk.told()[..] else { panic!() };
    assert_eq!(update, &json!({ "n": 1, "frame": "answer", "id": 7, "echo": true }));
    assert_eq!(unregister, &json!({ "n": 2, "frame": "answer", "id": 8, "value": true, "echo": true }));
    assert_eq!((&prefetch["frame"], &prefetch["id"]), (&"refused".into(), &9.into()));
    assert!(prefetch["reason"].as_str().unwrap().contains("`WAYSTORE_PREFETCH`"));
}

#[test]
fn calls_that_are_listed_are_made() {
    let mut talk = talk(&["UPDATE", "WAYSTORE_PREFETCH"]);
    let asked = talk.say(json!({ "frame": "request", "id": 7, "ask": "update" }));
    assert_eq!(asked, Ok(Some(Action::Ask { id: 7, ask: Ask::Update })));
    let plan = talk.say(json!({ "frame": "prefetch", "id": 1, "plan": { "urls": ["/a"] } }));
    assert_eq!(plan, Ok(Some(Action::Prefetch { of: 2, id: 1, plan: r#"{"urls":["/a"]}"#.into() })));
}

#[test]
fn a_broadcast_commands_the_worker_and_so_needs_a_type_too() {
    let mut talk = talk(&["HELLO"]);
    let with = |kind: &str| json!({ "frame": "broadcast", "name": "news", "data": post(kind)["data"] });
    assert!(matches!(talk.say(with("HELLO")), Ok(Some(Action::Broadcast { .. }))));
    assert_eq!(talk.say(with("OTHER")), Ok(None));
    assert_eq!(talk.refusals().len(), 1);
}

#[test]
fn a_million_messages_are_refused_and_then_closed() {
    let mut talk = talk(&["A"]);
    let (mut posted, mut closed) = (0, None);
    for _ in 0..1_000_000 {
        match talk.say(post("A")) {
            Ok(Some(_)) => {
                posted += 1;
                talk.session.finished();
            }
            Ok(None) => {}
            Err(closing) => {
                closed = Some(closing);
                break;
            }
        }
    }
    assert_eq!((posted, closed.map(|closing| closing.code)), (200, Some(4429)));
    assert!(talk.n < 1000 && talk.refusals().iter().all(|reason| reason.contains("20 messages a second")));
}

#[test]
fn frames_that_cost_nothing_have_a_rate_too() {
    let mut talk = talk(&[]);
    let closed = (0..100_000).find_map(|_| talk.session.hear(r#"{"frame":"pong"}"#, 0).err());
    assert_eq!(closed.map(|closing| closing.code), Some(4429));
}

#[test]
fn who_acknowledges_what_it_is_told_may_do_so_as_often() {
    let mut talk = talk(&[]);
    for n in 1..=10_000_u64 {
        talk.session.close_port(n).unwrap();
        assert_eq!(talk.told().len(), 1);
        let acknowledged = talk.session.hear(&json!({ "frame": "ack", "upto": n }).to_string(), 0);
        assert_eq!(acknowledged, Ok(None));
    }
}

#[test]
fn a_frame_that_is_too_long_ends_the_connection() {
    let mut talk = talk(&["*"]);
    let long = json!({ "frame": "message", "slot": "active", "data": ["x".repeat(10_000), []] });
    assert_eq!(talk.say(long).unwrap_err().code, 1009);
}

#[test]
fn bytes_have_a_rate() {
    let mut talk = talk(&["*"]);
    let long = json!({ "frame": "message", "slot": "active", "data": ["x".repeat(9_000), []] });
    let posted = (0..150).filter(|_| {
        let action = talk.say(long.clone()).unwrap();
        talk.session.finished();
        action.is_some()
    });
    assert_eq!(posted.count(), 110, "a million bytes, though 200 messages might have been sent");
    assert!(talk.refusals()[0].contains("100000 bytes a second"));
}

#[test]
fn a_worker_that_never_ends_a_message_has_no_more_of_this_page_than_32() {
    let mut talk = talk(&["A"]);
    let posted = (0..40).filter(|_| talk.say(post("A")).unwrap().is_some()).count();
    assert_eq!(posted, 32);
    assert!(talk.refusals()[0].contains("busy"));
    talk.session.finished();
    assert!(talk.say(post("A")).unwrap().is_some());
}

#[test]
fn ports_are_numbered_once_and_are_not_too_many() {
    let mut talk = talk(&["A"]);
    let many: Vec<u64> = (0..64).map(|place| 2 * place + 1).collect();
    assert!(talk.say(with_ports(post("A"), &many)).unwrap().is_some());
    assert_eq!(talk.say(with_ports(post("A"), &[129])), Ok(None));
    assert!(talk.refusals()[0].contains("64 ports"));
    assert_eq!(talk.session.number_ports(2), [2, 4]);
    assert!(!talk.session.is_open(2), "there is no room for it");
    assert_eq!(talk.say(json!({ "frame": "close-port", "port": 1 })), Ok(Some(Action::ClosePort(1))));
    assert_eq!(talk.say(json!({ "frame": "close-port", "port": 1 })), Ok(None));
    assert_eq!(talk.session.number_ports(2), [6, 8]);
    assert!(talk.session.is_open(6) && !talk.session.is_open(8));
    for used in [1, 2, 129] {
        assert_eq!(self::talk(&["A"]).say(with_ports(post("A"), &[used, used])).unwrap_err().code, 4400);
    }
    assert_eq!(talk.say(with_ports(post("A"), &[129])).unwrap_err().code, 4400);
}

#[test]
fn what_goes_through_a_closed_port_is_passed_over() {
    let mut talk = talk(&["A"]);
    let through = json!({ "frame": "port", "port": 1, "data": [1, []] });
    assert_eq!(talk.say(through.clone()), Ok(None));
    talk.say(with_ports(post("A"), &[1])).unwrap();
    assert!(matches!(talk.say(through.clone()), Ok(Some(Action::PostToPort { port: 1, .. }))));
    talk.session.close_port(1).unwrap();
    assert_eq!(talk.say(through), Ok(None));
    assert!(talk.told().iter().any(|frame| frame["frame"] == "close-port" && frame["port"] == 1));
}

#[test]
fn a_frame_that_comes_again_is_carried_out_once_and_a_missing_one_ends_it() {
    let mut talk = talk(&["A"]);
    assert!(talk.say(post("A")).unwrap().is_some());
    talk.n = 0;
    assert_eq!(talk.say(post("A")), Ok(None));
    talk.n = 2;
    assert_eq!(talk.say(post("A")).unwrap_err().code, 4400);
}

#[test]
fn a_new_connection_gets_what_did_not_arrive() {
    let mut talk = talk(&[]);
    talk.say(json!({ "frame": "client", "visible": true })).unwrap();
    for port in [1, 3, 5] {
        talk.session.close_port(port).unwrap();
    }
    assert_eq!(talk.told().len(), 3);
    talk.session.detach();
    assert!(talk.told().is_empty() && talk.session.due_ms(false).is_none());
    assert_eq!(talk.session.attach(2, 9), Ok(1), "the page's one frame has arrived");
    assert_eq!(talk.told(), [json!({ "n": 3, "frame": "close-port", "port": 5 })]);
    assert_eq!(talk.session.attach(4, 9).unwrap_err().code, 4400);
}

#[test]
fn frames_are_acknowledged_soon() {
    let mut talk = talk(&[]);
    talk.say(json!({ "frame": "client" })).unwrap();
    assert!(talk.told().is_empty());
    assert_eq!(talk.session.due_ms(false), Some(500));
    talk.now_ms = 500;
    assert_eq!(talk.told(), [json!({ "frame": "ack", "upto": 1 })]);
}

#[test]
fn while_the_connection_takes_no_frame_nothing_is_due_but_its_end() {
    let mut talk = talk(&[]);
    talk.say(json!({ "frame": "client" })).unwrap();
    assert_eq!((talk.session.due_ms(false), talk.session.due_ms(true)), (Some(500), Some(50_000)));
}

#[test]
fn a_page_that_says_nothing_for_two_pings_is_closed() {
    let mut talk = talk(&[]);
    for now_ms in [20_000, 40_000] {
        assert_eq!(talk.session.due_ms(false), Some(now_ms));
        talk.now_ms = now_ms;
        assert_eq!(talk.told(), [json!({ "frame": "ping" })]);
        assert_eq!(talk.session.check(now_ms), Ok(()));
    }
    assert_eq!(talk.session.check(50_000).unwrap_err().code, 4408);
    talk.session.hear(r#"{"frame":"pong"}"#, 49_000).unwrap();
    assert_eq!(talk.session.check(50_000), Ok(()));
}

#[test]
fn a_page_that_does_not_read_is_closed() {
    let mut talk = talk(&[]);
    talk.session.close_port(1).unwrap();
    talk.told();
    talk.session.hear(r#"{"frame":"pong"}"#, 29_000).unwrap();
    assert_eq!(talk.session.check(29_999), Ok(()));
    assert_eq!(talk.session.check(30_000).unwrap_err().code, 4413);
    let full = (0..10_000).find_map(|port| talk.session.close_port(port).err());
    assert_eq!(full.map(|closing| closing.code), Some(4413));
}

#[test]
fn who_says_bye_is_gone_and_who_talks_nonsense_too() {
    assert_eq!(talk(&[]).say(json!({ "frame": "bye" })).unwrap_err(), Closing::goodbye());
    assert_eq!(talk(&[]).session.hear("nonsense", 0).unwrap_err().code, 4400);
    assert_eq!(talk(&[]).say(json!({ "frame": "ack" })).unwrap_err().code, 4400);
    let early = talk(&[]).session.hear(r#"{"frame":"ack","upto":1}"#, 0);
    assert_eq!(early.unwrap_err().code, 4400);
}

#[test]
fn a_frame_of_a_later_version_is_passed_over() {
    let mut talk = talk(&[]);
    assert_eq!(talk.say(json!({ "frame": "sing" })), Ok(None));
    assert!(talk.say(json!({ "frame": "client" })).unwrap().is_some());
}
