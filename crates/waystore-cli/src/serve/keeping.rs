//! How the gateway's store keeps things: limits, budgets, who is evicted. Pure but for applying it to a store.
//!
//! A browser's store belongs to one person, who clears it; this one is filled by all visitors. So what is cached
//! outside `install` gives way when the quota is full, unless the configuration says otherwise.

use url::Url;
use waystore::{
    CachePolicies, CachePolicy, KeyGuard, Limits, PutLevel, StorageKey, Waystore,
    store::disk::{DiskOptions, Durability},
};

use super::{settings::Settings, size::Size};
use crate::failure::Failure;

/// What the configuration says of the store.
#[derive(Debug, Clone)]
pub(crate) struct Keeping {
    pub(crate) durability: Durability,
    pub(crate) policies: CachePolicies,
    pub(crate) honour_clear_site_data: bool,
    quota: Option<u64>,
    total_quota: Option<u64>,
    evict_origins: bool,
    persist: bool,
    pad_opaque: bool,
}

impl Keeping {
    /// # Errors
    ///
    /// A value cannot be; names the key and the next step.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let all = CachePolicy {
            budget_bytes: budget("budget", settings.budget.as_deref().unwrap_or("quota"))?,
            put_level: level("put", settings.put.as_deref().unwrap_or("complete"))?,
        };
        let mut named: Vec<(&str, CachePolicy)> = Vec::new();
        let mut policy =
            |name, change: &dyn Fn(&mut CachePolicy)| match named.iter_mut().find(|(other, _)| *other == name) {
                Some((_, policy)) => change(policy),
                None => {
                    let mut policy = all;
                    change(&mut policy);
                    named.push((name, policy));
                }
            };
        for pair in settings.cache_budget.iter().flatten() {
            let (name, value) = split("cache_budget", pair)?;
            let bytes = budget("cache_budget", value)?;
            policy(name, &|policy| policy.budget_bytes = bytes);
        }
        for pair in settings.cache_put.iter().flatten() {
            let (name, value) = split("cache_put", pair)?;
            let level = level("cache_put", value)?;
            policy(name, &|policy| policy.put_level = level);
        }
        let bytes = |size: Option<Size>| size.map(|size| size.0);
        Ok(Self {
            durability: match settings.durability.as_deref() {
                None | Some("relaxed") => Durability::Relaxed,
                Some("strict") => Durability::Strict,
                Some(other) => return Err(one_of("durability", other, "`relaxed` or `strict`")),
            },
            policies: named.into_iter().fold(CachePolicies::new(all), |all, (name, policy)| all.with(name, policy)),
            honour_clear_site_data: settings.honour_clear_site_data == Some(true),
            quota: bytes(settings.quota),
            total_quota: bytes(settings.total_quota),
            evict_origins: settings.evict_origins == Some(true),
            persist: settings.persist == Some(true),
            pad_opaque: settings.pad_opaque == Some(true),
        })
    }

    /// How the data directory is opened.
    pub(crate) fn disk(&self) -> DiskOptions {
        DiskOptions::default().durability(self.durability)
    }

    /// How much `origin`, the site's own, and all together may store.
    ///
    /// # Errors
    ///
    /// The origin cannot own anything.
    pub(crate) fn limits(&self, origin: &Url) -> Result<Limits, Failure> {
        let limits = Limits { total_bytes: self.total_quota, ..Limits::default() };
        Ok(match self.quota {
            Some(quota) => limits.key(StorageKey::of(origin)?, quota),
            None => limits,
        })
    }

    /// Sets the limits of `store`, in which `origin` is the site's own. While the guard lives the site is not evicted.
    ///
    /// # Errors
    ///
    /// The origin cannot own anything.
    pub(crate) fn apply(&self, store: &Waystore, origin: &Url) -> Result<KeyGuard, Failure> {
        let key = StorageKey::of(origin)?;
        store.set_limits(self.limits(origin)?);
        store.set_eviction(self.evict_origins);
        if self.persist {
            store.set_persisted(&key, true);
        }
        if self.pad_opaque {
            store.pad_opaque_responses();
        }
        Ok(store.hold(&key))
    }
}

/// `quota`: as much as there is room; `none`: nothing is evicted; or a size.
fn budget(key: &str, value: &str) -> Result<Option<u64>, Failure> {
    match value {
        "quota" => Ok(Some(u64::MAX)),
        "none" => Ok(None),
        size => size.parse::<Size>().map(|size| Some(size.0)).map_err(|reason| {
            Failure::usage(format!("`{key}`: {reason}"))
                .hint("it is a size, `quota` (as much as fits) or `none` (nothing is evicted)")
        }),
    }
}

fn level(key: &str, value: &str) -> Result<PutLevel, Failure> {
    match value {
        "complete" => Ok(PutLevel::Complete),
        "recorded" => Ok(PutLevel::Recorded),
        "durable" => Ok(PutLevel::Durable),
        other => Err(one_of(key, other, "`complete`, `recorded` or `durable`")),
    }
}

/// `NAME=VALUE`; a name may hold `=`.
fn split<'a>(key: &str, pair: &'a str) -> Result<(&'a str, &'a str), Failure> {
    let wrong = || {
        Failure::usage(format!("`{key}` has `{pair}`, which is not a cache's name, `=` and a value"))
            .hint("such as `images-*=200 MiB` or `pages-v1=recorded`: a trailing `*` stands for any ending")
    };
    let (name, value) = pair.rsplit_once('=').ok_or_else(wrong)?;
    Ok((name.trim(), value.trim()))
}

fn one_of(key: &str, value: &str, words: &str) -> Failure {
    Failure::usage(format!("`{key}` is `{value}`, which means nothing here")).hint(format!("it is {words}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|item| (*item).to_owned()).collect())
    }

    #[test]
    fn by_default_a_full_quota_evicts_and_a_put_is_complete() {
        let keeping = Keeping::new(&Settings::default()).unwrap();
        let policy = keeping.policies.of(&"any".into());
        assert_eq!((policy.budget_bytes, policy.put_level), (Some(u64::MAX), PutLevel::Complete));
        assert!(!keeping.honour_clear_site_data && !keeping.evict_origins);
    }

    #[test]
    fn a_cache_has_its_own_budget_and_level_and_the_rest_of_the_sites() {
        let settings = Settings {
            budget: Some("1 MiB".into()),
            cache_budget: list(&["images-*=10KiB", "odd=name=none"]),
            cache_put: list(&["images-*=recorded", "live=durable"]),
            ..Settings::default()
        };
        let policies = Keeping::new(&settings).unwrap().policies;
        let of = |name: &str| (policies.of(&name.into()).budget_bytes, policies.of(&name.into()).put_level);
        assert_eq!(of("images-v2"), (Some(10 << 10), PutLevel::Recorded));
        assert_eq!(of("live"), (Some(1 << 20), PutLevel::Durable));
        assert_eq!(of("odd=name"), (None, PutLevel::Complete));
        assert_eq!(of("other"), (Some(1 << 20), PutLevel::Complete));
    }

    #[test]
    fn what_means_nothing_is_named_with_its_key() {
        let error = |settings: Settings| Keeping::new(&settings).unwrap_err().to_string();
        let text = error(Settings { budget: Some("lots".into()), ..Settings::default() });
        assert!(text.contains("`budget`: `lots`") && text.contains("\nhint: it is a size"), "{text}");
        let text = error(Settings { cache_put: list(&["pages"]), ..Settings::default() });
        assert!(text.contains("`cache_put` has `pages`"), "{text}");
        let text = error(Settings { put: Some("later".into()), ..Settings::default() });
        assert!(text.contains("`put` is `later`") && text.contains("`recorded`"), "{text}");
        let text = error(Settings { durability: Some("maybe".into()), ..Settings::default() });
        assert!(text.contains("`durability` is `maybe`"), "{text}");
    }
}
