//! `waystore worker`: the worker of a running gateway.

use std::{
    io::{Read, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::client::call;
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
    Update,
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
                print(&if json { format!("{workers:#}\n") } else { table(&workers) })
            }
            WorkerCommand::Update => {
                let done = call(Method::POST, "/workers/update", Vec::new()).await?;
                match done["installed"].as_str() {
                    Some(version) => print(&format!("installed {version}\n")),
                    None => print("unchanged\n"),
                }
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

/// One line for each version of each worker.
fn table(workers: &Value) -> String {
    let mut lines =
        vec!["SCOPE  SLOT  VERSION  STATE  RUNNING  EVENTS".split("  ").map(str::to_owned).collect::<Vec<_>>()];
    for worker in workers.as_array().into_iter().flatten() {
        for slot in ["installing", "waiting", "active"] {
            let Some(version) = worker[slot].as_object() else { continue };
            let text = |key: &str| version.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
            let running = version.get("running") == Some(&Value::Bool(true));
            let events =
                version.get("event_types").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            lines.push(vec![
                worker["scope"].as_str().unwrap_or("-").to_owned(),
                slot.to_owned(),
                text("version"),
                text("state"),
                if running { "yes" } else { "no" }.to_owned(),
                events.collect::<Vec<_>>().join(","),
            ]);
        }
    }
    aligned(&lines)
}

fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
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
    fn workers_are_listed_a_version_a_line() {
        let active = serde_json::json!({ "version": "abc-1", "state": "activated", "running": true, "event_types": ["install", "fetch"] });
        let text = table(&serde_json::json!([{ "scope": "http://a.test/", "active": active, "waiting": null }]));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["http://a.test/", "active", "abc-1", "activated", "yes", "install,fetch"]
        );
        assert_eq!(lines[0].find("VERSION"), lines[1].find("abc-1"));
    }

    #[test]
    fn a_message_that_is_not_json_is_a_usage_error() {
        assert!(message("hello".into()).unwrap_err().to_string().contains("quotes"));
        assert_eq!(message("{\"type\":\"A\"}".into()).unwrap(), b"{\"type\":\"A\"}");
    }
}
