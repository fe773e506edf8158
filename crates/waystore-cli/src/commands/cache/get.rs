//! `waystore cache get`: one stored response, found as `caches.match` finds it.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use futures::StreamExt;
use serde::Serialize;
use waystore::{
    Body, MultiCacheQueryOptions, Request, Response, StorageKey, Waystore, parse_request_url,
    store::{List, Read, UrlMatch},
};

use super::{
    Place, Stop,
    columns::{printable, size},
    data::Data,
    keys::pairs,
};
use crate::failure::{Failure, chain};

/// What `waystore cache get` takes.
#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// The cache's name.
    #[arg(value_name = "CACHE")]
    pub(super) cache: String,
    /// The URL; without scheme and host, at the origin.
    #[arg(value_name = "URL")]
    pub(super) url: String,
    /// A header of the request, for responses that vary. May be given more than once.
    #[arg(long = "header", value_name = "K: V", value_parser = parse_header)]
    pub(super) headers: Vec<(String, String)>,
    /// Write the body to this file.
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) place: Place,
    /// Write what the response says as JSON, and its body only where `--output` names a file.
    #[arg(long)]
    pub(super) json: bool,
}

pub(super) async fn get(data: &Data, args: &GetArgs, out: &mut dyn Write) -> Result<(), Stop> {
    let owner = data.owner(args.place.origin.as_deref()).await?;
    let list = data.cache(&owner, &args.cache).await?;
    let request = request(&args.url, &args.headers, &owner)?;
    let caches = Waystore::with_store(Arc::clone(&data.store), Arc::clone(&data.clock)).caches(owner.origin())?;
    let only_here = MultiCacheQueryOptions { cache_name: Some(args.cache.as_str().into()), ..Default::default() };
    let Some(response) = caches.match_(&request, only_here).await? else {
        return Err(why_not(data, args, &list, &request).await?.into());
    };

    if args.json {
        serde_json::to_writer_pretty(&mut *out, &Told::of(&response)).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        eprintln!("{}", in_a_line(&response));
    }
    match (&args.output, response.body) {
        (Some(file), body) => write_file(body.unwrap_or_default(), file).await,
        (None, Some(body)) if !args.json => write_body(body, out).await,
        (None, _) => Ok(()),
    }
}

/// The request that a look-up is made with.
pub(super) fn request(url: &str, headers: &[(String, String)], owner: &StorageKey) -> Result<Request, Failure> {
    let base = parse_request_url(owner.origin(), None)?;
    let mut request = Request::from(parse_request_url(url, Some(&base))?);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Ok(request)
}

/// Why a look-up found nothing, and what to try instead.
async fn why_not(data: &Data, args: &GetArgs, list: &List, request: &Request) -> Result<Failure, Failure> {
    let mut url = request.url.clone();
    url.set_fragment(None);
    let read = Read { list, url: UrlMatch::Exact(url.as_str()) };
    let (_, stored) = data.store.candidates(&[read]).await?;
    let (url, cache) = (printable(url.as_str()), printable(&args.cache));
    if stored.is_empty() {
        return Ok(Failure::failed(format!("`{url}` is not in `{cache}`"))
            .hint(format!("`waystore cache keys {cache}` lists what is")));
    }
    let shared = stored.iter().find(|entry| entry.entry.personal().is_none());
    let Some(shared) = shared else {
        return Ok(Failure::failed(format!("`{url}` is in `{cache}` for one visitor only"))
            .hint("what belongs to a visitor is given to nobody else"));
    };
    let vary = shared.entry.response_headers().get_text("vary").unwrap_or_default();
    Ok(Failure::failed(format!("`{url}` is in `{cache}`, but not for a request with these headers"))
        .hint(format!("it varies by `{}`: say with `--header 'NAME: VALUE'` what the request said", printable(&vary))))
}

/// What the response says, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    url: Option<String>,
    status: u16,
    status_text: String,
    #[serde(rename = "type")]
    kind: &'static str,
    headers: Vec<(String, String)>,
    bytes: Option<u64>,
}

impl Told {
    fn of(response: &Response) -> Self {
        let head = &response.head;
        Self {
            url: head.url().map(String::from),
            status: head.status,
            status_text: head.status_text.iter().copied().map(char::from).collect(),
            kind: head.kind.as_str(),
            headers: pairs(&head.headers),
            bytes: response.body.as_ref().map_or(Some(0), Body::length),
        }
    }
}

fn in_a_line(response: &Response) -> String {
    let head = &response.head;
    let mime = head.headers.get_text("content-type").map_or_else(|| "no type".to_owned(), |mime| printable(&mime));
    let length = response.body.as_ref().map_or(Some(0), Body::length);
    format!("{} {mime}, {}", head.status, length.map_or_else(|| "of unknown length".to_owned(), size))
}

pub(super) async fn write_body(mut body: Body, out: &mut dyn Write) -> Result<(), Stop> {
    while let Some(chunk) = body.next().await {
        out.write_all(&chunk.map_err(|error| Failure::failed(format!("the body ended early: {}", chain(&error))))?)?;
    }
    Ok(())
}

/// Writes a file whole or not at all: what was there before stays until the body is complete.
pub(super) async fn write_file(body: Body, file: &Path) -> Result<(), Stop> {
    let refused = |error: std::io::Error| Failure::failed(format!("`{}` cannot be written: {error}", file.display()));
    let part = file.with_added_extension("part");
    let mut out = BufWriter::new(File::create(&part).map_err(refused)?);
    let written = match write_body(body, &mut out).await {
        Ok(()) => out.flush().and_then(|()| std::fs::rename(&part, file)).map_err(|error| refused(error).into()),
        Err(stop) => Err(stop),
    };
    if written.is_err() {
        // The failure that led here is the one to tell.
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// `Accept-Language: de` taken apart.
pub(super) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header looks like `Accept-Language: de`")?;
    let (name, value) = (name.trim(), value.trim());
    http::HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is not a header's name"))?;
    http::HeaderValue::from_str(value).map_err(|_| format!("`{value}` is not a header's value"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use waystore::CredentialHash;

    use super::*;
    use crate::commands::cache::samples::{Sample, block_on, failure, place};

    fn args(url: &str) -> GetArgs {
        let place = place(None);
        GetArgs { cache: "v1".to_owned(), url: url.to_owned(), headers: vec![], output: None, place, json: false }
    }

    fn run(sample: &Sample, args: &GetArgs) -> Result<String, String> {
        let mut out = Vec::new();
        block_on(get(&sample.data(), args, &mut out)).map(|()| String::from_utf8(out).unwrap()).map_err(failure)
    }

    fn varying_sample() -> Sample {
        let sample = Sample::new();
        let german = Request::get("https://a.test/").unwrap().header("accept-language", "de");
        sample.put_pair("https://a.test", "v1", german, Response::new("hallo").header("vary", "accept-language"));
        sample
    }

    #[test]
    fn the_body_is_written_as_it_is() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/x", "hello");
        assert_eq!(run(&sample, &args("/x")).unwrap(), "hello");
        assert_eq!(run(&sample, &args("https://a.test/x#part")).unwrap(), "hello");
    }

    #[test]
    fn a_header_chooses_the_variant() {
        let sample = varying_sample();
        let german = GetArgs { headers: vec![parse_header("Accept-Language: de").unwrap()], ..args("/") };
        assert_eq!(run(&sample, &german).unwrap(), "hallo");
    }

    #[test]
    fn a_miss_says_whether_the_url_or_the_headers_or_the_visitor_are_to_blame() {
        let sample = varying_sample();
        let mut private = Response::new("for Anna");
        private.head.personal = Some(CredentialHash([1; 16]));
        sample.put_pair("https://a.test", "v1", Request::get("https://a.test/me").unwrap(), private);
        let error = |url: &str| run(&sample, &args(url)).unwrap_err();
        assert!(error("/nothing").starts_with("error: `https://a.test/nothing` is not in `v1`\nhint: "));
        assert!(error("/").contains("hint: it varies by `accept-language`"), "{}", error("/"));
        assert!(error("/me").contains("for one visitor only"), "{}", error("/me"));
    }

    #[test]
    fn json_tells_the_head_and_leaves_the_body_out() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/x", "hello");
        let told: Value = serde_json::from_str(&run(&sample, &GetArgs { json: true, ..args("/x") }).unwrap()).unwrap();
        assert_eq!((&told["status"], &told["bytes"]), (&200.into(), &5.into()));
    }

    #[test]
    fn a_file_is_written_whole_and_nothing_is_left_beside_it() {
        let sample = Sample::new();
        sample.put("https://a.test", "v1", "/x", "hello");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.txt");
        let to_file = GetArgs { output: Some(file.clone()), ..args("/x") };
        assert_eq!(run(&sample, &to_file).unwrap(), "");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "hello");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_body_that_fails_leaves_the_file_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.txt");
        std::fs::write(&file, "before").unwrap();
        let chunks = [Ok("half".into()), Err(waystore::BodyError::failed("cut".to_owned()))];
        let body = Body::from_stream(futures::stream::iter(chunks), None);
        let error = failure(block_on(write_file(body, &file)).unwrap_err());
        assert!(error.contains("the body ended early"), "{error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "before");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_header_needs_a_colon_and_a_name() {
        assert_eq!(parse_header("A:b: c"), Ok(("A".to_owned(), "b: c".to_owned())));
        assert!(parse_header("accept").is_err());
        assert!(parse_header("a b: c").is_err());
    }
}
