//! Which responses belong to one visitor, and who that is. Pure but for keeping the key.
//!
//! A browser's store has one user; this one has many. See "one store, many visitors" in the docs.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use url::Url;
use waystore::{CredentialHash, HeaderList, Visitor};

use super::patterns::{Globs, Names};

/// The key under which visitors are hashed: random, so that nobody outside can tell whose an entry is.
pub(crate) type Key = [u8; 32];

/// The key's file in the data directory.
const KEY_FILE: &str = "visitor.key";

/// What makes a response personal.
#[derive(Debug, Clone)]
pub(crate) struct Personal {
    key: Key,
    ignored: Names,
    shared: Globs,
}

/// Why a response belongs to one visitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Cause {
    /// The request carried this cookie, which is not ignored.
    Cookie(String),
    /// The request carried `Authorization`.
    Authorization,
    /// The response sets a cookie.
    SetCookie,
    /// The response varies by cookie.
    VaryCookie,
    /// The response says `Cache-Control: private`.
    Private,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cookie(name) => write!(f, "the request's cookie `{name}`"),
            Self::Authorization => f.write_str("the request's Authorization"),
            Self::SetCookie => f.write_str("the response's Set-Cookie"),
            Self::VaryCookie => f.write_str("the response's Vary: Cookie"),
            Self::Private => f.write_str("the response's Cache-Control: private"),
        }
    }
}

impl Personal {
    pub(crate) fn new(key: Key, ignored: Names, shared: Globs) -> Self {
        Self { key, ignored, shared }
    }

    /// Who asks, by the headers of the request and the random number of its event.
    pub(crate) fn visitor(&self, shown: &HeaderList, hidden: &HeaderList, event: u128) -> Visitor {
        // Random already: a hash of it would tell no less.
        Visitor { credentials: self.credentials([shown, hidden]), event: CredentialHash(event.to_le_bytes()) }
    }

    /// The hash of everything in `lists` that identifies somebody.
    pub(crate) fn credentials<'a>(&self, lists: impl IntoIterator<Item = &'a HeaderList>) -> Option<CredentialHash> {
        let mut identifying: Vec<Vec<u8>> = Vec::new();
        for list in lists {
            identifying.extend(self.cookies(list).map(|cookie| [b"c", cookie].concat()));
            identifying.extend(list.values("authorization").map(|value| [b"a", value].concat()));
        }
        // Browsers do not promise an order.
        identifying.sort();
        if identifying.is_empty() {
            return None;
        }
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        hash.update(b"visitor");
        for item in &identifying {
            hash.update(&(item.len() as u64).to_le_bytes()).update(item);
        }
        Some(short(&hash))
    }

    /// Why the response to a request that was `sent` with these headers to `url` belongs to whoever sent it, if it does.
    ///
    /// What the response says of itself counts always; what lies in the request can be overruled by the
    /// response, or by the configuration.
    pub(crate) fn cause(&self, url: &Url, sent: &HeaderList, response: &HeaderList) -> Option<Cause> {
        if response.contains("set-cookie") {
            return Some(Cause::SetCookie);
        }
        if lists(response, "vary", |name| name.eq_ignore_ascii_case(b"cookie")) {
            return Some(Cause::VaryCookie);
        }
        // With field names (`private="x-id"`) too: this store keeps a response whole or not.
        if lists(response, "cache-control", |directive| is_directive(directive, "private")) {
            return Some(Cause::Private);
        }
        let public = |directive: &[u8]| is_directive(directive, "public") || is_directive(directive, "s-maxage");
        if lists(response, "cache-control", public) || self.shared.matches(url.path()) {
            return None;
        }
        if sent.contains("authorization") {
            return Some(Cause::Authorization);
        }
        let cookie = self.cookies(sent).next()?;
        let name = cookie.split(|byte| *byte == b'=').next().unwrap_or_default();
        Some(Cause::Cookie(String::from_utf8_lossy(name).into_owned()))
    }

    /// The cookies of a list that identify somebody.
    fn cookies<'a>(&'a self, list: &'a HeaderList) -> impl Iterator<Item = &'a [u8]> {
        let pairs = list.values("cookie").flat_map(|value| value.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
        pairs.filter(|pair| {
            let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
            !pair.is_empty() && !self.ignored.contains(name)
        })
    }
}

/// Whether a list-valued header has a member that `is` what is looked for.
fn lists(headers: &HeaderList, name: &str, is: impl Fn(&[u8]) -> bool) -> bool {
    headers.values(name).flat_map(|value| value.split(|byte| *byte == b',')).any(|member| is(member.trim_ascii()))
}

fn is_directive(member: &[u8], name: &str) -> bool {
    let word = member.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
    word.eq_ignore_ascii_case(name.as_bytes())
}

fn short(hash: &blake3::Hasher) -> CredentialHash {
    let mut bytes = [0; 16];
    hash.finalize_xof().fill(&mut bytes);
    CredentialHash(bytes)
}

/// The key kept in `directory`, made with `random` where there is none.
///
/// # Errors
///
/// It cannot be read or written, or is not a key.
pub(crate) fn keep_key(directory: &Path, random: impl Fn() -> u128) -> io::Result<Key> {
    let path = directory.join(KEY_FILE);
    match fs::File::open(&path) {
        Ok(mut file) => {
            let mut key = [0; 32];
            file.read_exact(&mut key)?;
            return Ok(key);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let key = new_key(random);
    let temporary = directory.join(format!("{KEY_FILE}.new"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&key)?;
    // Synced before the rename: otherwise a power loss can leave the name on an empty file.
    file.sync_all()?;
    fs::rename(&temporary, &path)?;
    Ok(key)
}

pub(crate) fn new_key(random: impl Fn() -> u128) -> Key {
    let mut key = [0; 32];
    key[..16].copy_from_slice(&random().to_le_bytes());
    key[16..].copy_from_slice(&random().to_le_bytes());
    key
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn list(headers: &[(&str, &str)]) -> HeaderList {
        headers.iter().copied().collect()
    }

    fn personal(shared: &[&str]) -> Personal {
        Personal::new([7; 32], Names::new(["_ga*"]), Globs::new(shared.iter().copied()))
    }

    fn cause(sent: &[(&str, &str)], response: &[(&str, &str)]) -> Option<Cause> {
        let url = Url::parse("https://shop.example/assets/a.css").unwrap();
        personal(&[]).cause(&url, &list(sent), &list(response))
    }

    #[test]
    fn a_response_to_a_cookie_that_is_not_ignored_is_personal() {
        assert_eq!(cause(&[("cookie", "_ga=1; sid=2")], &[]), Some(Cause::Cookie("sid".into())));
        assert_eq!(cause(&[("cookie", "_ga=1; _gat_x=2;")], &[]), None);
        assert_eq!(cause(&[("authorization", "Basic x")], &[]), Some(Cause::Authorization));
        assert_eq!(cause(&[], &[]), None);
    }

    #[test]
    fn g7_w70_what_a_response_says_of_itself_makes_it_personal() {
        assert_eq!(cause(&[], &[("set-cookie", "a=1")]), Some(Cause::SetCookie));
        assert_eq!(cause(&[], &[("vary", "Accept, COOKIE")]), Some(Cause::VaryCookie));
        assert_eq!(cause(&[], &[("cache-control", "max-age=1, Private")]), Some(Cause::Private));
        assert_eq!(cause(&[], &[("vary", "accept"), ("cache-control", "no-cache")]), None);
    }

    #[test]
    fn the_origin_or_the_configuration_overrules_the_request_but_not_the_response() {
        let cookie = [("cookie", "sid=2")];
        assert_eq!(cause(&cookie, &[("cache-control", "public")]), None);
        assert_eq!(cause(&cookie, &[("cache-control", "S-MaxAge=5")]), None);
        assert_eq!(cause(&cookie, &[("cache-control", "public"), ("set-cookie", "a=1")]), Some(Cause::SetCookie));
        let assets = personal(&["/assets/**"]);
        let url = |path| Url::parse(&format!("https://shop.example{path}")).unwrap();
        assert_eq!(assets.cause(&url("/assets/a.css"), &list(&cookie), &list(&[])), None);
        assert!(assets.cause(&url("/account"), &list(&cookie), &list(&[])).is_some());
        assert!(assets.cause(&url("/assets/a.css"), &list(&cookie), &list(&[("vary", "cookie")])).is_some());
    }

    #[test]
    fn a_visitor_is_what_identifies_them_in_any_order() {
        let personal = personal(&[]);
        let of = |cookie: &str| personal.credentials([&list(&[("cookie", cookie)])]);
        assert_eq!(of("a=1; b=2"), of("b=2;a=1; _gax=9"));
        assert_ne!(of("a=1"), of("a=2"));
        assert_ne!(of("a=1; b=2"), of("a=1"));
        assert_eq!(of("_ga=1"), None);
        assert_ne!(of("x"), personal.credentials([&list(&[("authorization", "x")])]));
    }

    #[test]
    fn visitors_without_credentials_are_their_events() {
        let one = personal(&[]).visitor(&list(&[]), &list(&[]), 1);
        let two = personal(&[]).visitor(&list(&[]), &list(&[]), 2);
        assert!(one.credentials.is_none() && one.event != two.event && one.mark() == one.event);
        assert_eq!(personal(&[]).visitor(&list(&[]), &list(&[("cookie", "a=1")]), 1).event, one.event);
    }

    #[test]
    fn the_key_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let made = keep_key(folder.path(), || 5).unwrap();
        assert_eq!(keep_key(folder.path(), || 6).unwrap(), made);
        let mode = fs::metadata(folder.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(folder.path().join(KEY_FILE), "short").unwrap();
        assert!(keep_key(folder.path(), || 5).is_err());
    }
}
