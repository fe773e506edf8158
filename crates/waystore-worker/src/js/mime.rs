//! MIME types as headers and blobs have them.
//!
//! Spec: <https://mimesniff.spec.whatwg.org/#parsing-a-mime-type>

use waystore::HeaderList;

use super::header_rules::{is_token, split_at_commas};

/// A parsed MIME type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mime {
    /// Type and subtype in lower case.
    pub(super) essence: String,
    /// Names in lower case, values unquoted; the first of a name counts.
    pub(super) parameters: Vec<(String, String)>,
}

impl Mime {
    /// Parses a MIME type, or returns `None` where it is not one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(is_space);
        let (essence, mut rest) = text.split_once(';').map_or((text, ""), |(essence, rest)| (essence, rest));
        let (kind, subtype) = essence.split_once('/')?;
        let subtype = subtype.trim_end_matches(is_space);
        if !is_token(kind.as_bytes()) || !is_token(subtype.as_bytes()) {
            return None;
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        while !rest.is_empty() {
            let (parameter, after) = split_parameter(rest);
            rest = after;
            let Some((name, value)) = parameter else { continue };
            let fits = is_token(name.as_bytes()) && value.chars().all(is_quotable);
            if fits && !parameters.iter().any(|(known, _)| *known == name) {
                parameters.push((name, value));
            }
        }
        Some(Self { essence: format!("{kind}/{subtype}").to_ascii_lowercase(), parameters })
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The type as text: what is not a token is quoted.
    pub(super) fn serialize(&self) -> String {
        let mut text = self.essence.clone();
        for (name, value) in &self.parameters {
            text.push(';');
            text.push_str(name);
            text.push('=');
            if is_token(value.as_bytes()) {
                text.push_str(value);
            } else {
                text.push('"');
                text.push_str(&value.replace('\\', "\\\\").replace('"', "\\\""));
                text.push('"');
            }
        }
        text
    }
}

/// Type and subtype of `text`, if it is a MIME type.
pub(super) fn essence(text: &str) -> Option<String> {
    Mime::parse(text).map(|mime| mime.essence)
}

/// The MIME type that a list of headers gives to a body.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-header-extract-mime-type>
pub(super) fn extracted(headers: &HeaderList) -> Option<Mime> {
    let combined = headers.get("content-type")?;
    let mut found: Option<Mime> = None;
    for item in split_at_commas(&combined) {
        let text: String = item.iter().copied().map(char::from).collect();
        let Some(mut mime) = Mime::parse(&text).filter(|mime| mime.essence != "*/*") else { continue };
        let inherited = found.filter(|earlier| earlier.essence == mime.essence && mime.parameter("charset").is_none());
        if let Some(charset) = inherited.as_ref().and_then(|earlier| earlier.parameter("charset")) {
            mime.parameters.push(("charset".to_owned(), charset.to_owned()));
        }
        found = Some(mime);
    }
    found
}

/// One parameter and what follows its semicolon; a parameter without `=` is none.
fn split_parameter(text: &str) -> (Option<(String, String)>, &str) {
    let text = text.trim_start_matches(is_space);
    let Some(end) = text.find([';', '=']) else { return (None, "") };
    let name = text[..end].to_ascii_lowercase();
    if text[end..].starts_with(';') {
        return (None, &text[end + 1..]);
    }
    let value = &text[end + 1..];
    if let Some(quoted) = value.strip_prefix('"') {
        let (value, after) = unquoted(quoted);
        let after = after.find(';').map_or("", |end| &after[end + 1..]);
        return (Some((name, value)), after);
    }
    let (value, after) = value.split_once(';').unwrap_or((value, ""));
    let value = value.trim_end_matches(is_space);
    ((!value.is_empty()).then(|| (name, value.to_owned())), after)
}

/// The text up to the closing quote, without its escapes, and what follows.
fn unquoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(characters.next().map_or('\\', |(_, escaped)| escaped)),
            _ => value.push(character),
        }
    }
    (value, "")
}

fn is_space(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' ')
}

fn is_quotable(character: char) -> bool {
    matches!(character, '\t' | ' '..='~' | '\u{80}'..='\u{FF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_valid_type_wins_and_inherits_its_charset() {
        let mut headers = HeaderList::new();
        headers.append("content-type", "text/html;charset=gbk, text/html; x=y, nonsense, */*");
        let mime = extracted(&headers).unwrap();
        assert_eq!(mime.serialize(), "text/html;x=y;charset=gbk");
    }

    #[test]
    fn quoted_values_lose_their_quotes_and_regain_them() {
        let mime = Mime::parse("A/B; C=\"d e\\\"\"; c=2;x").unwrap();
        assert_eq!(mime.parameter("c"), Some("d e\""));
        assert_eq!(mime.serialize(), "a/b;c=\"d e\\\"\"");
        assert_eq!(Mime::parse("nothing"), None);
    }
}
