//! `waystore cache add`: fetches URLs and stores all of them, or none.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use waystore::{Clock, Fetch, Request, parse_request_url};

use super::{Place, Stop, change::Changing, columns::printable};
use crate::{commands::run::network, failure::Failure};

/// What `waystore cache add` takes.
#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {
    /// The cache's name; made where there is none.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// The URLs to fetch; without scheme and host, at the origin.
    #[arg(value_name = "URL", required = true)]
    pub(super) urls: Vec<String>,
    /// A PEM file of certificate authorities to trust, beside the well-known ones.
    #[arg(long, value_name = "FILE")]
    pub(super) cacert: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Tell what was stored as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn add(data: &Changing, args: &AddArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let caches = data.caches(&args.place, args.urls.first().map(String::as_str)).await?;
    let base = parse_request_url(caches.storage_key().origin(), None)?;
    let fetch = fetcher(&base, args.cacert.as_deref())?;
    let parse = |url: &String| parse_request_url(url, Some(&base));
    let urls = args.urls.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let cache = caches.open(args.cache.as_str()).await?;
    cache.add_all(&fetch, urls.iter().cloned().map(Request::from)).await?;
    if args.json {
        let told = Told { cache: &args.cache, urls: urls.iter().map(|url| url.as_str()).collect() };
        serde_json::to_writer_pretty(&mut *out, &told).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        let what = match &urls[..] {
            [only] => format!("`{}`", printable(only.as_str())),
            several => format!("{} responses", several.len()),
        };
        eprintln!("stored {what} in `{}`", printable(&args.cache));
    }
    Ok(())
}

/// Fetches as a page of the origin would.
fn fetcher(origin: &url::Url, cacert: Option<&Path>) -> Result<impl Fetch + use<>, Failure> {
    network(origin, cacert, &Arc::new(Clock::system()))
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    urls: Vec<&'a str>,
}
