//! The command line: which commands there are. What each takes is said where it is carried out.

use clap::{Parser, Subcommand};

use crate::commands;

/// The service worker cache, outside the browser.
#[derive(Debug, Parser)]
#[command(name = "waystore", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at the caches of an origin.
    Cache(commands::cache::CacheArgs),
    /// Evaluate classic scripts as a page would, without a DOM.
    Run(commands::run::RunArgs),
}
