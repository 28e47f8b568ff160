//! G03 to G05: the person, the address, suppression and consent.

use std::time::Duration;

use neonhub_core::Timestamp;

use crate::consent::Status;
use crate::consent::suppression::SuppressionReason;
use crate::people::model::PersonStatus;
use crate::people::normalise::Quality;

use super::facts::{Facts, PersonFacts, SuppressionFact};
use super::verdict::Finding;
use super::{Category, Channel, RuleId};

/// A reply may go while the thread is this young.
pub(super) const THREAD_OPEN: Duration = Duration::from_secs(24 * 3600);
/// An opt-in request of the person lifts a suppression for its own confirmation this long.
const REQUEST_FRESH: Duration = Duration::from_secs(10 * 60);

pub(super) fn judge(facts: &Facts<'_>, now: Timestamp, out: &mut Vec<Finding>) {
    let Some(person) = facts.person else {
        out.push(Finding::deny(RuleId::Person, "no_person", "the person does not exist"));
        out.push(Finding::deny(RuleId::Identity, "no_identity", "there is no person to have an address"));
        out.push(Finding::deny(RuleId::Consent, "no_consent", "there is no person who could have agreed"));
        return;
    };
    let category = facts.draft.category;
    match person.state {
        PersonStatus::Active => {}
        PersonStatus::Restricted if category == Category::Legal => {}
        PersonStatus::Restricted => {
            let message = "processing is restricted on the person's request";
            out.push(Finding::deny(RuleId::Person, "restricted", message).with("person", &person.id));
        }
        PersonStatus::Erased => {
            let message = "the person was erased";
            out.push(Finding::deny(RuleId::Person, "erased", message).with("person", &person.id));
        }
    }
    identity(facts, person, out);
    suppression(facts, person, now, out);
    consent(facts, person, now, out);
}

/// True when the deciding grant covers the address the message goes to.
fn is_granted(person: &PersonFacts) -> bool {
    let identity = person.identity.as_ref().map(|i| i.id.as_str());
    let covers = person.consent.identity.as_deref().is_none_or(|named| Some(named) == identity);
    person.consent.state == Some(Status::Granted) && covers
}

fn identity(facts: &Facts<'_>, person: &PersonFacts, out: &mut Vec<Finding>) {
    let (rule, draft) = (RuleId::Identity, facts.draft);
    let Some(identity) = &person.identity else {
        let message = "the person has no active address for the channel";
        out.push(Finding::deny(rule, "no_identity", message).with("channel", draft.channel));
        return;
    };
    let is_number = matches!(draft.channel, Channel::Sms | Channel::Phone | Channel::Whatsapp);
    if is_number && identity.quality != Quality::Valid {
        let message = "the number is not valid in its numbering plan";
        out.push(Finding::deny(rule, "number_not_valid", message).with("identity", &identity.id));
    }
    // Without any grant the answer is that of G05; here it is about the address a grant is for.
    let has_grant = person.consent.state == Some(Status::Granted);
    if draft.category == Category::Marketing && !identity.is_verified && has_grant && !is_granted(person) {
        let message = "marketing needs a verified address or one a grant covers";
        out.push(Finding::deny(rule, "not_verified", message).with("identity", &identity.id));
    }
}

fn suppression(facts: &Facts<'_>, person: &PersonFacts, now: Timestamp, out: &mut Vec<Finding>) {
    let category = facts.draft.category;
    let asked = person.opt_in_requested_at.is_some_and(|at| at <= now && now < at.plus(REQUEST_FRESH));
    for row in person.suppressions.iter().filter(|row| covers(row, facts, now)) {
        use SuppressionReason as S;
        let is_skipped = match category {
            Category::Marketing | Category::Conversational => false,
            Category::Transactional => row.reason == S::UnsubscribeAll,
            Category::Confirmation => {
                asked && matches!(row.reason, S::Complaint | S::UnsubscribeAll | S::Erased)
            }
            Category::Legal => !matches!(row.reason, S::HardBounce | S::Erased),
        };
        if !is_skipped {
            let message = "the address, its domain or the person is suppressed";
            let reason = Finding::deny(RuleId::Suppression, "suppressed", message);
            out.push(reason.with("suppression", &row.id).with("reason", word(row.reason)));
        }
    }
}

fn covers(row: &SuppressionFact, facts: &Facts<'_>, now: Timestamp) -> bool {
    use SuppressionReason as S;
    // A hard bounce, a complaint and an erasure hold for every brand.
    let any_brand = matches!(row.reason, S::HardBounce | S::Complaint | S::Erased);
    let brand = any_brand || row.brand.is_none() || row.brand == facts.tenant.brand_id;
    let channel = row.channel.is_none_or(|c| c == facts.draft.channel);
    brand && channel && row.expires_at.is_none_or(|end| end > now)
}

fn word(reason: SuppressionReason) -> &'static str {
    match reason {
        SuppressionReason::HardBounce => "hard_bounce",
        SuppressionReason::Complaint => "complaint",
        SuppressionReason::UnsubscribeAll => "unsubscribe_all",
        SuppressionReason::Manual => "manual",
        SuppressionReason::Erased => "erased",
        SuppressionReason::Legal => "legal",
        SuppressionReason::Import => "import",
        SuppressionReason::RoleAddress => "role_address",
    }
}

fn consent(facts: &Facts<'_>, person: &PersonFacts, now: Timestamp, out: &mut Vec<Finding>) {
    let consent = &person.consent;
    let denial = match facts.draft.category {
        Category::Confirmation | Category::Legal => None,
        Category::Transactional => matches!(consent.state, Some(Status::Revoked | Status::Denied))
            .then_some(("revoked", "the person does not want transactional messages here")),
        Category::Conversational => {
            let is_open = person.last_inbound_at.is_some_and(|at| now < at.plus(THREAD_OPEN));
            (!is_open).then_some(("no_open_thread", "the person did not write within the last 24 hours"))
        }
        Category::Marketing if person.preferences.is_channel_off => {
            Some(("channel_off", "the person switched this channel off"))
        }
        Category::Marketing if is_granted(person) => None,
        Category::Marketing => Some(match consent.state {
            None => ("no_consent", "the person has not agreed"),
            Some(Status::Pending) => ("pending", "the person has not confirmed"),
            Some(Status::Revoked) => ("revoked", "the person took the consent back"),
            Some(Status::Denied) => ("denied", "the person refused"),
            Some(Status::Granted) => ("other_address", "the grant names another address"),
        }),
    };
    if let Some((code, message)) = denial {
        let mut reason = Finding::deny(RuleId::Consent, code, message).with("scope", &consent.scope);
        if let Some(row) = &consent.row {
            reason = reason.with("consent", row);
        }
        out.push(reason);
    }
}
