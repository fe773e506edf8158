//! Why a page's connection ends: the codes of `docs/channel.md`. Pure.

use std::borrow::Cow;

use serde_json::json;

/// The longest reason that a WebSocket's closing handshake can carry, in bytes.
const REASON_BYTES: usize = 123;
/// When a page may come back that did too much.
const CALM_DOWN_MS: u64 = 10_000;
/// When a page may come back whose message found no room.
const CROWDED_MS: u64 = 5_000;
/// When a page may come back that found no room.
pub(crate) const FULL_MS: u64 = 30_000;
/// When a page may come back to a gateway that stopped.
const RESTART_MS: u64 = 1_000;

/// The end of a connection, as its page is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Closing {
    /// A WebSocket's close code.
    pub(crate) code: u16,
    /// In words.
    pub(crate) reason: Cow<'static, str>,
    /// Not before that many milliseconds, the page may come back.
    pub(crate) retry_ms: Option<u64>,
}

impl Closing {
    fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason), retry_ms: None }
    }

    /// The page said `bye`.
    pub(crate) fn goodbye() -> Self {
        Self::new(1000, "the page went")
    }

    /// The gateway ends.
    pub(crate) fn stopping() -> Self {
        Self { retry_ms: Some(RESTART_MS), ..Self::new(1001, "the gateway stops") }
    }

    /// A frame is longer than it may be.
    pub(crate) fn too_long(most: usize) -> Self {
        Self { reason: format!("a frame has at most {most} bytes").into(), ..Self::new(1009, "") }
    }

    /// More arrives from all pages together than may be held, and this page's frame is part of it.
    pub(crate) fn crowded() -> Self {
        Self { retry_ms: Some(CROWDED_MS), ..Self::new(1013, "too much is arriving from all pages together") }
    }

    /// A frame that is not in the protocol.
    pub(crate) fn wrong(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), ..Self::new(4400, "") }
    }

    /// Nothing was heard.
    pub(crate) fn silent(reason: &'static str) -> Self {
        Self::new(4408, reason)
    }

    /// The page has connected anew.
    pub(crate) fn taken_over() -> Self {
        Self::new(4409, "the client has a newer connection")
    }

    /// What waits for the page does not fit any more.
    pub(crate) fn unread() -> Self {
        Self::new(4413, "the page does not read what waits for it")
    }

    /// The page does not stop doing what is refused.
    pub(crate) fn too_much() -> Self {
        Self { retry_ms: Some(CALM_DOWN_MS), ..Self::new(4429, "too many frames") }
    }

    /// There are as many pages as may be.
    pub(crate) fn full() -> Self {
        Self { retry_ms: Some(FULL_MS), ..Self::new(4503, "as many pages as may be are connected") }
    }

    /// Whether the client itself ends with the connection: it could not go on where it was.
    pub(crate) const fn is_final(&self) -> bool {
        matches!(self.code, 1000 | 1001 | 4400)
    }

    /// Whether the page was not heard out.
    pub(crate) const fn leaves_bytes_unread(&self) -> bool {
        matches!(self.code, 1009 | 1013)
    }

    /// Whether it is worth a line in the log.
    pub(crate) fn is_the_pages_fault(&self) -> bool {
        !matches!(self.code, 1000 | 1001 | 4408 | 4409)
    }

    /// The frame `close`.
    pub(crate) fn frame(&self) -> String {
        let mut frame = json!({ "frame": "close", "code": self.code, "reason": self.reason });
        if let Some(retry_ms) = self.retry_ms {
            frame["retryMs"] = retry_ms.into();
        }
        frame.to_string()
    }

    /// As much of the reason as a WebSocket's closing handshake can carry.
    pub(crate) fn short_reason(&self) -> &str {
        let end = self.reason.floor_char_boundary(REASON_BYTES);
        &self.reason[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_between_characters() {
        let long = Closing::wrong("ä".repeat(100));
        assert_eq!(long.short_reason().len(), 122);
        assert_eq!(Closing::stopping().short_reason(), "the gateway stops");
    }

    #[test]
    fn the_frame_says_when_to_come_back_where_that_is_known() {
        assert_eq!(
            Closing::too_much().frame(),
            r#"{"code":4429,"frame":"close","reason":"too many frames","retryMs":10000}"#
        );
        assert!(!Closing::unread().frame().contains("retryMs"));
    }
}
