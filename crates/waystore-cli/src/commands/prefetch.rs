//! `waystore prefetch`: fetches URLs into a cache ahead of their use, in a data directory or through the gateway that
//! runs on it.
//!
//! Knows the terminal's side: what is asked for, how far it is, what became of it. The work is done where the store is.

mod jobs;
mod progress;
mod sources;
mod told;

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures::stream;
use waystore::{
    Body,
    prefetch::{Follow, Prefetch, PrefetchLimits, Target},
};

use self::{
    progress::Progress,
    sources::gather,
    told::{Report, missing},
};
use super::cache::{
    Stop, ended,
    interrupt::Interrupt,
    place::{Place, Reach},
    unexpected,
};
use crate::{
    caches::{Part, Question, Record},
    failure::Failure,
    serve::{
        self,
        config::{Config, DEFAULT_DATA},
        settings::{FILE_NAME, Span},
        size::Size,
    },
};

/// What `waystore prefetch` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct PrefetchArgs {
    /// What to fetch; without scheme and host, at the origin. The first may be SITE instead: a folder with a
    /// `waystore.toml`, which says the data directory, the origin and its upstream.
    #[arg(value_name = "[SITE] URL")]
    targets: Vec<String>,
    /// The cache's name; made where there is none.
    #[arg(long, value_name = "CACHE", required_unless_present_any = ["jobs", "stop"])]
    cache: Option<String>,
    /// Fetch also what this rule finds in what comes: a JSONPath (`$.products[*].productPic`), a JSON Pointer
    /// (`/next`), or `html` for the stylesheets, icons and pictures of pages.
    #[arg(long, value_name = "RULE")]
    follow: Vec<Follow>,
    /// A list of URLs: a text with one a line, a sitemap, or an index of sitemaps, packed or not; a file, `-` for
    /// stdin, or a URL.
    #[arg(long, value_name = "FILE-or-URL")]
    from: Vec<String>,
    /// Fetch also what is in the cache already, and replace it.
    #[arg(long)]
    refresh: bool,
    /// Store also what says `Cache-Control: no-cache`.
    #[arg(long)]
    override_no_cache: bool,
    /// Do without what cannot be had: it is not tried again, and is no failure.
    #[arg(long)]
    optional: bool,
    /// How far to follow: 1 is what the URLs themselves name.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    depth: u32,
    /// How many URLs to fetch at most, followed ones included.
    #[arg(long, value_name = "NUMBER", default_value_t = 50_000)]
    count: usize,
    /// How much to fetch at most.
    #[arg(long, value_name = "SIZE", default_value = "10 GiB")]
    bytes: Size,
    /// How long it may take.
    #[arg(long, value_name = "TIME", default_value = "1day")]
    time: Span,
    /// How many fetches run at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 24)]
    concurrency: usize,
    /// How many of them go to one origin.
    #[arg(long, value_name = "NUMBER", default_value_t = 6)]
    concurrency_per_origin: usize,
    /// How often what failed is tried again, where that may help.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    retries: u32,
    /// A PEM file of certificate authorities to trust, beside the well-known ones. Of no use while a gateway runs,
    /// which fetches itself, as it does for its worker.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// The data directory. Default: `data`.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Whose cache, such as `https://shop.example`. Needed only where that is unclear.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Write a JSON array: a row for each URL.
    #[arg(long)]
    json: bool,
    /// List what the running gateway fetches ahead just now, for whomever.
    #[arg(long, conflicts_with_all = ["targets", "cache", "from", "stop"])]
    jobs: bool,
    /// Stop one of those, by its name in that list.
    #[arg(long, value_name = "JOB", conflicts_with_all = ["targets", "cache", "from"])]
    stop: Option<String>,
}

pub(crate) fn run(args: &PrefetchArgs) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("the runtime did not start: {error}")))?;
    let mut out = BufWriter::new(io::stdout().lock());
    let done = runtime.block_on(carry_out(args, &mut out));
    // A read of stdin that nobody waits for any more.
    runtime.shutdown_background();
    ended(done, &mut out)
}

async fn carry_out(args: &PrefetchArgs, out: &mut dyn Write) -> Result<(), Stop> {
    match (&args.cache, &args.stop) {
        (Some(cache), _) => prefetch(args, cache, out).await,
        (None, Some(job)) => jobs::stop(&args.place(), job).await,
        (None, None) => {
            jobs::list(&args.place(), args.json, out).await?;
            Ok(out.flush()?)
        }
    }
}

async fn prefetch(args: &PrefetchArgs, cache: &str, out: &mut dyn Write) -> Result<(), Stop> {
    let (site, urls) = args.site_and_urls()?;
    let interrupt = Interrupt::listen()?;
    // First: what cannot be read is no reason to make a directory.
    let sources = gather(urls, &args.from, &interrupt).await?;
    let (place, reach) = args.reach(site).await?;
    let question = Question::Prefetch {
        plan: Box::new(args.plan(cache, &sources.urls)),
        lists: sources.lists,
        required: !args.optional,
    };
    // A body that ends when somebody asks to stop, and has no bytes.
    let leash = Body::from_stream(interrupt.ends(stream::pending::<Result<Bytes, _>>()), None);
    let mut answer = place.ask(reach, question, Some(leash)).await?;
    let (mut progress, mut report) = (Progress::new(), Report::default());
    while let Some(part) = answer.next().await? {
        let Part::Record(record) = part else { return Err(unexpected().into()) };
        match *record {
            Record::Prefetching(steps) => progress.show(steps),
            Record::Prefetched(row) => report.rows.push(row),
            Record::Prefetch(summary) => report.summary = summary,
            _ => return Err(unexpected().into()),
        }
    }
    drop(progress);
    report.write(args.json, out)?;
    out.flush()?;
    Ok(missing(&report, cache)?)
}

impl PrefetchArgs {
    /// The site, where one is named, and the URLs.
    fn site_and_urls(&self) -> Result<(Option<Config>, &[String]), Failure> {
        let named = self.targets.split_first().filter(|(first, _)| is_site(first));
        let Some((site, urls)) = named else { return Ok((None, &self.targets)) };
        for (flag, given) in [("--data", self.data.is_some()), ("--origin", self.origin.is_some())] {
            if given {
                return Err(Failure::usage(format!("`{flag}` is given, and `{site}` says it too"))
                    .hint(format!("leave `{flag}` out, or leave `{site}` out")));
            }
        }
        Ok((Some(serve::configuration(Path::new(site))?), urls))
    }

    async fn reach(&self, site: Option<Config>) -> Result<(Place, Reach), Failure> {
        let Some(config) = site else {
            let place = self.place();
            let reach = place.make(self.cacert.clone()).await?;
            return Ok((place, reach));
        };
        if self.cacert.is_some() {
            return Err(Failure::usage("`--cacert` is of no use with a site's configuration")
                .hint("its `upstream_ca` names authorities"));
        }
        let origin = config.fixed_origin()?.origin().ascii_serialization();
        let place = Place { data: config.data.clone(), origin: Some(origin) };
        let reach = place.make_for(config).await?;
        Ok((place, reach))
    }

    fn place(&self) -> Place {
        let data = self.data.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
        Place { data, origin: self.origin.clone() }
    }

    fn plan(&self, cache: &str, urls: &[String]) -> Prefetch {
        let milliseconds = u64::try_from(self.time.0.as_millis()).unwrap_or(u64::MAX);
        let limits = PrefetchLimits {
            depth: self.depth,
            count: self.count,
            bytes: self.bytes.0,
            // Who asks for a file by name wants it, however long it is.
            response_bytes: self.bytes.0,
            attempt_ms: milliseconds,
            time_ms: milliseconds,
            ..PrefetchLimits::default()
        };
        let target = |url: &String| Target { url: url.clone(), required: !self.optional };
        let mut plan = Prefetch::new([""; 0]).into_cache(cache).with_limits(limits);
        plan.urls = urls.iter().map(target).collect();
        plan.follow = self.follow.clone();
        plan.refresh = self.refresh;
        plan.override_no_cache = self.override_no_cache;
        plan.concurrency = self.concurrency;
        plan.concurrency_per_origin = self.concurrency_per_origin;
        plan.retries = self.retries;
        plan
    }
}

/// Whether this is a site's folder, or its file, rather than a URL.
fn is_site(text: &str) -> bool {
    let path = Path::new(text);
    path.join(FILE_NAME).is_file() || (path.file_name().is_some_and(|name| name == FILE_NAME) && path.is_file())
}
