//! URLs in HTML: those of `link` and `img` elements.
//!
//! Reads tags, not a tree: what a parser would move or drop, such as an `img` in a `template`, is taken all
//! the same. Spec: <https://html.spec.whatwg.org/multipage/parsing.html#tokenization>.

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

use super::{Collector, Stop, srcset::candidates};
use crate::prefetch::{Follow, HtmlLinks, Select};

/// Takes what the HTML rules find. All of them read the document once, tag by tag.
pub(super) fn search(document: &[u8], rules: &[Follow], found: &mut Collector) -> Result<(), Stop> {
    let mut reader = Reader { rules, found, based: false, tag: Tag::default(), stopped: Ok(()) };
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| reader.read(&event));
    emitter.naively_switch_states(true);
    // Each item is a wish to stop.
    let _ = Tokenizer::new_with_emitter(document, emitter).next();
    reader.stopped
}

struct Reader<'r> {
    rules: &'r [Follow],
    found: &'r mut Collector,
    /// A `base` was seen; only the first counts.
    based: bool,
    tag: Tag,
    stopped: Result<(), Stop>,
}

/// What is known of the tag that is being read.
#[derive(Default)]
struct Tag {
    name: Name,
    attribute: Option<Attribute>,
    rel: String,
    href: String,
    src: String,
    srcset: String,
    imagesrcset: String,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Name {
    Base,
    Img,
    Link,
    Source,
    #[default]
    Other,
}

#[derive(Clone, Copy)]
enum Attribute {
    Rel,
    Href,
    Src,
    Srcset,
    Imagesrcset,
}

impl Reader<'_> {
    /// Returns something where no more is to be read.
    fn read(&mut self, event: &CallbackEvent<'_>) -> Option<()> {
        match event {
            CallbackEvent::OpenStartTag { name } => self.tag = Tag { name: Name::of(name), ..Tag::default() },
            CallbackEvent::AttributeName { name } => self.tag.attribute = Attribute::of(name),
            CallbackEvent::AttributeValue { value } => self.tag.set(value),
            CallbackEvent::CloseStartTag { .. } if self.stopped.is_ok() => {
                let tag = std::mem::take(&mut self.tag);
                self.stopped = self.take(&tag);
            }
            _ => {}
        }
        self.stopped.is_err().then_some(())
    }

    fn take(&mut self, tag: &Tag) -> Result<(), Stop> {
        if tag.name == Name::Base && !self.based && !tag.href.is_empty() {
            self.based = true;
            if let Some(base) = self.found.resolve(&tag.href) {
                self.found.base = base;
            }
        }
        for rule in self.rules {
            let Select::Html(links) = &rule.select else { continue };
            for url in tag.urls(links) {
                self.found.take(url, rule.required)?;
            }
        }
        Ok(())
    }
}

impl Tag {
    fn set(&mut self, value: &[u8]) {
        // The first of several attributes with one name counts.
        let text = match self.attribute.take() {
            Some(Attribute::Rel) => &mut self.rel,
            Some(Attribute::Href) => &mut self.href,
            Some(Attribute::Src) => &mut self.src,
            Some(Attribute::Srcset) => &mut self.srcset,
            Some(Attribute::Imagesrcset) => &mut self.imagesrcset,
            None => return,
        };
        if text.is_empty() {
            *text = String::from_utf8_lossy(value).into_owned();
        }
    }

    /// The URLs that `links` wants of it.
    fn urls<'t>(&'t self, links: &'t HtmlLinks) -> Vec<&'t str> {
        let mut urls = Vec::new();
        let source_set = match self.name {
            Name::Img if links.images => {
                urls.push(self.src.as_str());
                &self.srcset
            }
            Name::Source if links.images => &self.srcset,
            Name::Link if self.has_rel(&links.rels) => {
                urls.push(self.href.as_str());
                &self.imagesrcset
            }
            _ => return urls,
        };
        if links.srcset {
            urls.extend(candidates(source_set));
        }
        urls
    }

    fn has_rel(&self, wanted: &[String]) -> bool {
        let mut listed = self.rel.split_ascii_whitespace();
        listed.any(|rel| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(rel)))
    }
}

impl Name {
    fn of(name: &[u8]) -> Self {
        match name {
            b"base" => Self::Base,
            b"img" => Self::Img,
            b"link" => Self::Link,
            b"source" => Self::Source,
            _ => Self::Other,
        }
    }
}

impl Attribute {
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"rel" => Self::Rel,
            b"href" => Self::Href,
            b"src" => Self::Src,
            b"srcset" => Self::Srcset,
            b"imagesrcset" => Self::Imagesrcset,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use url::Url;

    use crate::prefetch::{
        Follow, HtmlLinks,
        links::{Kind, links_of},
    };

    fn urls(html: &str, links: HtmlLinks) -> Vec<String> {
        let base = Url::parse("https://a.test/shop/index.html").unwrap();
        let found = links_of(Kind::Html, html.as_bytes(), &base, &[Follow::html(links)], 100);
        found.links.into_iter().map(|link| link.url.to_string().replace("https://a.test", "")).collect()
    }

    fn by_default(html: &str) -> Vec<String> {
        urls(html, HtmlLinks::default())
    }

    #[test]
    fn links_of_the_wanted_kinds_and_images_are_found() {
        let html = r#"<!doctype html><LINK REL="alternate StyleSheet" HREF=a.css><link rel=icon href='/i.ico'/>
            <link rel=canonical href=/no><link href=/no><link rel=preload><img src="p.jpg?a=1&amp;b=2"><a href=/no>x</a>"#;
        assert_eq!(by_default(html), ["/shop/a.css", "/i.ico", "/shop/p.jpg?a=1&b=2"]);
        let next = HtmlLinks { rels: vec!["canonical".into()], images: false, ..HtmlLinks::default() };
        assert_eq!(urls(html, next), ["/no"]);
    }

    #[test]
    fn source_sets_are_found_unless_they_are_not_wanted() {
        let html = r#"<picture><source srcset="1.avif 1x, 2.avif 2x"><img src=1.jpg srcset="1.jpg, 2.jpg 2x"></picture>
            <link rel=preload imagesrcset="h.jpg 100w">"#;
        assert_eq!(by_default(html), ["/shop/1.avif", "/shop/2.avif", "/shop/1.jpg", "/shop/2.jpg", "/shop/h.jpg"]);
        let without = HtmlLinks { srcset: false, ..HtmlLinks::default() };
        assert_eq!(urls(html, without), ["/shop/1.jpg"]);
    }

    #[test]
    fn what_is_in_scripts_styles_comments_and_text_is_not() {
        let html = "<script>'<img src=/1>'</script><style><img src=/2></style><!-- <img src=/3> --><title><img src=/4></title>\
            <textarea><img src=/5></textarea><img src=/6>";
        assert_eq!(by_default(html), ["/6"]);
    }

    #[test]
    fn the_first_base_and_the_first_of_equal_attributes_count() {
        let html = "<img src=1><base target=x><base href=/b/><base href=/c/><img src=2 src=3>";
        assert_eq!(by_default(html), ["/shop/1", "/b/2"]);
        assert_eq!(by_default("<base href='data:,x'><img src=1>"), ["/shop/1"]);
    }

    #[test]
    fn a_document_that_is_cut_off_anywhere_or_not_text_gives_what_is_whole() {
        let html = "<img src='/1'><img src='/2'><img srcset='/3, /4'>";
        for end in 0..html.len() {
            assert!(by_default(&html[..end]).len() <= 2, "{end}");
        }
        let base = Url::parse("https://a.test").unwrap();
        let found = links_of(Kind::Html, b"\xFF\xFE<img src=/\xC3>\0<img", &base, &["html".parse().unwrap()], 100);
        assert_eq!(found.links.len(), 1);
    }

    #[test]
    fn it_stops_where_there_are_too_many() {
        let html = "<img src=1><img src=2><img src=3>".to_owned() + &"<img src=4>".repeat(1000);
        let base = Url::parse("https://a.test").unwrap();
        let found = links_of(Kind::Html, html.as_bytes(), &base, &["html".parse().unwrap()], 2);
        assert_eq!((found.links.len(), found.stopped.is_some()), (2, true));
    }
}
