//! Lists of URLs as people and sites keep them: a text with a URL a line, a sitemap, an index of sitemaps. Each may
//! be packed with gzip.
//!
//! Knows bytes: no network, no origin, no plan. Sitemaps: <https://www.sitemaps.org/protocol.html>

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use quick_xml::{Reader, events::Event};

/// The longest list, unpacked: what the protocol of sitemaps allows.
pub(crate) const LIST_BYTES: usize = 50 * 1024 * 1024;
/// Sitemaps that an index may name: what the protocol allows.
const MOST_LISTED: usize = 50_000;
/// The longest URL of a list.
const URL_BYTES: usize = 8 * 1024;
/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// What a list says, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) urls: Vec<String>,
    /// Further lists: those of an index.
    pub(crate) lists: Vec<String>,
}

/// Reads a list, of at most `most` URLs.
///
/// # Errors
///
/// It is none, in words that go on from its name.
pub(crate) fn read(bytes: &[u8], most: usize) -> Result<Listed, String> {
    let unpacked;
    let bytes = if bytes.starts_with(&GZIP) {
        unpacked = unpack(bytes)?;
        &unpacked
    } else {
        bytes
    };
    if bytes.len() > LIST_BYTES {
        return Err(format!("is longer than {LIST_BYTES} bytes"));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8 at byte {}", error.valid_up_to()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let listed = Listed::default();
    if text.trim_start().starts_with('<') { sitemap(text, listed, most) } else { lines(text, listed, most) }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let room = LIST_BYTES as u64 + 1;
    let read = MultiGzDecoder::new(bytes).take(room).read_to_end(&mut unpacked);
    read.map_err(|error| format!("begins like gzip and is not: {error}"))?;
    Ok(unpacked)
}

/// A URL a line; what begins with `#` is a remark.
fn lines(text: &str, mut listed: Listed, most: usize) -> Result<Listed, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        add(&mut listed.urls, line, most)?;
    }
    Ok(listed)
}

fn sitemap(text: &str, mut listed: Listed, most: usize) -> Result<Listed, String> {
    let mut reader = Reader::from_str(text);
    let mut place = Place::default();
    loop {
        let event = reader.read_event();
        match event.map_err(|error| format!("is not XML at byte {}: {error}", reader.error_position()))? {
            Event::Start(tag) => place.enter(tag.local_name().as_ref())?,
            Event::End(_) => place.leave(&mut listed, most)?,
            Event::Empty(tag) => {
                place.enter(tag.local_name().as_ref())?;
                place.leave(&mut listed, most)?;
            }
            Event::Text(text) => place.text(&text)?,
            Event::CData(text) => place.text(&text)?,
            Event::GeneralRef(name) => place.text(&entity(&name)?)?,
            Event::Eof if place.depth > 0 => return Err("ends in the middle of an element".to_owned()),
            Event::Eof => return Ok(listed),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// The characters that a reference in XML stands for; `name` is without its `&` and `;`.
fn entity(name: &str) -> Result<String, String> {
    let known = |name: &str| match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    };
    known(name).map(String::from).ok_or_else(|| format!("has `&{name};`, which stands for nothing"))
}

/// Where in a sitemap: the root, one of its items, the item's `loc`. What is deeper, or beside, is passed over:
/// `image:loc` and its kin are no pages.
#[derive(Debug, Default)]
struct Place {
    depth: usize,
    is_index: bool,
    in_item: bool,
    /// The text of the `loc` that is read.
    loc: Option<String>,
}

impl Place {
    fn enter(&mut self, name: &str) -> Result<(), String> {
        self.depth += 1;
        match (self.depth, name) {
            (1, "urlset") => self.is_index = false,
            (1, "sitemapindex") => self.is_index = true,
            (1, other) => {
                return Err(format!("is XML whose root is `{other}`, and a sitemap's is `urlset` or `sitemapindex`"));
            }
            (2, name) => self.in_item = name == if self.is_index { "sitemap" } else { "url" },
            (3, "loc") if self.in_item => self.loc = Some(String::new()),
            _ => {}
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        let Some(loc) = self.loc.as_mut().filter(|_| self.depth == 3) else { return Ok(()) };
        loc.push_str(text);
        if loc.len() > 2 * URL_BYTES { Err(too_long()) } else { Ok(()) }
    }

    fn leave(&mut self, listed: &mut Listed, most: usize) -> Result<(), String> {
        self.depth = self.depth.saturating_sub(1);
        let loc = if self.depth == 2 { self.loc.take() } else { None };
        match loc.as_deref().map(str::trim) {
            None | Some("") => Ok(()),
            Some(loc) if self.is_index => add(&mut listed.lists, loc, MOST_LISTED),
            Some(loc) => add(&mut listed.urls, loc, most),
        }
    }
}

fn add(urls: &mut Vec<String>, url: &str, most: usize) -> Result<(), String> {
    if url.len() > URL_BYTES {
        return Err(too_long());
    }
    if urls.len() >= most {
        return Err(format!("has more than {most} URLs"));
    }
    urls.push(url.to_owned());
    Ok(())
}

fn too_long() -> String {
    format!("has a URL of more than {URL_BYTES} bytes")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn urls(text: &str) -> Vec<String> {
        let listed = read(text.as_bytes(), 100).unwrap();
        assert!(listed.lists.is_empty());
        listed.urls
    }

    fn wrong(text: &[u8]) -> String {
        read(text, 3).unwrap_err()
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn a_text_has_a_url_a_line_and_remarks() {
        assert_eq!(
            urls("\u{feff}/a\r\n\n  # a remark\n /b?c#d \nhttps://a.test/"),
            ["/a", "/b?c#d", "https://a.test/"]
        );
        assert_eq!(urls(""), [""; 0]);
    }

    #[test]
    fn a_sitemap_has_the_locations_of_its_pages_and_not_those_of_their_pictures() {
        let text = r#"<?xml version="1.0"?><!-- x --><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
            <url><loc>
              https://a.test/?x=1&amp;y=&#50;&#x33;</loc><lastmod>2020</lastmod></url>
            <url><image:image><image:loc>https://a.test/x.png</image:loc></image:image><loc><![CDATA[https://a.test/<]]></loc></url>
            <other><loc>https://a.test/no</loc></other><url><loc/></url><url/>
            </urlset>"#;
        assert_eq!(urls(text), ["https://a.test/?x=1&y=23", "https://a.test/<"]);
    }

    #[test]
    fn an_index_has_further_lists_and_may_be_packed() {
        let index = "<s:sitemapindex xmlns:s='x'><s:sitemap><s:loc>https://a.test/1.xml.gz</s:loc></s:sitemap></s:sitemapindex>";
        let listed = Listed { lists: vec!["https://a.test/1.xml.gz".into()], ..Listed::default() };
        assert_eq!(read(&packed(index.as_bytes()), 1), Ok(listed));
    }

    #[test]
    fn what_is_no_list_is_told_with_its_reason() {
        assert!(wrong(b"<html><body>404</body></html>").contains("root is `html`"));
        assert!(wrong(b"<urlset><url>").contains("ends in the middle"));
        assert!(wrong(b"<urlset></other></urlset>").contains("is not XML at byte"));
        assert!(wrong(b"<urlset><url><loc>&bomb;</loc></url></urlset>").contains("`&bomb;`"));
        assert!(wrong(b"/a\n\xff").contains("is not UTF-8 at byte 3"));
        assert!(wrong(b"\x1f\x8bnot gzip").contains("begins like gzip and is not"));
    }

    #[test]
    fn a_list_has_its_bounds() {
        assert_eq!(wrong(b"/1\n/2\n/3\n/4"), "has more than 3 URLs");
        assert!(wrong(&[b'a'; URL_BYTES + 1]).contains("8192 bytes"));
        let endless = format!("<urlset><url><loc>{}</loc></url></urlset>", "a".repeat(URL_BYTES + 1));
        assert!(wrong(endless.as_bytes()).contains("8192 bytes"));
        // A few kilobytes that unpack to more than there may be.
        assert!(wrong(&packed(&vec![b'\n'; LIST_BYTES + 1])).contains("is longer than"));
    }

    #[test]
    fn deep_nesting_is_no_trouble() {
        let deep = format!("<urlset>{}{}</urlset>", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(urls(&deep), [""; 0]);
    }
}
