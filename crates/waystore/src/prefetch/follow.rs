//! Rules for which further URLs to pick out of a document.
//!
//! Values, checked when they are made; how they are applied is in `links/`.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};

pub use super::json_path::JsonPath;

/// Characters that one rule may have.
const LONGEST: usize = 1024;

/// Values of `rel` that are followed where a rule does not say which.
const RELS: [&str; 5] = ["stylesheet", "icon", "preload", "modulepreload", "prefetch"];

/// A rule: what to pick out of which documents.
///
/// In JSON: a JSONPath or a JSON Pointer as text, `"html"`, or an object: `{"jsonPath": ...}`,
/// `{"jsonPointer": ...}` or `{"html": {...}}`, with `"required": true` where what it finds is required.
///
/// ```
/// use waystore::prefetch::Follow;
///
/// let pictures = Follow::json_path("$.products[*].productPic")?.required();
/// let same = serde_json::from_str(r#"{"jsonPath": "$.products[*].productPic", "required": true}"#)?;
/// assert_eq!(pictures, same);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Follow {
    /// What to pick.
    pub select: Select,
    /// Whether what it finds is required.
    pub required: bool,
}

/// What to pick out of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Select {
    /// Out of JSON: the text at this place, or all texts of the array there.
    JsonPointer(JsonPointer),
    /// Out of JSON: all texts at these places, and those of arrays there.
    JsonPath(JsonPath),
    /// Out of HTML: the URLs of elements.
    Html(HtmlLinks),
}

/// Why a rule cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{rule}` is not a rule to follow: {reason}")]
pub struct WrongRule {
    /// The rule, shortened where it is long.
    pub rule: String,
    /// What is wrong with it, and what may be written instead.
    pub reason: String,
}

/// A [JSON Pointer](https://www.rfc-editor.org/rfc/rfc6901): `""` for the whole, or `/name/0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JsonPointer(String);

/// Which elements of an HTML document to follow.
///
/// The URLs are those of `href` of `link`, `src` of `img`, and the candidates of `srcset` (`img`, `source`) and
/// `imagesrcset` (`link`); relative ones are resolved against `base`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct HtmlLinks {
    /// `link` elements that have one of these in their `rel`. Default: `stylesheet`, `icon`, `preload`,
    /// `modulepreload`, `prefetch`.
    pub rels: Vec<String>,
    /// `img` elements. Default: yes.
    pub images: bool,
    /// All candidates of source sets, each of them another size of the same picture. Default: yes.
    pub srcset: bool,
}

impl Follow {
    /// Follows the URLs at these places of a JSON document, optional ones.
    ///
    /// # Errors
    ///
    /// [`WrongRule`]: it is not a JSONPath of [RFC 9535](https://www.rfc-editor.org/rfc/rfc9535), or beyond the
    /// bounds of [`JsonPath`].
    pub fn json_path(path: &str) -> Result<Self, WrongRule> {
        Ok(Self::optional(Select::JsonPath(path.parse()?)))
    }

    /// Follows the URL at this place of a JSON document, an optional one.
    ///
    /// # Errors
    ///
    /// [`WrongRule`]: it is not a JSON Pointer.
    pub fn json_pointer(pointer: &str) -> Result<Self, WrongRule> {
        Ok(Self::optional(Select::JsonPointer(pointer.parse()?)))
    }

    /// Follows these elements of an HTML document, optional ones.
    pub fn html(links: HtmlLinks) -> Self {
        Self::optional(Select::Html(links))
    }

    /// The same rule, where what it finds is required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    fn optional(select: Select) -> Self {
        Self { select, required: false }
    }
}

impl FromStr for Follow {
    type Err = WrongRule;

    /// A JSONPath (`$...`), a JSON Pointer (`/...`, or nothing for the whole), or `html`.
    fn from_str(rule: &str) -> Result<Self, WrongRule> {
        match rule.as_bytes() {
            [b'$', ..] => Self::json_path(rule),
            [] | [b'/', ..] => Self::json_pointer(rule),
            b"html" => Ok(Self::html(HtmlLinks::default())),
            _ => Err(WrongRule::new(rule, "write a JSONPath (`$.a[*].b`), a JSON Pointer (`/a/0/b`) or `html`")),
        }
    }
}

impl WrongRule {
    pub(super) fn new(rule: &str, reason: impl Into<String>) -> Self {
        let short: String = rule.chars().take(80).collect();
        let rule = if short.len() < rule.len() { format!("{short}…") } else { short };
        Self { rule, reason: reason.into() }
    }

    /// Refuses what is too long to be looked at.
    pub(super) fn check_length(rule: &str) -> Result<(), Self> {
        if rule.len() <= LONGEST {
            return Ok(());
        }
        Err(Self::new(rule, format!("it has {} bytes, and {LONGEST} are allowed", rule.len())))
    }
}

impl JsonPointer {
    /// The pointer as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JsonPointer {
    type Err = WrongRule;

    fn from_str(pointer: &str) -> Result<Self, WrongRule> {
        WrongRule::check_length(pointer)?;
        let escapes_are_right = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(WrongRule::new(pointer, "a JSON Pointer begins with `/`"));
        }
        if !escapes_are_right {
            return Err(WrongRule::new(pointer, "in a JSON Pointer, `~` is written `~0` and `/` in a name `~1`"));
        }
        Ok(Self(pointer.to_owned()))
    }
}

impl Default for HtmlLinks {
    fn default() -> Self {
        Self { rels: RELS.map(str::to_owned).to_vec(), images: true, srcset: true }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FollowObject {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json_pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<HtmlLinks>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    required: bool,
}

impl TryFrom<FollowObject> for Follow {
    type Error = String;

    fn try_from(object: FollowObject) -> Result<Self, String> {
        let follow = match (object.json_path, object.json_pointer, object.html) {
            (Some(path), None, None) => Self::json_path(&path),
            (None, Some(pointer), None) => Self::json_pointer(&pointer),
            (None, None, Some(links)) => Ok(Self::html(links)),
            _ => return Err("a rule to follow has one of `jsonPath`, `jsonPointer` and `html`".to_owned()),
        };
        let follow = follow.map_err(|wrong| wrong.to_string())?;
        Ok(Self { required: object.required, ..follow })
    }
}

impl Serialize for Follow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = FollowObject { json_path: None, json_pointer: None, html: None, required: self.required };
        match &self.select {
            Select::JsonPath(path) => object.json_path = Some(path.as_str().to_owned()),
            Select::JsonPointer(pointer) => object.json_pointer = Some(pointer.0.clone()),
            Select::Html(links) => object.html = Some(links.clone()),
        }
        object.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Follow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrObject;

        impl<'de> Visitor<'de> for TextOrObject {
            type Value = Follow;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSONPath, a JSON Pointer, `html`, or an object with `jsonPath`, `jsonPointer` or `html`")
            }

            fn visit_str<E: serde::de::Error>(self, rule: &str) -> Result<Follow, E> {
                rule.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Follow, A::Error> {
                let object = FollowObject::deserialize(MapAccessDeserializer::new(map))?;
                object.try_into().map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_any(TextOrObject)
    }
}
