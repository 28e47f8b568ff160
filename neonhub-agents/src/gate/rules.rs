//! Runs every rule in order and keeps every reason.
//!
//! | category | skips |
//! |---|---|
//! | transactional | opt-out text, quiet hours, brand windows, caps; `unsubscribe_all` suppressions |
//! | conversational | legal hours when answering within 24 h of an inbound message; caps over all channels |
//! | confirmation | consent, caps; complaint, unsubscribe and erase suppressions if the person just asked |
//! | legal | consent, quiet hours, caps; suppressions but hard bounce and erase |
//!
//! No category skips `G02.offline`. Public posts skip G03 to G06 and G08, having no recipient. The rules of budget
//! and provider (G09, G10) need the wallet and the connection; they join when those exist.

use neonhub_core::Timestamp;

use super::facts::Facts;
use super::{Ruling, content, person, platform, source, timing};

/// Judges the send described by `facts` at `now`. Pure: same facts and instant, same judgement.
#[must_use]
pub fn evaluate(facts: &Facts<'_>, now: Timestamp) -> Ruling {
    let mut reasons = Vec::new();
    let mut zones_used = Vec::new();
    source::judge(facts, now, &mut reasons);
    content::judge(facts, now, &mut reasons);
    let recipient = facts.person.filter(|_| facts.draft.channel.is_personal());
    if facts.draft.channel.is_personal() {
        person::judge(facts, now, &mut reasons);
    }
    if let Some(person) = recipient {
        zones_used = timing::judge(facts, person, now, &mut reasons);
        platform::window(facts, person, now, &mut reasons);
    }
    platform::limits(facts, &mut reasons);
    if recipient.is_none() {
        platform::duplicate(facts, now, &mut reasons);
    }
    if let Some(person) = recipient {
        timing::frequency(facts, person, now, &mut reasons);
    }
    Ruling::from_findings(reasons, zones_used)
}
