//! What a script asks for and does not find is named in the log. In a file of its own: the log is the process's.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use support::{World, answer};

/// A log that can be read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_missing_indexed_db_fails_as_a_missing_global_does_and_the_log_names_it_once() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().with_writer(move || writer.clone()).init();
    let world = World::with(
        "importScripts('/lib.js'); onfetch = () => {};
         console.log(typeof indexedDB, 'indexedDB' in self, open());
         try { indexedDB.open('x') } catch (error) { console.log(error.name, error.message) }",
    );
    world.net.script("/lib.js", "function open() { return self.IDBRequest === undefined }");
    let site = world.ready().await;
    assert_eq!(world.line().await, "undefined false true");
    assert_eq!(world.line().await, "ReferenceError indexedDB is not defined");
    site.close(std::time::Duration::from_secs(5)).await;
    assert_eq!(answer(&world.ready().await, "/x").await, "fallback: NotAnswered");
    assert_eq!(world.line().await, "undefined false true");
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> =
        text.lines().filter(|line| line.contains("indexedDB") && line.contains("https://a.test/sw.js")).collect();
    assert_eq!(lines.len(), 1, "{text}");
}
