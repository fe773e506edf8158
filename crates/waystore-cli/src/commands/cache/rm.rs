//! `waystore cache rm`: removes a cache, or what it holds for some URLs.

use std::io::Write;

use serde::Serialize;
use waystore::{CacheQueryOptions, parse_request_url};

use super::{Place, Stop, change::Changing, columns::printable};
use crate::failure::Failure;

/// What `waystore cache rm` takes.
#[derive(Debug, clap::Args)]
pub(super) struct RmArgs {
    /// The cache's name.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// Remove only what is stored for these URLs, in every variant; without one, the whole cache.
    #[arg(value_name = "URL")]
    pub(super) urls: Vec<String>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Tell what was removed as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn rm(data: &Changing, args: &RmArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let caches = data.caches(&args.place, None).await?;
    data.must_have(&caches, &args.cache).await?;
    let name = printable(&args.cache);
    let mut told = Told { cache: &args.cache, whole: args.urls.is_empty(), removed: Vec::new(), missing: Vec::new() };
    if args.urls.is_empty() {
        caches.delete(args.cache.as_str()).await?;
    } else {
        let base = parse_request_url(caches.storage_key().origin(), None)?;
        let cache = caches.open(args.cache.as_str()).await?;
        for url in &args.urls {
            let url = parse_request_url(url, Some(&base))?;
            let every_variant = CacheQueryOptions { ignore_vary: true, ..Default::default() };
            let removed = cache.delete(&url, every_variant).await?;
            if removed { &mut told.removed } else { &mut told.missing }.push(url.into());
        }
    }
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &told).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else if told.whole {
        eprintln!("removed the cache `{name}`");
    } else {
        told.removed.iter().for_each(|url| eprintln!("removed `{}` from `{name}`", printable(url)));
    }
    if told.missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = told.missing.iter().map(|url| format!("`{}`", printable(url))).collect();
    let are = if missing.len() == 1 { "is" } else { "are" };
    Err(Failure::failed(format!("{} {are} not in `{name}`", missing.join(", ")))
        .hint(format!("`waystore cache keys {name}` lists what is"))
        .into())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    /// Whether the whole cache is gone.
    whole: bool,
    removed: Vec<String>,
    missing: Vec<String>,
}
