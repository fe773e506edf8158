//! Where a page is: at the public origin, or at one of its aliases.

use url::Url;

/// From the origin that a page sees, which may be an alias, to the public one.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) seen: url::Origin,
    pub(crate) public: Url,
}

impl Place {
    /// A URL of the page as the worker knows it; `None` where it is not at the page's origin.
    pub(crate) fn public(&self, url: &str) -> Option<Url> {
        let url = Url::parse(url).ok()?;
        if url.origin() != self.seen {
            return None;
        }
        let mut public = self.public.clone();
        public.set_path(url.path());
        public.set_query(url.query());
        public.set_fragment(url.fragment());
        Some(public)
    }
}
