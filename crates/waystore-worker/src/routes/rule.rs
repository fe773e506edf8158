//! Rules as a script writes them, and as they are kept: unverified.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use waystore::CacheName;

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rule {
    pub(crate) condition: Condition,
    pub(crate) source: Source,
}

/// What a request has to be like.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Condition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url_pattern: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_destination: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) running_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) or: Option<Vec<Condition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not: Option<Box<Condition>>,
}

/// A URL pattern. Spec: <https://urlpattern.spec.whatwg.org/#typedefdef-urlpatterncompatible>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Pattern {
    /// A string, relative to the script.
    Text(String),
    /// A dictionary, relative to the script unless it names a base.
    Parts(Parts),
    /// What a `URLPattern` says of itself.
    Whole(Parts),
}

/// The components of a pattern. Spec: <https://urlpattern.spec.whatwg.org/#dictdef-urlpatterninit>
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Parts {
    pub(crate) protocol: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) hostname: Option<String>,
    pub(crate) port: Option<String>,
    pub(crate) pathname: Option<String>,
    pub(crate) search: Option<String>,
    pub(crate) hash: Option<String>,
    #[serde(rename = "baseURL")]
    pub(crate) base_url: Option<String>,
}

/// Where a rule leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// To the network.
    #[serde(rename = "network")]
    Network,
    /// To every cache, and to the network after that.
    #[serde(rename = "cache")]
    Cache,
    /// To one cache, and to the network after that.
    #[serde(rename = "cacheName", serialize_with = "write_name", deserialize_with = "read_name")]
    CacheName(CacheName),
    /// To the script.
    #[serde(rename = "fetch-event")]
    FetchEvent,
    /// To the script and the network at once.
    #[serde(rename = "race-network-and-fetch-handler")]
    Race,
}

impl Source {
    /// The source that the standard calls `word`.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        match word {
            "network" => Some(Self::Network),
            "cache" => Some(Self::Cache),
            "fetch-event" => Some(Self::FetchEvent),
            "race-network-and-fetch-handler" => Some(Self::Race),
            _ => None,
        }
    }

    /// Whether the script has a part in it.
    pub(crate) fn needs_script(&self) -> bool {
        matches!(self, Self::FetchEvent | Self::Race)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network => f.write_str("network"),
            Self::Cache => f.write_str("cache"),
            Self::CacheName(name) => write!(f, "cache {name}"),
            Self::FetchEvent => f.write_str("fetch-event"),
            Self::Race => f.write_str("race-network-and-fetch-handler"),
        }
    }
}

/// A cache's name: text, or its code units where they are no text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Units(Vec<u16>),
}

fn write_name<S: Serializer>(name: &CacheName, serializer: S) -> Result<S::Ok, S::Error> {
    let units = name.to_utf16();
    String::from_utf16(&units).map_or(Name::Units(units), Name::Text).serialize(serializer)
}

fn read_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CacheName, D::Error> {
    Ok(match Name::deserialize(deserializer)? {
        Name::Text(text) => text.into(),
        Name::Units(units) => CacheName::from_utf16(&units),
    })
}
