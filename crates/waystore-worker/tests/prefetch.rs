//! `waystore.prefetch()` as a script finds it: what is rejected, what the host is given, what comes back.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::json;
use support::{World, answer, noticed};
use tokio::sync::Notify;
use url::Url;
use waystore::prefetch::{Event, Outcome, Prefetch, Prefetched, Summary};
use waystore_worker::{
    PrefetchJob, PrefetchRefused, PrefetchStep, Prefetcher, RunError, RunOptions, Site, SiteHost, run_scripts,
};

/// A host that stores nothing, and says that it did.
#[derive(Debug, Default)]
struct Desk {
    plans: Mutex<Vec<Prefetch>>,
    refuses: Option<PrefetchRefused>,
    /// Whether jobs never end.
    stuck: bool,
    dropped: Arc<Notify>,
}

#[derive(Debug)]
struct Job {
    steps: Vec<PrefetchStep>,
    stuck: bool,
    dropped: Arc<Notify>,
}

impl Prefetcher for Desk {
    fn start(&self, plan: Prefetch) -> Result<Box<dyn PrefetchJob>, PrefetchRefused> {
        if let Some(refused) = &self.refuses {
            return Err(refused.clone());
        }
        let rows = plan.urls.iter().map(|target| row(&target.url)).collect::<Vec<_>>();
        let summary = Summary { total: 2, stored: 2, ..Summary::default() };
        let progress = Event::Progress { done: 1, total: 2, bytes: 7 };
        let steps = vec![PrefetchStep::Ended { rows, summary }, PrefetchStep::Event(Box::new(progress))];
        self.plans.lock().unwrap().push(plan);
        Ok(Box::new(Job { steps, stuck: self.stuck, dropped: Arc::clone(&self.dropped) }))
    }
}

#[async_trait]
impl PrefetchJob for Job {
    async fn next(&mut self) -> PrefetchStep {
        if self.stuck && self.steps.len() == 1 {
            return std::future::pending().await;
        }
        self.steps.pop().expect("nobody asks after the end")
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.dropped.notify_one();
    }
}

fn row(url: &str) -> Prefetched {
    Prefetched {
        url: url.to_owned(),
        outcome: Outcome::Stored,
        status: Some(200),
        bytes: 7,
        source: None,
        followed: Vec::new(),
        from: None,
        required: false,
        attempts: 1,
        reason: None,
        detail: None,
    }
}

fn host(world: &World, desk: &Arc<Desk>) -> SiteHost {
    SiteHost { prefetch: Some(Arc::clone(desk) as Arc<dyn Prefetcher>), ..world.host() }
}

/// A worker that answers each request with what `script` comes to, as JSON.
async fn site(desk: &Arc<Desk>, script: &str) -> (World, Site) {
    let world = World::with(&format!(
        "onfetch = e => e.respondWith((async () => {{ {script} }})().then(
           value => new Response(JSON.stringify(value)), error => new Response(`${{error.name}}: ${{error.message}}`)))"
    ));
    let site = Site::open(world.options(), &world.store, host(&world, desk)).await.unwrap();
    site.ready().await.unwrap();
    (world, site)
}

async fn run(world: &World, host: SiteHost, script: &str) -> Result<(), RunError> {
    let url = Url::parse("https://a.test/pages/one.html").unwrap();
    let scripts = vec![(Url::parse("file:///scripts/0.js").unwrap(), script.as_bytes().to_vec())];
    let options = RunOptions { url, may_persist: false, limits: world.limits.clone(), files: None };
    run_scripts(options, scripts, &world.store, host).await
}

#[tokio::test]
async fn a_plan_goes_to_the_host_and_its_rows_come_back_after_its_progress() {
    let desk = Arc::new(Desk::default());
    let script = "const steps = [];
        const rows = await waystore.prefetch({
          urls: ['/a', new URL('https://b.test/b')], cache: 'v1', follow: ['$.pic'], limits: { depth: 1 },
          onprogress: step => steps.push(step), signal: new AbortController().signal, base: undefined });
        const ended = steps.pop();
        return [steps, ended.type, ended.stored, rows.map(row => row.url), rows[0].outcome]";
    let (_world, site) = site(&desk, script).await;
    let told: serde_json::Value = serde_json::from_str(&answer(&site, "/x").await).unwrap();
    assert_eq!(
        told,
        json!([[{ "type": "progress", "done": 1, "total": 2, "bytes": 7 }], "ended", 2, ["/a", "https://b.test/b"], "stored"])
    );
    let plan = desk.plans.lock().unwrap()[0].clone();
    assert_eq!(plan.base.unwrap().as_str(), "https://a.test/sw.js", "what relative URLs in a script are relative to");
    assert_eq!((plan.cache.as_deref(), plan.limits.depth, plan.follow.len()), (Some("v1"), 1, 1));
}

#[tokio::test]
async fn whatever_is_wrong_rejects_and_never_throws() {
    let desk = Arc::new(Desk::default());
    let script = "const plans = [
          [], [undefined], [null], ['/a'], [{}], [{ urls: '/a' }], [{ urls: [7] }], [{ urls: [], pancakes: 1 }],
          [{ urls: [], follow: ['nonsense'] }], [{ urls: [], signal: {} }], [{ urls: [], onprogress: 'no' }],
          [{ get urls() { throw new RangeError('mine') } }]];
        const told = [];
        for (const given of plans) {
          const promise = waystore.prefetch(...given);
          told.push(await promise.then(() => 'fulfilled', error => error.name));
        }
        return told";
    let (_world, site) = site(&desk, script).await;
    let told: Vec<String> = serde_json::from_str(&answer(&site, "/x").await).unwrap();
    assert_eq!(told[..11], ["TypeError"; 11]);
    assert_eq!(told[11], "RangeError");
    assert!(desk.plans.lock().unwrap().is_empty(), "the host was not asked");
}

#[tokio::test]
async fn a_member_that_does_not_exist_is_named() {
    let (_world, site) = site(&Arc::default(), "return waystore.prefetch({ urls: [], pancakes: 1 })").await;
    let told = answer(&site, "/x").await;
    assert!(told.starts_with("TypeError: that is no plan: unknown field `pancakes`"), "{told}");
}

#[tokio::test]
async fn the_global_looks_like_a_namespace_and_is_there_only_where_the_host_prefetches() {
    let script = "const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(globalThis, 'waystore');
        return [typeof waystore, String(waystore), Object.keys(waystore), waystore.prefetch.name, waystore.prefetch.length,
          writable, enumerable, configurable]";
    let (_world, site) = site(&Arc::default(), script).await;
    let told: serde_json::Value = serde_json::from_str(&answer(&site, "/x").await).unwrap();
    assert_eq!(told, json!(["object", "[object waystore]", ["prefetch"], "prefetch", 1, true, false, true]));
    let world = World::with("onfetch = e => e.respondWith(new Response(typeof waystore))");
    assert_eq!(answer(&world.ready().await, "/x").await, "undefined");
}

#[tokio::test]
async fn aborting_rejects_with_the_reason_and_the_host_hears_of_it() {
    let desk = Arc::new(Desk { stuck: true, ..Desk::default() });
    let script = "const controller = new AbortController();
        const onprogress = () => controller.abort(new RangeError('enough'));
        return waystore.prefetch({ urls: ['/a'], cache: 'v1', signal: controller.signal, onprogress })";
    let (_world, site) = site(&desk, script).await;
    assert_eq!(answer(&site, "/x").await, "RangeError: enough");
    noticed(&desk.dropped).await;
}

#[tokio::test]
async fn a_signal_that_is_aborted_already_begins_nothing() {
    let desk = Arc::new(Desk::default());
    let script = "return waystore.prefetch({ urls: ['/a'], cache: 'v1', signal: AbortSignal.abort() })";
    let (_world, site) = site(&desk, script).await;
    assert!(answer(&site, "/x").await.starts_with("AbortError: "));
    assert!(desk.plans.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_the_host_refuses_rejects_with_its_words() {
    let refused = |refuses| Arc::new(Desk { refuses: Some(refuses), ..Desk::default() });
    let script = "return waystore.prefetch({ urls: ['/a'] })";
    let (_world, busy) = site(&refused(PrefetchRefused::Busy { reason: "64 are under way".into() }), script).await;
    assert_eq!(answer(&busy, "/x").await, "NotAllowedError: 64 are under way");
    let (_world, wrong) = site(&refused(PrefetchRefused::Plan { reason: "no cache".into() }), script).await;
    assert_eq!(answer(&wrong, "/x").await, "TypeError: no cache");
}

#[tokio::test]
async fn a_listener_that_throws_is_reported_and_ends_nothing() {
    let desk = Arc::default();
    let script = "const onprogress = () => { throw new Error('in onprogress') };
        return (await waystore.prefetch({ urls: ['/a'], cache: 'v1', onprogress })).length";
    let (world, site) = site(&desk, script).await;
    assert_eq!(answer(&site, "/x").await, "1");
    assert!(world.line().await.contains("in onprogress"));
}

#[tokio::test]
async fn a_worker_that_ends_takes_what_nobody_waits_for_along() {
    let desk = Arc::new(Desk { stuck: true, ..Desk::default() });
    let (_world, site) = site(&desk, "waystore.prefetch({ urls: ['/a'], cache: 'v1' }); return 'begun'").await;
    assert_eq!(answer(&site, "/x").await, "\"begun\"");
    site.close(std::time::Duration::from_secs(10)).await;
    noticed(&desk.dropped).await;
}

#[tokio::test]
async fn a_page_without_a_document_has_it_too_and_waits_for_it() {
    let (world, desk) = (World::with(""), Arc::new(Desk::default()));
    let script = "waystore.prefetch({ urls: ['/a'], cache: 'v1' }).then(rows => console.log(rows.length, rows[0].url))";
    run(&world, host(&world, &desk), script).await.unwrap();
    assert_eq!(world.lines().await, ["1 /a"]);
    assert_eq!(desk.plans.lock().unwrap()[0].base.as_ref().unwrap().as_str(), "https://a.test/pages/one.html");
}
