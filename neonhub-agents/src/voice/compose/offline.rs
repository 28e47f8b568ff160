//! Offline writing: many seeded drafts of one text, from which the accepted ones are chosen.

use neonhub_core::Seed;
use serde::{Deserialize, Serialize};

use super::draft::Writer;
use super::facts::Facts;
use super::parts::{Channel, Parts};
use super::quote::Cited;
use super::{ads, blog, email, post, sms};

/// A text with the sources it quotes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// The text.
    pub parts: Parts,
    /// Quotes in it.
    pub cited: Vec<Cited>,
}

/// How one draft is to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) channel: Channel,
    pub(super) step: u32,
    pub(super) steps: u32,
    pub(super) max_segments: u32,
}

/// The draft number `turn` for this seed; `None` when nothing fits, such as a required phrase in one text message.
pub(super) fn write(facts: &Facts, shape: Shape, seed: &Seed, turn: usize) -> Option<Draft> {
    let labels: [&[u8]; 3] =
        [shape.channel.word().as_bytes(), &shape.step.to_le_bytes(), &(turn as u64).to_le_bytes()];
    let mut w = Writer::new(facts, seed.split(&labels).rng(), turn);
    let parts = match shape.channel {
        Channel::Email => email::write(&mut w, shape.step, shape.steps),
        Channel::Sms => sms::write(&mut w, shape.max_segments),
        Channel::X | Channel::Linkedin | Channel::Instagram | Channel::Facebook => {
            post::write(&mut w, shape.channel)
        }
        Channel::Ads => ads::write(&mut w),
        Channel::Blog => blog::write(&mut w),
    }?;
    Some(Draft { parts, cited: w.cited })
}
