//! `waystore cache get`: one stored response, found as `caches.match` finds it.

use std::{io::Write, path::PathBuf};

use super::{
    Stop,
    columns::{printable, size},
    output::{Incoming, to_file, to_stdout},
    place::{Place, Reach},
    unexpected,
};
use crate::{
    caches::{Found, Part, Question, Record},
    commands::json::write_json,
    talk::tell,
};

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

pub(super) async fn get(args: &GetArgs, reach: Reach, out: &mut dyn Write) -> Result<(), Stop> {
    let GetArgs { cache, url, headers, .. } = args;
    let question = Question::Get { cache: cache.clone(), url: url.clone(), headers: headers.clone() };
    let mut answer = args.place.ask(reach, question, None).await?;
    let Some(Part::Record(record)) = answer.next().await? else { return Err(unexpected().into()) };
    let Record::Found(found) = *record else { return Err(unexpected().into()) };

    if args.json {
        write_json(&found, out)?;
    } else {
        tell!("{}", in_a_line(&found));
    }
    match &args.output {
        Some(file) => to_file(Incoming::rest(answer, "reading", found.bytes), file).await,
        None if args.json => Ok(()),
        None => to_stdout(Incoming::rest(answer, "reading", found.bytes), out).await,
    }
}

fn in_a_line(found: &Found) -> String {
    let mime = found.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let mime = mime.map_or_else(|| "no type".to_owned(), |(_, mime)| printable(mime));
    format!("{} {mime}, {}", found.status, found.bytes.map_or_else(|| "of unknown length".to_owned(), size))
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
    use waystore::{CredentialHash, Request, Response};

    use super::*;
    use crate::commands::cache::samples::{Sample, block_on, failure, place};

    fn args(url: &str) -> GetArgs {
        let place = place(None);
        GetArgs { cache: "v1".to_owned(), url: url.to_owned(), headers: vec![], output: None, place, json: false }
    }

    fn run(sample: &Sample, args: &GetArgs) -> Result<String, String> {
        let mut out = Vec::new();
        block_on(async { get(args, sample.reach(), &mut out).await })
            .map(|()| String::from_utf8(out).unwrap())
            .map_err(failure)
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
    fn a_header_needs_a_colon_and_a_name() {
        assert_eq!(parse_header("A:b: c"), Ok(("A".to_owned(), "b: c".to_owned())));
        assert!(parse_header("accept").is_err());
        assert!(parse_header("a b: c").is_err());
    }
}
