//! An entry's two heads in the one form that every store keeps (`docs/format.md`, "Entry").
//!
//! Encodes on the way in; on the way out, gives what matching needs straight from the bytes and
//! decodes the rest only when asked. Bytes may come from a damaged or hostile file: every length is
//! checked once, in [`Entry::parse`].

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use http::Method;
use url::Url;

use crate::{
    CredentialHash, Destination, Error, HeaderList, Referrer, ReferrerPolicy, RequestCache, RequestCredentials,
    RequestHead, RequestMode, RequestRedirect, ResponseHead, ResponseType, Result, response,
};

/// The only version there is.
const VERSION: u8 = 1;
/// Bytes before the sections.
const FIXED: usize = 12 + 16 + 4 * SECTIONS;
/// The sections, each with a length of four bytes in the fixed part.
const SECTIONS: usize = 9;

// What each section holds, in order.
const URL: usize = 0;
const METHOD: usize = 1;
const REFERRER: usize = 2;
const INTEGRITY: usize = 3;
const REQUEST_HEADERS: usize = 4;
const STATUS_TEXT: usize = 5;
const URL_LIST: usize = 6;
const EXPOSED_HEADERS: usize = 7;
const RESPONSE_HEADERS: usize = 8;

// The bits of the flags byte.
const KEEPALIVE: u8 = 1;
const RELOAD: u8 = 1 << 1;
const HISTORY: u8 = 1 << 2;
const RANGE_REQUESTED: u8 = 1 << 3;
const WITH_CREDENTIALS: u8 = 1 << 4;
const PERSONAL: u8 = 1 << 5;
const NO_REFERRER: u8 = 1 << 6;
const PINNED: u8 = 1 << 7;

/// Where the flags and the padding stand in the fixed part.
const FLAGS: usize = 1;
const PADDING: usize = 9;
const NO_PADDING: u8 = 0;

/// The heads of a request and its response, encoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    bytes: Bytes,
    /// Where each section ends.
    ends: [u32; SECTIONS],
}

impl Entry {
    /// Encodes two heads.
    pub fn new(request: &RequestHead, response: &ResponseHead) -> Self {
        let url_list = lines(response.url_list.iter().map(Url::as_str));
        let exposed = lines(response.exposed_headers.iter().map(String::as_str));
        let referrer = match &request.referrer {
            Referrer::Url(url) => url.as_str(),
            Referrer::NoReferrer | Referrer::Client => "",
        };
        let sections: [&[u8]; SECTIONS] = [
            request.url.as_str().as_bytes(),
            request.method.as_str().as_bytes(),
            referrer.as_bytes(),
            request.integrity.as_bytes(),
            request.headers.as_encoded(),
            &response.status_text,
            url_list.as_bytes(),
            exposed.as_bytes(),
            response.headers.as_encoded(),
        ];
        let length = FIXED + sections.iter().map(|section| section.len()).sum::<usize>();
        let mut bytes = BytesMut::with_capacity(length);
        bytes.put_slice(&[
            VERSION,
            flags(request, response),
            request.mode as u8,
            request.credentials as u8,
            request.cache as u8,
            request.redirect as u8,
            request.referrer_policy as u8,
            request.destination as u8,
            response.kind as u8,
            NO_PADDING,
        ]);
        bytes.put_u16_le(response.status);
        bytes.put_slice(&response.personal.map_or([0; 16], |hash| hash.0));
        let (mut ends, mut end) = ([0; SECTIONS], FIXED as u32);
        for (section, place) in sections.iter().zip(&mut ends) {
            let length = u32::try_from(section.len()).expect("heads are bounded by who parsed them");
            bytes.put_u32_le(length);
            end = end.checked_add(length).expect("heads are bounded by who parsed them");
            *place = end;
        }
        for section in sections {
            bytes.put_slice(section);
        }
        let entry = Self { bytes: bytes.freeze(), ends };
        debug_assert!(Self::parse(entry.bytes.clone()).is_ok_and(|parsed| parsed == entry), "it cannot be decoded");
        entry
    }

    /// The same entry with this padding: what is counted beside its length, in steps, so that usage does
    /// not tell how long it is. 0 is none, and *n* adds up to *n* steps of 64 KiB.
    #[must_use]
    pub fn with_padding(self, padding: u8) -> Self {
        let mut bytes = BytesMut::from(self.bytes);
        bytes[PADDING] = padding;
        Self { bytes: bytes.freeze(), ends: self.ends }
    }

    /// See [`with_padding`](Self::with_padding).
    pub fn padding(&self) -> u8 {
        self.bytes[PADDING]
    }

    /// The same entry, pinned: no budget evicts it.
    #[must_use]
    pub fn pinned(self) -> Self {
        let mut bytes = BytesMut::from(self.bytes);
        bytes[FLAGS] |= PINNED;
        Self { bytes: bytes.freeze(), ends: self.ends }
    }

    /// See [`pinned`](Self::pinned).
    pub fn is_pinned(&self) -> bool {
        self.bytes[FLAGS] & PINNED != 0
    }

    /// Takes an encoded entry, after a check of every length and number in it.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]: it is not one.
    pub fn parse(bytes: Bytes) -> Result<Self> {
        let damaged = |detail: &str| Error::Damaged { detail: format!("entry: {detail}") };
        let fixed = bytes.get(..FIXED).ok_or_else(|| damaged("shorter than its fixed part"))?;
        if fixed[0] != VERSION {
            return Err(damaged("of an unknown version"));
        }
        let mut ends = [0; SECTIONS];
        let mut end = FIXED as u32;
        for (slot, length) in ends.iter_mut().zip(fixed[28..].chunks_exact(4)) {
            let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
            end = end.checked_add(length).ok_or_else(|| damaged("section lengths overflow"))?;
            *slot = end;
        }
        if bytes.len() != end as usize {
            return Err(damaged("section lengths do not add up"));
        }
        let entry = Self { bytes, ends };
        for texts in [URL..=INTEGRITY, URL_LIST..=EXPOSED_HEADERS] {
            // They stand one after the other, and are ASCII mostly.
            let all = entry.range(*texts.start()).start..entry.range(*texts.end()).end;
            let is_text = |section: usize| std::str::from_utf8(entry.section(section)).is_ok();
            if !entry.bytes[all].is_ascii() && !texts.into_iter().all(is_text) {
                return Err(damaged("text that is not UTF-8"));
            }
        }
        ResponseType::from_stored(entry.bytes[8]).ok_or_else(|| damaged("an unknown response type"))?;
        for headers in [REQUEST_HEADERS, RESPONSE_HEADERS] {
            if !HeaderList::is_encoded(entry.section(headers)) {
                return Err(damaged("header lengths do not add up"));
            }
        }
        Ok(entry)
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The request's serialised URL, fragment included.
    pub fn url(&self) -> &str {
        self.text(URL)
    }

    /// The request's method.
    pub fn method(&self) -> &str {
        self.text(METHOD)
    }

    /// The request's header list.
    pub fn request_headers(&self) -> HeaderList {
        self.header_list(REQUEST_HEADERS)
    }

    /// The response's internal header list.
    pub fn response_headers(&self) -> HeaderList {
        self.header_list(RESPONSE_HEADERS)
    }

    /// The response's type.
    pub fn kind(&self) -> ResponseType {
        ResponseType::from_stored(self.bytes[8]).unwrap_or_default()
    }

    /// The response's internal status.
    pub fn status(&self) -> u16 {
        u16::from_le_bytes([self.bytes[10], self.bytes[11]])
    }

    /// Whom the response belongs to, where it is not for everybody.
    pub fn personal(&self) -> Option<CredentialHash> {
        let mut hash = [0; 16];
        hash.copy_from_slice(&self.bytes[12..28]);
        (self.bytes[1] & PERSONAL != 0).then_some(CredentialHash(hash))
    }

    /// Whether the response shows the header `name` to script.
    pub(crate) fn shows_header(&self, name: &[u8]) -> bool {
        response::shows_header(self.kind(), self.lines(EXPOSED_HEADERS), name)
    }

    /// Decodes the request's head.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]: a URL, method or number in it is none.
    pub fn request(&self) -> Result<RequestHead> {
        let flag = |bit: u8| self.bytes[1] & bit != 0;
        let referrer = match self.text(REFERRER) {
            "" if flag(NO_REFERRER) => Referrer::NoReferrer,
            "" => Referrer::Client,
            url => Referrer::Url(Box::new(parse_url(url)?)),
        };
        Ok(RequestHead {
            url: parse_url(self.url())?,
            method: Method::from_bytes(self.section(METHOD)).map_err(|_| self.damaged("a method"))?,
            headers: self.request_headers(),
            mode: RequestMode::from_stored(self.bytes[2]).ok_or_else(|| self.damaged("a mode"))?,
            credentials: RequestCredentials::from_stored(self.bytes[3]).ok_or_else(|| self.damaged("credentials"))?,
            cache: RequestCache::from_stored(self.bytes[4]).ok_or_else(|| self.damaged("a cache mode"))?,
            redirect: RequestRedirect::from_stored(self.bytes[5]).ok_or_else(|| self.damaged("a redirect mode"))?,
            referrer,
            referrer_policy: ReferrerPolicy::from_stored(self.bytes[6]).ok_or_else(|| self.damaged("a policy"))?,
            integrity: self.text(INTEGRITY).to_owned(),
            keepalive: flag(KEEPALIVE),
            destination: Destination::from_stored(self.bytes[7]).ok_or_else(|| self.damaged("a destination"))?,
            is_reload_navigation: flag(RELOAD),
            is_history_navigation: flag(HISTORY),
        })
    }

    /// Decodes the response's head.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`]: a URL in it is none.
    pub fn response(&self) -> Result<ResponseHead> {
        self.response_with(parse_url)
    }

    /// The same, for a look-up of `asked`: most responses came from the very URL that is looked for, and copying that
    /// costs less than parsing its text once more.
    pub(crate) fn response_to(&self, asked: &Url) -> Result<ResponseHead> {
        self.response_with(|url| if url == asked.as_str() { Ok(asked.clone()) } else { parse_url(url) })
    }

    fn response_with(&self, parse: impl Fn(&str) -> Result<Url>) -> Result<ResponseHead> {
        Ok(ResponseHead {
            kind: self.kind(),
            url_list: self.lines(URL_LIST).map(parse).collect::<Result<_>>()?,
            status: self.status(),
            status_text: self.slice(STATUS_TEXT),
            headers: self.response_headers(),
            exposed_headers: self.lines(EXPOSED_HEADERS).map(str::to_owned).collect(),
            range_requested: self.bytes[1] & RANGE_REQUESTED != 0,
            request_includes_credentials: self.bytes[1] & WITH_CREDENTIALS != 0,
            personal: self.personal(),
        })
    }

    fn header_list(&self, index: usize) -> HeaderList {
        HeaderList::from_encoded(self.slice(index)).unwrap_or_default()
    }

    fn text(&self, index: usize) -> &str {
        std::str::from_utf8(self.section(index)).unwrap_or_default()
    }

    /// What [`lines`] joined. Nothing else separates: a line may end in a carriage return.
    fn lines(&self, index: usize) -> impl Iterator<Item = &str> {
        self.text(index).split('\n').filter(|line| !line.is_empty())
    }

    fn section(&self, index: usize) -> &[u8] {
        &self.bytes[self.range(index)]
    }

    fn slice(&self, index: usize) -> Bytes {
        self.bytes.slice(self.range(index))
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).map_or(FIXED as u32, |before| self.ends[before]);
        start as usize..self.ends[index] as usize
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { detail: format!("entry for `{}`: {what} that is none", self.url()) }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("url", &self.url()).field("status", &self.status()).finish_non_exhaustive()
    }
}

fn flags(request: &RequestHead, response: &ResponseHead) -> u8 {
    [
        (request.keepalive, KEEPALIVE),
        (request.is_reload_navigation, RELOAD),
        (request.is_history_navigation, HISTORY),
        (response.range_requested, RANGE_REQUESTED),
        (response.request_includes_credentials, WITH_CREDENTIALS),
        (response.personal.is_some(), PERSONAL),
        (request.referrer == Referrer::NoReferrer, NO_REFERRER),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |flags, (_, bit)| flags | bit)
}

/// Joins what holds no line feed: serialised URLs, header names.
fn lines<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.collect::<Vec<_>>().join("\n")
}

fn parse_url(url: &str) -> Result<Url> {
    Url::parse(url).map_err(|error| Error::Damaged { detail: format!("entry: `{url}` is not a URL: {error}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> (RequestHead, ResponseHead) {
        let request = RequestHead {
            headers: [("a", "1")].into_iter().collect(),
            credentials: RequestCredentials::Omit,
            cache: RequestCache::Reload,
            mode: RequestMode::Navigate,
            destination: Destination::Document,
            referrer: Referrer::Url(Box::new(Url::parse("https://a.test/from").unwrap())),
            integrity: "sha256-x".into(),
            is_reload_navigation: true,
            ..RequestHead::get(Url::parse("https://a.test/x?q#f").unwrap())
        };
        let response = ResponseHead {
            kind: ResponseType::Cors,
            url_list: vec![Url::parse("https://a.test/x").unwrap(), Url::parse("https://a.test/y").unwrap()],
            status: 404,
            status_text: Bytes::from_static(b"Odd \xE9"),
            headers: [("X-A", "1"), ("x-a", "2")].into_iter().collect(),
            exposed_headers: vec!["x-a".into(), "x-b".into()],
            range_requested: true,
            request_includes_credentials: true,
            personal: Some(CredentialHash([7; 16])),
        };
        (request, response)
    }

    #[test]
    fn e150_e159_every_field_survives() {
        let (request, response) = entry();
        let stored = Entry::new(&request, &response);
        let read = Entry::parse(stored.as_bytes().clone()).unwrap();
        assert_eq!(read.request().unwrap(), request);
        assert_eq!(read.response().unwrap(), response);
    }

    #[test]
    fn a_response_has_its_own_urls_whatever_was_looked_for() {
        let (request, response) = entry();
        let stored = Entry::new(&request, &response);
        for asked in ["https://a.test/y", "https://a.test/y#f", "https://b.test/"] {
            assert_eq!(stored.response_to(&Url::parse(asked).unwrap()).unwrap(), response);
        }
    }

    #[test]
    fn padding_changes_nothing_else() {
        let (request, response) = entry();
        let stored = Entry::parse(Entry::new(&request, &response).with_padding(200).as_bytes().clone()).unwrap();
        assert_eq!(stored.padding(), 200);
        assert_eq!((stored.request().unwrap(), stored.response().unwrap()), (request, response));
    }

    #[test]
    fn whatever_byte_is_changed_or_cut_nothing_panics() {
        let (request, response) = entry();
        let good = Entry::new(&request, &response).as_bytes().clone();
        for cut in 0..good.len() {
            assert!(Entry::parse(good.slice(..cut)).is_err(), "cut to {cut}");
        }
        for index in 0..good.len() {
            let mut bad = good.to_vec();
            bad[index] ^= 0xA5;
            if let Ok(entry) = Entry::parse(bad.into()) {
                let _ = (entry.request(), entry.response(), entry.personal());
            }
        }
    }
}
