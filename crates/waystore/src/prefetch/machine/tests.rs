//! The rules of a prefetch, without fetching.

use super::*;
use crate::prefetch::{Follow, Hints, Source};

const START: u64 = 1_000_000;

/// A prefetch at the origin `https://a.test`; paths stand for its URLs.
struct World {
    machine: Machine,
    running: Vec<Task>,
    now_ms: u64,
    events: Vec<Event>,
}

impl World {
    fn new(plan: &Prefetch) -> Self {
        let machine = Machine::start(plan, &base(), START);
        Self { machine, running: Vec::new(), now_ms: START, events: Vec::new() }
    }

    /// Begins all that may begin; returns what began, in order.
    fn begin(&mut self) -> Vec<String> {
        let before = self.running.len();
        while let Next::Fetch(task) = self.next() {
            self.running.push(task);
        }
        self.running[before..].iter().map(|task| short(task.url.as_str())).collect()
    }

    fn next(&mut self) -> Next {
        let (next, events) = self.machine.next(self.now_ms);
        self.events.extend(events);
        next
    }

    fn finish(&mut self, path: &str, attempted: Attempted) {
        let index = self.running.iter().position(|task| short(task.url.as_str()) == path);
        let task = self.running.remove(index.unwrap_or_else(|| panic!("{path} does not run")));
        self.machine.set_bytes(self.machine.bytes() + attempted.done.bytes);
        self.events.extend(self.machine.finished(&task, attempted, self.now_ms, 0));
    }

    fn store(&mut self, path: &str, links: &[&str]) {
        self.finish(path, stored(100, links));
    }

    /// Runs to the end, with the same for each; returns the order of the fetches.
    fn run(&mut self, mut answer: impl FnMut(&str) -> Attempted) -> Vec<String> {
        let mut order = Vec::new();
        loop {
            order.extend(self.begin());
            assert!(order.len() <= 1000, "it does not end");
            let Some(task) = self.running.first() else { break };
            let path = short(task.url.as_str());
            self.finish(&path, answer(&path));
        }
        order
    }

    fn outcomes(&self) -> Vec<(String, Outcome, Option<Reason>)> {
        let rows = self.machine.progress(self.now_ms).rows();
        rows.into_iter().map(|row| (short(&row.url), row.outcome, row.reason)).collect()
    }
}

fn base() -> Url {
    Url::parse("https://a.test/").unwrap()
}

fn short(url: &str) -> String {
    url.strip_prefix("https://a.test").unwrap_or(url).to_owned()
}

fn stored(bytes: u64, links: &[&str]) -> Attempted {
    let link = |path: &&str| Link { url: base().join(path).unwrap(), required: false };
    let (status, source) = (Some(200), Some(Source::Network));
    let done = Done { outcome: Outcome::Stored, status, bytes, source, reason: None, detail: None, followed: None };
    Attempted { links: links.iter().map(link).collect(), ..done.into() }
}

fn broken() -> Attempted {
    let done = Done::because(Outcome::Failed, Reason::Network, "refused");
    Attempted { again_after_ms: Some(0), ..done.into() }
}

fn limited(plan: Prefetch, change: impl FnOnce(&mut PrefetchLimits)) -> Prefetch {
    let mut limits = plan.limits;
    change(&mut limits);
    plan.with_limits(limits)
}

#[test]
fn urls_are_fetched_in_the_order_asked_a_few_of_an_origin_at_a_time() {
    let mut plan = Prefetch::new(["/1", "/2", "/3", "https://b.test/4", "/5"]);
    plan.concurrency_per_origin = 2;
    let mut world = World::new(&plan);
    assert_eq!(world.begin(), ["/1", "https://b.test/4", "/2"]);
    world.store("/2", &[]);
    assert_eq!(world.begin(), ["/3"]);
    plan.concurrency = usize::MAX;
    plan.concurrency_per_origin = usize::MAX;
    plan.urls = (0..100).map(|number| crate::prefetch::Target::optional(format!("/{number}"))).collect();
    assert_eq!(World::new(&plan).begin().len(), MAX_CONCURRENCY);
    plan.concurrency = 0;
    let mut world = World::new(&plan);
    assert_eq!(world.begin(), ["/0"]);
    assert_eq!(world.next(), Next::Wait(None));
}

#[test]
fn what_follows_comes_after_what_was_asked_for_and_keeps_where_it_came_from() {
    let mut world = World::new(&Prefetch::new(["/a", "/b"]));
    let links = |path: &str| match path {
        "/a" => stored(1, &["/a1", "/a2"]),
        "/a2" => stored(1, &["/b", "/deep"]),
        _ => stored(1, &[]),
    };
    assert_eq!(world.run(links), ["/a", "/b", "/a1", "/a2", "/deep"]);
    let rows = world.machine.progress(START).rows();
    assert_eq!(rows.iter().map(|row| short(&row.url)).collect::<Vec<_>>(), ["/a", "/b", "/a1", "/a2", "/deep"]);
    assert_eq!(rows[0].followed, ["https://a.test/a1", "https://a.test/a2"]);
    assert_eq!(rows[3].followed, ["https://a.test/deep"]);
    assert_eq!(rows[4].from.as_deref(), Some("https://a.test/a2"));
    let summary = world.machine.progress(START).summary();
    assert_eq!((summary.total, summary.stored, summary.followed, summary.bytes), (5, 5, 3, 5));
}

#[test]
fn a_cycle_is_cut_and_so_is_a_depth() {
    let mut world = World::new(&Prefetch::new(["/a"]));
    let cycle = |path: &str| stored(1, if path == "/a" { &["/b", "/a"] } else { &["/a", "/b"] });
    assert_eq!(world.run(cycle), ["/a", "/b"]);

    // Each names the next; whether it is searched is the task's to say.
    for depth in [0, 1, 3] {
        let mut world = World::new(&limited(Prefetch::new(["/0"]), |limits| limits.depth = depth));
        let mut fetched = 0;
        loop {
            world.begin();
            let Some(task) = world.running.first().cloned() else { break };
            fetched += 1;
            let next = format!("/{fetched}");
            let links: &[&str] = if task.follow { &[&next] } else { &[] };
            world.store(&short(task.url.as_str()), links);
        }
        assert_eq!(fetched, depth + 1);
    }
}

#[test]
fn more_urls_than_allowed_are_left_out_whether_asked_for_or_followed() {
    let mut world = World::new(&limited(Prefetch::new(["/1", "/2", "/3"]), |limits| limits.count = 2));
    assert_eq!(world.run(|_| stored(1, &["/4"])), ["/1", "/2"]);
    let count = |path: &str, outcome| (path.to_owned(), outcome, Some(Reason::Count));
    let expected = [count("/1", Outcome::Stored), count("/2", Outcome::Stored), count("/3", Outcome::Skipped)];
    assert_eq!(world.outcomes(), expected);

    let endless: Vec<String> = (0..500).map(|number| format!("/n{number}")).collect();
    let endless: Vec<&str> = endless.iter().map(String::as_str).collect();
    let mut world = World::new(&limited(Prefetch::new(["/a"]), |limits| limits.count = 100));
    assert_eq!(world.run(|_| stored(1, &endless)).len(), 100);
}

#[test]
fn what_is_no_url_or_comes_twice_has_a_row_and_is_not_fetched() {
    let long = format!("/{}", "x".repeat(10_000));
    let odd = ["/1", "https://", "data:,x", "/1#top", "https://u:p@a.test/", "ftp://a.test/", &long, " /2 "];
    let mut world = World::new(&Prefetch::new(odd));
    assert_eq!(world.machine.done_at_start().len(), 6);
    assert_eq!(world.run(|_| stored(1, &[])), ["/1", "/2"]);
    let reasons: Vec<_> = world.outcomes().into_iter().map(|(_, _, reason)| reason).collect();
    let url = Some(Reason::Url);
    assert_eq!(reasons, [None, url, url, Some(Reason::Duplicate), url, url, url, None]);
    assert_eq!(world.outcomes()[6].0.len(), 200);
}

#[test]
fn bytes_and_time_end_what_waits_and_let_what_runs_go_on() {
    let mut plan = limited(Prefetch::new(["/1", "/2", "/3", "/4"]), |limits| limits.bytes = 150);
    plan.concurrency = 2;
    let mut world = World::new(&plan);
    world.begin();
    world.store("/1", &[]);
    assert_eq!(world.begin(), ["/3"]);
    world.store("/2", &["/5"]);
    assert_eq!((world.begin().len(), world.next()), (0, Next::Wait(None)));
    world.store("/3", &[]);
    assert_eq!(world.next(), Next::Ended);
    let left_out: Vec<_> = world.outcomes().split_off(3);
    let skipped = |path: &str, reason| (path.to_owned(), Outcome::Skipped, Some(reason));
    assert_eq!(left_out, [skipped("/4", Reason::Bytes), skipped("/5", Reason::Bytes)]);

    plan.limits = PrefetchLimits { time_ms: 1000, ..PrefetchLimits::default() };
    let mut world = World::new(&plan);
    world.begin();
    world.now_ms += 1000;
    world.store("/1", &[]);
    world.store("/2", &[]);
    assert_eq!(world.next(), Next::Ended);
    assert_eq!(world.outcomes()[3], skipped("/4", Reason::Time));
}

#[test]
fn what_is_required_is_tried_again_later_and_later_and_what_is_not_is_not() {
    let plan = Prefetch::new(["/optional"]).require("/required");
    let mut world = World::new(&plan);
    world.begin();
    world.finish("/optional", broken());
    let mut waits = Vec::new();
    for _ in 0..3 {
        world.finish("/required", broken());
        let Next::Wait(Some(until_ms)) = world.next() else { panic!("it waits") };
        waits.push(until_ms - world.now_ms);
        world.now_ms = until_ms - 1;
        assert_eq!(world.begin().len(), 0);
        world.now_ms = until_ms;
        assert_eq!(world.begin(), ["/required"]);
    }
    assert_eq!(waits, [250, 500, 1000]);
    world.finish("/required", broken());
    assert_eq!(world.next(), Next::Ended);
    let rows = world.machine.progress(world.now_ms).rows();
    assert_eq!(
        rows.iter().map(|row| (row.outcome, row.attempts)).collect::<Vec<_>>(),
        [(Outcome::Failed, 1), (Outcome::Failed, 4)]
    );
    assert_eq!(world.machine.progress(world.now_ms).summary().missing, 1);
}

#[test]
fn a_wait_is_as_long_as_the_server_asks_and_never_longer_than_half_a_minute() {
    let asks = |seconds: u64| Attempted { again_after_ms: Some(seconds * 1000), ..broken() };
    for (seconds, wait_ms) in [(7, 7_000), (3600, 30_000), (0, 250)] {
        let mut world = World::new(&Prefetch::new([""; 0]).require("/x"));
        world.begin();
        world.finish("/x", asks(seconds));
        assert_eq!(world.next(), Next::Wait(Some(START + wait_ms)));
    }
    assert!((0..1000).all(|random| (15_000..=30_000).contains(&wait_ms(60, random * 12_345))));
}

#[test]
fn who_saves_data_is_given_nothing_or_what_is_required_or_all() {
    let saves = Hints { save_data: true, ..Hints::default() };
    for (when_saving, fetched) in
        [(WhenSaving::Skip, vec![]), (WhenSaving::Required, vec!["/b"]), (WhenSaving::Fetch, vec!["/a", "/b"])]
    {
        let plan = Prefetch { connection: saves, when_saving, ..Prefetch::new(["/a"]).require("/b") };
        let mut world = World::new(&plan);
        assert_eq!(world.run(|_| stored(1, &[])), fetched);
        assert_eq!(world.outcomes()[0].2, (when_saving != WhenSaving::Fetch).then_some(Reason::SaveData));
    }
}

#[test]
fn what_is_aborted_has_a_row_for_each_url_and_nothing_left_to_do() {
    let mut plan = Prefetch::new(["/1", "/2", "/3"]);
    plan.concurrency = 2;
    let mut world = World::new(&plan);
    world.begin();
    world.store("/1", &["/4"]);
    let events = world.machine.abort();
    assert_eq!(events.len(), 3);
    assert_eq!(world.next(), Next::Ended);
    let outcomes: Vec<_> = world.outcomes().into_iter().map(|(_, outcome, _)| outcome).collect();
    assert_eq!(outcomes, [Outcome::Stored, Outcome::Aborted, Outcome::Aborted, Outcome::Aborted]);
}

#[test]
fn it_goes_on_from_wherever_it_was_stopped_and_does_nothing_twice() {
    let plan = Prefetch::new(["/a", "/b", "https://"]).follow(Follow::json_pointer("/x").unwrap());
    let answer = |path: &str| stored(10, if path == "/a" { &["/a1", "/a2"] } else { &["/a"] });
    let mut whole = World::new(&plan);
    let all = whole.run(answer);
    for stopped_after in 0..=all.len() {
        let mut first = World::new(&plan);
        let mut fetched = Vec::new();
        for _ in 0..stopped_after {
            first.begin();
            let path = short(first.running[0].url.as_str());
            first.finish(&path, answer(&path));
            fetched.push(path);
        }
        first.begin();
        first.now_ms += 500;
        // As it would be read from a file.
        let kept = serde_json::to_string(&first.machine.progress(first.now_ms)).unwrap();
        let progress: Progress = serde_json::from_str(&kept).unwrap();
        progress.check().unwrap();
        let machine = Machine::resume(&plan, progress, START);
        let mut second = World { machine, running: Vec::new(), now_ms: START, events: Vec::new() };
        fetched.extend(second.run(answer));
        fetched.sort();
        let mut expected = all.clone();
        expected.sort();
        assert_eq!(fetched, expected, "stopped after {stopped_after}");
        assert_eq!(second.outcomes(), whole.outcomes());
        let summary = second.machine.progress(START).summary();
        assert_eq!((summary.bytes, summary.elapsed_ms), (40, 500));
    }
}

#[test]
fn progress_that_does_not_hold_together_is_refused() {
    for text in [
        r#"{"rows": [{"url": "/x", "from": 1}], "bytes": 0, "spentMs": 0}"#,
        r#"{"rows": [{"url": "/x", "done": {"outcome": "stored", "followed": [0, 9]}}], "bytes": 0, "spentMs": 0}"#,
        r#"{"rows": [{"url": "/x", "done": {"outcome": "stored", "followed": [1, 0]}}], "bytes": 0, "spentMs": 0}"#,
    ] {
        let progress: Progress = serde_json::from_str(text).unwrap();
        assert!(progress.check().is_err(), "{text}");
    }
    let progress: Progress = serde_json::from_str(r#"{"rows": [{"url": "x"}], "bytes": 0, "spentMs": 0}"#).unwrap();
    let machine = Machine::resume(&Prefetch::new([""; 0]), progress, 0);
    assert_eq!(machine.counts(), (1, 1));
}
