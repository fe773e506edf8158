//! `multipart/form-data`, written and read. Knows bytes, no script.
//!
//! Spec: <https://html.spec.whatwg.org/#multipart-form-data>, <https://andreubotella.github.io/multipart-form-data/>

use bytes::{BufMut, Bytes, BytesMut};

/// One entry of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) content: Content,
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Text(String),
    File { name: String, kind: Option<String>, bytes: Bytes },
}

/// The body of a form.
pub(super) fn encode(parts: &[Part], boundary: &str) -> Bytes {
    let mut body = BytesMut::new();
    for Part { name, content } in parts {
        let name = escaped(&with_crlf(name));
        body.put_slice(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"").as_bytes());
        match content {
            Content::Text(text) => {
                body.put_slice(b"\r\n\r\n");
                body.put_slice(with_crlf(text).as_bytes());
            }
            Content::File { name, kind, bytes } => {
                let kind = kind.as_deref().unwrap_or("application/octet-stream");
                let head = format!("; filename=\"{}\"\r\nContent-Type: {kind}\r\n\r\n", escaped(name));
                body.put_slice(head.as_bytes());
                body.put_slice(bytes);
            }
        }
        body.put_slice(b"\r\n");
    }
    body.put_slice(format!("--{boundary}--\r\n").as_bytes());
    body.freeze()
}

/// Every line ends with CRLF.
fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

fn escaped(name: &str) -> String {
    name.replace('\n', "%0A").replace('\r', "%0D").replace('"', "%22")
}

/// The entries of a form, or `None` where the body is not one.
///
/// What stands before the first boundary and behind the last is left out.
pub(super) fn decode(body: &Bytes, boundary: &str) -> Option<Vec<Part>> {
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = if body.starts_with(&delimiter) {
        body.slice(delimiter.len()..)
    } else {
        let separator = [b"\r\n", &delimiter[..]].concat();
        body.slice(find(body, &separator)? + separator.len()..)
    };
    let separator = [b"\r\n", &delimiter[..]].concat();
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        let head = after_line(&rest)?;
        let (headers, content) = read_headers(head)?;
        let end = find(&content, &separator)?;
        let (name, file_name) = headers.disposition?;
        let bytes = content.slice(..end);
        let content_of_part = match file_name {
            Some(file_name) => {
                let kind = headers.kind.unwrap_or_else(|| "text/plain".to_owned());
                Content::File { name: file_name, kind: Some(kind), bytes }
            }
            None => Content::Text(encoding_rs::UTF_8.decode_without_bom_handling(&bytes).0.into_owned()),
        };
        parts.push(Part { name, content: content_of_part });
        rest = content.slice(end + separator.len()..);
    }
}

/// What follows the rest of a boundary's line.
fn after_line(rest: &Bytes) -> Option<Bytes> {
    let end = find(rest, b"\r\n")?;
    let padding = rest[..end].iter().all(|byte| matches!(byte, b' ' | b'\t'));
    padding.then(|| rest.slice(end + 2..))
}

#[derive(Default)]
struct Headers {
    /// The name, and the name of the file.
    disposition: Option<(String, Option<String>)>,
    kind: Option<String>,
}

/// The headers of a part, and what follows them.
fn read_headers(mut rest: Bytes) -> Option<(Headers, Bytes)> {
    let mut headers = Headers::default();
    loop {
        let end = find(&rest, b"\r\n")?;
        let line = rest.slice(..end);
        rest = rest.slice(end + 2..);
        if line.is_empty() {
            return Some((headers, rest));
        }
        let line = String::from_utf8_lossy(&line);
        let (name, value) = line.split_once(':')?;
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" => headers.disposition = Some(disposition(value)?),
            "content-type" => headers.kind = Some(value.to_owned()),
            _ => {}
        }
    }
}

/// `form-data; name="…"`, and perhaps `; filename="…"`.
fn disposition(value: &str) -> Option<(String, Option<String>)> {
    let kind = value.get(..9)?;
    let mut rest = value.get(9..)?;
    if !kind.eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut file_name) = (None, None);
    while let Some(parameter) = rest.trim_start_matches([' ', '\t']).strip_prefix(';') {
        let (key, after) = parameter.split_once('=')?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(';').unwrap_or(after.len())),
        };
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => name = Some(unescaped(value)),
            "filename" => file_name = Some(unescaped(value)),
            _ => {}
        }
        rest = after;
    }
    Some((name?, file_name))
}

fn unescaped(name: &str) -> String {
    name.replace("%0A", "\n").replace("%0D", "\r").replace("%22", "\"")
}

/// Where `wanted` stands first.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    loop {
        let at = from + bytes.get(from..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Part {
        Part { name: name.to_owned(), content: Content::Text(text.to_owned()) }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = Content::File {
            name: "a \"b\".png".to_owned(),
            kind: Some("image/png".to_owned()),
            bytes: Bytes::from_static(b"\r\n--B\0\xff"),
        };
        let parts = [text("a\n\"b\"", "1\r\n--x"), text("a", "é"), Part { name: "f".to_owned(), content: file }];
        let read = decode(&encode(&parts, "Boundary"), "Boundary").unwrap();
        assert_eq!(read[0], text("a\r\n\"b\"", "1\r\n--x"));
        assert_eq!(read[1..], parts[1..]);
        assert_eq!(decode(&encode(&[], "B"), "B").unwrap(), []);
    }

    #[test]
    fn what_is_cut_short_or_names_nothing_is_no_form() {
        let whole = encode(&[text("a", "1")], "B");
        for end in 0..whole.len() - 4 {
            assert_eq!(decode(&whole.slice(..end), "B"), None, "{end}");
        }
        for body in ["--B\r\n\r\n1\r\n--B--", "--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--", "--Bx\r\n"] {
            assert_eq!(decode(&Bytes::from(body), "B"), None, "{body:?}");
        }
    }

    #[test]
    fn other_headers_and_what_stands_around_the_parts_are_left_out() {
        let body = "before\r\n--B \r\nX: y\r\ncontent-disposition:form-data;name=a\r\n\r\n1\r\n--B--\r\nafter";
        assert_eq!(decode(&Bytes::from(body), "B").unwrap(), [text("a", "1")]);
    }
}
