//! Lists that are fetched: a sitemap, an index and the sitemaps it names, a text.
//!
//! Knows the network as a trait; what a list says is read by `lists.rs`. Nothing is stored.

use std::collections::{HashSet, VecDeque};

use url::Url;
use waystore::{Fetch, Request};

use super::lists::{self, LIST_BYTES, Listed};
use crate::failure::Failure;

/// Lists of one job.
const MOST_LISTS: usize = 1000;
/// How far indexes lead to indexes. The protocol of sitemaps knows one level.
const DEEPEST: usize = 3;

/// The URLs of these lists and of those they lead to, in their order, `most` at most.
///
/// # Errors
///
/// A list cannot be had, or is none; there are too many.
pub(crate) async fn gather(fetch: &dyn Fetch, start: Vec<Url>, most: usize) -> Result<Vec<String>, Failure> {
    let mut urls = Vec::new();
    let mut seen: HashSet<Url> = start.iter().cloned().collect();
    let mut waiting: VecDeque<(Url, usize)> = start.into_iter().map(|url| (url, 0)).collect();
    while let Some((list, depth)) = waiting.pop_front() {
        let Listed { urls: listed, lists } = read(fetch, &list, most.saturating_sub(urls.len())).await?;
        let resolved = |text: &String| {
            list.join(text).map_err(|error| Failure::failed(format!("`{list}` has `{text}`, which is no URL: {error}")))
        };
        for url in &listed {
            urls.push(resolved(url)?.into());
        }
        for further in &lists {
            let further = resolved(further)?;
            if !seen.insert(further.clone()) {
                continue;
            }
            if depth + 1 > DEEPEST {
                return Err(Failure::failed(format!(
                    "`{list}` leads on to `{further}`, {DEEPEST} indexes deep already"
                ))
                .hint("give the sitemap itself"));
            }
            if seen.len() > MOST_LISTS {
                return Err(Failure::failed(format!("`{list}` leads on: more than {MOST_LISTS} lists"))
                    .hint("give some of the sitemaps, not the index"));
            }
            waiting.push_back((further, depth + 1));
        }
    }
    Ok(urls)
}

async fn read(fetch: &dyn Fetch, list: &Url, most: usize) -> Result<Listed, Failure> {
    let failed = |reason: &dyn std::fmt::Display| Failure::failed(format!("`{list}` cannot be fetched: {reason}"));
    let response = fetch.fetch(Request::from(list.clone())).await.map_err(|error| failed(&error))?;
    if !response.ok() {
        return Err(failed(&format_args!("it answered with status {}", response.status)));
    }
    let bytes = response.body.unwrap_or_default().collect(LIST_BYTES).await.map_err(|error| failed(&error))?;
    lists::read(&bytes, most).map_err(|reason| Failure::failed(format!("`{list}` {reason}")))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use waystore::{FetchError, Response};

    use super::*;

    /// A network of these documents, and what was asked of it.
    struct Site {
        documents: Vec<(String, String)>,
        asked: Mutex<Vec<String>>,
    }

    #[async_trait]
    impl Fetch for Site {
        async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
            self.asked.lock().unwrap().push(request.url.path().to_owned());
            let found = self.documents.iter().find(|(path, _)| path == request.url.path());
            Ok(found.map_or_else(|| Response::empty(404), |(_, text)| Response::new(text.clone())))
        }
    }

    fn site(documents: &[(&str, String)]) -> Site {
        let documents = documents.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        Site { documents, asked: Mutex::default() }
    }

    fn index(paths: &[String]) -> String {
        let items: String = paths.iter().map(|path| format!("<sitemap><loc>{path}</loc></sitemap>")).collect();
        format!("<sitemapindex>{items}</sitemapindex>")
    }

    async fn gathered(site: &Site, most: usize) -> Result<Vec<String>, String> {
        let start = vec![Url::parse("https://a.test/index.xml").unwrap()];
        gather(site, start, most).await.map_err(|failure| failure.to_string())
    }

    #[tokio::test]
    async fn an_index_leads_to_its_sitemaps_each_once_in_order() {
        let paths = ["/1.xml", "/2.txt", "/index.xml", "/1.xml"].map(str::to_owned);
        let site = site(&[
            ("/index.xml", index(&paths)),
            ("/1.xml", "<urlset><url><loc>/a</loc></url></urlset>".into()),
            ("/2.txt", "b\nhttps://b.test/c".into()),
        ]);
        assert_eq!(gathered(&site, 9).await.unwrap(), ["https://a.test/a", "https://a.test/b", "https://b.test/c"]);
        assert_eq!(*site.asked.lock().unwrap(), ["/index.xml", "/1.xml", "/2.txt"]);
        assert!(gathered(&site, 2).await.unwrap_err().contains("`https://a.test/2.txt` has more than 1 URLs"));
    }

    #[tokio::test]
    async fn what_cannot_be_had_or_has_no_end_is_named() {
        assert!(gathered(&site(&[]), 9).await.unwrap_err().contains("answered with status 404"));
        let page = site(&[("/index.xml", "<html></html>".into())]);
        assert!(
            gathered(&page, 9).await.unwrap_err().contains("`https://a.test/index.xml` is XML whose root is `html`")
        );
        let deep: Vec<_> = (0..9).map(|level| (format!("/{level}"), index(&[format!("/{}", level + 1)]))).collect();
        let mut deep: Vec<_> = deep.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
        deep.push(("/index.xml", index(&["/0".into()])));
        assert!(gathered(&site(&deep), 9).await.unwrap_err().contains("indexes deep already"));
        let many: Vec<_> = (0..MOST_LISTS).map(|number| format!("/{number}.xml")).collect();
        assert!(
            gathered(&site(&[("/index.xml", index(&many))]), 9).await.unwrap_err().contains("more than 1000 lists")
        );
    }
}
