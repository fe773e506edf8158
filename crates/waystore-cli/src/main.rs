//! `waystore`: the command line, and the only place where the parts are put together.
//!
//! Each command is a module; this file knows which is which, and how a failure ends the process.

mod caches;
mod cli;
mod commands;
mod control;
mod failure;
mod fetch;
mod prefetching;
mod serve;
mod store;
mod talk;

use std::process::ExitCode;

use clap::Parser;

use self::cli::{Cli, Command};

/// Threads with script in them come and go, and the C library's allocator keeps for each what it freed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Worker(args) => control::command::run(args),
        Command::Cache(args) => commands::cache::run(args),
        Command::Prefetch(args) => commands::prefetch::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Run(args) => commands::run::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            talk::tell!("{failure}");
            failure.exit_code()
        }
    }
}
