//! The keys of `waystore.toml` and the flags of `waystore serve`: one list for both, as they were written.
//!
//! Knows names, spellings and where relative paths start. What the values mean together is
//! [`Config`](super::config::Config)'s business.

use std::{fmt, path::Path, str::FromStr, time::Duration};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::size::Size;
use crate::{failure::Failure, prefetching::RuleText};

/// The file that a site's folder holds.
pub(crate) const FILE_NAME: &str = "waystore.toml";

/// Every key, each also a flag (`upstream_host` is `--upstream-host`). All are optional here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The public origin, such as `https://shop.example`: what visitors have in their address bar. Without it,
    /// `http://localhost:PORT`, which needs a loopback address to listen at.
    #[arg(long, value_name = "URL")]
    pub(crate) origin: Option<String>,
    /// Where to listen, an address and a port; port 0 takes a free one. Default: 127.0.0.1:8080.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// What stands behind: an `http:` or `https:` URL without a path, or a folder of files.
    #[arg(long, value_name = "URL-or-FOLDER")]
    pub(crate) upstream: Option<String>,
    /// The `Host` that the upstream is told, in place of the public one.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) upstream_host: Option<String>,
    /// A PEM file of certificate authorities to trust for the upstream, beside the well-known ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) upstream_ca: Option<String>,
    /// The service worker: a file, or a path or URL at the public origin, fetched from the upstream.
    #[arg(long, value_name = "FILE-or-URL")]
    pub(crate) worker: Option<String>,
    /// Run no worker: a plain proxy.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) no_worker: Option<bool>,
    /// What the script is: `classic` (default) or `module`.
    #[arg(long, value_name = "TYPE")]
    pub(crate) worker_type: Option<String>,
    /// The registration's scope, a path at the public origin. Default: the script's folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) scope: Option<String>,
    /// The registration's `updateViaCache`: `imports` (default), `all` or `none`.
    #[arg(long, value_name = "MODE")]
    pub(crate) update_via_cache: Option<String>,
    /// After a navigation, look for a new script unless one was looked for in this time. Default: 1m.
    #[arg(long, value_name = "TIME")]
    pub(crate) update_interval: Option<Span>,
    /// Look for a new script this often, navigations or none. Default: 1h.
    #[arg(long, value_name = "TIME")]
    pub(crate) check_interval: Option<Span>,
    /// The data directory. Default: `data`, in the current directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Other hosts to answer as if they were the public one; without a port, at any.
    #[arg(long, value_name = "HOST[:PORT]", value_delimiter = ',')]
    pub(crate) aliases: Option<Vec<String>>,
    /// Addresses or networks (`10.0.0.0/8`) of proxies in front, whose `X-Forwarded-For` is believed.
    #[arg(long, value_name = "NETWORK", value_delimiter = ',')]
    pub(crate) trusted_proxies: Option<Vec<String>>,
    /// Request headers to let through though they are dropped by default, such as `X-HTTP-Method-Override`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) forward_headers: Option<Vec<String>>,
    /// Request headers to show to the worker though they are hidden by default, such as `Sec-CH-UA-Mobile`.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) expose: Option<Vec<String>>,
    /// Cookies that identify nobody: a trailing `*` stands for any ending. Default: well-known analytics cookies.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) ignore_cookies: Option<Vec<String>>,
    /// Paths whose responses are for everybody, whatever cookies ask for them: `*` stands for anything but `/`,
    /// `**` for anything.
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub(crate) shared: Option<Vec<String>>,
    /// Whether other origins have to consent to what the worker fetches there: `check` (default, as browsers do), or
    /// `trust-all`, which asks none and shows the worker everything.
    #[arg(long, value_name = "RULE")]
    pub(crate) cors: Option<String>,
    /// Origins at addresses of the machine's own network that the worker may fetch from, such as `http://api.internal:8080`;
    /// it reaches public addresses only, and the upstream.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub(crate) private_origins: Option<Vec<String>>,
    /// When a new version of the worker takes over: `rollover` (default: when the events under way have ended) or `hold`
    /// (when no page is connected that the old one controls, as in a browser).
    #[arg(long, value_name = "MODE")]
    pub(crate) activation: Option<String>,
    /// The types (`data.type`) of the messages that pages may send to the worker, and `UPDATE`, `UNREGISTER`,
    /// `WAYSTORE_PREFETCH` for those calls; `*` is all. The worker is everybody's. Default: none.
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) messages: Option<Vec<String>>,
    /// Give every page the script `/.well-known/waystore/client.js`, in its head. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) inject: Option<bool>,
    /// Pages that are connected to the worker at a time. Default: half of `max_connections`.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_pages: Option<u32>,
    /// How much may wait for all connected pages together. Default: 64 MiB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) page_memory: Option<Size>,
    /// How long one message of a page may be. Default: 1 MiB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) message_size: Option<Size>,
    /// How much of messages that are arriving may be held for all pages together. Default: 64 MiB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) message_memory: Option<Size>,
    /// Messages that one page may send in a second; ten seconds' worth at once. Default: 20.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) message_rate: Option<u32>,
    /// How much one page may send in a second; ten seconds' worth at once. Default: 256 KiB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) message_bytes: Option<Size>,
    /// How long a connection to the upstream may take. Default: 10s.
    #[arg(long, value_name = "TIME")]
    pub(crate) connect_timeout: Option<Span>,
    /// How long the upstream may take from the request to the head of its response. Default: 60s.
    #[arg(long, value_name = "TIME")]
    pub(crate) head_timeout: Option<Span>,
    /// How long a body may stand still, from the upstream or from a client, or to a client that does not read. Default: 60s.
    #[arg(long, value_name = "TIME")]
    pub(crate) body_timeout: Option<Span>,
    /// How long the worker may take to start. Default: 10s.
    #[arg(long, value_name = "TIME")]
    pub(crate) start_timeout: Option<Span>,
    /// How long the worker may take to the head of its answer. Default: 30s.
    #[arg(long, value_name = "TIME")]
    pub(crate) response_timeout: Option<Span>,
    /// How long an event may go on. Default: 5m.
    #[arg(long, value_name = "TIME")]
    pub(crate) event_timeout: Option<Span>,
    /// How long the worker runs on without an event. Default: 30s.
    #[arg(long, value_name = "TIME")]
    pub(crate) worker_idle: Option<Span>,
    /// How long the script may run without a pause. Default: 5s.
    #[arg(long, value_name = "TIME")]
    pub(crate) cpu_slice: Option<Span>,
    /// How long the script may run without a pause, until another isolate takes the other requests. Default: 100ms.
    #[arg(long, value_name = "TIME")]
    pub(crate) worker_patience: Option<Span>,
    /// How many isolates share the worker's requests, each on a thread of its own and with globals of its own;
    /// up to two more stand in for those that are busy. Default: 1.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) isolates: Option<u16>,
    /// How much memory the script may use in each isolate, in MiB. Default: 128.
    #[arg(long, value_name = "MIB")]
    pub(crate) worker_memory: Option<u32>,
    /// Connections at a time; more wait to be accepted. Default: 4096.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) max_connections: Option<u32>,
    /// After SIGINT or SIGTERM, how long requests under way may go on. Default: 10s.
    #[arg(long, value_name = "TIME")]
    pub(crate) stop_grace: Option<Span>,
    /// How much the site may store, such as `5 GiB`: its caches and its registration, headers included. Default: half
    /// of the volume that the data directory is on.
    #[arg(long, value_name = "SIZE")]
    pub(crate) quota: Option<Size>,
    /// How much all origins in the data directory may store together. Default: no limit.
    #[arg(long, value_name = "SIZE")]
    pub(crate) total_quota: Option<Size>,
    /// Where `total_quota` is full, empty the other origin in the data directory that was least recently used. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) evict_origins: Option<bool>,
    /// Spare the site's origin from that eviction also when another one is served; script sees it in
    /// `navigator.storage.persisted()`. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) persist: Option<bool>,
    /// How much a cache may hold of what was not put during `install`, before the least recently used goes: a size, `quota`
    /// (default: as much as fits, and where the quota is full, the least recently used of all caches goes) or `none` (nothing
    /// is evicted, and a full quota fails the put).
    #[arg(long, value_name = "SIZE")]
    pub(crate) budget: Option<String>,
    /// The budget of single caches, such as `images-*=200 MiB`: a trailing `*` stands for any ending.
    #[arg(long, value_name = "NAME=SIZE", value_delimiter = ',')]
    pub(crate) cache_budget: Option<Vec<String>>,
    /// When `cache.put()` of the worker resolves: `complete` (default: the body is stored), `recorded` (it may still stream, and
    /// is found already) or `durable` (it survives power loss).
    #[arg(long, value_name = "LEVEL")]
    pub(crate) put: Option<String>,
    /// The same for single caches, such as `pages-*=recorded`.
    #[arg(long, value_name = "NAME=LEVEL", value_delimiter = ',')]
    pub(crate) cache_put: Option<Vec<String>>,
    /// What a change waits for: `relaxed` (default: it survives the end of the process; after power loss the last second may be
    /// missing) or `strict` (it survives power loss too).
    #[arg(long, value_name = "LEVEL")]
    pub(crate) durability: Option<String>,
    /// Charge opaque responses more than their length, so that usage does not tell it to script. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) pad_opaque: Option<bool>,
    /// Where a response of the site to a visitor says `Clear-Site-Data: "storage"`, remove all its caches and its worker, which is
    /// registered anew: for everybody. Default: false.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) honour_clear_site_data: Option<bool>,
    /// Answer messages of pages by prefetching, without script: a rule (`[[prefetch]]`) has `message`, the `type` it answers,
    /// `urls`, a JSON Pointer to the URLs in it, `cache`, and whatever else a plan may have, such as `follow`. As a flag, a rule
    /// is JSON. The type must be in `messages`.
    #[arg(long, value_name = "RULE")]
    pub(crate) prefetch: Option<Vec<RuleText>>,
    /// Prefetches that run at a time; up to 64 run or wait, more are refused. Default: 4.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) prefetch_jobs: Option<u16>,
    /// Prefetches that one page may have under way. Default: 4.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) prefetch_client_jobs: Option<u16>,
    /// URLs that a page may name in one prefetch. What is followed counts too, up to 1000 in all. Default: 1000.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) prefetch_client_urls: Option<u32>,
    /// The form of the log: `text` (default) or `json`.
    #[arg(long, value_name = "FORM")]
    pub(crate) log: Option<String>,
}

/// The keys whose values may be paths of files; relative ones start at the folder of the file they are in.
const PATHS: [&str; 4] = ["upstream", "upstream_ca", "worker", "data"];

impl Settings {
    /// The settings of a file's text, where paths start at `folder`, with `flags` in place of what both say.
    ///
    /// # Errors
    ///
    /// The text is not TOML, has a key that does not exist, or a value of another kind.
    pub(crate) fn parse(text: &str, file: &Path, folder: &Path, flags: &Self) -> Result<Self, Failure> {
        let wrong = |error: &dyn fmt::Display| {
            Failure::usage(format!("`{}` cannot be read: {}", file.display(), error.to_string().trim_end()))
        };
        let mut table: toml::Table = text.parse().map_err(|error| wrong(&error))?;
        for key in table.keys() {
            check_key(key, file)?;
        }
        for key in PATHS {
            if let Some(toml::Value::String(value)) = table.get_mut(key)
                && !is_url(value)
                && !(key == "worker" && value.starts_with('/'))
            {
                *value = folder.join(&*value).to_string_lossy().into_owned();
            }
        }
        let given = toml::Table::try_from(flags).map_err(|error| wrong(&error))?;
        table.extend(given);
        table.try_into().map_err(|error: toml::de::Error| wrong(&error))
    }

    /// The names of all keys.
    fn keys() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new("serve"));
        command.get_arguments().map(|argument| argument.get_id().to_string()).collect()
    }
}

fn check_key(key: &str, file: &Path) -> Result<(), Failure> {
    let keys = Settings::keys();
    if keys.iter().any(|known| known == key) {
        return Ok(());
    }
    let failure = Failure::usage(format!("`{}` has a key `{key}`, which does not exist", file.display()));
    let nearest = keys.iter().min_by_key(|known| distance(known, key)).filter(|known| distance(known, key) <= 4);
    Err(match nearest {
        Some(nearest) => failure.hint(format!("did you mean `{nearest}`? `waystore serve --help` has every key")),
        None => failure.hint("`waystore serve --help` has every key"),
    })
}

/// Whether `value` is an HTTP(S) URL rather than a path.
pub(crate) fn is_url(value: &str) -> bool {
    value.starts_with("http://") || value.starts_with("https://")
}

/// The number of insertions, removals and replacements between two words.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, left) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// A length of time as people write it: `30s`, `5m`, `1h 30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|error| format!("`{text}` is not a time such as `30s`: {error}"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        humantime::format_duration(span.0).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, flags: &Settings) -> Result<Settings, String> {
        let file = Path::new("/site/waystore.toml");
        Settings::parse(text, file, Path::new("/site"), flags).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_misspelt_key_is_named_with_the_nearest_one() {
        let error = parse("upstraem = 'x'", &Settings::default()).unwrap_err();
        assert!(error.contains("`upstraem`") && error.contains("did you mean `upstream`?"), "{error}");
    }

    #[test]
    fn a_key_like_no_other_is_named_alone() {
        let error = parse("pancakes_for_breakfast = 1", &Settings::default()).unwrap_err();
        assert!(error.contains("`pancakes_for_breakfast`") && !error.contains("did you mean"), "{error}");
    }

    #[test]
    fn a_value_of_another_kind_is_an_error_that_names_its_line() {
        let error = parse("listen = '127.0.0.1:0'\nmax_connections = 'many'", &Settings::default()).unwrap_err();
        assert!(error.contains("max_connections"), "{error}");
        assert!(parse("head_timeout = 'soon'", &Settings::default()).unwrap_err().contains("`soon`"));
        assert!(parse("listen = ", &Settings::default()).unwrap_err().contains("/site/waystore.toml"));
    }

    #[test]
    fn a_flag_stands_in_place_of_the_file() {
        let flags =
            Settings { listen: Some("127.0.0.1:9".into()), stop_grace: "90s".parse().ok(), ..Settings::default() };
        let settings = parse("listen = '127.0.0.1:1'\norigin = 'https://a.test'\nno_worker = true", &flags).unwrap();
        assert_eq!(settings.listen.as_deref(), Some("127.0.0.1:9"));
        assert_eq!(settings.origin.as_deref(), Some("https://a.test"));
        assert_eq!(settings.stop_grace, Some(Span(Duration::from_secs(90))));
        assert_eq!(settings.no_worker, Some(true));
    }

    #[test]
    fn a_files_paths_start_at_its_folder_and_flags_where_they_are() {
        let flags = Settings { data: Some("here".into()), ..Settings::default() };
        let settings = parse("upstream = 'public'\nworker = '/sw.js'\ndata = 'there'", &flags).unwrap();
        assert_eq!(settings.upstream.as_deref(), Some("/site/public"));
        assert_eq!(settings.worker.as_deref(), Some("/sw.js"), "a path at the public origin");
        assert_eq!(settings.data.as_deref(), Some("here"));
        let settings = parse("upstream = 'http://127.0.0.1:1'", &flags).unwrap();
        assert_eq!(settings.upstream.as_deref(), Some("http://127.0.0.1:1"));
    }
}
