//! A gateway that is killed while its worker changes over: what is there afterwards.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{Gateway, Seen, mirror};

/// A worker that answers with its name, and precaches before it does. Where `stays`, its install never ends.
fn script(name: &str, stays: bool) -> String {
    format!(
        "oninstall = event => event.waitUntil((async () => {{
           const cache = await caches.open('{name}');
           await cache.put('/precached', new Response('{name}'));
           console.log('{name} has precached');
           if ({stays}) await new Promise(() => {{}});
         }})());
         onactivate = event => event.waitUntil((async () => {{
           for (const name of await caches.keys()) if (name !== '{name}') await caches.delete(name);
         }})());
         onfetch = event => event.respondWith(caches.match('/precached', {{ cacheName: '{name}' }}));"
    )
}

fn says(text: &'static str) -> impl Fn(&serde_json::Value) -> bool {
    move |line| line["message"].as_str().is_some_and(|message| message.contains(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w74_a_kill_during_an_install_leaves_the_old_version_and_the_install_is_tried_again() {
    let (upstream, home) = (mirror(&Seen::default()).await, tempfile::tempdir().unwrap());
    let flags = ["--origin", "http://localhost:8080"];
    let mut gateway = Gateway::with_worker_in(home.path(), upstream, &script("one", false), &flags);
    gateway.ready();
    assert_eq!(gateway.get("/x").await.text(), "one");
    std::fs::write(home.path().join("sw.js"), script("two", true)).unwrap();
    let update = std::thread::spawn({
        let data = gateway.data().to_string_lossy().into_owned();
        move || support::run(&["worker", "update", "--data", &data])
    });
    gateway.logged(says("two has precached"));
    gateway.kill();
    assert!(!update.join().unwrap().status.success(), "who asked for the update is told that it failed");
    // The script is the one whose install was cut off: it hangs again, and the old version answers meanwhile.
    let mut gateway = Gateway::with_worker_in(home.path(), upstream, &script("two", true), &flags);
    assert_eq!(gateway.get("/x").await.text(), "one");
    gateway.logged(says("two has precached"));
    assert_eq!(gateway.get("/x").await.text(), "one");
    gateway.kill();
    let gateway = Gateway::with_worker_in(home.path(), upstream, &script("two", false), &flags);
    gateway.logged(|line| line["message"] == "worker activated");
    assert_eq!(gateway.get("/x").await.text(), "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn w1_a_kill_during_the_first_install_leaves_no_registration() {
    let (upstream, home) = (mirror(&Seen::default()).await, tempfile::tempdir().unwrap());
    let flags = ["--origin", "http://localhost:8080"];
    let mut gateway = Gateway::with_worker_in(home.path(), upstream, &script("one", true), &flags);
    gateway.logged(says("one has precached"));
    gateway.kill();
    let gateway = Gateway::with_worker_in(home.path(), upstream, "throw new Error('never starts')", &flags);
    assert_eq!(gateway.get("/x").await.text(), "/x for nobody");
}
