//! Where the URLs come from: arguments, files, stdin. Lists that are elsewhere are only named; who fetches reads them.

use std::path::Path;

use futures::StreamExt;
use waystore::{Body, prefetch::MAX_URLS};

use crate::{
    commands::cache::{input, interrupt::Interrupt},
    failure::Failure,
    prefetching::{LIST_BYTES, Listed, read_list},
    serve::settings::is_url,
};

/// What to fetch.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) urls: Vec<String>,
    /// Lists that are to be fetched.
    pub(super) lists: Vec<String>,
}

/// The URLs of the arguments, and those of the lists `from`.
///
/// # Errors
///
/// There are none, too many, or a list cannot be read.
pub(super) async fn gather(urls: &[String], from: &[String], interrupt: &Interrupt) -> Result<Sources, Failure> {
    let mut sources = Sources { urls: urls.to_vec(), lists: Vec::new() };
    for list in from {
        if is_url(list) {
            sources.lists.push(list.clone());
            continue;
        }
        let body = input::open(Path::new(list), interrupt).await.map_err(|failure| from_where(failure, list))?;
        let Listed { urls, lists } = listed(body, list, MAX_URLS.saturating_sub(sources.urls.len())).await?;
        sources.urls.extend(urls);
        sources.lists.extend(lists);
    }
    match sources {
        Sources { urls, lists } if urls.is_empty() && lists.is_empty() => {
            Err(Failure::usage("there is nothing to fetch").hint("give URLs, or a list of them with `--from`"))
        }
        Sources { urls, .. } if urls.len() > MAX_URLS => {
            Err(Failure::usage(format!("there are {} URLs, and there may be {MAX_URLS}", urls.len()))
                .hint("split the list"))
        }
        sources => Ok(sources),
    }
}

async fn listed(mut body: Body, name: &str, most: usize) -> Result<Listed, Failure> {
    let name = if name == "-" { "stdin" } else { name };
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Failure::failed(format!("`{name}` cannot be read: {error}")))?;
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LIST_BYTES {
            return Err(Failure::failed(format!("`{name}` is longer than {LIST_BYTES} bytes")).hint("split the list"));
        }
    }
    read_list(&bytes, most).map_err(|reason| {
        Failure::failed(format!("`{name}` {reason}")).hint("a list is a text with a URL a line, or a sitemap")
    })
}

/// A path at the origin looks like a file that is missing.
fn from_where(failure: Failure, list: &str) -> Failure {
    if list.starts_with('/') {
        failure
            .hint("a list that is to be fetched is named with its scheme and host: `https://shop.example/sitemap.xml`")
    } else {
        failure
    }
}
