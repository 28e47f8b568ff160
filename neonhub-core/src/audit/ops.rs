//! Operations on the audit log.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::export::{AuditExport, ExportFormat, HEADER, csv_line};
use super::prune::span;
use super::verify::{AuditReport, entry_of, verify};
use super::{AuditEntry, id_of};
use crate::op::{Effect, Operation, Page, Sink};
use crate::permission::Permission;
use crate::store::{Key, Kind, Query};
use crate::{Error, Result, Scope, Timestamp};

/// Reads the audit log, newest entries last: those that everything given holds for. A page may hold fewer than its most
/// while `next` leads on.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueryAudit {
    /// Only this actor, in short form: `user:ada`, `agent:campaign`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only this action, such as `people.resolve`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only what was done to records of this kind, such as `policy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_kind: Option<String>,
    /// With `target_kind`: only what was done to this record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// Only from this instant on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Only up to this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// Most entries of the page, 1..500. Default 50.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Pages that one call looks through for entries that all of several filters let through.
const LOOKED_THROUGH: usize = 40;

impl QueryAudit {
    /// The entries that the narrowest of the filters finds by its index; [`Self::lets_through`] holds for the rest.
    fn query(&self) -> Result<Query> {
        let has_span = self.from.is_some() || self.to.is_some();
        let of = |index: &'static str, head: Key| span(Query::index(index), head, self.from, self.to);
        Ok(match (&self.target_kind, &self.target_id, &self.actor, &self.action) {
            (None, Some(_), ..) => {
                return Err(Error::invalid(Self::NAME, "target_kind", "expected the kind of the record"));
            }
            (Some(kind), Some(id), ..) => of("target", Key::text(kind).and_text(id)),
            (_, _, Some(actor), _) => of("actor", Key::text(actor)),
            (_, _, None, Some(action)) => of("action", Key::text(action)),
            (Some(kind), ..) => Query::index("target").prefix(Key::text(kind)),
            (None, None, None, None) if has_span => of("at", Key::new()),
            (None, None, None, None) => Query::by_id(),
        })
    }

    fn lets_through(&self, entry: &AuditEntry) -> bool {
        let is = |wish: &Option<String>, found: Option<&str>| wish.is_none() || wish.as_deref() == found;
        is(&self.actor, Some(&entry.actor.label()))
            && is(&self.action, Some(&entry.action))
            && is(&self.target_kind, entry.target_kind.as_deref())
            && is(&self.target_id, entry.target_id.as_deref())
            && self.from.is_none_or(|from| entry.at >= from)
            && self.to.is_none_or(|to| entry.at <= to)
    }
}

impl Operation for QueryAudit {
    type Output = Page<AuditEntry>;
    const NAME: &'static str = "audit.query";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<AuditEntry>> {
        let query = self.query()?.limit(self.limit.unwrap_or(50) as usize);
        let mut next = self.cursor.clone();
        let mut items = Vec::new();
        for _ in 0..LOOKED_THROUGH {
            let page = cx.page::<AuditEntry>(query.clone(), next.as_deref()).await?;
            items.extend(page.items.into_iter().map(|e| e.body).filter(|e| self.lets_through(e)));
            next = page.next;
            if next.is_none() || !items.is_empty() {
                break;
            }
        }
        Ok(Page { items, next })
    }
    fn examples() -> Vec<Self> {
        vec![
            QueryAudit { action: Some("people.resolve".into()), limit: Some(10), ..Self::default() },
            QueryAudit { actor: Some("user:owner".into()), ..Self::default() },
        ]
    }
}

/// Walks the audit chain of this workspace, holds it against the anchors outside the store, and names the first entry
/// that was changed, removed or moved.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyAudit {
    /// First entry, from 1. Default: the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Last entry. Default: the last, and then also that none is missing after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl Operation for VerifyAudit {
    type Output = AuditReport;
    const NAME: &'static str = "audit.verify";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(600);
    async fn run(self, cx: &Scope) -> Result<AuditReport> {
        if self.from == Some(0) {
            return Err(Error::invalid(Self::NAME, "from", "expected at least 1"));
        }
        if self.from.zip(self.to).is_some_and(|(from, to)| from > to) {
            return Err(Error::invalid(Self::NAME, "to", "expected at least `from`"));
        }
        verify(cx, self.from, self.to).await
    }
    fn examples() -> Vec<Self> {
        vec![VerifyAudit::default()]
    }
}

/// Exports entries page by page, with the checkpoints that vouch for them.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExportAudit {
    /// `ndjson` (the bytes that were hashed) or `csv`. Default `ndjson`.
    pub format: ExportFormat,
    /// First entry, from 1. Default: the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Last entry. Default: the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Most entries of the page, 1..=5 000. Default 1 000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before, with the same range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ExportAudit {
    type Output = AuditExport;
    const NAME: &'static str = "audit.export";
    const NEEDS: &'static [Permission] = &[Permission::ReadAudit];
    const EFFECT: Effect = Effect::Read;
    const SINKS: &'static [Sink] = &[Sink::Export];
    async fn run(self, cx: &Scope) -> Result<AuditExport> {
        let limit = self.limit.unwrap_or(1_000) as usize;
        if !(1..=5_000).contains(&limit) {
            return Err(Error::invalid(Self::NAME, "limit", "expected 1..=5 000"));
        }
        let after = match &self.cursor {
            None => self.from.unwrap_or(1).saturating_sub(1),
            // The number alone: every entry may be read by whoever may export.
            Some(cursor) => cursor.strip_prefix("seq:").and_then(|n| n.parse().ok()).ok_or_else(|| {
                Error::invalid(Self::NAME, "cursor", "expected the `next` of a page, unchanged")
            })?,
        };
        let query = Query::by_id().after(Key::new(), id_of(after)).limit(limit + 1);
        let mut rows = cx.store().query(Kind::of::<AuditEntry>(), cx.workspace(), &query).await?;
        let last_asked = id_of(self.to.unwrap_or(9_999_999_999_999_999));
        rows.retain(|row| row.id <= last_asked);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let mut text = String::new();
        if self.format == ExportFormat::Csv && after + 1 == self.from.unwrap_or(1) {
            text.push_str(HEADER);
        }
        let (mut first, mut last) = (0, 0);
        for row in &rows {
            let entry = entry_of(row)?;
            first = if first == 0 { entry.seq } else { first };
            last = entry.seq;
            match self.format {
                ExportFormat::Ndjson => {
                    text.push_str(&row.body);
                    text.push('\n');
                }
                ExportFormat::Csv => text.push_str(&csv_line(&entry)),
            }
        }
        let mut checkpoints = cx.hub().anchor().all(cx.workspace()).await?;
        checkpoints.retain(|c| (first..=last).contains(&c.seq) && first > 0);
        let next = has_more.then(|| format!("seq:{last}"));
        Ok(AuditExport {
            format: self.format,
            text,
            entries: rows.len() as u64,
            first,
            last,
            checkpoints,
            next,
        })
    }
    fn examples() -> Vec<Self> {
        vec![ExportAudit { limit: Some(100), ..Self::default() }]
    }
}
