//! The same as scripts tell it: what they print is what they saw.

use std::sync::{Arc, Mutex};

use http::Method;
use url::Url;
use waystore::{Clock, Waystore};
use waystore_worker::{Limits, RunOptions, SiteHost, run_scripts};

use super::{World, answer};

/// What `script`, at `http://shop.example/sw.js`, prints.
async fn printed(world: &World, script: &str) -> Vec<String> {
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let printed = Arc::clone(&lines);
    let host = SiteHost {
        fetch: Arc::new(world.network.clone()),
        clock: Arc::new(Clock::system()),
        console: Arc::new(move |line| printed.lock().unwrap().push(line.text)),
        prefetch: None,
    };
    let url = Url::parse("http://shop.example/sw.js").unwrap();
    let script = format!("(async () => {{ {script} }})();");
    let options = RunOptions { url: url.clone(), limits: Limits::default(), may_persist: false, files: None };
    run_scripts(options, vec![(url, script.into_bytes())], &Waystore::in_memory(), host).await.unwrap();
    let lines = lines.lock().unwrap();
    lines.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f79_what_another_origin_does_not_consent_to_is_a_type_error() {
    let world = World::new(|asked| {
        let origin = |value| ("access-control-allow-origin", value);
        match asked.path.as_str() {
            "/none" => answer(200, &[]),
            "/star" => answer(200, &[origin("*")]),
            "/exact" => answer(200, &[origin("http://shop.example"), ("access-control-allow-credentials", "true")]),
            _ => answer(200, &[origin("http://shop.example")]),
        }
    })
    .await;
    let script = r#"
        for (const [path, credentials] of [
          ["none", "omit"], ["star", "omit"], ["star", "include"], ["exact", "include"], ["bare", "include"],
        ]) {
          const seen = await fetch("http://cdn.example/" + path, { credentials }).then((r) => r.type, (e) => e.name);
          console.log(path, credentials, seen);
        }
    "#;
    assert_eq!(
        printed(&world, script).await,
        [
            "none omit TypeError",
            "star omit cors",
            "star include TypeError",
            "exact include cors",
            "bare include TypeError"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f80_a_star_exposes_every_header_unless_there_are_credentials() {
    let world = World::new(|_| {
        answer(
            200,
            &[
                ("access-control-allow-origin", "http://shop.example"),
                ("access-control-allow-credentials", "true"),
                ("access-control-expose-headers", "*"),
                ("x-a", "1"),
                ("*", "star"),
                ("set-cookie", "a=b"),
                ("content-type", "text/plain"),
            ],
        )
    })
    .await;
    let script = r#"
        for (const credentials of ["omit", "include"]) {
          const { headers } = await fetch("http://cdn.example/x", { credentials });
          console.log(["x-a", "*", "set-cookie", "content-type"].map((name) => headers.get(name)).join());
        }
    "#;
    assert_eq!(printed(&world, script).await, ["1,star,,text/plain", ",star,,text/plain"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cache_adds_from_another_origin_needs_its_consent() {
    let world = World::new(|asked| match asked.path.as_str() {
        "/open" => answer(200, &[("access-control-allow-origin", "*")]),
        _ => answer(200, &[]),
    })
    .await;
    let script = r#"
        const cache = await caches.open("v1");
        for (const path of ["open", "closed"]) {
          const seen = await cache.add("http://cdn.example/" + path).then(() => "stored", (e) => e.name);
          console.log(path, seen);
        }
        const opaque = await fetch("http://cdn.example/closed", { mode: "no-cors" });
        await cache.put("/opaque", opaque);
        const { type, status } = await cache.match("/opaque");
        console.log(type, status);
    "#;
    assert_eq!(printed(&world, script).await, ["open stored", "closed TypeError", "opaque 0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_script_goes_out_without_a_question_and_json_with_one() {
    let world = World::new(|asked| {
        let open = ("access-control-allow-origin", "*");
        match asked.method {
            Method::OPTIONS => answer(204, &[open, ("access-control-allow-headers", "*")]),
            _ => answer(200, &[open]),
        }
    })
    .await;
    let script = r#"
        const send = (body, headers) => fetch("http://cdn.example/x", { method: "POST", body, headers });
        console.log((await send(new URLSearchParams("a=b"))).status);
        console.log((await send("{}", { "content-type": "application/json" })).status);
    "#;
    assert_eq!(printed(&world, script).await, ["200", "200"]);
    assert_eq!(world.asked(), ["POST cdn.example/x", "OPTIONS cdn.example/x", "POST cdn.example/x"]);
}
