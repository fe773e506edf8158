//! Plans, rows and events as JSON: what a page writes and reads.

use serde_json::{Value, json};
use waystore::{
    HeaderList,
    prefetch::{
        EffectiveType, Event, Follow, Hints, HtmlLinks, Outcome, Prefetch, PrefetchLimits, Prefetched, Source, Target,
        WhenSaving,
    },
};

fn read(plan: &Value) -> Result<Prefetch, String> {
    serde_json::from_str(&plan.to_string()).map_err(|error| error.to_string())
}

fn error(plan: &Value) -> String {
    read(plan).expect_err("it is refused")
}

#[test]
fn all_members_are_read_as_they_are_documented() {
    let plan = read(&json!({
        "urls": ["/a", {"url": "/b", "required": true}, {"url": "/c"}],
        "base": "https://a.test/page",
        "cache": "v1",
        "follow": ["/pic", "$.items[*].pic", "html", {"jsonPath": "$.x", "required": true}, {"jsonPointer": ""},
            {"html": {"rels": ["next"], "images": false}}],
        "limits": {"depth": 1, "count": 2, "bytes": 3, "responseBytes": 4, "documentBytes": 5, "documentUrls": 6,
            "timeMs": 7, "attemptMs": 8},
        "concurrency": 9,
        "concurrencyPerOrigin": 10,
        "retries": 11,
        "refresh": true,
        "overrideNoCache": true,
        "connection": {"saveData": true, "effectiveType": "slow-2g", "downlink": 0.05, "rtt": 2000},
        "whenSaving": "required",
        "durable": true,
    }));
    let expected = Prefetch {
        base: Some("https://a.test/page".parse().unwrap()),
        cache: Some("v1".into()),
        follow: vec![
            Follow::json_pointer("/pic").unwrap(),
            Follow::json_path("$.items[*].pic").unwrap(),
            Follow::html(HtmlLinks::default()),
            Follow::json_path("$.x").unwrap().required(),
            Follow::json_pointer("").unwrap(),
            Follow::html(HtmlLinks { rels: vec!["next".into()], images: false, srcset: true }),
        ],
        limits: PrefetchLimits {
            depth: 1,
            count: 2,
            bytes: 3,
            response_bytes: 4,
            document_bytes: 5,
            document_urls: 6,
            time_ms: 7,
            attempt_ms: 8,
        },
        concurrency: 9,
        concurrency_per_origin: 10,
        retries: 11,
        refresh: true,
        override_no_cache: true,
        connection: Hints {
            save_data: true,
            effective_type: Some(EffectiveType::Slow2g),
            downlink: Some(0.05),
            rtt: Some(2000.0),
        },
        when_saving: WhenSaving::Required,
        durable: true,
        ..Prefetch::new(["/a"]).require("/b").with("/c")
    };
    assert_eq!(plan, Ok(expected));
}

#[test]
fn only_urls_must_be_there_and_what_is_written_is_read_again() {
    let plan = read(&json!({"urls": ["/a"]})).unwrap();
    assert_eq!(plan, Prefetch::new(["/a"]));
    assert_eq!(plan.urls, [Target::optional("/a")]);
    let plan = plan.require("/b").into_cache("c").follow(Follow::json_path("$..a").unwrap().required());
    assert_eq!(read(&serde_json::to_value(&plan).unwrap()).unwrap(), plan);
    assert!(error(&json!({})).contains("missing field `urls`"));
}

#[test]
fn what_does_not_exist_or_is_wrong_is_named() {
    for (plan, named) in [
        (json!({"urls": [], "onprogress": 1}), "unknown field `onprogress`"),
        (json!({"urls": [{"url": "/a", "priority": 1}]}), "unknown field `priority`"),
        (json!({"urls": [{"required": true}]}), "missing field `url`"),
        (json!({"urls": [7]}), "a URL, or an object with `url`"),
        (json!({"urls": "/a"}), "a list of at most 50000 URLs"),
        (json!({"urls": [], "limits": {"deep": 1}}), "unknown field `deep`"),
        (json!({"urls": [], "limits": {"depth": -1}}), "u32"),
        (json!({"urls": [], "connection": {"type": "wifi"}}), "unknown field `type`"),
        (json!({"urls": [], "whenSaving": "never"}), "unknown variant `never`"),
        (json!({"urls": [], "base": "/x"}), "relative URL without a base"),
        (json!({"urls": [], "follow": ["pic"]}), "`pic` is not a rule to follow"),
        (json!({"urls": [], "follow": ["$.a["]}), "`$.a[` is not a rule to follow"),
        (json!({"urls": [], "follow": ["/a~2"]}), "`~` is written `~0`"),
        (json!({"urls": [], "follow": [{"jsonPath": "$.a", "html": {}}]}), "one of `jsonPath`"),
        (json!({"urls": [], "follow": [{}]}), "one of `jsonPath`"),
        (json!({"urls": [], "follow": [{"html": {"links": true}}]}), "unknown field `links`"),
        (json!({"urls": [], "follow": vec!["/a"; 33]}), "more than 32 rules"),
    ] {
        assert!(error(&plan).contains(named), "{plan}: {}", error(&plan));
    }
}

#[test]
fn hints_are_those_of_headers_and_of_the_pages_connection() {
    let hints = |headers: &[(&str, &str)]| Hints::from_headers(&headers.iter().copied().collect::<HeaderList>());
    assert_eq!(hints(&[]), Hints::default());
    for slow in [("Save-Data", "on"), ("ECT", "2g"), ("ECT", "slow-2g"), ("Downlink", "0.3"), ("RTT", "1000")] {
        assert!(hints(&[slow]).wants_to_save(), "{slow:?}");
    }
    for fast in
        [("Save-Data", "off"), ("ECT", "3g"), ("ECT", "4g"), ("Downlink", "0"), ("Downlink", "NaN"), ("RTT", "x")]
    {
        assert!(!hints(&[fast]).wants_to_save(), "{fast:?}");
    }
    let said = hints(&[("ECT", "4g")]).or(Hints { save_data: true, ..hints(&[("ECT", "2g"), ("RTT", "5")]) });
    assert_eq!(
        said,
        Hints { save_data: true, effective_type: Some(EffectiveType::FourG), downlink: None, rtt: Some(5.0) }
    );
}

#[test]
fn the_limits_of_who_runs_it_are_the_upper_ones() {
    let asked = PrefetchLimits { depth: 100, count: 5, ..PrefetchLimits::default() };
    let plan = Prefetch::new(["/a"]).with_limits(asked).at_most(&PrefetchLimits { depth: 2, ..asked });
    assert_eq!((plan.limits.depth, plan.limits.count), (2, 5));
}

#[test]
fn rows_and_events_are_written_as_a_page_reads_them() {
    let row = Prefetched {
        url: "https://a.test/x".into(),
        outcome: Outcome::Stored,
        status: Some(200),
        bytes: 5,
        source: Some(Source::Network),
        followed: vec!["https://a.test/y".into()],
        from: None,
        required: false,
        attempts: 1,
        reason: None,
        detail: None,
    };
    let written = json!({
        "url": "https://a.test/x", "outcome": "stored", "status": 200, "bytes": 5, "source": "network",
        "followed": ["https://a.test/y"], "from": null, "required": false, "attempts": 1, "reason": null, "detail": null,
    });
    assert_eq!(serde_json::to_value(&row).unwrap(), written);
    let event = serde_json::to_value(Event::Stored(row.clone())).unwrap();
    assert_eq!((event["type"].as_str(), event["bytes"].as_u64()), (Some("stored"), Some(5)));
    assert_eq!(serde_json::from_value::<Event>(event).unwrap(), Event::Stored(row));
    let event = Event::Retrying { url: "u".into(), detail: "d".into(), after_ms: 7 };
    let written = json!({"type": "retrying", "url": "u", "detail": "d", "afterMs": 7});
    assert_eq!(serde_json::to_value(event).unwrap(), written);
}
