//! Suppressing an address of a known person, inside the commit of whoever asks.

use neonhub_core::bus::Event;
use neonhub_core::store::{Expected, Key, Stored};
use neonhub_core::{Result, Scope};
use serde_json::json;

use crate::consent::model::{SuppressedValue, Suppression, SuppressionCount};
use crate::consent::suppression::{SuppressionFact, SuppressionKind, SuppressionReason};
use crate::consent::{Channel, SuppressionId};
use crate::people::IdentityId;
use crate::people::facts::GateFacts;
use crate::people::model::Identity;

/// What is to be suppressed.
pub(super) struct Suppress<'a> {
    pub(super) identity: &'a IdentityId,
    pub(super) channel: Option<&'a Channel>,
    pub(super) brand: Option<&'a str>,
    pub(super) reason: SuppressionReason,
    pub(super) source: &'a str,
    pub(super) evidence: Option<&'a str>,
}

/// The unique key of a suppression.
pub(super) fn place(hash: &str, channel: Option<&Channel>, brand: Option<&str>) -> Key {
    let channel = channel.map(Channel::as_word).unwrap_or_default();
    Key::text(hash).and_text(channel).and_text(brand.unwrap_or_default())
}

/// Suppresses an address of the person; true when that is new. The caller saves the facts.
pub(super) async fn suppress(
    cx: &Scope,
    facts: &mut Stored<GateFacts>,
    what: &Suppress<'_>,
) -> Result<(SuppressionId, bool)> {
    let identity = cx.need::<Identity>(what.identity.as_str()).await?;
    let known = cx.find::<Suppression>("place", place(&identity.hash, what.channel, what.brand)).await?;
    let (record, is_new) = match known {
        Some(known) if known.lifted.is_none() && known.expires_at.is_none_or(|end| end > cx.now()) => {
            (known.body, false)
        }
        Some(mut known) => {
            // It was lifted or ended: it stands again, for the new reason.
            known.body.lifted = None;
            known.body.expires_at = None;
            known.body.reason = what.reason;
            known.body.source = what.source.to_owned();
            known.body.at = cx.now();
            cx.save(&known)?;
            (known.body, true)
        }
        None => {
            let record = Suppression {
                id: SuppressionId::new(cx),
                kind: SuppressionKind::Address,
                channel: what.channel.cloned(),
                value_hash: identity.hash.clone(),
                key: Some(identity.key.clone()),
                person: Some(identity.person.clone()),
                brand: what.brand.map(str::to_owned),
                reason: what.reason,
                source: what.source.to_owned(),
                evidence: what.evidence.map(str::to_owned),
                at: cx.now(),
                expires_at: None,
                lifted: None,
            };
            cx.create(&record)?;
            (record, true)
        }
    };
    let fact = fact_of(&record);
    let named = SuppressionFact { identity: Some(what.identity.clone()), ..fact.clone() };
    if is_new {
        list_value(cx, &record.value_hash, &fact).await?;
        facts.body.suppressions.retain(|s| s.suppression != record.id);
        facts.body.suppressions.push(named);
        facts.body.settle();
        facts.body.epoch += 1;
        announce(cx, &record)?;
    }
    Ok((record.id, is_new))
}

/// What matching reads of a record.
pub(super) fn fact_of(record: &Suppression) -> SuppressionFact {
    SuppressionFact {
        suppression: record.id.clone(),
        kind: record.kind,
        identity: None,
        channel: record.channel.clone(),
        brand: record.brand.clone(),
        reason: record.reason,
        expires_at: record.expires_at,
    }
}

/// Enters a suppression under the hash of its value, and counts the change.
pub(super) async fn list_value(cx: &Scope, hash: &str, fact: &SuppressionFact) -> Result<()> {
    let mut value = match cx.get::<SuppressedValue>(hash).await? {
        Some(known) => known,
        None => fresh(SuppressedValue { id: hash.to_owned(), suppressions: Vec::new() }, cx),
    };
    value.body.suppressions.retain(|s| s.suppression != fact.suppression);
    value.body.suppressions.push(fact.clone());
    value.body.suppressions.sort_by(|a, b| a.suppression.cmp(&b.suppression));
    put(cx, &value)?;
    count(cx).await
}

/// Takes a suppression off the list of its value, and counts the change.
pub(super) async fn unlist_value(cx: &Scope, hash: &str, id: &SuppressionId) -> Result<()> {
    if let Some(mut value) = cx.get::<SuppressedValue>(hash).await? {
        value.body.suppressions.retain(|s| s.suppression != *id);
        put(cx, &value)?;
    }
    count(cx).await
}

async fn count(cx: &Scope) -> Result<()> {
    let mut count = match cx.get::<SuppressionCount>(SuppressionCount::ID).await? {
        Some(known) => known,
        None => fresh(SuppressionCount::default(), cx),
    };
    count.body.changes += 1;
    put(cx, &count)
}

fn fresh<R>(body: R, cx: &Scope) -> Stored<R> {
    Stored { body, rev: 0, created_at: cx.now(), updated_at: cx.now(), created_by: cx.label().to_owned() }
}

fn put<R: neonhub_core::store::Record>(cx: &Scope, record: &Stored<R>) -> Result<()> {
    let expected = if record.rev == 0 { Expected::Absent } else { Expected::Rev(record.rev) };
    cx.put(&record.body, expected)
}

pub(super) fn announce(cx: &Scope, record: &Suppression) -> Result<()> {
    let data = json!({"reason": record.reason, "channel": record.channel, "kind": record.kind});
    cx.emit(Event::new(cx, "suppression.added", "suppression", record.id.as_str(), data))
}
