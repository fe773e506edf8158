//! What the command line says when it cannot do what it was asked, and the control socket.

mod support;

use support::{Gateway, run, stderr, text, upstream};

/// Exit code and the text on stderr.
fn failure(arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(arguments);
    assert!(output.stdout.is_empty(), "stdout is for data");
    (output.status.code(), stderr(&output))
}

#[test]
fn a_missing_configuration_is_named_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = failure(&["serve", &folder.path().to_string_lossy()]);
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with("error: `") && text.contains("waystore.toml` cannot be read") && text.contains("\nhint: "),
        "{text}"
    );
    let (code, text) = failure(&["serve"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("`upstream` is missing"), "{text}");
}

#[test]
fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("waystore.toml"), "upstream = 'http://127.0.0.1:1'\nupdate_intervall = '5m'\n")
        .unwrap();
    let (code, text) = failure(&["serve", &folder.path().to_string_lossy()]);
    assert_eq!(code, Some(2));
    assert!(text.contains("`update_intervall`") && text.contains("did you mean `update_interval`?"), "{text}");
    let (code, text) = failure(&["serve", "--update-intervall", "5m"]);
    assert_eq!(code, Some(2));
    assert!(text.contains("--update-interval"), "{text}");
}

#[test]
fn every_key_has_a_flag_of_the_same_name_with_a_line_about_it() {
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    for key in
        ["origin", "upstream-host", "upstream-ca", "ignore-cookies", "shared", "stop-grace", "worker-memory", "log"]
    {
        assert!(help.contains(&format!("--{key} <")), "{key}");
    }
    let flags = help.lines().filter(|line| line.trim_start().starts_with("--")).count();
    assert!(flags > 25, "{flags} flags");
}

#[test]
fn every_flag_is_in_the_document_as_a_key() {
    let help = String::from_utf8(run(&["serve", "--help"]).stdout).unwrap();
    let document = include_str!("../../../docs/commands.md");
    let flags: Vec<_> =
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '[']).next()).collect();
    assert!(flags.len() > 35, "{flags:?}");
    for key in flags.iter().filter(|flag| **flag != "help").map(|flag| flag.replace('-', "_")) {
        assert!(document.contains(&format!("| `{key}` |")), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named_with_what_to_do() {
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let gateway = Gateway::proxy(upstream, &[]);
    let address = gateway.address.to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let arguments = ["serve", "--no-worker", "--upstream", "http://127.0.0.1:1", "--listen", &address];
    let (code, text) = failure(&[&arguments[..], &["--data", &data.to_string_lossy()]].concat());
    assert_eq!(code, Some(1));
    assert!(text.contains(&address) && text.contains("in use") && text.contains("--listen"), "{text}");
    assert!(!data.exists(), "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_in_use_is_named_with_who_uses_it() {
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let mut gateway = Gateway::proxy(upstream, &[]);
    let output =
        gateway.command(&["serve", "--no-worker", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(&format!("in use by process {}", gateway.id())) && text.contains("--data DIR"), "{text}");
    assert_eq!(gateway.get("/").await.status, 200, "the other one goes on");
    assert_eq!(gateway.command(&["worker", "ls"]).status.code(), Some(0), "its socket is still its own");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "dear").unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let arguments =
        ["serve", "--no-worker", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--data", &data];
    let (code, text) = failure(&arguments);
    assert_eq!(code, Some(1));
    assert!(text.contains("not a data directory") && text.contains("nothing in this one was changed"), "{text}");
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["letter.txt"]);
}

#[test]
fn a_file_of_authorities_that_has_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "not PEM").unwrap();
    let data = folder.path().join("data").to_string_lossy().into_owned();
    let arguments =
        ["serve", "--no-worker", "--upstream", "https://127.0.0.1:1", "--listen", "127.0.0.1:0", "--data", &data];
    let (code, text) = failure(&[&arguments[..], &["--upstream-ca", &file.to_string_lossy()]].concat());
    assert_eq!(code, Some(1));
    assert!(text.contains("`upstream_ca`") && text.contains("ca.pem"), "{text}");
}

#[test]
fn commands_to_a_gateway_that_does_not_run_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_string_lossy().into_owned();
    let (code, text) = failure(&["worker", "ls", "--data", &data]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no gateway runs on") && text.contains("waystore serve"), "{text}");
    let (code, text) = failure(&["worker", "message", "hello", "--data", &data]);
    assert_eq!(code, Some(2));
    assert!(text.contains("not JSON"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_was_killed_leaves_nothing_in_the_way() {
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{upstream}");
    let flags = ["--no-worker", "--upstream", &url];
    let mut first = Gateway::start_in(folder.path(), &flags);
    first.kill();
    assert!(first.data().join("control.sock").exists());
    assert_eq!(first.command(&["worker", "ls"]).status.code(), Some(1));
    let second = Gateway::start_in(folder.path(), &flags);
    assert_eq!(second.command(&["worker", "ls", "--json"]).stdout, b"[]\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_data_directory_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let gateway = Gateway::proxy(upstream, &[]);
    let mode = |name: &str| std::fs::metadata(gateway.data().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(""), mode("control.sock"), mode("visitor.key")), (0o700, 0o600, 0o600));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_cannot_be_written_ends_nothing() {
    use std::io::{BufRead, BufReader};
    let upstream = upstream(|_| async { text(200, "yes") }).await;
    let folder = tempfile::tempdir().unwrap();
    let (url, data) = (format!("http://{upstream}"), folder.path().join("data").to_string_lossy().into_owned());
    let arguments = ["serve", "--no-worker", "--upstream", &url, "--listen", "127.0.0.1:0", "--data", &data];
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut child = support::waystore(&arguments).stdout(std::process::Stdio::piped()).stderr(full).spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    let (_, address) = greeting.trim().rsplit_once("http://").unwrap();
    for _ in 0..3 {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(
            &mut stream,
            format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .unwrap();
        let answer = support::read_all(stream);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("yes"), "{answer}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
