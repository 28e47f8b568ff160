//! What is said: how a brand sounds (extracted from its own documents, measured, scored) and the composer that
//! writes every channel's text in that voice.

pub mod compose;
pub mod extract;
#[cfg(test)]
mod fixture;
mod library;
pub mod measure;
mod model;
mod ops;
mod record;
pub mod score;
pub mod similar;
pub mod text;
pub mod tone;

use neonhub_core::HubBuilder;
use neonhub_core::op::{Entry, entry};
use neonhub_core::store::Kind;

pub use library::BRAND_VOICE;
pub use model::{
    Calibration, Casing, ChannelOverride, Exemplar, Pattern, Person, PreferredTerm, Rule, RuleKind,
    RuleSource, Severity, Spread, Style, Thresholds, Tone, Vocabulary, Voice,
};
pub use ops::{
    CheckText, Compose, ComposeNote, Composed, ComposedText, ContextChunk, ExtractVoice, GetVoice, NewRule,
    ScoreText, SkippedPassage, UpdateVoice, UploadGuide, UploadedGuide, VoiceContext, VoiceDiff,
    VoiceInContext, VoiceProposal, VoiceScore, VoiceView,
};
pub use record::{VoiceProfile, VoiceProfileId, VoiceRule, VoiceRuleId, VoiceStatus};

/// The operations of voices.
pub static CATALOGUE: &[Entry] = &[
    entry::<UploadGuide>(),
    entry::<ExtractVoice>(),
    entry::<GetVoice>(),
    entry::<UpdateVoice>(),
    entry::<VoiceContext>(),
    entry::<Compose>(),
    entry::<ScoreText>(),
    entry::<CheckText>(),
];

/// The records of voices.
pub static KINDS: &[Kind] = &[Kind::of::<VoiceProfile>(), Kind::of::<VoiceRule>()];

/// Adds voices to a hub.
pub fn install(builder: HubBuilder) -> HubBuilder {
    builder.operations(CATALOGUE).kinds(KINDS)
}
