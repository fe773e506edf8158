//! What people try: each ends soon, is bounded, has its reason in the row, and leaves the rest alone.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use waystore::{
    Body, Error, FetchError, Response,
    prefetch::{Event, Follow, Outcome, Prefetch, Reason},
    testing::Canned,
};

use super::support::{Silent, endless, json, keys, limited, new_cache, only, outcomes, plan, run, start, told};

fn follow(rule: &str) -> Follow {
    rule.parse().unwrap()
}

#[tokio::test]
async fn a_list_of_a_million_urls_is_refused_and_one_that_is_over_the_count_is_cut() {
    let million = format!(r#"{{"urls": [{}"/x"]}}"#, "\"/x\",".repeat(1_000_000));
    let refused = serde_json::from_str::<Prefetch>(&million).unwrap_err().to_string();
    assert!(refused.contains("more than 50000 URLs"), "{refused}");
    let cache = new_cache().await;
    let plan = Prefetch::new((0..1_000_000).map(|number| format!("/{number}")));
    let refused = plan.start(cache.clone(), Arc::new(Canned::default())).unwrap_err();
    assert!(matches!(refused, Error::Type { rule } if rule.contains("1000000 URLs")));

    let plan = Prefetch::new((0..50_000).map(|number| format!("/{number}")));
    let network = Canned::default();
    let rows = run(limited(plan, |limits| limits.count = 5), &cache, &network).await;
    assert_eq!((rows.len(), network.asked().len()), (50_000, 5));
    assert_eq!(outcomes(&rows[49_999..]), [(Outcome::Skipped, Some(Reason::Count))]);
}

#[tokio::test]
async fn documents_that_name_each_other_in_a_circle_are_fetched_once() {
    let cache = new_cache().await;
    let network = only(|_| Ok(json(r#"["/y", "/x"]"#))).on("/y", |_| Ok(json(r#"["/x#1", "/y?", "/y"]"#)));
    let network = network.on("/y?", |_| Ok(json(r#"["/x"]"#)));
    let rows = run(plan().follow(follow("")), &cache, &network).await;
    assert_eq!((rows.len(), network.asked().len()), (3, 3));
}

#[tokio::test]
async fn documents_that_always_name_another_end_at_the_depth() {
    let cache = new_cache().await;
    let network = (0..20).fold(Canned::default(), |network, number| {
        network.on(&format!("/{number}"), move |_| Ok(json(format!(r#"["/{}"]"#, number + 1))))
    });
    let rows = run(Prefetch::new(["/0"]).follow(follow("")), &cache, &network).await;
    assert_eq!((rows.len(), rows[3].followed.len()), (4, 0));
}

#[tokio::test]
async fn a_document_that_names_very_many_gives_as_many_as_allowed() {
    let cache = new_cache().await;
    let many = (0..50_000).map(|number| format!("\"/{number}\"")).collect::<Vec<_>>().join(",");
    let network = only(move |_| Ok(json(format!("[{many}]"))));
    let plan = limited(plan().follow(follow("")), |limits| limits.document_urls = 20);
    let rows = run(plan, &cache, &network).await;
    assert_eq!((rows.len(), rows[0].reason), (21, Some(Reason::Document)));
    assert!(rows[0].detail.as_ref().unwrap().contains("more than 20 URLs"));
}

#[tokio::test]
async fn json_that_never_ends_is_cut_and_not_stored() {
    let cache = new_cache().await;
    let network = only(|_| Ok(json(endless(b"[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20],"))));
    let rows = run(plan().follow(follow("$..x")), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Skipped, Some(Reason::ResponseBytes))]);
    assert!((16 << 20..(16 << 20) + 100).contains(&rows[0].bytes), "{}", rows[0].bytes);
    assert!(keys(&cache).await.is_empty());
}

#[tokio::test]
async fn a_body_that_says_it_is_too_long_is_not_read() {
    let cache = new_cache().await;
    let never = || Body::from_stream(stream::once(async { panic!("it is read") }), Some(1 << 40));
    let network = only(move |_| Ok(Response::new(never())));
    let rows = run(plan(), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Skipped, Some(Reason::ResponseBytes))]);
}

#[tokio::test]
async fn bodies_together_are_cut_at_the_bytes_in_total() {
    let cache = new_cache().await;
    let urls: Vec<String> = (0..40).map(|number| format!("/{number}")).collect();
    let network = urls.iter().fold(Canned::default(), |network, url| {
        network.on(url, |_| Ok(Response::new(Body::from_stream(endless(&[b'x'; 1000]).take(30), None))))
    });
    let plan = limited(Prefetch::new(urls), |limits| limits.bytes = 100_000);
    let rows = run(plan, &cache, &network).await;
    let stored = rows.iter().filter(|row| row.outcome == Outcome::Stored).count();
    assert!((1..=3).contains(&stored), "{stored}");
    let others = rows.iter().filter(|row| row.outcome != Outcome::Stored);
    assert!(others.clone().all(|row| row.reason == Some(Reason::Bytes)));
    // What is on its way when the limit is reached is a chunk for each that runs.
    let came: u64 = rows.iter().map(|row| row.bytes).sum();
    assert!(came <= 100_000 + 24 * 1000, "{came}");
    assert_eq!(keys(&cache).await.len(), stored);
}

#[tokio::test]
async fn json_that_is_nested_very_deep_is_stored_and_not_followed() {
    let cache = new_cache().await;
    let network = only(|_| Ok(json("[".repeat(100_000) + &"]".repeat(100_000))));
    let rows = run(plan().follow(follow("$..*")), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Stored, Some(Reason::Document))]);
    assert!(rows[0].detail.as_ref().unwrap().contains("recursion limit"));
}

#[tokio::test]
async fn a_path_that_multiplies_what_it_finds_is_stopped_and_said() {
    let cache = new_cache().await;
    let deep = "[".repeat(120) + "\"/y\"" + &"]".repeat(120);
    let network = only(move |_| Ok(json(deep.clone())));
    let rows = run(plan().follow(follow("$..*..*..*..*..*..*..*..*..*..*")), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Stored, Some(Reason::Document))]);
    assert!(rows[0].detail.as_ref().unwrap().contains("too much work"));
}

#[tokio::test]
async fn a_private_address_is_the_networks_to_refuse_and_the_row_says_so() {
    let cache = new_cache().await;
    let metadata = "http://169.254.169.254/latest/meta-data/";
    let network = only(move |_| Ok(json(format!(r#"["{metadata}"]"#))))
        .on(metadata, |_| Err(FetchError::Refused("`169.254.169.254` is not a public address".into())));
    let rows = run(plan().follow(follow("")), &cache, &network).await;
    assert_eq!(outcomes(&rows), [(Outcome::Stored, None), (Outcome::Failed, Some(Reason::Network))]);
    assert_eq!(rows[1].detail.as_deref(), Some("`169.254.169.254` is not a public address"));
    assert_eq!(keys(&cache).await, ["/x"]);
}

#[tokio::test(start_paused = true)]
async fn where_the_network_does_not_go_is_asked_for_once_however_much_it_is_wanted() {
    for (error, attempts) in [
        (FetchError::Refused("`10.0.0.1` is not a public address".into()), 1),
        (FetchError::Network("connection refused".into()), 4),
    ] {
        let network = only(move |_| Err(error.clone()));
        let rows = run(Prefetch::new(Vec::<String>::new()).require("/x"), &new_cache().await, &network).await;
        assert_eq!(outcomes(&rows), [(Outcome::Failed, Some(Reason::Network))]);
        assert_eq!(rows[0].attempts, attempts, "{rows:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_costs_one_attempt_its_time() {
    let cache = new_cache().await;
    let before = tokio::time::Instant::now();
    let rows = plan().start(cache, Arc::new(Silent)).unwrap().finish().await;
    assert_eq!(outcomes(&rows), [(Outcome::Failed, Some(Reason::TimedOut))]);
    assert_eq!(before.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_for_ever_is_cut_when_its_time_is_over() {
    let cache = new_cache().await;
    let drips = || {
        Body::from_stream(
            stream::unfold((), |()| async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((Ok("drip".into()), ()))
            }),
            None,
        )
    };
    let network = only(move |_| Ok(Response::new(drips())));
    let events = told(start(plan(), &cache, &network)).await;
    let [.., Event::Failed(row), Event::Progress { .. }, Event::Ended(summary)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(row.reason, Some(Reason::TimedOut));
    assert!((116..=120).contains(&summary.bytes), "what came counts, though it is not stored: {summary:?}");
    assert!(keys(&cache).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_of_it_ends_when_its_time_is_over() {
    let cache = new_cache().await;
    let plan = Prefetch { concurrency: 2, ..Prefetch::new(["/1", "/2"]).require("/3") };
    let plan = limited(plan, |limits| limits.time_ms = 2000);
    let before = tokio::time::Instant::now();
    let rows = plan.start(cache, Arc::new(Silent)).unwrap().finish().await;
    assert_eq!(outcomes(&rows), [(Outcome::Skipped, Some(Reason::Time)); 3]);
    assert_eq!(before.elapsed().as_secs(), 2);
}
