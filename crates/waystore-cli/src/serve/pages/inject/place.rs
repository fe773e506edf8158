//! Finds where in a page a script runs before the page's own: behind `<head>`, or before whatever comes first where
//! there is none. Pure.
//!
//! Reads HTML as a browser's tokenizer does, as far as the first element that is not `html`, and byte by byte: how the
//! bytes come in pieces makes no difference. Every charset will do that has ASCII's bytes for ASCII's characters.

use super::tags::{InTag, is_space};

/// Names that decide are not longer.
const LONGEST_NAME: usize = 4;

/// Looks for the place.
#[derive(Debug)]
pub(super) struct Place {
    state: State,
    /// How many bytes were seen of what may come after the place: a tag whose name is not known yet.
    held: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// As many bytes of a byte order mark.
    Mark(usize),
    Between,
    /// `<`
    Open,
    /// `<!`
    Declaration,
    /// `<!-`
    Dash,
    Comment(InComment),
    /// A doctype, or what is taken for a comment: until `>`.
    Skipped,
    /// `</`
    Close,
    Name {
        closes: bool,
        name: [u8; LONGEST_NAME],
        length: usize,
    },
    Tag {
        is_head: bool,
        inside: InTag,
    },
}

/// Inside a comment. Spec: <https://html.spec.whatwg.org/#comment-start-state>
#[derive(Debug, Clone, Copy)]
enum InComment {
    Start,
    StartDash,
    Text,
    EndDash,
    End,
    EndBang,
}

/// What one byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// The place is not there yet.
    Not,
    /// The place is behind this byte.
    Behind,
    /// The place is before this byte, and so many bytes more.
    Before(usize),
    /// The bytes are not ASCII's: there is no place.
    Never,
}

impl Default for Place {
    fn default() -> Self {
        Self { state: State::Mark(0), held: 0 }
    }
}

impl Place {
    /// How many of the bytes seen so far may belong behind the place.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Takes the next byte.
    pub(super) fn see(&mut self, byte: u8) -> Found {
        let before = self.held;
        self.held += 1;
        let next = match self.state {
            State::Mark(seen) => match (seen, byte) {
                (0, 0xEF) => State::Mark(1),
                (1, 0xBB) => State::Mark(2),
                (2, 0xBF) => State::Between,
                // A mark of UTF-16.
                (0, 0xFE | 0xFF) => return Found::Never,
                (0, _) => return self.between(byte),
                // Text in some other charset.
                _ => return Found::Before(before),
            },
            State::Between => return self.between(byte),
            State::Open => match byte {
                b'!' => State::Declaration,
                b'/' => State::Close,
                b'?' => State::Skipped,
                byte if byte.is_ascii_alphabetic() => named(false, byte),
                _ => return Found::Before(before),
            },
            State::Declaration if byte == b'-' => State::Dash,
            State::Dash if byte == b'-' => State::Comment(InComment::Start),
            State::Declaration | State::Dash | State::Skipped => after(byte == b'>', State::Skipped),
            State::Comment(inside) => inside.after(byte).map_or(State::Between, State::Comment),
            State::Close => match byte {
                byte if byte.is_ascii_alphabetic() => named(true, byte),
                byte => after(byte == b'>', State::Skipped),
            },
            State::Name { closes, name, length } => {
                if !(is_space(byte) || matches!(byte, b'/' | b'>')) {
                    match lengthened(closes, name, length, byte) {
                        Some(longer) => longer,
                        None if closes => State::Tag { is_head: false, inside: InTag::Name },
                        None => return Found::Before(before),
                    }
                } else {
                    match (closes, &name[..length]) {
                        (false, b"html") => tag(false, byte),
                        (false, b"head") if byte == b'>' => return Found::Behind,
                        (false, b"head") => tag(true, byte),
                        // These begin a head, as everything else that is not passed over.
                        (true, b"head" | b"body" | b"html" | b"br") | (false, _) => return Found::Before(before),
                        (true, _) => tag(false, byte),
                    }
                }
            }
            State::Tag { is_head, inside } => match inside.after(byte) {
                Some(inside) => State::Tag { is_head, inside },
                None if is_head => return Found::Behind,
                None => State::Between,
            },
        };
        self.state = next;
        // What cannot come behind the place any more need not be held.
        if !matches!(
            next,
            State::Mark(_) | State::Open | State::Declaration | State::Dash | State::Close | State::Name { .. }
        ) {
            self.held = 0;
        }
        Found::Not
    }

    fn between(&mut self, byte: u8) -> Found {
        self.state = match byte {
            b'<' => State::Open,
            byte if is_space(byte) => State::Between,
            _ => return Found::Before(self.held - 1),
        };
        self.held = usize::from(byte == b'<');
        Found::Not
    }
}

impl InComment {
    /// The state after a byte; `None` where that ends the comment.
    fn after(self, byte: u8) -> Option<Self> {
        use InComment::{End, EndBang, EndDash, Start, StartDash, Text};
        Some(match (self, byte) {
            (Start | StartDash | End | EndBang, b'>') => return None,
            (Start, b'-') => StartDash,
            (StartDash | EndDash | End, b'-') => End,
            (Text | EndBang, b'-') => EndDash,
            (End, b'!') => EndBang,
            _ => Text,
        })
    }
}

fn named(closes: bool, first: u8) -> State {
    let mut name = [0; LONGEST_NAME];
    name[0] = first.to_ascii_lowercase();
    State::Name { closes, name, length: 1 }
}

/// The name with one byte more; `None` where it is none that decides.
fn lengthened(closes: bool, mut name: [u8; LONGEST_NAME], length: usize, byte: u8) -> Option<State> {
    *name.get_mut(length)? = byte.to_ascii_lowercase();
    Some(State::Name { closes, name, length: length + 1 })
}

/// Inside a tag, from the byte behind its name on.
fn tag(is_head: bool, byte: u8) -> State {
    InTag::BeforeName.after(byte).map_or(State::Between, |inside| State::Tag { is_head, inside })
}

fn after(ends: bool, otherwise: State) -> State {
    if ends { State::Between } else { otherwise }
}
