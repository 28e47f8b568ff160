//! `people.timeline`: what happened to a person, newest first.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::example_id;
use crate::consent::model::{Consent, Suppression};
use crate::people::PersonId;
use crate::people::facts::{GateFacts, facts_of};
use crate::people::model::{Identity, IdentityStatus, MergeEntry, MergeStatus};

/// Rows read per kind and person.
const MAX_ROWS: usize = 10_000;

/// Lists what happened to a person, newest first: identities, consents, suppressions and merges.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PersonTimeline {
    /// The person.
    pub person: PersonId,
    /// Only entries whose kind starts with one of these words, such as `consent`. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Only entries at or after this instant (UTC ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only entries before this instant (UTC ms).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// At most this many, 1 to 500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Something that happened to a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// What: `person.created`, `identity.added`, `consent.granted`, `suppression.added`, `person.merged` and others.
    pub kind: String,
    /// The record that shows it.
    pub record: String,
    /// Facts: ids and words, no contact values.
    pub data: Value,
}

impl Operation for PersonTimeline {
    type Output = Page<TimelineEntry>;
    const NAME: &'static str = "people.timeline";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<TimelineEntry>> {
        let facts = facts_of(cx, &self.person).await?;
        let mut entries = entries(cx, &facts.body).await?;
        entries.retain(|e| self.wants(e));
        // Newest first; equal instants by kind and record, so that the order is total and a cursor can name a place.
        entries.sort_by(|a, b| place(b).cmp(&place(a)));
        if let Some(cursor) = &self.cursor {
            let after = read_cursor(cursor)?;
            entries.retain(|e| place(e) < (after.0, after.1.as_str(), after.2.as_str()));
        }
        let limit = usize::from(self.limit.unwrap_or(50).clamp(1, 500));
        let has_more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().filter(|_| has_more).map(write_cursor);
        Ok(Page { items: entries, next })
    }

    fn examples() -> Vec<Self> {
        example_id()
            .map(|person| PersonTimeline {
                person,
                kinds: vec!["consent".into()],
                since: None,
                until: None,
                limit: None,
                cursor: None,
            })
            .into_iter()
            .collect()
    }
}

impl PersonTimeline {
    fn wants(&self, entry: &TimelineEntry) -> bool {
        (self.kinds.is_empty() || self.kinds.iter().any(|k| entry.kind.starts_with(k.as_str())))
            && self.since.is_none_or(|at| entry.at >= at)
            && self.until.is_none_or(|at| entry.at < at)
    }
}

fn place(e: &TimelineEntry) -> (Timestamp, &str, &str) {
    (e.at, &e.kind, &e.record)
}

fn write_cursor(e: &TimelineEntry) -> String {
    format!("{}|{}|{}", e.at.as_millis(), e.kind, e.record)
}

fn read_cursor(cursor: &str) -> Result<(Timestamp, String, String)> {
    let mut parts = cursor.splitn(3, '|');
    let at = parts.next().and_then(|p| p.parse().ok()).map(Timestamp::from_millis);
    match (at, parts.next(), parts.next()) {
        (Some(at), Some(kind), Some(record)) => Ok((at, kind.to_owned(), record.to_owned())),
        _ => Err(Error::invalid(PersonTimeline::NAME, "cursor", "expected the cursor of the page before")),
    }
}

async fn entries(cx: &Scope, facts: &GateFacts) -> Result<Vec<TimelineEntry>> {
    let mut out = Vec::new();
    for member in facts.people() {
        let id = member.person.as_str();
        out.push(entry(member.created_at, "person.created", id, json!({})));
        let by_person = Query::index("person").prefix(Key::text(id)).limit(MAX_ROWS);
        for identity in cx.query::<Identity>(&by_person).await? {
            let data = json!({"kind": identity.kind, "source": identity.source, "is_active": identity.status == IdentityStatus::Active});
            out.push(entry(identity.first_seen_at, "identity.added", identity.id.as_str(), data));
            if let Some(proof) = &identity.verification {
                out.push(entry(
                    proof.at,
                    "identity.verified",
                    identity.id.as_str(),
                    json!({"method": proof.method}),
                ));
            }
        }
        for row in cx.query::<Consent>(&by_person).await? {
            let data =
                json!({"channel": row.channel, "scope": row.scope, "source": row.source, "brand": row.brand});
            out.push(entry(
                row.effective_at,
                &format!("consent.{}", row.status.as_word()),
                row.id.as_str(),
                data,
            ));
        }
        // Each merge is found from the side it absorbed, so that it is listed once.
        let by_absorbed = Query::index("absorbed").prefix(Key::text(id)).limit(MAX_ROWS);
        for merge in cx.query::<MergeEntry>(&by_absorbed).await? {
            let data = json!({"survivor": merge.survivor, "absorbed": merge.absorbed, "rule": merge.rule});
            out.push(entry(merge.at, "person.merged", merge.id.as_str(), data));
            if let (MergeStatus::Undone, Some(at)) = (merge.status, merge.undone_at) {
                out.push(entry(at, "person.unmerged", merge.id.as_str(), json!({})));
            }
        }
    }
    let ids: Vec<String> = facts.suppressions.iter().map(|s| s.suppression.to_string()).collect();
    for row in cx.get_many::<Suppression>(&ids).await?.into_iter().flatten() {
        let data = json!({"reason": row.reason, "channel": row.channel, "source": row.source});
        out.push(entry(row.at, "suppression.added", row.id.as_str(), data));
    }
    out.dedup();
    Ok(out)
}

fn entry(at: Timestamp, kind: &str, record: &str, data: Value) -> TimelineEntry {
    TimelineEntry { at, kind: kind.to_owned(), record: record.to_owned(), data }
}
