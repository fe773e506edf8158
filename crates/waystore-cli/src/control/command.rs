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
        data: String,
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
                print(&format!("{}\n", done["updated"].as_str().unwrap_or("updated")))
            }
            WorkerCommand::Message { data } => call(Method::POST, "/workers/message", message(data)?).await.map(drop),
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

fn table(workers: &Value) -> String {
    format!("{workers:#}\n")
}

fn print(text: &str) -> Result<(), Failure> {
    let written = std::io::stdout().lock().write_all(text.as_bytes());
    match written {
        // Whoever read it has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::failed(format!("stdout cannot be written: {error}"))),
    }
}
