//! Where a question is answered: by the gateway that runs on the data directory, or here, where none does.

use std::{path::PathBuf, sync::Arc};

use tokio::net::UnixStream;
use waystore::{Body, Clock, Error, Waystore};

use crate::{
    caches::{Answer, Asked, Desk, Question},
    control::client,
    failure::Failure,
    serve::{
        self,
        config::{Config, DEFAULT_DATA},
    },
    store,
};

/// Which data directory, and whose caches in it.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct Place {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DATA)]
    pub(in crate::commands) data: PathBuf,
    /// Whose caches, such as `https://shop.example`. Needed only where the directory holds several origins.
    #[arg(long, value_name = "URL")]
    pub(in crate::commands) origin: Option<String>,
}

/// Who answers.
#[derive(Debug)]
pub(in crate::commands) enum Reach {
    Here(Arc<Desk>),
    Gateway(UnixStream),
}

impl Reach {
    /// What time it is, for ages.
    pub(in crate::commands) fn now_ms(&self) -> u64 {
        match self {
            Self::Here(desk) => desk.now_ms(),
            Self::Gateway(_) => Clock::system().now_ms(),
        }
    }
}

/// What is done with a data directory that no gateway holds.
#[derive(Debug)]
enum Access {
    /// It is looked at, and has to be there.
    Look,
    /// It is changed, and has to be there.
    Change,
    /// It is changed, and made where it is missing; with what fetches trust.
    Make { authorities: Option<PathBuf> },
    /// The same, for what a site's configuration says of fetching.
    MakeFor(Box<Config>),
}

impl Place {
    /// Who answers about what is there.
    pub(in crate::commands) async fn look(&self) -> Result<Reach, Failure> {
        self.reach(Access::Look).await
    }

    /// Who changes what is there.
    pub(in crate::commands) async fn change(&self) -> Result<Reach, Failure> {
        self.reach(Access::Change).await
    }

    /// Who changes what is there, or is made for it. `authorities` are trusted for what is fetched.
    pub(in crate::commands) async fn make(&self, authorities: Option<PathBuf>) -> Result<Reach, Failure> {
        self.reach(Access::Make { authorities }).await
    }

    /// The same, where fetches go as the gateway of this site would send them.
    pub(in crate::commands) async fn make_for(&self, config: Config) -> Result<Reach, Failure> {
        self.reach(Access::MakeFor(Box::new(config))).await
    }

    /// # Errors
    ///
    /// There is no store, somebody else changes it, or the gateway cannot be reached.
    async fn reach(&self, access: Access) -> Result<Reach, Failure> {
        if let Some(gateway) = client::connect(&self.data).await? {
            if let Access::Make { authorities: Some(_) } = access {
                return Err(Failure::usage(
                    "`--cacert` is of no use: the gateway that runs fetches, and trusts its own",
                )
                .hint("`upstream_ca` of its configuration names authorities; or stop it first"));
            }
            return Ok(Reach::Gateway(gateway));
        }
        if matches!(access, Access::Look | Access::Change) {
            store::must_exist(&self.data)?;
        }
        let looks = matches!(access, Access::Look);
        let opened = match access {
            Access::Look => Waystore::open_read_only(&self.data).await,
            Access::Change | Access::Make { .. } | Access::MakeFor(_) => Waystore::open(&self.data).await,
        };
        match opened {
            Ok(opened) => Ok(Reach::Here(Arc::new(match access {
                Access::Look | Access::Change => Desk::of_command(opened, None),
                Access::Make { authorities } => Desk::of_command(opened, authorities),
                Access::MakeFor(config) => serve::desk(&config, opened)?,
            }))),
            Err(Error::NotAStore { reason, .. }) if looks => {
                Err(store::none(&self.data, &format!(": {reason}")))
            }
            Err(error @ Error::Locked { .. }) => Err(Failure::failed(error.to_string())
                .hint("no gateway answers there, so it is another command, or a gateway that starts: try again when it is done")),
            Err(error) => Err(store::unopened(&self.data, error)),
        }
    }

    /// Asks, once.
    ///
    /// # Errors
    ///
    /// The gateway does not know the question, or gave no answer.
    pub(in crate::commands) async fn ask(
        &self,
        reach: Reach,
        question: Question,
        input: Option<Body>,
    ) -> Result<Answer, Failure> {
        let asked = Asked { dir: self.data.display().to_string(), origin: self.origin.clone(), question };
        match reach {
            Reach::Here(desk) => Ok(desk.answer(asked, input)),
            Reach::Gateway(gateway) => client::ask(gateway, &asked, input).await,
        }
    }
}
