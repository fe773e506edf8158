//! Pages that a test connects to a site, and what they are told.

use serde_json::{Value, json};
use url::Url;
use waystore_worker::{Addressee, ClientInfo, Mirror, MirrorWorker, Page, Site, ToPage};

use super::{Duration, ORIGIN, World};

pub fn page(id: &str, path: &str) -> ClientInfo {
    ClientInfo::window(id, Url::parse(ORIGIN).unwrap().join(path).unwrap())
}

/// A page in a tab.
pub fn connect(site: &Site, id: &str, path: &str) -> Page {
    site.connect(page(id, path)).unwrap()
}

/// Posts to the active worker.
pub async fn posted(page: &Page, data: Value) {
    page.message(&Addressee::Active, data.into()).await.unwrap();
}

/// What the page is told next.
pub async fn told(page: &Page) -> ToPage {
    let told = tokio::time::timeout(Duration::from_secs(20), page.receive()).await.expect("it is told in time");
    told.expect("the site is open")
}

/// The message that the page is told next, as JSON.
pub async fn json_told(page: &Page) -> Value {
    match told(page).await {
        ToPage::Message { data, .. } => data.to_json().unwrap(),
        other => json!(format!("{other:?}")),
    }
}

/// The next lines of the console.
pub async fn lines(world: &World, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..count {
        lines.push(world.line().await);
    }
    lines
}

/// What a page was told, for comparison.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    Step(String),
    Message(Value),
}

pub trait Tells {
    /// The next message or broadcast, past steps of the registration.
    async fn message_told(&self) -> ToPage;
}

impl Tells for Page {
    async fn message_told(&self) -> ToPage {
        loop {
            match told(self).await {
                ToPage::Registration(_) | ToPage::ControllerChange { .. } => {}
                other => return other,
            }
        }
    }
}

pub trait InWords {
    /// In words, where `name` names versions.
    fn in_words<'a>(self, name: impl Fn(&str) -> &'a str) -> Told;
}

impl InWords for ToPage {
    fn in_words<'a>(self, name: impl Fn(&str) -> &'a str) -> Told {
        let version = |version: Option<String>| version.map_or("none".to_owned(), |version| name(&version).to_owned());
        match self {
            Self::Registration(mirror) => Told::Step(slots(mirror, name)),
            Self::ControllerChange { version: now } => Told::Step(format!("controllerchange {}", version(now))),
            Self::Message { data, .. } | Self::Broadcast { data, .. } => Told::Message(data.to_json().unwrap()),
            Self::Lost { messages, steps } => Told::Step(format!("lost {messages} {steps}")),
        }
    }
}

fn slots<'a>(mirror: Mirror, name: impl Fn(&str) -> &'a str) -> String {
    let word = |worker: MirrorWorker| format!("{} {}", name(&worker.version), worker.state.as_str());
    let Mirror { installing, waiting, active, controller, .. } = mirror;
    let workers: Vec<_> = [installing, waiting, active].into_iter().flatten().map(word).collect();
    let workers = if workers.is_empty() { "nobody".to_owned() } else { workers.join(", ") };
    format!("{workers}, controller {}", controller.as_deref().map_or("none", name))
}
