//! What an asker says of their connection, and what follows from it.
//!
//! The names are those of the Network Information API and of the client hints of the same meaning.
//! Spec: <https://wicg.github.io/netinfo/>, <https://wicg.github.io/savedata/>.

use serde::{Deserialize, Serialize};

use crate::HeaderList;

/// Round trips that take at least so long are slow, in milliseconds.
const SLOW_RTT_MS: f64 = 1000.0;

/// A downlink of less is slow, in megabits per second.
const SLOW_DOWNLINK: f64 = 0.4;

/// What is known of the asker's connection. In JSON: what `navigator.connection` shows.
///
/// ```
/// use waystore::{HeaderList, prefetch::Hints};
///
/// let headers: HeaderList = [("Save-Data", "on"), ("RTT", "50")].into_iter().collect();
/// assert!(Hints::from_headers(&headers).wants_to_save());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Hints {
    /// The user asked to save data (`Save-Data: on`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub save_data: bool,
    /// What the connection is like (`ECT`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_type: Option<EffectiveType>,
    /// Megabits per second (`Downlink`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downlink: Option<f64>,
    /// Milliseconds of a round trip (`RTT`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<f64>,
}

/// The kind of mobile connection that a connection is as good as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EffectiveType {
    /// About 50 kilobits per second, two seconds a round trip.
    #[serde(rename = "slow-2g")]
    Slow2g,
    /// About 70 kilobits per second.
    #[serde(rename = "2g")]
    TwoG,
    /// About 700 kilobits per second.
    #[serde(rename = "3g")]
    ThreeG,
    /// Anything better.
    #[serde(rename = "4g")]
    FourG,
}

/// What to do where the asker wants to save data, or has a slow connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenSaving {
    /// Fetch nothing.
    #[default]
    Skip,
    /// Fetch what is required.
    Required,
    /// Fetch all the same.
    Fetch,
}

impl Hints {
    /// What the request headers `Save-Data`, `ECT`, `Downlink` and `RTT` say; what cannot be read says nothing.
    pub fn from_headers(headers: &HeaderList) -> Self {
        let text = |name: &str| headers.get_text(name);
        let number = |name| text(name)?.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        Self {
            save_data: text("save-data").is_some_and(|value| value.trim().eq_ignore_ascii_case("on")),
            effective_type: text("ect").and_then(|value| EffectiveType::parse(value.trim())),
            downlink: number("downlink"),
            rtt: number("rtt"),
        }
    }

    /// What either says, where the other says nothing; data is saved where one of them asks for it.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            save_data: self.save_data || other.save_data,
            effective_type: self.effective_type.or(other.effective_type),
            downlink: self.downlink.or(other.downlink),
            rtt: self.rtt.or(other.rtt),
        }
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether to leave fetching ahead: the user asked to save data, or the connection is slow: 2G or worse, a round
    /// trip of a second or more, a downlink of less than 0.4 megabits per second.
    pub fn wants_to_save(&self) -> bool {
        let slow = matches!(self.effective_type, Some(EffectiveType::Slow2g | EffectiveType::TwoG));
        // A downlink of 0 is what browsers that do not know it say.
        let narrow = self.downlink.is_some_and(|downlink| downlink > 0.0 && downlink < SLOW_DOWNLINK);
        self.save_data || slow || narrow || self.rtt.is_some_and(|rtt| rtt >= SLOW_RTT_MS)
    }
}

impl EffectiveType {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "slow-2g" => Self::Slow2g,
            "2g" => Self::TwoG,
            "3g" => Self::ThreeG,
            "4g" => Self::FourG,
            _ => return None,
        })
    }
}
