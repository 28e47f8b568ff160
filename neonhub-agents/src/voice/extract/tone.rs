//! What a guide says about its own tone, joined with what its texts measure.

use std::collections::BTreeMap;

use crate::voice::model::Tone;
use crate::voice::text;
use crate::voice::tone::{axis_of, tone_of};

/// Votes for and against each axis.
#[derive(Debug, Default)]
pub(super) struct Votes(BTreeMap<&'static str, (u32, u32)>);

/// Share of what the guide says in the blend; the rest is what its copy measures. Ours.
const STATED_SHARE: f64 = 0.5;

impl Votes {
    /// Counts the adjectives of a passage; "not", "never" and "without being" turn the ones after them.
    pub(super) fn read(&mut self, raw: &str) {
        for sentence in text::sentences(raw) {
            let body = sentence.of(raw).to_lowercase();
            let mut negated_for = 0_u32;
            for word in text::words(&body) {
                if matches!(
                    word.text,
                    "not" | "never" | "without" | "isn't" | "aren't" | "avoid" | "than" | "don't" | "no"
                ) {
                    negated_for = 4;
                    continue;
                }
                let Some((axis, up)) = axis_of(word.text) else {
                    negated_for = negated_for.saturating_sub(1);
                    continue;
                };
                let slot = self.0.entry(axis).or_default();
                if up == (negated_for == 0) { slot.0 += 1 } else { slot.1 += 1 }
            }
        }
    }

    /// The tone: stated axes half from the words of the guide, half from its copy; others from the copy.
    pub(super) fn blend(&self, copy: &[&str]) -> Tone {
        let measured: Vec<Tone> = copy.iter().map(|t| tone_of(t)).collect();
        let mean = |of: fn(&Tone) -> f64| {
            if measured.is_empty() {
                0.5
            } else {
                measured.iter().map(of).sum::<f64>() / measured.len() as f64
            }
        };
        let mix = |axis: &str, base: f64| match self.0.get(axis) {
            Some((up, down)) if up != down => {
                let stated = if up > down { 0.85 } else { 0.1 };
                let share = if measured.is_empty() { 1.0 } else { STATED_SHARE };
                share * stated + (1.0 - share) * base
            }
            _ => base,
        };
        Tone {
            formal: mix("formal", mean(|t| t.formal)),
            playful: mix("playful", mean(|t| t.playful)),
            warm: mix("warm", mean(|t| t.warm)),
            bold: mix("bold", mean(|t| t.bold)),
            technical: mix("technical", mean(|t| t.technical)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjectives_vote_and_not_turns_them() {
        let mut votes = Votes::default();
        votes.read("We are warm and playful, never formal. Confident, not pushy.");
        let tone = votes.blend(&[]);
        assert!(tone.warm > 0.8 && tone.playful > 0.8 && tone.bold > 0.8 && tone.formal < 0.2, "{tone:?}");
    }
}
