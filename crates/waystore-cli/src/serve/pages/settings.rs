//! What the configuration says about pages. Pure.

use std::sync::Arc;

use super::{allowed::Allowed, session::Rules, times::Times};
use crate::{
    failure::Failure,
    serve::{settings::Settings, size::Size},
};

/// A frame of a page has at most as many bytes, where nothing else is configured.
const FRAME_BYTES: u64 = 1 << 20;
/// Frames need this much to say anything.
const LEAST_FRAME_BYTES: u64 = 1024;
/// A value of script is no longer, and so no frame has to be.
const MOST_FRAME_BYTES: u64 = 17 << 20;
/// What waits for all pages together.
const MEMORY_BYTES: u64 = 64 << 20;
/// What is arriving from all pages together.
const ARRIVING_BYTES: u64 = 64 << 20;
/// Messages of a page in a second.
const MESSAGES: u32 = 20;
/// Their bytes in a second.
const BYTES: u64 = 256 << 10;

/// What holds for the pages of a site.
#[derive(Debug, Clone)]
pub(crate) struct PageSettings {
    pub(crate) rules: Arc<Rules>,
    /// Pages that are there at a time.
    pub(crate) most: usize,
    /// What waits for all of them, in bytes.
    pub(crate) memory_bytes: usize,
    /// What of their messages may be held until it was heard, of all of them, in bytes.
    pub(crate) arriving_bytes: usize,
    /// Whether pages are given the script though they do not ask for it.
    pub(crate) inject: bool,
}

impl PageSettings {
    /// # Errors
    ///
    /// A value cannot be; names the key and the next step.
    pub(crate) fn new(settings: &Settings, max_connections: usize) -> Result<Self, Failure> {
        let frame_bytes = bytes(settings.message_size, FRAME_BYTES);
        if !(LEAST_FRAME_BYTES..=MOST_FRAME_BYTES).contains(&frame_bytes) {
            return Err(Failure::usage(format!(
                "`message_size` is {frame_bytes} bytes, which is not from 1 KiB to 17 MiB"
            ))
            .hint("what pages say in one message is held in memory whole"));
        }
        let arriving_bytes = bytes(settings.message_memory, ARRIVING_BYTES.max(frame_bytes));
        if arriving_bytes < frame_bytes {
            return Err(Failure::usage(format!(
                "`message_memory` is {arriving_bytes} bytes, and one message may have {frame_bytes}"
            ))
            .hint("make it larger, or `message_size` smaller"));
        }
        Ok(Self {
            rules: Arc::new(Rules {
                allowed: Allowed::new(settings.messages.iter().flatten().map(String::as_str)),
                frame_bytes: usize::try_from(frame_bytes).unwrap_or(usize::MAX),
                messages: settings.message_rate.unwrap_or(MESSAGES).max(1).into(),
                bytes: bytes(settings.message_bytes, BYTES).max(1),
                times: Times::default(),
            }),
            most: settings.max_pages.map_or(max_connections / 2, |most| most as usize).max(1),
            memory_bytes: usize::try_from(bytes(settings.page_memory, MEMORY_BYTES)).unwrap_or(usize::MAX),
            arriving_bytes: usize::try_from(arriving_bytes).unwrap_or(usize::MAX),
            inject: settings.inject == Some(true),
        })
    }
}

fn bytes(size: Option<Size>, default: u64) -> u64 {
    size.map_or(default, |size| size.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_may_be_said_unless_it_is_listed() {
        let rules = |settings: &Settings| PageSettings::new(settings, 10).unwrap().rules;
        assert_eq!(rules(&Settings::default()).allowed, Allowed::default());
        let some = Settings { messages: Some(vec!["A".into(), "*".into()]), ..Settings::default() };
        assert_eq!(rules(&some).allowed, Allowed::new(["A", "*"]));
    }

    #[test]
    fn half_of_the_connections_may_be_pages() {
        assert_eq!(PageSettings::new(&Settings::default(), 4096).unwrap().most, 2048);
        assert_eq!(PageSettings::new(&Settings::default(), 1).unwrap().most, 1);
        let given = Settings { max_pages: Some(7), ..Settings::default() };
        assert_eq!(PageSettings::new(&given, 4096).unwrap().most, 7);
    }

    #[test]
    fn one_message_has_room_in_what_may_arrive_from_all() {
        let given = |all| {
            let settings =
                Settings { message_size: Some(Size(4096)), message_memory: Some(Size(all)), ..Settings::default() };
            PageSettings::new(&settings, 1)
        };
        assert_eq!(given(4096).unwrap().arriving_bytes, 4096);
        let error = given(4095).unwrap_err().to_string();
        assert!(error.contains("`message_memory` is 4095 bytes") && error.contains("\nhint: "), "{error}");
    }

    #[test]
    fn a_size_of_messages_that_cannot_be_is_named() {
        let given = |size| Settings { message_size: Some(Size(size)), ..Settings::default() };
        assert_eq!(PageSettings::new(&given(1024), 1).unwrap().rules.frame_bytes, 1024);
        for size in [0, 1023, 1 << 30] {
            let error = PageSettings::new(&given(size), 1).unwrap_err().to_string();
            assert!(error.contains("`message_size`"), "{error}");
        }
    }
}
