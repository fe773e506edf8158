//! What opaque responses are charged beyond their lengths. Section 5 of `spec/storage.md`.

use super::{
    quota::{MIB, is_quota_error, limit, usage},
    support::{PLAIN, caches, keys, of_kind, open},
};
use crate::{Response, ResponseType, Waystore};

super::case_list!(Case:
    s27_two_opaque_images_are_charged_their_bytes_and_two_paddings_at_most,
    s29_s30_padding_goes_with_its_entry_and_is_for_opaque_ones,
    s31_a_response_stored_twice_has_one_padding,
    s32_a_small_quota_is_used_up_by_few_opaque_entries,
);

const MOST_PADDING: u64 = 14_431 * 1024;

fn opaque(body: &str, x: &str) -> Response {
    of_kind(ResponseType::Opaque, 200, &[("x", x)], body)
}

async fn s27_two_opaque_images_are_charged_their_bytes_and_two_paddings_at_most(store: Waystore) {
    store.pad_opaque_responses();
    let cache = open(&store).await;
    let before = usage(&store).await;
    let image = "x".repeat(7_168);
    for url in ["/1", "/2"] {
        cache.put(url, opaque(&image, "1")).await.unwrap();
    }
    let grown = usage(&store).await - before;
    assert!((14_336..=14_336 + 2 * MOST_PADDING).contains(&grown), "{grown}");
}

async fn s29_s30_padding_goes_with_its_entry_and_is_for_opaque_ones(store: Waystore) {
    store.pad_opaque_responses();
    let cache = open(&store).await;
    let body = "x".repeat(7_000);
    let before = usage(&store).await;
    cache.put("/basic", of_kind(ResponseType::Basic, 200, &[], &body)).await.unwrap();
    let unpadded = usage(&store).await;
    assert!(unpadded - before < 8_000);
    let mut sizes = Vec::new();
    for url in ["/1", "/2", "/3"] {
        cache.put(url, of_kind(ResponseType::Opaque, 200, &[("x", url)], &body)).await.unwrap();
        let estimate = caches(&store).estimate().await.unwrap();
        sizes.push(estimate.usage_bytes);
        assert!(estimate.usage_bytes - unpadded >= 7_000 * sizes.len() as u64);
        assert!(estimate.usage_bytes - unpadded <= sizes.len() as u64 * (7_000 + 14_431 * 1024));
        assert!(estimate.real_bytes - unpadded < 8_000 * sizes.len() as u64);
        // It tells nothing of the last digits.
        assert_eq!((estimate.usage_bytes - unpadded) % (64 * 1024), 0);
    }
    assert!(cache.delete("/3", PLAIN).await.unwrap());
    assert_eq!(usage(&store).await, sizes[1]);
    for url in ["/1", "/2"] {
        assert!(cache.delete(url, PLAIN).await.unwrap());
    }
    assert_eq!(usage(&store).await, unpadded);
}

async fn s31_a_response_stored_twice_has_one_padding(store: Waystore) {
    store.pad_opaque_responses();
    let cache = open(&store).await;
    let mut grown = Vec::new();
    for round in 0..10 {
        let before = usage(&store).await;
        let (one, two) =
            of_kind(ResponseType::Opaque, 200, &[("x", &round.to_string())], "image").tee(&cache.spooler());
        cache.put(format!("/1?{round}"), one).await.unwrap();
        let between = usage(&store).await;
        cache.put(format!("/2?{round}"), two).await.unwrap();
        assert_eq!(between - before, usage(&store).await - between);
        grown.push(between - before);
    }
    grown.dedup();
    assert!(grown.len() > 1, "all the same: {grown:?}");
}

async fn s32_a_small_quota_is_used_up_by_few_opaque_entries(store: Waystore) {
    store.pad_opaque_responses();
    limit(&store, 20 * MIB as u64);
    let cache = open(&store).await;
    let body = "x".repeat(1024);
    let mut stored = 0;
    loop {
        let done = cache.put(format!("/{stored}"), opaque(&body, &stored.to_string())).await;
        if is_quota_error(&done) {
            break;
        }
        done.unwrap();
        stored += 1;
        assert!(stored < 30, "seven MiB each, on average, are far more than a quota of 20");
    }
    assert_eq!(keys(&cache).await.len(), stored);
    assert!(usage(&store).await <= 20 * MIB as u64);
    assert!(caches(&store).estimate().await.unwrap().real_bytes < 100_000);
    // What is not opaque still fits.
    cache.put("/basic", of_kind(ResponseType::Basic, 200, &[], &body)).await.unwrap();
    assert!(cache.delete("/basic", PLAIN).await.unwrap());
}
