//! A folder of files as the origin.
//!
//! Serves what lies inside the folder, symbolic links included as long as they stay inside. Names that
//! begin with a dot are not served, except `.well-known`. There are no listings. A folder that is gone is
//! an origin that cannot be reached, which is not the same as a file that is not there.

use std::{
    fs::{self, Metadata},
    io::{self, Read, Seek, SeekFrom},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode};
use tokio::io::AsyncReadExt;
use url::Url;
use waystore::{Body, FetchError, HeaderList};

use super::{
    range::{self, Asked},
    stream::{CHUNK_BYTES, exactly},
};

/// Files up to this size are read at once: a stream costs more than they are.
const SMALL_BYTES: u64 = CHUNK_BYTES as u64;

/// A folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    root: PathBuf,
    /// In their canonical form.
    hidden: Vec<PathBuf>,
}

/// What a folder answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderList,
    pub(crate) body: Option<Body>,
}

impl Answer {
    fn plain(status: StatusCode) -> Self {
        let text = format!("{status}\n");
        let length = text.len().to_string();
        let headers = [("content-type", "text/plain; charset=utf-8"), ("content-length", &length)];
        Self { status, headers: headers.into_iter().collect(), body: Some(Body::from(text)) }
    }
}

/// A file that was found and opened.
struct Found {
    file: fs::File,
    path: PathBuf,
    metadata: Metadata,
    /// The whole of a small one.
    bytes: Option<Vec<u8>>,
}

/// What a path leads to.
enum Place {
    File(Box<Found>),
    /// A folder, asked for without the slash at the end.
    Folder,
    Nothing,
    /// The whole folder is gone.
    Gone,
}

impl Folder {
    /// # Errors
    ///
    /// The current folder, which relative paths start at, is unknown.
    pub(crate) fn open(root: &Path, hidden: &[PathBuf]) -> io::Result<Self> {
        let canonical = |path: &PathBuf| path.canonicalize().or_else(|_| std::path::absolute(path));
        let hidden = hidden.iter().map(canonical).collect::<io::Result<_>>()?;
        Ok(Self { root: std::path::absolute(root)?, hidden })
    }

    /// Answers a request for `url` with what is there.
    ///
    /// # Errors
    ///
    /// The folder is gone.
    pub(crate) async fn answer(&self, method: &Method, url: &Url, headers: &HeaderList) -> Result<Answer, FetchError> {
        if method != Method::GET && method != Method::HEAD {
            let mut answer = Answer::plain(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers.append("allow", "GET, HEAD");
            return Ok(answer);
        }
        let Some(path) = path_of(url) else { return Ok(Answer::plain(StatusCode::NOT_FOUND)) };
        let folder = self.clone();
        let (whole, slash) = (method == Method::GET, url.path().ends_with('/'));
        let place = tokio::task::spawn_blocking(move || folder.look(&path, slash, whole)).await;
        let mut answer = match place {
            Ok(Ok(Place::File(found))) => file(*found, headers).await,
            Ok(Ok(Place::Folder)) => to_slash(url),
            Ok(Ok(Place::Nothing)) => Answer::plain(StatusCode::NOT_FOUND),
            Ok(Ok(Place::Gone)) => {
                return Err(FetchError::Network(format!("the folder `{}` is not there", self.root.display())));
            }
            Ok(Err(error)) => {
                tracing::warn!(path = url.path(), %error, "a file cannot be read");
                Answer::plain(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Err(_) => Answer::plain(StatusCode::INTERNAL_SERVER_ERROR),
        };
        if method == Method::HEAD {
            answer.body = None;
        }
        Ok(answer)
    }

    fn look(&self, path: &Path, slash: bool, whole: bool) -> io::Result<Place> {
        // Each time: the folder may go and come back, as any origin may.
        let Ok(root) = self.root.canonicalize() else { return Ok(Place::Gone) };
        match self.look_at(&root, &root.join(path), slash, whole) {
            Err(error) if is_absence(&error) => Ok(Place::Nothing),
            looked => looked,
        }
    }

    fn look_at(&self, root: &Path, path: &Path, slash: bool, whole: bool) -> io::Result<Place> {
        let mut path = path.canonicalize()?;
        if path.is_dir() {
            if !self.shows(root, &path) {
                return Ok(Place::Nothing);
            }
            let index = path.join("index.html");
            if !slash {
                return Ok(if index.is_file() { Place::Folder } else { Place::Nothing });
            }
            path = index.canonicalize()?;
        } else if slash {
            return Ok(Place::Nothing);
        }
        // After every link was followed: what a link leads out to is not served.
        if !self.shows(root, &path) {
            return Ok(Place::Nothing);
        }
        let mut file = fs::File::open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Place::Nothing);
        }
        let bytes = (whole && metadata.len() <= SMALL_BYTES).then(|| {
            let mut bytes = Vec::with_capacity(metadata.len() as usize);
            (&mut file).take(SMALL_BYTES).read_to_end(&mut bytes).map(|_| bytes)
        });
        Ok(Place::File(Box::new(Found { bytes: bytes.transpose()?, file, path, metadata })))
    }

    fn shows(&self, root: &Path, path: &Path) -> bool {
        path.starts_with(root) && !self.hidden.iter().any(|hidden| path.starts_with(hidden))
    }
}

/// The path inside a folder that a URL names, unless it can name none.
fn path_of(url: &Url) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for segment in url.path_segments()?.filter(|segment| !segment.is_empty()) {
        let name = percent_decoded(segment)?;
        if name.starts_with('.') && name != ".well-known" || name.contains(['/', '\\', '\0']) {
            return None;
        }
        path.push(name);
    }
    Some(path)
}

fn is_absence(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, PermissionDenied};
    let loops = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | InvalidFilename) || loops
}

fn to_slash(url: &Url) -> Answer {
    let mut answer = Answer::plain(StatusCode::MOVED_PERMANENTLY);
    // Relative, by the last name: an absolute path that begins with two slashes would lead to another host.
    let name = url.path().rsplit('/').next().unwrap_or_default();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    answer.headers.append("location", format!("./{name}/{query}"));
    answer
}

async fn file(mut found: Found, asked: &HeaderList) -> Answer {
    let length = found.bytes.as_ref().map_or(found.metadata.len(), |bytes| bytes.len() as u64);
    let modified = found.metadata.modified().unwrap_or(UNIX_EPOCH);
    let tag = entity_tag(modified, length);
    let mut headers = HeaderList::new();
    headers.append("content-type", content_type(&found.path));
    headers.append("etag", &tag);
    headers.append("last-modified", httpdate::fmt_http_date(modified));
    headers.append("accept-ranges", "bytes");
    if is_unchanged(asked, &tag, modified) {
        return Answer { status: StatusCode::NOT_MODIFIED, headers, body: None };
    }
    match range::asked(asked, &tag, length) {
        Asked::All => {}
        Asked::Part(part) => return partial(found, headers, part, length).await,
        Asked::Unsatisfiable => {
            let mut answer = Answer::plain(StatusCode::RANGE_NOT_SATISFIABLE);
            answer.headers.append("content-range", format!("bytes */{length}"));
            return answer;
        }
    }
    headers.append("content-length", length.to_string());
    let body = match found.bytes.take() {
        Some(bytes) => Body::from(bytes),
        None => exactly(tokio::fs::File::from_std(found.file).take(length), length),
    };
    Answer { status: StatusCode::OK, headers, body: Some(body) }
}

async fn partial(mut found: Found, mut headers: HeaderList, part: RangeInclusive<u64>, length: u64) -> Answer {
    let (start, end) = part.into_inner();
    let bytes = end - start + 1;
    headers.append("content-range", format!("bytes {start}-{end}/{length}"));
    headers.append("content-length", bytes.to_string());
    if found.file.seek(SeekFrom::Start(start)).is_err() {
        return Answer::plain(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let body = exactly(tokio::fs::File::from_std(found.file).take(bytes), bytes);
    Answer { status: StatusCode::PARTIAL_CONTENT, headers, body: Some(body) }
}

fn entity_tag(modified: SystemTime, length: u64) -> String {
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("\"{:x}-{length:x}\"", since.as_nanos())
}

/// Whether the client has this very file already. Spec: RFC 9110, section 13.2.2.
fn is_unchanged(asked: &HeaderList, tag: &str, modified: SystemTime) -> bool {
    if let Some(tags) = asked.get_text("if-none-match") {
        return tags.split(',').map(str::trim).any(|listed| listed == "*" || listed.trim_start_matches("W/") == tag);
    }
    let since = asked.get_text("if-modified-since").and_then(|text| httpdate::parse_http_date(&text).ok());
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    since.is_some_and(|since| seconds(modified) <= seconds(since))
}

fn content_type(path: &Path) -> String {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let text = guess.type_() == "text" || matches!(guess.subtype().as_str(), "javascript" | "json" | "xml");
    if text { format!("{guess}; charset=utf-8") } else { guess.to_string() }
}

/// The name that a segment of a URL stands for, where it is text.
fn percent_decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match (first, after) {
            (b'%', [high, low, tail @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                rest = tail;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Site {
        home: tempfile::TempDir,
    }

    impl Site {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let root = home.path().join("public");
            fs::create_dir_all(root.join("shop/data")).unwrap();
            fs::create_dir_all(root.join(".git")).unwrap();
            fs::create_dir_all(root.join("empty")).unwrap();
            for (name, text) in [
                ("public/index.html", "home"),
                ("public/a b.css", "css"),
                ("public/shop/index.html", "shop"),
                ("public/shop/data/log", "secret"),
                ("public/.git/config", "secret"),
                ("secret", "secret"),
            ] {
                fs::write(home.path().join(name), text).unwrap();
            }
            fs::write(root.join("large.bin"), vec![7; 300_000]).unwrap();
            Self { home }
        }

        async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
            self.ask(Method::GET, path, headers).await
        }

        async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
            let root = self.home.path().join("public");
            let folder = Folder::open(&root, &[root.join("shop/data")]).unwrap();
            let url = Url::parse(&format!("http://localhost{path}")).unwrap();
            folder.answer(&method, &url, &headers.iter().copied().collect()).await.unwrap()
        }
    }

    async fn text(answer: Answer) -> String {
        let bytes = answer.body.unwrap().collect(1 << 20).await.unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[tokio::test]
    async fn files_are_served_with_their_types_and_folders_by_their_index() {
        let site = Site::new();
        let css = site.get("/a%20b.css", &[]).await;
        assert_eq!(css.headers.get_text("content-type").as_deref(), Some("text/css; charset=utf-8"));
        assert_eq!((css.headers.get_text("content-length").as_deref(), text(css).await.as_str()), (Some("3"), "css"));
        assert_eq!(text(site.get("/", &[]).await).await, "home");
        assert_eq!(text(site.get("/shop/?q", &[]).await).await, "shop");
        let moved = site.get("/shop?q=1", &[]).await;
        assert_eq!((moved.status.as_u16(), moved.headers.get_text("location").as_deref()), (301, Some("./shop/?q=1")));
        assert_eq!(site.get("/empty/", &[]).await.status, 404);
        assert_eq!(site.get("/index.html/", &[]).await.status, 404);
    }

    #[tokio::test]
    async fn nothing_outside_and_nothing_hidden_is_served() {
        let site = Site::new();
        let root = site.home.path().join("public");
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("index.html", root.join("in")).unwrap();
        std::os::unix::fs::symlink("loop", root.join("loop")).unwrap();
        std::os::unix::fs::symlink("shop/data/log", root.join("log")).unwrap();
        for path in [
            "/out",
            "/../secret",
            "/%2e%2e/secret",
            "/..%2fsecret",
            "/shop/..%5c..%5csecret",
            "/.git/config",
            "/x%00",
            "/loop",
            "/%ff",
            "/shop/data/log",
            "/shop/data/",
            "/shop/data",
            "/log",
            "/nothing",
            "/index.html/x",
        ] {
            assert_eq!(site.get(path, &[]).await.status, 404, "{path}");
        }
        assert_eq!(text(site.get("/in", &[]).await).await, "home");
    }

    #[tokio::test]
    async fn a_folder_that_is_gone_cannot_be_reached_and_one_that_is_back_can() {
        let site = Site::new();
        let (root, gone) = (site.home.path().join("public"), site.home.path().join("gone"));
        fs::rename(&root, &gone).unwrap();
        let folder = Folder::open(&root, &[]).unwrap();
        let url = Url::parse("http://localhost/").unwrap();
        let answer = folder.answer(&Method::GET, &url, &HeaderList::new()).await;
        assert!(matches!(answer, Err(FetchError::Network(words)) if words.contains("public")));
        fs::rename(&gone, &root).unwrap();
        let answer = folder.answer(&Method::GET, &url, &HeaderList::new()).await.unwrap();
        assert_eq!(text(answer).await, "home");
    }

    #[tokio::test]
    async fn a_client_that_has_the_file_is_told_so() {
        let site = Site::new();
        let first = site.get("/", &[]).await;
        let tag = first.headers.get_text("etag").unwrap();
        let date = first.headers.get_text("last-modified").unwrap();
        assert_eq!(site.get("/", &[("if-none-match", &format!("\"x\", W/{tag}"))]).await.status, 304);
        assert_eq!(site.get("/", &[("if-modified-since", &date)]).await.status, 304);
        let other = [("if-none-match", "\"x\""), ("if-modified-since", date.as_str())];
        assert_eq!(site.get("/", &other).await.status, 200, "the tag decides");
    }

    #[tokio::test]
    async fn head_has_no_body_and_other_methods_are_refused() {
        let site = Site::new();
        let head = site.ask(Method::HEAD, "/large.bin", &[]).await;
        assert_eq!((head.headers.get_text("content-length").as_deref(), head.body.is_none()), (Some("300000"), true));
        let post = site.ask(Method::POST, "/", &[]).await;
        assert_eq!((post.status.as_u16(), post.headers.get_text("allow").as_deref()), (405, Some("GET, HEAD")));
    }

    #[tokio::test]
    async fn a_large_file_streams_whole_or_in_part() {
        let site = Site::new();
        let whole = site.get("/large.bin", &[]).await.body.unwrap();
        assert!(whole.as_bytes().is_none());
        assert_eq!(whole.collect(1 << 20).await.unwrap().len(), 300_000);
        let part = site.get("/large.bin", &[("range", "bytes=299998-")]).await;
        assert_eq!(part.headers.get_text("content-range").as_deref(), Some("bytes 299998-299999/300000"));
        assert_eq!((part.status.as_u16(), text(part).await.len()), (206, 2));
        assert_eq!(site.get("/large.bin", &[("range", "bytes=300000-")]).await.status, 416);
    }
}
