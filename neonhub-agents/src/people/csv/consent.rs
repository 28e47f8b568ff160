//! The consent cells of a row, with their proof.

use neonhub_core::Timestamp;

use super::contact::Faulty;
use crate::consent::{Channel, Status};

/// Longest wording of a consent, in characters.
pub const MAX_CONSENT_TEXT_CHARS: usize = 10_000;
const MAX_SOURCE_CHARS: usize = 500;

/// A consent as a row gives it. A grant always has its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenConsent {
    /// The channel.
    pub channel: Channel,
    /// What the row says.
    pub status: Status,
    /// Since when; none: the row does not say (never for a grant).
    pub at: Option<Timestamp>,
    /// Where it was given.
    pub source: Option<Box<str>>,
    /// The wording that was agreed to.
    pub text: Option<Box<str>>,
}

/// The cells that the consents of a row share.
#[derive(Debug, Default)]
pub(super) struct ConsentCells<'a> {
    pub(super) email: &'a str,
    pub(super) sms: &'a str,
    pub(super) at: &'a str,
    pub(super) source: &'a str,
    pub(super) text: &'a str,
}

/// Reads them. A consent that cannot be read, and a grant without proof, is reported and left out; a "no" without
/// its instant is kept, since leaving it out would let an older grant stand.
pub(super) fn read(cells: &ConsentCells<'_>, faults: &mut Faulty<'_>) -> Vec<GivenConsent> {
    let email = status("consent_email", cells.email, faults);
    let sms = status("consent_sms", cells.sms, faults);
    if email.is_none() && sms.is_none() {
        return Vec::new();
    }
    let at = instant(cells.at, faults);
    let source = text("consent_source", cells.source, MAX_SOURCE_CHARS, faults);
    let wording = text("consent_text", cells.text, MAX_CONSENT_TEXT_CHARS, faults);
    let mut given = Vec::with_capacity(2);
    for (field, channel, status) in
        [("consent_email", Channel::Email, email), ("consent_sms", Channel::Sms, sms)]
    {
        let Some(status) = status else { continue };
        if status == Status::Granted
            && let Some(reason) = lacking(at, source, wording)
        {
            faults.note(field, reason);
            continue;
        }
        given.push(GivenConsent {
            channel,
            status,
            at,
            source: source.map(Into::into),
            text: wording.map(Into::into),
        });
    }
    given
}

fn lacking(at: Option<Timestamp>, source: Option<&str>, text: Option<&str>) -> Option<String> {
    let lacks: Vec<&str> = [
        ("consent_at", at.is_none()),
        ("consent_source", source.is_none()),
        ("consent_text", text.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, is_missing)| is_missing.then_some(name))
    .collect();
    if lacks.is_empty() {
        return None;
    }
    Some(format!("lacks proof: {} must be given with a grant; no consent was recorded", lacks.join(", ")))
}

fn status(field: &'static str, cell: &str, faults: &mut Faulty<'_>) -> Option<Status> {
    let word = cell.trim();
    let known = [Status::Granted, Status::Revoked, Status::Pending, Status::Denied];
    let found = known.into_iter().find(|s| s.as_word().eq_ignore_ascii_case(word));
    if found.is_none() && !word.is_empty() {
        faults.note(field, "expected granted, revoked, pending or nothing; no consent was recorded");
    }
    found
}

fn instant(cell: &str, faults: &mut Faulty<'_>) -> Option<Timestamp> {
    let cell = cell.trim();
    if cell.is_empty() {
        return None;
    }
    let at = Timestamp::parse("consent_at", cell).ok();
    if at.is_none() {
        faults.note("consent_at", "expected an RFC 3339 instant with offset, such as 2026-11-21T09:00:00Z");
    }
    at
}

fn text<'a>(field: &'static str, cell: &'a str, max: usize, faults: &mut Faulty<'_>) -> Option<&'a str> {
    let cell = cell.trim();
    if cell.len() > max && cell.chars().count() > max {
        faults.note(field, format!("has more than {max} characters"));
        return None;
    }
    (!cell.is_empty()).then_some(cell)
}
