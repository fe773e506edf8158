//! What the commands say to input that cannot be, and to a world that does not play along: never a panic, always
//! what failed, on what.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::File,
    path::Path,
    process::{Command, Output, Stdio},
};

fn waystore(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waystore"));
    command.args(arguments).current_dir(home).stdin(Stdio::null()).env_remove("WAYSTORE_LOG");
    command
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A folder with a data directory of one cache, `v1`, and a file `x`.
fn home() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("x"), "hello").unwrap();
    let put = waystore(home.path(), &["cache", "put", "v1", "https://a.test/x", "x"]).output().unwrap();
    assert!(put.status.success(), "{}", stderr(&put));
    home
}

#[test]
fn each_wrong_argument_is_named_and_told_from_what_merely_failed() {
    let home = home();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["ls", "--data", "x"], 1, "no cache store at `x`: it is not a directory"),
        (&["ls", "--data", "/proc"], 1, "no cache store at `/proc`"),
        (&["ls", "--data", ""], 2, "--data <DIR>"),
        (&["ls", "--origin", ""], 2, "`` is not an origin"),
        (&["ls", "--origin", "file:///x"], 2, "`file:///x` is not an origin"),
        (&["put", "v1", "/y", "x", "--data", "x"], 1, "`x` is not a data directory"),
        (&["put", "v1", "/y", "."], 1, "`.` is a folder"),
        (&["put", "v1", "/y", "missing"], 1, "`missing` cannot be read"),
        (&["put", "v1", "http://[", "x"], 2, "`http://[` is not a URL"),
        (&["put", "v1", "ftp://a.test/", "x"], 1, "only http and https"),
        (&["put", "v1", "https://me:pw@a.test/", "x"], 2, "holds credentials"),
        (&["put", "v1", "/y", "x", "--status", "99999999999"], 2, "--status"),
        (&["put", "v1", "/y", "x", "--status", "206"], 1, "206"),
        (&["put", "v1", "/y", "x", "--status", "204"], 2, "status 204 has no body"),
        (&["put", "v1", "/y", "x", "--header", "a\nb: c"], 2, "is not a header's name"),
        (&["put", "v1", "/y", "x", "--header", "a: b\nc"], 2, "is not a header's value"),
        (&["get", "v1", "https://a.test:99999/"], 2, "invalid port"),
        (&["get", "v1", "/x", "--output", "no/such/folder/x"], 1, "`no/such/folder/x` cannot be written"),
        (&["get", "v1", "/x", "--output", "/dev/full"], 1, "`/dev/full` cannot be written"),
        (&["keys", "v1", "--prefix", "//["], 2, "is not a URL"),
        (&["keys", "\u{1b}[2J"], 1, "no cache `\\u{1b}[2J`"),
        (&["rm", "v1", "/x", "http://["], 2, "`http://[` is not a URL"),
        (&["export", "v1", "."], 1, "`.` cannot be written"),
        (&["export", "v1", "/dev/full"], 1, "`/dev/full` cannot be written"),
        (&["import", "v1", "x"], 1, "`x` was not imported"),
        (&["import", "v1", "/dev/null"], 1, "`/dev/null` was not imported"),
        (&["import", "v1", "/dev/zero"], 1, "`/dev/zero` was not imported"),
        (&["add", "v1", "/x", "--cacert", "missing"], 1, "`missing`"),
        (&["add", "v1", "http://["], 2, "is not a URL"),
        (&["add", "v1", "http://127.0.0.1:1/x"], 1, "`http://127.0.0.1:1/x`"),
        (&["add", "v1", "ftp://a.test/"], 1, "`ftp://a.test/`"),
        (&["put", "v1", "/y", "x", "--header", "vary: *"], 1, "`https://a.test/y` was not stored: "),
    ];
    for (arguments, code, expected) in cases {
        let output = waystore(home.path(), &[&["cache"], *arguments].concat()).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {text}");
        assert!(text.contains("error: ") && text.contains(expected), "{arguments:?}: {text}");
        assert!(text.contains("\nhint: ") || text.contains("try '--help'"), "{arguments:?} says no next step: {text}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    let keys = waystore(home.path(), &["cache", "keys", "v1", "--json"]).output().unwrap();
    let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).unwrap();
    assert_eq!(keys.as_array().unwrap().len(), 1, "nothing was changed: {keys}");
    let mut names: Vec<_> = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["data", "x"], "nothing was left behind");
}

#[test]
fn a_name_and_a_url_may_be_as_long_as_a_command_line() {
    let home = home();
    let (name, url) = ("n".repeat(100_000), format!("/{}", "u".repeat(100_000)));
    for arguments in [
        &["cache", "put", &*name, &*url, "x"][..],
        &["cache", "ls"],
        &["cache", "keys", &name],
        &["cache", "explain", &name, &url],
        &["cache", "export", &name, "file"],
        &["cache", "import", &name, "file"],
    ] {
        let output = waystore(home.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_eq!(waystore(home.path(), &["cache", "get", &name, &url]).output().unwrap().stdout, b"hello");
}

#[test]
fn nobody_listening_to_the_talk_is_no_failure() {
    let home = home();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [
        (&["cache", "put", "v1", "/y", "x"][..], 0),
        (&["cache", "get", "v1", "/y"], 0),
        (&["cache", "export", "v1", "file"], 0),
        (&["cache", "import", "v2", "file"], 0),
        (&["cache", "rm", "v1", "/y"], 0),
        (&["cache", "rm", "v1", "/y"], 1),
    ] {
        let output = waystore(home.path(), arguments).stderr(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let home = home();
    for arguments in [&["cache", "ls"][..], &["cache", "keys", "v1", "--json"], &["cache", "get", "v1", "/x"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let output = waystore(home.path(), arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&output).contains("writing the output failed: "), "{}", stderr(&output));
    }
}

#[test]
fn a_response_that_has_no_body_is_stored_without_one() {
    let home = home();
    let put = waystore(home.path(), &["cache", "put", "v1", "/gone", "/dev/null", "--status", "204"]).output().unwrap();
    assert_eq!(put.status.code(), Some(0), "{}", stderr(&put));
    let get = waystore(home.path(), &["cache", "get", "v1", "/gone", "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&get.stdout).unwrap();
    assert_eq!((&told["status"], &told["bytes"]), (&204.into(), &0.into()));
}
