//! The plan: what is to be fetched ahead, and under which rules.
//!
//! A value, with a builder for Rust and a serde form for everybody else; checks what can be checked
//! without fetching. Knows no cache.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
    ser::SerializeMap,
};
use url::Url;

use super::{Follow, Hints, PrefetchLimits, WhenSaving};

/// URLs that one plan may name.
pub const MAX_URLS: usize = 50_000;

/// Rules that one plan may have.
pub const MAX_RULES: usize = 32;

/// Fetches that run at a time at most, whatever a plan says.
pub const MAX_CONCURRENCY: usize = 64;

/// How often a required URL is tried again at most, whatever a plan says.
pub const MAX_RETRIES: u32 = 10;

/// What is to be fetched ahead: URLs, the cache they go to, what to follow, and limits.
///
/// In JSON it is an object whose members are the fields in camel case. Only `urls` must be there; a member
/// that does not exist is an error that names it.
///
/// ```
/// use waystore::prefetch::{Follow, Prefetch};
///
/// let plan = Prefetch::new(["/top.json"]).require("/shell.css").into_cache("v1");
/// let plan = plan.follow(Follow::json_path("$.products[*].productPic")?);
///
/// let same = r#"{
///     "urls": ["/top.json", {"url": "/shell.css", "required": true}],
///     "cache": "v1",
///     "follow": ["$.products[*].productPic"]
/// }"#;
/// assert_eq!(serde_json::from_str::<Prefetch>(same)?, plan);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Prefetch {
    /// What to fetch, in this order. Relative URLs are resolved against [`base`](Self::base).
    #[serde(deserialize_with = "bounded_urls")]
    pub urls: Vec<Target>,
    /// What relative URLs are relative to; where it is not said, the cache's own base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Url>,
    /// The name of the cache. [`start`](Self::start) is given the cache itself and does not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<String>,
    /// Which further URLs to pick out of the documents that come.
    #[serde(default, deserialize_with = "bounded_rules", skip_serializing_if = "Vec::is_empty")]
    pub follow: Vec<Follow>,
    /// How much all of it may cost.
    #[serde(default)]
    pub limits: PrefetchLimits,
    /// Fetches that run at a time, all origins together; at most [`MAX_CONCURRENCY`]. Default: 24.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// Fetches that run at a time to one origin. Default: 6.
    #[serde(default = "default_concurrency_per_origin")]
    pub concurrency_per_origin: usize,
    /// How often a required URL is tried again where that may help: after half a second, then twice as long each time,
    /// or when the server says; at most [`MAX_RETRIES`] times. Default: 3.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Whether to fetch what is in the cache already, and replace it.
    #[serde(default)]
    pub refresh: bool,
    /// Whether to store responses whose `Cache-Control` says `no-cache`.
    #[serde(default)]
    pub override_no_cache: bool,
    /// What is known of the asker's connection.
    #[serde(default, skip_serializing_if = "Hints::is_empty")]
    pub connection: Hints,
    /// What to do where the asker wants to save data, or has a slow connection.
    #[serde(default)]
    pub when_saving: WhenSaving,
    /// Whether who runs it should keep its progress, so that it goes on after a restart.
    #[serde(default)]
    pub durable: bool,
}

/// One URL of a plan. In JSON: the URL alone, or `{"url": ..., "required": true}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The URL, as it was written.
    pub url: String,
    /// Whether it is tried again where it fails, and the whole has failed without it.
    pub required: bool,
}

impl Prefetch {
    /// A plan for these URLs, which are optional, with the default limits.
    pub fn new<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Self {
        Self {
            urls: urls.into_iter().map(Target::optional).collect(),
            base: None,
            cache: None,
            follow: Vec::new(),
            limits: PrefetchLimits::default(),
            concurrency: default_concurrency(),
            concurrency_per_origin: default_concurrency_per_origin(),
            retries: default_retries(),
            refresh: false,
            override_no_cache: false,
            connection: Hints::default(),
            when_saving: WhenSaving::default(),
            durable: false,
        }
    }

    /// With one more URL, which is optional.
    #[must_use]
    pub fn with(mut self, url: impl Into<String>) -> Self {
        self.urls.push(Target::optional(url));
        self
    }

    /// With one more URL, which is required.
    #[must_use]
    pub fn require(mut self, url: impl Into<String>) -> Self {
        self.urls.push(Target { url: url.into(), required: true });
        self
    }

    /// With the name of the cache that it is for.
    #[must_use]
    pub fn into_cache(mut self, name: impl Into<String>) -> Self {
        self.cache = Some(name.into());
        self
    }

    /// With one more rule for what to follow.
    #[must_use]
    pub fn follow(mut self, rule: Follow) -> Self {
        self.follow.push(rule);
        self
    }

    /// With these limits.
    #[must_use]
    pub fn with_limits(mut self, limits: PrefetchLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The same plan within the limits of who runs it: whatever asks for more gets what `limits` allow.
    #[must_use]
    pub fn at_most(mut self, limits: &PrefetchLimits) -> Self {
        self.limits = self.limits.at_most(limits);
        self
    }
}

impl Target {
    /// A URL without which the rest goes on.
    pub fn optional(url: impl Into<String>) -> Self {
        Self { url: url.into(), required: false }
    }
}

fn default_concurrency() -> usize {
    24
}

fn default_concurrency_per_origin() -> usize {
    6
}

fn default_retries() -> u32 {
    3
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TargetObject {
    url: String,
    #[serde(default)]
    required: bool,
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrObject;

        impl<'de> Visitor<'de> for TextOrObject {
            type Value = Target;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, or an object with `url` and `required`")
            }

            fn visit_str<E>(self, url: &str) -> Result<Target, E> {
                Ok(Target::optional(url))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Target, A::Error> {
                let TargetObject { url, required } = TargetObject::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Target { url, required })
            }
        }

        deserializer.deserialize_any(TextOrObject)
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.required {
            return serializer.serialize_str(&self.url);
        }
        let mut object = serializer.serialize_map(Some(2))?;
        object.serialize_entry("url", &self.url)?;
        object.serialize_entry("required", &true)?;
        object.end()
    }
}

fn bounded_urls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Target>, D::Error> {
    bounded(deserializer, MAX_URLS, "URLs")
}

fn bounded_rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Follow>, D::Error> {
    bounded(deserializer, MAX_RULES, "rules to follow")
}

/// Reads a list of at most `most` items, and no further.
fn bounded<'de, D, T>(deserializer: D, most: usize, what: &'static str) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T> {
        most: usize,
        what: &'static str,
        items: Vec<T>,
    }

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {} {}", self.most, self.what)
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<T>, A::Error> {
            while let Some(item) = list.next_element()? {
                if self.items.len() == self.most {
                    return Err(A::Error::custom(format!("more than {} {}; split the list", self.most, self.what)));
                }
                self.items.push(item);
            }
            Ok(self.items)
        }
    }

    deserializer.deserialize_seq(Bounded { most, what, items: Vec::new() })
}
