//! `waystore run`: evaluates scripts and modules as a page would, without a DOM.
//!
//! Puts a network, a store and the files together; what a script is given is the worker crate's
//! business.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use url::Url;
use waystore::{Clock, Fetch, Waystore};
use waystore_worker::{
    ConsoleLevel, ConsoleLine, Limits, ModuleFiles, RunError, RunOptions, RunScript, SiteHost, WorkerType, run_scripts,
};

use crate::{
    failure::{Failure, chain},
    fetch::{
        Network, Origin, Parts,
        client::{Client, Roots},
        hidden::Events,
        preflight::Consents,
        private::PrivateOrigins,
    },
    prefetching::{JobLimits, Jobs},
    serve::{
        causes::Causes,
        config::Timeouts,
        patterns::{Globs, Names},
        personal::Personal,
        public::Public,
    },
    store,
};

/// As the gateway has them by default.
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(10), head: Duration::from_secs(60), body: Duration::from_secs(60) };
/// The longest script that is read.
const SCRIPT_BYTES: u64 = 32 * 1024 * 1024;

/// What `waystore run` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The page: its origin owns the caches, and relative URLs resolve against it.
    #[arg(long, value_name = "URL")]
    url: String,
    /// A PEM file of certificate authorities to trust, beside the well-known ones.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Other origins at addresses of the machine's own network that the scripts may fetch from, such as
    /// `http://localhost:8001`; they reach public addresses only, and the page's origin.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    private_origins: Option<Vec<String>>,
    /// The data directory. Without it, what is stored is gone with the process.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Every script is a module, as those are whose names end in `.mjs`: they may import and await.
    #[arg(long)]
    module: bool,
    /// The scripts, evaluated in order in one global; `-` reads one from stdin.
    #[arg(value_name = "SCRIPT", required = true)]
    scripts: Vec<PathBuf>,
}

pub(crate) fn run(args: &RunArgs) -> Result<(), Failure> {
    let page = page(&args.url)?;
    let private = PrivateOrigins::new(args.private_origins.as_ref())?;
    let read = |file: &PathBuf| {
        let (url, source) = read(file, &page)?;
        let is_module = args.module || file.extension().is_some_and(|extension| extension == "mjs");
        let worker_type = if is_module { WorkerType::Module } else { WorkerType::Classic };
        Ok(RunScript { url, source, worker_type })
    };
    let scripts = args.scripts.iter().map(read).collect::<Result<Vec<_>, Failure>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no threads could be started: {error}")))?;
    let done = runtime.block_on(async {
        let store = match &args.data {
            Some(data) => store::open(data).await?,
            None => Waystore::in_memory(),
        };
        let clock = Arc::new(Clock::system());
        let fetch = Arc::new(network(&page, args.cacert.as_deref(), private, &clock)?);
        let caches = store.caches(page.as_str())?;
        let jobs = Jobs::new(caches, Arc::clone(&fetch) as Arc<dyn Fetch>, Arc::clone(&clock), JobLimits::default());
        let host = SiteHost { fetch, clock, console: Arc::new(print), prefetch: Some(Arc::new(jobs)) };
        let options = RunOptions {
            url: page,
            may_persist: args.data.is_some(),
            limits: Limits::default(),
            files: Some(ModuleFiles::new(read_module)),
        };
        let done = run_scripts(options, scripts, &store, host).await.map_err(failure);
        store.sync().await?;
        done
    });
    // What still runs now is of no use to anybody.
    runtime.shutdown_background();
    done
}

fn page(text: &str) -> Result<Url, Failure> {
    let wrong = || {
        Failure::usage(format!("`--url` is `{text}`, which is not the URL of a page"))
            .hint("such as `https://shop.example/`")
    };
    let url = Url::parse(text).map_err(|_| wrong())?;
    if matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// A script and the URL that its errors name.
fn read(file: &Path, page: &Url) -> Result<(Url, Vec<u8>), Failure> {
    let refused = |error: io::Error| Failure::failed(unreadable(file, &error));
    let (url, from): (_, Box<dyn Read>) = if file == Path::new("-") {
        (page.clone(), Box::new(io::stdin().lock()))
    } else {
        let absolute = std::path::absolute(file).map_err(refused)?;
        let url = Url::from_file_path(absolute).unwrap_or_else(|()| page.clone());
        (url, Box::new(std::fs::File::open(file).map_err(refused)?))
    };
    Ok((url, read_whole(from, file).map_err(Failure::failed)?))
}

/// What a module imports.
fn read_module(url: &Url) -> Result<Vec<u8>, String> {
    let file = url.to_file_path().map_err(|()| format!("`{url}` is no file of this machine"))?;
    read_whole(std::fs::File::open(&file).map_err(|error| unreadable(&file, &error))?, &file)
}

fn read_whole(from: impl Read, file: &Path) -> Result<Vec<u8>, String> {
    let mut source = Vec::new();
    from.take(SCRIPT_BYTES + 1).read_to_end(&mut source).map_err(|error| unreadable(file, &error))?;
    if source.len() as u64 > SCRIPT_BYTES {
        return Err(format!("`{}` is longer than {SCRIPT_BYTES} bytes", file.display()));
    }
    Ok(source)
}

fn unreadable(file: &Path, error: &io::Error) -> String {
    format!("`{}` cannot be read: {error}", file.display())
}

/// The page's own origin wherever it is, the public internet, and the origins of `private`.
pub(crate) fn network(
    page: &Url,
    authorities: Option<&Path>,
    private: PrivateOrigins,
    clock: &Arc<Clock>,
) -> Result<Network, Failure> {
    let mut origin = page.clone();
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    let roots = Roots::new(authorities)
        .map_err(|reason| Failure::failed(format!("`--cacert`: {reason}")).hint("it is a file of PEM certificates"))?;
    let client = Client::upstream(&origin, &roots, TIMEOUTS).map_err(Failure::usage)?;
    let public = Public::new(origin, &[]).map_err(Failure::usage)?;
    let mut key = [0; 32];
    key[..16].copy_from_slice(&clock.random().to_le_bytes());
    Ok(Network::new(Parts {
        origin: Origin::Server { client, scheme: page.scheme().to_owned(), host: public.host() },
        public: Arc::new(public),
        world: Client::world(&roots, TIMEOUTS, private),
        trust_all: false,
        consents: Consents::default(),
        clock: Arc::clone(clock),
        events: Events::new(Duration::ZERO),
        // One user, as in a browser: nothing is kept from anybody.
        personal: Personal::new(key, Names::new(["*"]), Globs::new(["/**"])),
        causes: Causes::default(),
        clear: None,
        script: None,
    }))
}

/// The script's output is this program's, warnings and errors beside it. Nobody may be reading.
fn print(line: ConsoleLine) {
    let text = line.text;
    drop(match line.level {
        ConsoleLevel::Debug | ConsoleLevel::Info => writeln!(io::stdout().lock(), "{text}"),
        ConsoleLevel::Warn | ConsoleLevel::Error => writeln!(io::stderr().lock(), "{text}"),
    });
}

fn failure(error: RunError) -> Failure {
    match error {
        RunError::Stopped { .. } => Failure::failed(chain(&error)).hint("let it wait for something now and then"),
        RunError::Store(error) => error.into(),
        error => Failure::failed(chain(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_at_an_http_url_without_credentials() {
        assert!(page("https://a.test/x?y").is_ok());
        for wrong in ["a.test", "file:///x", "https://me:secret@a.test/"] {
            assert!(page(wrong).unwrap_err().to_string().contains("\nhint: such as"), "{wrong}");
        }
    }

    #[test]
    fn a_script_is_named_by_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a b.js");
        std::fs::write(&file, "1").unwrap();
        let (url, source) = read(&file, &Url::parse("https://a.test/").unwrap()).unwrap();
        assert!(url.as_str().starts_with("file:///") && url.path().ends_with("/a%20b.js"), "{url}");
        assert_eq!(source, b"1");
    }
}
