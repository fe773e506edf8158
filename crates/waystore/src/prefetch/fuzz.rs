//! What is fuzzed of prefetching: see `fuzzing.rs`.

use url::Url;

use super::{
    Follow, Prefetch, Progress,
    links::{Kind, links_of},
    machine::Machine,
};

/// URLs that one document may give.
const MOST: usize = 20;

/// A rule to follow, a line break, a document: JSON, or HTML where the rule is `html`.
pub fn links(data: &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (rule, document) = data.split_at(at);
    let Ok(rule) = String::from_utf8_lossy(rule).parse::<Follow>() else { return };
    let again = serde_json::to_string(&rule).expect("a rule is text");
    assert_eq!(serde_json::from_str::<Follow>(&again).ok().as_ref(), Some(&rule), "what is written is read again");
    let rules = [rule];
    let base = Url::parse("https://a.test/b/c?d").expect("it is a URL");
    let document = document.get(1..).unwrap_or_default();
    for kind in [Kind::Json, Kind::Html].into_iter().filter(|kind| kind.has_rule(&rules)) {
        let found = links_of(kind, document, &base, &rules, MOST);
        assert!(found.links.len() <= MOST);
        for (index, link) in found.links.iter().enumerate() {
            assert!(matches!(link.url.scheme(), "http" | "https") && link.url.fragment().is_none());
            assert!(found.links[..index].iter().all(|other| other.url != link.url), "each is there once");
        }
    }
}

/// A plan, or progress, as JSON.
pub fn plan(data: &[u8]) {
    let base = Url::parse("https://a.test/b/c?d").expect("it is a URL");
    if let Ok(plan) = serde_json::from_slice::<Prefetch>(data) {
        let again = serde_json::to_string(&plan).expect("a plan is JSON");
        assert_eq!(
            serde_json::from_str::<Prefetch>(&again).ok().as_ref(),
            Some(&plan),
            "what is written is read again"
        );
        let mut machine = Machine::start(&plan, &base, 0);
        let _ = machine.next(0);
        let progress = machine.progress(0);
        assert!(progress.check().is_ok());
        assert_eq!(progress.total(), plan.urls.len());
    }
    if let Ok(progress) = serde_json::from_slice::<Progress>(data)
        && progress.check().is_ok()
    {
        let _ = (progress.rows(), progress.summary());
        let mut machine = Machine::resume(&Prefetch::new([""; 0]), progress, 1 << 40);
        let _ = machine.next(u64::MAX);
        let _ = machine.abort();
        assert_eq!(machine.counts().0, machine.counts().1, "all of it is done");
    }
}

/// What [`links`] starts from.
pub(crate) fn link_seeds() -> Vec<Vec<u8>> {
    let items = r#"{"items": [{"id": 1, "pic": "/1.jpg", "tags": ["a", "../b"]}, {"id": 2, "pic": "x?y#z"}]}"#;
    let paths = [
        "$.items[*].pic",
        "$..tags[0:2:1]",
        "$.items[?@.id < 2 && (search(@.pic, 'jp.$') || !@.tags)]['pic','tags'][-1]",
        "$.items[?length(@.pic) == count($..tags[*]) || value(@.id) != 1.5e1].pic",
        "/items/0/tags",
        "",
    ];
    let page = r#"html
<!doctype html><base href=/b/><link rel="stylesheet preload" href="s.css" imagesrcset="a 1x, b 2x">
<script>'<img src=/no>'</script><img src='1.jpg?a&amp;b' srcset="1.jpg, 2.jpg 100w"><picture><source srcset=x></picture>"#;
    let with_items = paths.iter().map(|path| format!("{path}\n{items}").into_bytes());
    with_items.chain([page.as_bytes().to_vec()]).collect()
}

/// What [`plan`] starts from.
pub(crate) fn plan_seeds() -> Vec<Vec<u8>> {
    let seeds = [
        r#"{"urls": ["/a", {"url": "b?c", "required": true}, "https://u@x/"], "cache": "v1", "base": "https://b.test/",
            "follow": ["/pic", "$.a[*]", "html", {"html": {"rels": ["next"], "images": false}, "required": true}],
            "limits": {"depth": 1, "count": 2, "timeMs": 7}, "concurrency": 1, "refresh": true, "durable": true,
            "connection": {"saveData": true, "effectiveType": "2g", "rtt": 5.5}, "whenSaving": "required"}"#,
        r#"{"rows": [{"url": "https://a.test/", "done": {"outcome": "stored", "followed": [1, 2]}, "attempts": 1},
            {"url": "https://a.test/b", "from": 0, "depth": 1, "required": true}, {"url": "x"}], "bytes": 5, "spentMs": 6}"#,
    ];
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}
