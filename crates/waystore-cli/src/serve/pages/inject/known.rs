//! Whether a page loads the script itself. Pure.

use super::tags::{is_space, rest_of_tag};

/// As far as is looked behind the place, in bytes: as far as browsers look for a page's charset.
pub(super) const LOOK_AHEAD: usize = 1024;
/// What the address of the script holds.
const OURS: &[u8] = b"/.well-known/waystore/client.js";

/// What is known after some bytes of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loads {
    Ours,
    SomethingElse,
    Unknown,
}

/// Looks at the first script of a head that begins with these bytes. More of them change no answer but `Unknown`.
pub(super) fn loads(head: &[u8]) -> Loads {
    let mut rest = head;
    while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix(b"<!--") {
            let Some(end) = comment.windows(3).position(|end| end == b"-->") else { return Loads::Unknown };
            rest = &comment[end + 3..];
            continue;
        }
        if b"<!--".starts_with(rest) {
            return Loads::Unknown;
        }
        match begins(rest, b"<script") {
            Some(true) => return script(&rest[b"<script".len()..]),
            None => return Loads::Unknown,
            Some(false) => {}
        }
        match (begins(rest, b"<body"), begins(rest, b"</head")) {
            (Some(true), _) | (_, Some(true)) => return Loads::SomethingElse,
            (None, _) | (_, None) => return Loads::Unknown,
            _ => rest = &rest[1..],
        }
    }
    Loads::Unknown
}

/// Whether the tag at the beginning has this name; `None` where that cannot be known yet.
fn begins(bytes: &[u8], tag: &[u8]) -> Option<bool> {
    let same = bytes.iter().zip(tag).all(|(one, other)| one.eq_ignore_ascii_case(other));
    if !same {
        return Some(false);
    }
    bytes.get(tag.len()).map(|next| is_space(*next) || matches!(next, b'/' | b'>'))
}

fn script(rest: &[u8]) -> Loads {
    match rest_of_tag(rest) {
        Some(end) if rest[..end].windows(OURS.len()).any(|part| part == OURS) => Loads::Ours,
        Some(_) => Loads::SomethingElse,
        None => Loads::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_script_tells() {
        for (head, expected) in [
            ("<meta charset=utf-8><script src=\"/.well-known/waystore/client.js\" data-x></script>", Loads::Ours),
            ("<SCRIPT defer src=/.well-known/waystore/client.js></SCRIPT>", Loads::Ours),
            ("<script src=/app.js></script><script src=/.well-known/waystore/client.js>", Loads::SomethingElse),
            ("<!-- <script src=/app.js> --><script src=/.well-known/waystore/client.js>", Loads::Ours),
            ("<!-- <script src=/.well-known/waystore/client.js> --></head>", Loads::SomethingElse),
            ("<title>x</title></HEAD>", Loads::SomethingElse),
            ("<title>x</title><body>", Loads::SomethingElse),
            ("<scripts><header>", Loads::Unknown),
            ("<script src=/.well-known/waystore/client.js", Loads::Unknown),
            ("", Loads::Unknown),
        ] {
            assert_eq!(loads(head.as_bytes()), expected, "{head}");
        }
    }

    #[test]
    fn more_bytes_change_no_answer() {
        let head = b"<meta a='<'><!-- </head> --><style>a{}</style><script async src='/.well-known/waystore/client.js'></script></head>";
        let answers: Vec<_> = (0..=head.len()).map(|end| loads(&head[..end])).collect();
        let first = answers.iter().position(|answer| *answer != Loads::Unknown).unwrap();
        assert!(answers[first..].iter().all(|answer| *answer == Loads::Ours));
    }
}
