//! `waystore run` as it is run: output, exit codes, and where what it stores goes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use support::{read_all, run, stderr, text, upstream, waystore};

const URL: &str = "https://a.test/page";

/// A folder with scripts in it.
struct Scripts(tempfile::TempDir);

impl Scripts {
    fn new(sources: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (number, source) in sources.iter().enumerate() {
            std::fs::write(dir.path().join(format!("{number}.js")), source).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `waystore run --url URL FLAGS` with all scripts in order.
    fn run(&self, url: &str, flags: &[&str]) -> Output {
        let count =
            std::fs::read_dir(self.0.path()).unwrap().filter(|entry| is_script(&entry.as_ref().unwrap().path()));
        let files: Vec<_> = (0..count.count()).map(|number| self.path(&format!("{number}.js"))).collect();
        let files: Vec<_> = files.iter().map(|file| file.to_str().unwrap()).collect();
        run(&[&["run", "--url", url], flags, &files].concat())
    }
}

fn is_script(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "js")
}

fn run_one(source: &str) -> Output {
    Scripts::new(&[source]).run(URL, &[])
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_console_is_stdout_and_its_warnings_and_errors_are_stderr() {
    let output = run_one("console.log('one', 2); console.warn('careful'); console.error('wrong')");
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("one 2\n", Some(0)));
    assert_eq!(stderr(&output), "careful\nwrong\n");
}

#[test]
fn scripts_share_one_global_and_run_in_order() {
    let output = Scripts::new(&["var a = 1; function twice(n) { return 2 * n }", "console.log(twice(a) + self.a)"]);
    assert_eq!(stdout(&output.run(URL, &[])), "3\n");
}

#[test]
fn a_script_sees_its_page_and_no_document() {
    let output = run_one("console.log(location.href, origin, typeof document, typeof caches)");
    assert_eq!(stdout(&output), "https://a.test/page https://a.test undefined object\n");
}

#[test]
fn it_ends_when_nothing_is_pending() {
    let output = run_one(
        "setTimeout(() => console.log('third'), 20);
         Promise.resolve().then(() => console.log('second'));
         console.log('first')",
    );
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("first\nsecond\nthird\n", Some(0)));
}

#[test]
fn what_nobody_catches_ends_it_with_exit_code_1_and_the_place() {
    for source in ["console.log('before');\nnull.x", "console.log('before');\nPromise.reject(new TypeError('no'))"] {
        let output = run_one(source);
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("before\n", Some(1)), "{source}");
        assert!(stderr(&output).contains("error: ") && stderr(&output).contains("TypeError"), "{}", stderr(&output));
        assert!(stderr(&output).contains("0.js"), "{}", stderr(&output));
    }
}

#[test]
fn an_error_in_one_script_keeps_the_next_from_running() {
    let output = Scripts::new(&["throw new Error('stop here')", "console.log('never')"]).run(URL, &[]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
}

#[test]
fn a_cache_is_gone_with_the_process_unless_there_is_a_data_directory() {
    let put = "(async () => (await caches.open('v1')).put('/x', new Response('kept')))()";
    let look = "(async () => console.log(await (await caches.match('/x'))?.text()))()";
    assert_eq!(Scripts::new(&[put]).run(URL, &[]).status.code(), Some(0));
    assert_eq!(stdout(&Scripts::new(&[look]).run(URL, &[])), "undefined\n");

    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let flags = ["--data", data.to_str().unwrap()];
    assert_eq!(Scripts::new(&[put]).run(URL, &flags).status.code(), Some(0));
    assert_eq!(stdout(&Scripts::new(&[look]).run(URL, &flags)), "kept\n");
    assert_eq!(stdout(&Scripts::new(&[look]).run("https://b.test/", &flags)), "undefined\n");
    let output = run(&["cache", "get", "v1", "/x", "--data", flags[1]]);
    assert_eq!(stdout(&output), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn fetch_reaches_the_pages_own_origin_wherever_it_is() {
    let address = upstream(|request| async move { text(200, format!("you asked for {}", request.uri().path())) }).await;
    let scripts = Scripts::new(&["(async () => console.log(await (await fetch('/a')).text()))()"]);
    let output = scripts.run(&format!("http://{address}/page"), &[]);
    assert_eq!(stdout(&output), "you asked for /a\n", "{}", stderr(&output));
}

#[test]
fn a_script_may_come_from_stdin() {
    let mut command = waystore(&["run", "--url", URL, "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"console.log('from stdin')").unwrap();
    assert_eq!(read_all(child.stdout.take().unwrap()), "from stdin\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_module_imports_the_files_beside_it_and_awaits() {
    let scripts = Scripts::new(&[]);
    std::fs::write(scripts.path("main.mjs"), "import { x } from './lib.js'; console.log(await Promise.resolve(x))")
        .unwrap();
    std::fs::write(scripts.path("lib.js"), "export const x = 42").unwrap();
    let main = scripts.path("main.mjs");
    let output = run(&["run", "--url", URL, main.to_str().unwrap()]);
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("42\n", Some(0)), "{}", stderr(&output));
    let lib = scripts.path("lib.js");
    let output = run(&["run", "--url", URL, lib.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["run", "--module", "--url", URL, lib.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    std::fs::remove_file(&lib).unwrap();
    let output = run(&["run", "--url", URL, main.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("lib.js` cannot be read"), "{}", stderr(&output));
}

#[test]
fn what_was_asked_for_wrongly_is_told_before_anything_runs() {
    for (arguments, code, words) in [
        (&["run", "x.js"][..], 2, "--url"),
        (&["run", "--url", URL], 2, "SCRIPT"),
        (&["run", "--url", "a.test", "x.js"], 2, "such as `https://shop.example/`"),
        (&["run", "--url", URL, "nothing-here.js"], 1, "`nothing-here.js` cannot be read"),
        (&["run", "--url", URL, "--cacert", "nothing.pem", "-"], 1, "`--cacert`"),
    ] {
        let output = waystore(arguments).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(words), "{arguments:?}: {}", stderr(&output));
    }
}
