//! A page's bytes with the script's tag among them. Pure: pieces in, pieces out.

use super::{
    known::{LOOK_AHEAD, Loads, loads},
    place::{Found, Place},
};

/// What is put in.
pub(super) const TAG: &[u8] = b"<script src=\"/.well-known/waystore/client.js\"></script>";

/// A page on its way.
#[derive(Debug)]
pub(super) enum Page {
    /// The place was not found yet. What is held may belong behind it.
    Looking { place: Place, held: Vec<u8> },
    /// The place was found: so much of what comes behind it is held.
    Found { held: Vec<u8> },
    /// What comes now goes through.
    Done,
}

impl Default for Page {
    fn default() -> Self {
        Self::Looking { place: Place::default(), held: Vec::new() }
    }
}

impl Page {
    /// Whether the rest goes through as it is.
    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// Takes the next piece, and gives what can be sent by now. No more than 1024 bytes are kept.
    pub(super) fn take(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let rest = match self {
            Self::Looking { place, held } => {
                let mut found = None;
                for (at, byte) in piece.iter().enumerate() {
                    match place.see(*byte) {
                        Found::Not => {}
                        other => {
                            found = Some((at, other));
                            break;
                        }
                    }
                }
                let Some((at, found)) = found else {
                    held.extend_from_slice(piece);
                    let known = held.len() - place.held();
                    out.extend(held.drain(..known));
                    return;
                };
                let (seen, rest) = piece.split_at(at + 1);
                held.extend_from_slice(seen);
                let behind = match found {
                    Found::Before(more) => more + 1,
                    Found::Behind | Found::Not => 0,
                    Found::Never => {
                        out.append(held);
                        out.extend_from_slice(rest);
                        *self = Self::Done;
                        return;
                    }
                };
                let place = held.len() - behind;
                out.extend(held.drain(..place));
                let held = std::mem::take(held);
                *self = Self::Found { held };
                rest
            }
            Self::Found { .. } | Self::Done => piece,
        };
        match self {
            Self::Found { held } => {
                let (near, far) = rest.split_at(rest.len().min(LOOK_AHEAD.saturating_sub(held.len())));
                held.extend_from_slice(near);
                let known = loads(held);
                if known == Loads::Unknown && held.len() < LOOK_AHEAD {
                    return;
                }
                self.decide(known, out);
                out.extend_from_slice(far);
            }
            _ => out.extend_from_slice(rest),
        }
    }

    /// The page has ended: gives what was kept.
    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        match self {
            Self::Looking { held, .. } => out.append(held),
            Self::Found { .. } => self.decide(Loads::Unknown, out),
            Self::Done => {}
        }
        *self = Self::Done;
    }

    fn decide(&mut self, known: Loads, out: &mut Vec<u8>) {
        if let Self::Found { held } = self {
            if known != Loads::Ours {
                out.extend_from_slice(TAG);
            }
            out.append(held);
        }
        *self = Self::Done;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let (mut page, mut out) = (Page::default(), Vec::new());
        for piece in pieces {
            page.take(piece, &mut out);
        }
        page.end(&mut out);
        out
    }

    /// The page with the place marked by `@`, or no mark where there is none.
    fn check(marked: &str) {
        let page = marked.replace('@', "");
        let expected = marked.replace('@', std::str::from_utf8(TAG).unwrap());
        assert_eq!(String::from_utf8(sent([page.as_bytes()])).unwrap(), expected);
        let bytes: Vec<&[u8]> = page.as_bytes().chunks(1).collect();
        assert_eq!(String::from_utf8(sent(bytes)).unwrap(), expected, "byte by byte");
    }

    #[test]
    fn the_tag_comes_right_behind_head() {
        for marked in [
            "<!doctype html><html lang=en><head>@<title>x</title></head><body></body></html>",
            "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD\">\n<HTML>\n<HEAD profile=\"a>b\" data-x='>'>@<TITLE>",
            "<head>@",
            "<head/>@<title>",
            "<head\n>@",
            "\u{FEFF}<html><head>@<meta charset=utf-8>",
            "<?xml version=\"1.0\"?><html xmlns='x'><head>@",
        ] {
            check(marked);
        }
    }

    #[test]
    fn comments_and_what_only_looks_like_head_are_passed_over() {
        for marked in [
            "<!-- <head> --><head>@",
            "<!--><head>@ --><head>",
            "<!---><head>@",
            "<!----><head>@",
            "<!-- a -- > <head> --!><head>@",
            "<!-- -><head>---><head>@",
            "<!-x <head><head>@",
            "</p><head>@",
            "</headers><head>@",
            "</><head>@",
            "</ <head><head>@",
            "<html a='<head>'><head>@",
        ] {
            check(marked);
        }
    }

    #[test]
    fn without_head_it_comes_before_whatever_is_first() {
        for marked in [
            "@<header><head>",
            "<!doctype html>@<title>x</title><script src=/app.js></script>",
            "<html>@<body class=x>",
            "<html>\n@<h1>",
            "@hello <head>",
            "<!doctype html>\n@</head>",
            "@</body>",
            "@<p>",
            "@<1",
            "@< head>",
            "@\u{FF1C}head>",
        ] {
            check(marked);
        }
    }

    #[test]
    fn a_page_that_has_nothing_gets_nothing() {
        for page in ["", "   \n", "<!-- only -->", "<!doctype html>", "<html", "<", "<he", "<head", "<head a='", "<p"] {
            check(page);
        }
    }

    #[test]
    fn a_page_that_loads_it_already_is_left_as_it_is() {
        check(
            "<html><head><meta charset=utf-8><script src=\"/.well-known/waystore/client.js\" data-own></script><script src=a>",
        );
        check(&format!("<head>{}<script src=/.well-known/waystore/client.js></script>", "<!-- x -->".repeat(90)));
        check(&format!("<head>@{}<script src=/.well-known/waystore/client.js></script>", "<!-- x -->".repeat(110)));
    }

    #[test]
    fn it_is_put_in_once() {
        let once = sent([&b"<html><head><title>"[..]]);
        assert_eq!(sent([&once[..]]), once);
    }

    #[test]
    fn utf_16_is_left_as_it_is() {
        for mark in [[0xFE, 0xFF], [0xFF, 0xFE]] {
            let page: Vec<u8> = mark.into_iter().chain(*b"<head>").collect();
            assert_eq!(sent([&page[..]]), page);
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        for endless in ["<head>", "<html x='", "<!-- ", " ", "<", "</", "<!", "<he", "<head a=\"", "<head><script a='"]
        {
            let (mut page, mut out, mut given) = (Page::default(), Vec::new(), 0);
            for piece in std::iter::once(endless.as_bytes()).chain(std::iter::repeat_n(&[b' '; 100][..], 100)) {
                page.take(piece, &mut out);
                given += piece.len();
                assert!(given <= out.len() + LOOK_AHEAD, "after {given} bytes of {endless}");
            }
        }
    }

    fn only_the_tag_was_added(page: &[u8], whole: &[u8]) -> bool {
        let at = whole.iter().zip(page).position(|(one, other)| one != other).unwrap_or(page.len());
        (0..=at).any(|at| [&page[..at], TAG, &page[at..]].concat() == whole)
    }

    proptest! {
        #[test]
        fn the_pieces_make_no_difference(
            parts in prop::collection::vec(prop::sample::select(vec![
                "<", ">", "!", "--", "-", "/", "head", "HEAD", "html", "body", "script", " ", "\n", "'", "\"", "=", "a", "<head>",
                "<html>", "<!--", "-->", "<!doctype html>", "<script src=/.well-known/waystore/client.js>", "</head>", "\u{FEFF}", "<?",
            ]), 0..60),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let page = parts.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(page.len() + 1)).collect();
            cuts.extend([0, page.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &page[cut[0]..cut[1]]);
            let whole = sent([&page[..]]);
            prop_assert_eq!(&sent(pieces), &whole);
            prop_assert!(whole == page || only_the_tag_was_added(&page, &whole), "{:?}", String::from_utf8_lossy(&whole));
        }

        #[test]
        fn no_bytes_are_too_strange(page in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
            let cut = cut.index(page.len() + 1);
            prop_assert_eq!(sent([&page[..cut], &page[cut..]]), sent([&page[..]]));
        }
    }
}
