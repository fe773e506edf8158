//! The URLs of a `srcset` attribute.
//!
//! Spec: <https://html.spec.whatwg.org/multipage/images.html#parsing-a-srcset-attribute>. Descriptors are
//! passed over, not checked.

/// The URL of each candidate.
pub(super) fn candidates(srcset: &str) -> impl Iterator<Item = &str> {
    let mut rest = srcset;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|character: char| character.is_ascii_whitespace() || character == ',');
        let end = rest.find(|character: char| character.is_ascii_whitespace()).unwrap_or(rest.len());
        let (url, after) = rest.split_at(end);
        // A comma at a URL's end is the candidate's end; otherwise its descriptors follow, up to a comma that is
        // not in parentheses.
        rest = if url.ends_with(',') { after } else { &after[end_of_descriptors(after)..] };
        let url = url.trim_end_matches(',');
        (!url.is_empty()).then_some(url)
    })
}

fn end_of_descriptors(text: &str) -> usize {
    let mut open = false;
    for (at, character) in text.char_indices() {
        match character {
            '(' => open = true,
            ')' => open = false,
            ',' if !open => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(srcset: &str) -> Vec<&str> {
        candidates(srcset).collect()
    }

    #[test]
    fn urls_are_told_from_descriptors_and_commas() {
        assert_eq!(urls("a.jpg 1x, b.jpg 2x"), ["a.jpg", "b.jpg"]);
        assert_eq!(urls("a.jpg,b.jpg"), ["a.jpg,b.jpg"]);
        assert_eq!(urls("a.jpg, b.jpg,"), ["a.jpg", "b.jpg"]);
        assert_eq!(urls("data:,a ( , ) 1x, b"), ["data:,a", "b"]);
        assert_eq!(urls(" ,, \n a\t100w\n,\nb 200w"), ["a", "b"]);
        assert_eq!(urls(""), Vec::<&str>::new());
        assert_eq!(urls(",,,"), Vec::<&str>::new());
    }
}
