//! `waystore serve`: stands in front of an origin and answers through the site's own worker.
//!
//! Puts the parts together, starts and stops them.

mod access;
pub(crate) mod ahead;
mod asked;
pub(crate) mod causes;
pub(crate) mod clear;
pub(crate) mod config;
mod deadline;
mod handler;
pub(crate) mod inbound;
mod keeping;
mod listener;
mod log;
mod outbound;
mod pages;
pub(crate) mod patterns;
pub(crate) mod personal;
pub(crate) mod public;
mod refusal;
pub(crate) mod settings;
pub(crate) mod size;
mod socket;
mod stop;
mod tunnel;
mod worker;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicU64},
};

use tokio_util::task::TaskTracker;
use url::Url;
use waystore::{Clock, Waystore};

use self::{
    clear::Clear,
    config::{Config, Script, Upstream},
    handler::Gateway,
    log::LogForm,
    pages::desk::Pages,
    personal::{Personal, keep_key},
    public::Public,
    settings::{FILE_NAME, Settings},
    tunnel::Tunnel,
};
use crate::{
    caches::Desk,
    control,
    failure::Failure,
    fetch::{
        LocalScript, Network, Origin, Parts,
        client::{Client, Roots},
        folder::Folder,
        hidden::Events,
        preflight::Consents,
    },
    prefetching::{Answers, Jobs},
    store,
};

/// What `waystore serve` takes. Each flag is also a key of `waystore.toml`, where `-` is written `_`.
#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// A folder with a `waystore.toml`. Without it, the flags say everything.
    #[arg(value_name = "SITE")]
    site: Option<PathBuf>,
    #[command(flatten)]
    flags: Settings,
}

/// Serves until a signal, and then ends in order.
pub(crate) fn run(args: Box<ServeArgs>) -> Result<(), Failure> {
    let (settings, file) = read_settings(*args)?;
    let form = LogForm::parse(settings.log.as_deref())?;
    let _log = log::start(form).map_err(|error| Failure::failed(format!("the log could not be started: {error}")))?;
    let config = Config::new(&settings, file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no threads could be started: {error}")))?;
    let served = runtime.block_on(serve(config));
    // What still runs now is of no use to anybody.
    runtime.shutdown_background();
    served
}

/// What the configuration in a site's folder says.
///
/// # Errors
///
/// It cannot be read, or is wrong.
pub(crate) fn configuration(site: &Path) -> Result<Config, Failure> {
    let args = ServeArgs { site: Some(site.to_path_buf()), flags: Settings::default() };
    let (settings, file) = read_settings(args)?;
    Config::new(&settings, file.as_deref())
}

/// A desk over `store`, the site's, that fetches as its gateway would: for a command that runs without one.
///
/// # Errors
///
/// The configuration does not say enough, or something that it names cannot be read.
pub(crate) fn desk(config: &Config, store: Waystore) -> Result<Desk, Failure> {
    let public = Arc::new(Public::new(config.fixed_origin()?, &config.aliases).map_err(Failure::usage)?);
    let (network, _) = network(config, &public, &Arc::new(Clock::system()), None)?;
    store.set_limits(config.keeping.limits(public.origin())?);
    Ok(Desk::of_gateway(store, network, public.serialized().to_owned()))
}

fn read_settings(args: ServeArgs) -> Result<(Settings, Option<PathBuf>), Failure> {
    let Some(site) = args.site else { return Ok((args.flags, None)) };
    let file = if site.is_file() { site } else { site.join(FILE_NAME) };
    let text = fs::read_to_string(&file).map_err(|error| {
        Failure::failed(format!("`{}` cannot be read: {error}", file.display()))
            .hint("SITE is a folder with a `waystore.toml`; without one, give `--upstream` and `--worker` as flags")
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    Ok((Settings::parse(&text, &file, folder, &args.flags)?, Some(file)))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let stop = stop::on_signals()?;
    // First of all: whoever asks from now on waits, and is not refused.
    let listener = listener::bind(config.listen).await?;
    let address =
        listener.local_addr().map_err(|error| Failure::failed(format!("the socket has no address: {error}")))?;
    let store = store::open_with(&config.data, config.keeping.disk()).await?;
    let public = Public::new(config.public_origin(address), &config.aliases).map_err(Failure::usage)?;
    let public = Arc::new(public);
    let clock = Arc::new(Clock::system());
    let _held = config.keeping.apply(&store, public.origin())?;
    let clear = config.keeping.honour_clear_site_data.then(|| Arc::new(Clear::default()));
    let (network, tunnel) = network(&config, &public, &clock, clear.clone())?;

    let jobs = jobs(&config, &public, &store, &network, &clock)?;
    let site = match &config.worker {
        Some(worker) => {
            let (network, jobs, clock) = (network.clone(), Arc::new(jobs.clone()), Arc::clone(&clock));
            Some(worker::open(worker, &config.keeping, &public, &store, network, jobs, clock).await?)
        }
        None => None,
    };
    let tasks = TaskTracker::new();
    let control = control::server::bind(&config.data)?;
    let desk = Desk::of_gateway(store.clone(), network.clone(), public.serialized().to_owned());
    let desk = desk.with_jobs(jobs.clone());
    let answers = Answers::new(config.prefetch.rules.clone(), jobs.clone());
    tasks.spawn(control.serve(site.clone(), Arc::new(desk), answers.clone(), stop.clone()));
    if let Some(site) = &site {
        tasks.spawn(worker::watch(Arc::clone(site), config.check_interval, stop.clone()));
    }
    if let Some(clear) = clear {
        let origin = public.serialized().to_owned();
        tasks.spawn(clear::watch(clear, store.clone(), origin, site.clone(), jobs.clone(), stop.clone()));
    }
    if let Err(failure) = jobs.resume().await {
        tracing::error!(target: "waystore::prefetch", %failure, "durable prefetches do not go on");
    }
    let (stop_grace, last_update_ms) = (config.stop_grace, AtomicU64::new(clock.now_ms()));
    let pages = site.clone().map(|site| {
        Pages::new(site, (jobs.clone(), answers), config.pages.clone(), Arc::clone(&clock), tasks.clone(), stop.clone())
    });
    let gateway = Gateway { config, network, site: site.clone(), pages, tunnel, clock, last_update_ms };

    announce(&public, address);
    listener::serve(listener, Arc::new(gateway), stop.clone()).await;
    stop.cancel();
    tasks.close();
    let _ = tokio::time::timeout(stop_grace, jobs.stop()).await;
    if let Some(site) = site {
        site.close(stop_grace).await;
    }
    let _ = tokio::time::timeout(stop_grace, tasks.wait()).await;
    store.sync().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Tells on stdout where to look. Nobody may be reading, which is no reason to stop.
fn announce(public: &Public, address: std::net::SocketAddr) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "serving {} at http://{address}", public.serialized());
    let _ = stdout.flush();
}

/// The prefetches of the site, which store as its worker does outside of `install`.
fn jobs(
    config: &Config,
    public: &Public,
    store: &Waystore,
    network: &Network,
    clock: &Arc<Clock>,
) -> Result<Jobs, Failure> {
    let caches = store.caches(public.serialized())?.with_policies(config.keeping.policies.clone());
    let jobs = Jobs::new(caches, Arc::new(network.clone()), Arc::clone(clock), config.prefetch.limits);
    jobs.durable(store, public.serialized())
}

fn network(
    config: &Config,
    public: &Arc<Public>,
    clock: &Arc<Clock>,
    clear: Option<Arc<Clear>>,
) -> Result<(Network, Option<Tunnel>), Failure> {
    let (roots, upstream) = match &config.upstream {
        Upstream::Server { url, host, ca } => {
            let roots = Roots::new(ca.as_deref()).map_err(|reason| {
                Failure::failed(format!("`upstream_ca`: {reason}")).hint("it is a file of PEM certificates")
            })?;
            (roots, Some((url, host.clone().unwrap_or_else(|| public.host()))))
        }
        Upstream::Folder { .. } => (Roots::new(None).map_err(Failure::failed)?, None),
    };
    let (origin, tunnel) = match (&config.upstream, upstream) {
        (Upstream::Folder { root, hidden }, _) => {
            let folder = Folder::open(root, hidden);
            let folder =
                folder.map_err(|error| Failure::failed(format!("`{}` cannot be read: {error}", root.display())))?;
            (Origin::Folder(folder), None)
        }
        (_, Some((url, host))) => server(url, host, config, public, &roots).map_err(Failure::usage)?,
        (Upstream::Server { .. }, None) => return Err(Failure::failed("the upstream was not set up")),
    };
    let key = keep_key(&config.data, || clock.random()).map_err(|error| {
        Failure::failed(format!("the key in `{}` cannot be kept: {error}", config.data.display()))
            .hint("without `visitor.key`, what is stored for single visitors is lost to them; nothing else is")
    })?;
    let script = config.worker.as_ref().and_then(|worker| match &worker.script {
        Script::File { path, name } => Some(LocalScript { path: path.clone(), url: script_url(public, name)? }),
        Script::Origin(_) => None,
    });
    let lifetime =
        config.worker.as_ref().map_or_else(|| waystore_worker::Limits::default().event, |worker| worker.limits.event);
    let network = Network::new(Parts {
        public: Arc::clone(public),
        origin,
        world: Client::world(&roots, config.timeouts, config.private_origins.clone()),
        trust_all: config.trust_all,
        consents: Consents::default(),
        clock: Arc::clone(clock),
        events: Events::new(lifetime),
        personal: Personal::new(key, config.ignore_cookies.clone(), config.shared.clone()),
        causes: causes::Causes::default(),
        clear,
        script,
    });
    Ok((network, tunnel))
}

fn server(
    url: &Url,
    host: String,
    config: &Config,
    public: &Arc<Public>,
    roots: &Roots,
) -> Result<(Origin, Option<Tunnel>), String> {
    let client = Client::upstream(url, roots, config.timeouts)?;
    let tunnel = Tunnel::new(url, host.clone(), Arc::clone(public), roots, config)?;
    Ok((Origin::Server { client, scheme: url.scheme().to_owned(), host }, Some(tunnel)))
}

/// The URL of a script that is a file: its name at the public origin.
pub(crate) fn script_url(public: &Public, name: &str) -> Option<Url> {
    let mut url = public.origin().clone();
    url.path_segments_mut().ok()?.clear().push(name);
    Some(url)
}
