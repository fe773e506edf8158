//! What the gateway is to do: settings, checked and put together. Pure but for looking whether a file exists.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use url::{Host, Url};
use waystore_worker::{Activation, Limits, UpdateViaCache, WorkerType};

use super::{
    ahead::Prefetching,
    inbound::HeaderRules,
    keeping::Keeping,
    pages::settings::PageSettings,
    patterns::{Globs, Names, Networks},
    settings::{Settings, Span, is_url},
};
use crate::{failure::Failure, fetch::private::PrivateOrigins};

/// The data directory where none is named.
pub(crate) const DEFAULT_DATA: &str = "data";

/// The most isolates that share a worker's requests.
const MOST_ISOLATES: u16 = 256;

/// Cookies of measurement and advertising scripts, which change nothing in a page.
const ANALYTICS_COOKIES: [&str; 23] = [
    "_ga",
    "_ga_*",
    "_gid",
    "_gat*",
    "_gac_*",
    "_gcl_*",
    "__utm*",
    "_fbp",
    "_fbc",
    "_pk_*",
    "_hj*",
    "_clck",
    "_clsk",
    "_uetsid",
    "_uetvid",
    "_scid*",
    "_ttp",
    "_tt_*",
    "_pin_*",
    "_rdt_*",
    "ajs_*",
    "amplitude_*",
    "mp_*",
];

/// A checked configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The public origin; `None` is `http://localhost:PORT`.
    pub(crate) origin: Option<Url>,
    pub(crate) aliases: Vec<String>,
    pub(crate) listen: SocketAddr,
    pub(crate) upstream: Upstream,
    pub(crate) worker: Option<Worker>,
    pub(crate) data: PathBuf,
    pub(crate) trusted_proxies: Networks,
    pub(crate) headers: HeaderRules,
    pub(crate) ignore_cookies: Names,
    pub(crate) shared: Globs,
    /// Whether other origins are taken to consent to everything.
    pub(crate) trust_all: bool,
    /// Where scripts may fetch from though it is in the machine's own network.
    pub(crate) private_origins: PrivateOrigins,
    pub(crate) timeouts: Timeouts,
    pub(crate) update_interval: Duration,
    pub(crate) check_interval: Duration,
    pub(crate) max_connections: usize,
    pub(crate) stop_grace: Duration,
    pub(crate) keeping: Keeping,
    pub(crate) prefetch: Prefetching,
    pub(crate) pages: PageSettings,
}

/// What stands behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Upstream {
    Server {
        /// Scheme, host and port.
        url: Url,
        /// The `Host` it is told; `None` is the public one.
        host: Option<String>,
        /// Certificate authorities to trust beside the well-known ones.
        ca: Option<PathBuf>,
    },
    Folder {
        root: PathBuf,
        /// What is never served, should it lie inside: the data directory and the configuration.
        hidden: Vec<PathBuf>,
    },
}

/// The worker to run.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) script: Script,
    pub(crate) kind: WorkerType,
    pub(crate) scope: Option<String>,
    pub(crate) update_via_cache: UpdateViaCache,
    pub(crate) activation: Activation,
    pub(crate) limits: Limits,
}

/// Where the script comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Script {
    /// A file, whose URL is its name at the public origin.
    File { path: PathBuf, name: String },
    /// A path or a URL at the public origin, fetched from the upstream.
    Origin(String),
}

/// How long the network may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) head: Duration,
    pub(crate) body: Duration,
}

impl Config {
    /// Checks `settings`; `file` is the one they were read from, where there was one.
    ///
    /// # Errors
    ///
    /// A key is missing or its value cannot be; names the key and the next step.
    pub(crate) fn new(settings: &Settings, file: Option<&Path>) -> Result<Self, Failure> {
        let listen = listen_address(settings.listen.as_deref().unwrap_or("127.0.0.1:8080"))?;
        let origin = settings.origin.as_deref().map(origin_url).transpose()?;
        if origin.is_none() && !listen.ip().is_loopback() {
            return Err(Failure::usage(format!(
                "`origin` is missing, and {listen} is not an address of this machine only"
            ))
            .hint("say with `--origin https://shop.example` which address visitors see"));
        }
        let max_connections = settings.max_connections.unwrap_or(4096).max(1) as usize;
        let data = PathBuf::from(settings.data.as_deref().unwrap_or(DEFAULT_DATA));
        Ok(Self {
            origin,
            listen,
            upstream: upstream(settings, &data, file)?,
            worker: worker(settings)?,
            data,
            aliases: settings.aliases.clone().unwrap_or_default(),
            trusted_proxies: Networks::parse(list(settings.trusted_proxies.as_ref()))
                .map_err(key("trusted_proxies"))?,
            headers: HeaderRules {
                expose: lower(settings.expose.as_ref()),
                forward: lower(settings.forward_headers.as_ref()),
            },
            ignore_cookies: match &settings.ignore_cookies {
                Some(names) => Names::new(names.iter().map(String::as_str)),
                None => Names::new(ANALYTICS_COOKIES),
            },
            shared: Globs::new(list(settings.shared.as_ref())),
            trust_all: match settings.cors.as_deref() {
                None | Some("check") => false,
                Some("trust-all") => true,
                Some(other) => return Err(one_of("cors", other, "`check` or `trust-all`")),
            },
            private_origins: PrivateOrigins::new(settings.private_origins.as_ref())?,
            timeouts: Timeouts {
                connect: span(settings.connect_timeout, 10),
                head: span(settings.head_timeout, 60),
                body: span(settings.body_timeout, 60),
            },
            update_interval: span(settings.update_interval, 60),
            check_interval: span(settings.check_interval, 3600).max(Duration::from_secs(1)),
            max_connections,
            stop_grace: span(settings.stop_grace, 10),
            keeping: Keeping::new(settings)?,
            prefetch: Prefetching::new(settings)?,
            pages: PageSettings::new(settings, max_connections)?,
        })
    }

    /// The public origin, now that the port is known.
    pub(crate) fn public_origin(&self, bound: SocketAddr) -> Url {
        let own = || Url::parse(&format!("http://localhost:{}", bound.port())).expect("a port makes a URL");
        self.origin.clone().unwrap_or_else(own)
    }

    /// The public origin, where no port was taken.
    ///
    /// # Errors
    ///
    /// It depends on the port, which is any free one.
    pub(crate) fn fixed_origin(&self) -> Result<Url, Failure> {
        if self.origin.is_none() && self.listen.port() == 0 {
            return Err(Failure::usage(
                "`origin` is missing, and `listen` takes any port: it is unclear whose caches these are",
            )
            .hint("say `origin` in the site's configuration"));
        }
        Ok(self.public_origin(self.listen))
    }
}

fn listen_address(text: &str) -> Result<SocketAddr, Failure> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    let parsed = numeric.as_deref().unwrap_or(text).parse();
    parsed.map_err(|_| {
        Failure::usage(format!("`listen` is `{text}`, which is not an address with a port"))
            .hint("such as `127.0.0.1:8080`, or `0.0.0.0:80` for all networks")
    })
}

/// Scheme, host and port of a URL that has nothing else.
fn origin_url(text: &str) -> Result<Url, Failure> {
    bare_url(text).ok_or_else(|| {
        Failure::usage(format!("`origin` is `{text}`, which is not a scheme, a host and a port"))
            .hint("such as `https://shop.example` or `http://localhost:8080`")
    })
}

/// The URL `text`, where it has a scheme, a host and a port and nothing else.
pub(crate) fn bare_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok().filter(|_| is_url(text))?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    (bare && url.password().is_none() && !matches!(url.host(), None | Some(Host::Domain("")))).then_some(url)
}

fn upstream(settings: &Settings, data: &Path, file: Option<&Path>) -> Result<Upstream, Failure> {
    let Some(value) = settings.upstream.as_deref() else {
        return Err(Failure::usage("`upstream` is missing: nothing stands behind the gateway")
            .hint("give a site's folder with a `waystore.toml`, or `--upstream URL-or-FOLDER`"));
    };
    if is_url(value) {
        let url = bare_url(value).ok_or_else(|| {
            Failure::usage(format!("`upstream` is `{value}`, which is not a scheme, a host and a port"))
                .hint("such as `http://127.0.0.1:3000`; a path is not added to")
        })?;
        let ca = settings.upstream_ca.as_ref().map(PathBuf::from);
        return Ok(Upstream::Server { url, host: settings.upstream_host.clone(), ca });
    }
    let root = PathBuf::from(value);
    // Where something was served before, it is an origin that cannot be reached for now; else a mistake.
    if !root.is_dir() && (root.exists() || !data.exists()) {
        return Err(Failure::failed(format!("`upstream` is `{value}`, which is not a folder"))
            .hint("give a folder of files, or a URL that starts with `http://` or `https://`"));
    }
    let hidden = [Some(data), file].into_iter().flatten().map(Path::to_path_buf).collect();
    Ok(Upstream::Folder { root, hidden })
}

fn worker(settings: &Settings) -> Result<Option<Worker>, Failure> {
    if settings.no_worker == Some(true) {
        return Ok(None);
    }
    let Some(value) = settings.worker.as_deref() else {
        return Err(Failure::usage("`worker` is missing: there is no script to answer through")
            .hint("give the site's own with `--worker sw.js`, or say `--no-worker` for a plain proxy"));
    };
    let defaults = Limits::default();
    let limits = Limits {
        start: settings.start_timeout.map_or(defaults.start, |span| span.0),
        response: settings.response_timeout.map_or(defaults.response, |span| span.0),
        event: settings.event_timeout.map_or(defaults.event, |span| span.0),
        idle: settings.worker_idle.map_or(defaults.idle, |span| span.0),
        cpu_slice: settings.cpu_slice.map_or(defaults.cpu_slice, |span| span.0),
        patience: settings.worker_patience.map_or(defaults.patience, |span| span.0),
        isolates: isolates(settings)?,
        memory_bytes: settings.worker_memory.map_or(defaults.memory_bytes, |mib| mib as usize * 1024 * 1024),
        ..defaults
    };
    Ok(Some(Worker {
        script: script(value)?,
        kind: match settings.worker_type.as_deref() {
            None | Some("classic") => WorkerType::Classic,
            Some("module") => WorkerType::Module,
            Some(other) => return Err(one_of("worker_type", other, "`classic` or `module`")),
        },
        scope: settings.scope.clone(),
        update_via_cache: match settings.update_via_cache.as_deref() {
            None | Some("imports") => UpdateViaCache::Imports,
            Some("all") => UpdateViaCache::All,
            Some("none") => UpdateViaCache::None,
            Some(other) => return Err(one_of("update_via_cache", other, "`imports`, `all` or `none`")),
        },
        activation: match settings.activation.as_deref() {
            None | Some("rollover") => Activation::Rollover,
            Some("hold") => Activation::Hold,
            Some(other) => return Err(one_of("activation", other, "`rollover` or `hold`")),
        },
        limits,
    }))
}

fn isolates(settings: &Settings) -> Result<usize, Failure> {
    match settings.isolates {
        None => Ok(Limits::default().isolates),
        Some(number @ 1..=MOST_ISOLATES) => Ok(number.into()),
        Some(number) => Err(Failure::usage(format!("`isolates` is {number}, which is not from 1 to {MOST_ISOLATES}"))
            .hint("each is a thread with a script engine; more than the machine has cores are of little use")),
    }
}

/// A file where there is one of this name; else what begins with `/` is at the public origin.
fn script(value: &str) -> Result<Script, Failure> {
    if is_url(value) {
        return Ok(Script::Origin(value.to_owned()));
    }
    let path = PathBuf::from(value);
    match path.file_name() {
        Some(name) if path.is_file() => Ok(Script::File { name: name.to_string_lossy().into_owned(), path }),
        _ if value.starts_with('/') => Ok(Script::Origin(value.to_owned())),
        _ => Err(Failure::failed(format!("`worker` is `{value}`, and there is no such file"))
            .hint("a path that begins with `/` is fetched from the upstream")),
    }
}

fn one_of(key: &str, value: &str, words: &str) -> Failure {
    Failure::usage(format!("`{key}` is `{value}`, which is none of its values")).hint(format!("it is {words}"))
}

fn key(name: &'static str) -> impl Fn(String) -> Failure {
    move |reason| Failure::usage(format!("`{name}`: {reason}"))
}

fn span(given: Option<Span>, seconds: u64) -> Duration {
    given.map_or(Duration::from_secs(seconds), |span| span.0)
}

fn list(values: Option<&Vec<String>>) -> impl Iterator<Item = &str> {
    values.into_iter().flatten().map(String::as_str)
}

fn lower(values: Option<&Vec<String>>) -> Vec<String> {
    list(values).map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { upstream: Some("http://127.0.0.1:1".into()), no_worker: Some(true), ..Settings::default() }
    }

    fn error(settings: &Settings) -> String {
        Config::new(settings, None).unwrap_err().to_string()
    }

    #[test]
    fn g3_the_origin_is_configured_and_never_guessed_for_a_public_address() {
        let config = Config::new(&settings(), None).unwrap();
        let origin = config.public_origin("127.0.0.1:4321".parse().unwrap());
        assert_eq!(origin.as_str(), "http://localhost:4321/");
        let text = error(&Settings { listen: Some("0.0.0.0:80".into()), ..settings() });
        assert!(text.contains("`origin` is missing"), "{text}");
    }

    #[test]
    fn what_is_missing_is_named_with_the_next_step() {
        assert!(error(&Settings::default()).contains("`upstream` is missing"));
        assert!(error(&Settings { no_worker: None, ..settings() }).contains("--no-worker"));
        assert!(
            error(&Settings { origin: Some("shop.example".into()), ..settings() })
                .contains("`origin` is `shop.example`")
        );
        assert!(error(&Settings { upstream: Some("no/such".into()), ..settings() }).contains("not a folder"));
    }

    #[test]
    fn g1_a_worker_is_a_file_or_a_path_at_the_origin() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sw.js");
        std::fs::write(&file, "").unwrap();
        let name = file.to_string_lossy().into_owned();
        assert_eq!(script(&name).unwrap(), Script::File { path: file, name: "sw.js".into() });
        assert_eq!(script("/sw.js").unwrap(), Script::Origin("/sw.js".into()));
        assert_eq!(script("https://a.test/sw.js").unwrap(), Script::Origin("https://a.test/sw.js".into()));
        assert!(script("no-such-sw.js").unwrap_err().to_string().contains("no such file"));
    }

    #[test]
    fn other_origins_have_to_consent_unless_all_are_trusted() {
        let trusts = |cors: Option<&str>| {
            Config::new(&Settings { cors: cors.map(str::to_owned), ..settings() }, None).map(|config| config.trust_all)
        };
        assert!(!trusts(None).unwrap() && !trusts(Some("check")).unwrap() && trusts(Some("trust-all")).unwrap());
        assert!(trusts(Some("none")).unwrap_err().to_string().contains("`check` or `trust-all`"));
    }

    #[test]
    fn limits_come_from_their_keys() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sw.js");
        std::fs::write(&file, "").unwrap();
        let given = Settings {
            no_worker: None,
            worker: Some(file.to_string_lossy().into_owned()),
            response_timeout: "1s".parse().ok(),
            worker_memory: Some(1),
            ..settings()
        };
        let text = error(&Settings { isolates: Some(0), ..given.clone() });
        assert!(text.contains("`isolates` is 0"), "{text}");
        let limits = Config::new(&given, None).unwrap().worker.unwrap().limits;
        assert_eq!(limits.response, Duration::from_secs(1));
        assert_eq!(limits.memory_bytes, 1 << 20);
        assert_eq!(limits.start, Limits::default().start);
    }
}
