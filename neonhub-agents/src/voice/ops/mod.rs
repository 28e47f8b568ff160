//! The operations of a voice.

mod compose;
mod context;
mod extract;
mod judge;
mod profile;
mod update;

pub use compose::{Compose, ComposeNote, Composed, ComposedText};
pub use context::{ContextChunk, VoiceContext, VoiceInContext};
pub use extract::{ExtractVoice, SkippedPassage, UploadGuide, UploadedGuide, VoiceDiff, VoiceProposal};
pub use judge::{CheckText, ScoreText, VoiceScore};
pub use profile::{GetVoice, VoiceView};
pub use update::{NewRule, UpdateVoice};

#[cfg(test)]
mod tests;
