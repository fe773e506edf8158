//! The command line: which commands there are. What each takes is said where it is carried out.

use clap::{Parser, Subcommand};

use crate::{commands, control, serve};

/// The service worker cache, outside the browser.
#[derive(Debug, Parser)]
#[command(name = "waystore", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stand in front of an origin and answer through the site's own service worker.
    Serve(Box<serve::ServeArgs>),
    /// Look at and command the worker of a running gateway.
    Worker(control::command::WorkerArgs),
    /// Look at caches and change them, in a data directory or in the gateway that runs on it.
    Cache(commands::cache::CacheArgs),
    /// Fetch URLs into a cache ahead of their use, and those that they lead to.
    Prefetch(commands::prefetch::PrefetchArgs),
    /// Verify a data directory, and repair it.
    Check(commands::check::CheckArgs),
    /// Evaluate classic scripts as a page would, without a DOM.
    Run(commands::run::RunArgs),
}
