//! `waystore worker`: the worker of a running gateway.

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::{client::call, table::table};
use crate::{failure::Failure, serve::config::DEFAULT_DATA};

/// What `waystore worker` takes.
#[derive(Debug, Args)]
pub(crate) struct WorkerArgs {
    #[command(subcommand)]
    command: WorkerCommand,
    /// The data directory of the gateway.
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_DATA)]
    data: PathBuf,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// Show the registered worker and its versions.
    Ls {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Fetch the script now, past every cache, and install it if it changed.
    ///
    /// Also where it is a version that was rolled back from. A worker that is off stays off.
    Update,
    /// Make the version active again that was so before, at once; a second rollback leads back.
    ///
    /// It is not installed again and gets no event, so it finds the caches as the newer version left them: what
    /// that deleted when it activated is gone, and the older one asks the network for it as on any miss. The
    /// newer version is not installed again until the script changes or `worker update` is called.
    Rollback,
    /// Switch the worker off, until `worker on`: the upstream answers everything.
    Off,
    /// Switch the worker on again, and look for a new script.
    On,
    /// Send the active worker a message.
    Message {
        /// The message's data, as JSON; `-` reads it from stdin.
        #[arg(value_name = "JSON")]
        message: String,
    },
}

pub(crate) fn run(args: WorkerArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime could be started: {error}")))?;
    runtime.block_on(async {
        let call = |method, path, body| call(&args.data, method, path, body);
        match args.command {
            WorkerCommand::Ls { json } => {
                let workers = call(Method::GET, "/workers", Vec::new()).await?;
                print(&if json { format!("{workers:#}\n") } else { table(&workers) + &notes(&workers) })
            }
            WorkerCommand::Update => {
                let done = call(Method::POST, "/workers/update", Vec::new()).await?;
                match done["installed"].as_str() {
                    Some(version) => print(&format!("installed {version}\n")),
                    None => print("unchanged\n"),
                }
            }
            WorkerCommand::Rollback => {
                let done = call(Method::POST, "/workers/rollback", Vec::new()).await?;
                print(&format!("active {}\n", done["active"].as_str().unwrap_or("-")))
            }
            WorkerCommand::Off => {
                call(Method::POST, "/workers/off", Vec::new()).await?;
                print("off\n")
            }
            WorkerCommand::On => {
                call(Method::POST, "/workers/on", Vec::new()).await?;
                print("on\n")
            }
            WorkerCommand::Message { message: json } => {
                call(Method::POST, "/workers/message", message(json)?).await.map(drop)
            }
        }
    })
}

/// The message's bytes, which have to be JSON.
fn message(data: String) -> Result<Vec<u8>, Failure> {
    let text = if data == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| Failure::failed(format!("stdin cannot be read: {error}")))?;
        text
    } else {
        data
    };
    let wrong = |error| {
        Failure::usage(format!("the message is not JSON: {error}")).hint("a text has quotes of its own: '\"hello\"'")
    };
    serde_json::from_str::<Value>(&text).map_err(wrong)?;
    Ok(text.into_bytes())
}

/// Where a version may be.
pub(super) const SLOTS: [&str; 4] = ["installing", "waiting", "active", "previous"];

/// What there is to say beside the table: why no worker is asked, and what went wrong last.
fn notes(workers: &Value) -> String {
    let mut text = String::new();
    for worker in workers.as_array().into_iter().flatten() {
        match worker["clients"].as_u64() {
            Some(1) => text.push_str("\n1 page is connected.\n"),
            Some(pages @ 2..) => text.push_str(&format!("\n{pages} pages are connected.\n")),
            _ => {}
        }
        match worker["off"].as_str() {
            Some("switched") => text.push_str("\nThe worker is off; `waystore worker on` switches it on.\n"),
            Some(_) => text.push_str("\nThe worker is off: too many of its threads are stuck in script. A restart of the gateway ends them.\n"),
            None => {}
        }
        if let Some(version) = worker["barred"].as_str() {
            text.push_str(&format!(
                "\n{version} was rolled back from; it is not installed again until the script changes or `waystore worker update` is called.\n"
            ));
        }
        if let Some(failure) = worker["last_failure"].as_str() {
            text.push_str(&format!("\nThe last update failed: {failure}\n"));
        }
        for slot in SLOTS {
            let (version, error) = (&worker[slot]["version"], &worker[slot]["last_error"]);
            let Some(words) = error["text"].as_str() else { continue };
            let at = error["at_ms"].as_u64().map(|ms| std::time::UNIX_EPOCH + std::time::Duration::from_millis(ms));
            let at = at.map(|at| humantime::format_rfc3339_seconds(at).to_string()).unwrap_or_default();
            let event =
                [&error["event"], &error["url"]].into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
            let event = if event.is_empty() { String::new() } else { format!(", in {event}") };
            text.push_str(&format!("\nThe last error of {} at {at}{event}:\n", version.as_str().unwrap_or("-")));
            for line in words.lines() {
                text.push_str(&format!("  {}\n", line.trim_end()));
            }
        }
    }
    // What a script said may hold anything.
    text.chars().filter(|char| *char == '\n' || !char.is_control()).collect()
}

fn print(text: &str) -> Result<(), Failure> {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    match written {
        // Whoever read it has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::failed(format!("stdout cannot be written: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_under_the_table_without_what_a_terminal_would_obey() {
        let error = serde_json::json!({ "at_ms": 0, "event": "fetch", "url": "http://a.test/x", "text": "Error: \u{1b}[2Joh\n    at x" });
        let active = serde_json::json!({ "version": "abc-1", "last_error": error });
        let text = notes(&serde_json::json!([{ "off": "switched", "active": active, "barred": "def-2" }]));
        assert!(!text.contains("connected"), "nobody is");
        assert!(text.contains("`waystore worker on`") && text.contains("def-2 was rolled back from"), "{text}");
        assert!(
            text.contains(
                "The last error of abc-1 at 1970-01-01T00:00:00Z, in fetch http://a.test/x:\n  Error: [2Joh\n      at x"
            ),
            "{text}"
        );
    }

    #[test]
    fn how_many_pages_are_connected_is_told_under_the_table() {
        let with = |clients: u64| notes(&serde_json::json!([{ "clients": clients }]));
        assert_eq!((with(1).trim(), with(2).trim()), ("1 page is connected.", "2 pages are connected."));
    }

    #[test]
    fn a_message_that_is_not_json_is_a_usage_error() {
        assert!(message("hello".into()).unwrap_err().to_string().contains("quotes"));
        assert_eq!(message("{\"type\":\"A\"}".into()).unwrap(), b"{\"type\":\"A\"}");
    }
}
