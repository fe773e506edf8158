//! `waystore cache put`: stores a file, or stdin, as a response.

use std::{
    io::Write,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use futures::StreamExt;
use serde::Serialize;
use tokio_util::io::ReaderStream;
use waystore::{Body, BodyError, Request, Response, parse_request_url};

use super::{Place, Stop, change::Changing, columns::printable, get::parse_header, progress::watched};
use crate::failure::Failure;

/// What `waystore cache put` takes.
#[derive(Debug, clap::Args)]
pub(super) struct PutArgs {
    /// The cache's name; made where there is none.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// The URL to store it under; without scheme and host, at the origin.
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// The file with the body; `-` is stdin.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// A header of the response. May be given more than once. Without a `Content-Type`, the file's name tells it.
    #[arg(long = "header", value_name = "K: V", value_parser = parse_header)]
    pub(super) headers: Vec<(String, String)>,
    /// The response's status.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub(super) status: u16,
    #[command(flatten)]
    pub(super) place: Place,
    /// Tell what was stored as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn put(data: &Changing, body: Body, args: &PutArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let caches = data.caches(&args.place, Some(&args.url)).await?;
    let base = parse_request_url(caches.storage_key().origin(), None)?;
    let url = parse_request_url(&args.url, Some(&base))?;
    let mut response = Response::new(watched(body, "storing"));
    response.status = args.status;
    let named = args.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some(mime) = mime_guess::from_path(&args.file).first_raw().filter(|_| !named) {
        response = response.header("content-type", mime);
    }
    for (name, value) in &args.headers {
        response = response.header(name, value);
    }
    let cache = caches.open(args.cache.as_str()).await?;
    cache.put(Request::from(url.clone()), response).await?;
    if args.json {
        let told = Told { cache: &args.cache, url: url.as_str(), status: args.status };
        serde_json::to_writer_pretty(&mut *out, &told).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        eprintln!("stored `{}` in `{}`", printable(url.as_str()), printable(&args.cache));
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    url: &'a str,
    status: u16,
}

/// A file's bytes as they are read; `-` is stdin.
pub(super) async fn open(file: &Path) -> Result<Body, Failure> {
    let name = file.display().to_string();
    let failed = move |error: std::io::Error| BodyError::failed(format!("`{name}` cannot be read: {error}"));
    if file == Path::new("-") {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned();
        let stdin = stdin.map_err(|error| Failure::failed(format!("stdin cannot be read: {error}")))?;
        let stdin = tokio::fs::File::from_std(std::fs::File::from(stdin));
        let chunks = ReaderStream::with_capacity(stdin, 64 * 1024);
        return Ok(Body::from_stream(chunks.map(move |chunk| chunk.map_err(&failed)), None));
    }
    let refused = |error: std::io::Error| Failure::failed(format!("`{}` cannot be read: {error}", file.display()));
    let opened = tokio::fs::File::open(file).await.map_err(refused)?;
    let facts = opened.metadata().await.map_err(refused)?;
    if facts.is_dir() {
        return Err(Failure::failed(format!("`{}` is a folder", file.display())));
    }
    // A pipe has no length.
    let length = facts.is_file().then_some(facts.len());
    let chunks = ReaderStream::with_capacity(opened, 64 * 1024);
    Ok(Body::from_stream(chunks.map(move |chunk| chunk.map_err(&failed)), length))
}
