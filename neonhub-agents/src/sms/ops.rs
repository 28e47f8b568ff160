//! Counting text messages.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Segmentation, Suggestion, segment, suggest};

/// Longest text that is counted, in bytes.
const MAX_TEXT: usize = 64 * 1024;

/// Counts the segments of a text message, and says how it would take fewer.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CountSegments {
    /// The text, at most 64 KiB.
    pub text: String,
}

/// What a text message takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SegmentCount {
    /// Alphabet, units and segments as the text stands.
    pub counted: Segmentation,
    /// A text that reads the same in the cheaper alphabet, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
}

impl Operation for CountSegments {
    type Output = SegmentCount;
    const NAME: &'static str = "sms.segments";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, _cx: &Scope) -> Result<SegmentCount> {
        if self.text.len() > MAX_TEXT {
            return Err(Error::invalid(Self::NAME, "text", "expected at most 64 KiB"));
        }
        Ok(SegmentCount { counted: segment(&self.text), suggestion: suggest(&self.text) })
    }
    fn examples() -> Vec<Self> {
        vec![CountSegments { text: "It\u{2019}s here: fresh beans. Reply STOP to end".into() }]
    }
}
