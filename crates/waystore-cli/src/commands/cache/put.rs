//! `waystore cache put`: stores a file, or stdin, as a response.

use std::{io::Write, path::PathBuf};

use serde::Serialize;
use waystore::Body;

use super::{
    Stop,
    columns::printable,
    get::parse_header,
    only,
    place::{Place, Reach},
    progress::watched,
    unexpected,
};
use crate::{
    caches::{Changed, Question, Record},
    commands::json::write_json,
    talk::tell,
};

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

pub(super) async fn put(args: &PutArgs, reach: Reach, body: Body, out: &mut dyn Write) -> Result<(), Stop> {
    let mut headers = args.headers.clone();
    let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if let Some(mime) = mime_guess::from_path(&args.file).first_raw().filter(|_| !named) {
        headers.insert(0, ("content-type".to_owned(), mime.to_owned()));
    }
    let (cache, url, length) = (args.cache.clone(), args.url.clone(), body.length());
    let question = Question::Put { cache, url, status: args.status, headers, length };
    let answer = args.place.ask(reach, question, Some(watched(body, "storing"))).await?;
    let Record::Changed(Changed::Put { url, status }) = only(answer).await? else { return Err(unexpected().into()) };
    if args.json {
        let told = Told { cache: &args.cache, url: &url, status };
        write_json(&told, out)?;
    } else {
        tell!("stored `{}` in `{}`", printable(&url), printable(&args.cache));
    }
    Ok(())
}

#[derive(Serialize)]
struct Told<'a> {
    cache: &'a str,
    url: &'a str,
    status: u16,
}
