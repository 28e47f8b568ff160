//! The audit log: who did what, in a hash chain that shows every later change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::scope::Principal;
use crate::store::{Index, Key, Kind, Link, Query, Record, Row, canonical_json};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

const CHAIN: &str = "audit";

/// How the act ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was refused.
    Denied,
    /// It failed.
    Failed,
}

/// An entry before it is chained. Holds ids and words, no contact values and no message bodies.
#[derive(Clone, Debug)]
pub struct AuditDraft {
    at: Timestamp,
    actor: Principal,
    action: String,
    target: Option<(String, String)>,
    outcome: Outcome,
    reason: Option<String>,
    correlation_id: String,
    by: String,
}

/// One entry of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Number in the chain of the workspace, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Principal,
    /// The operation or event.
    pub action: String,
    /// Kind of what it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_kind: Option<String>,
    /// Id of what it was done to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or failed: an error code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Joins everything one outer call caused.
    pub correlation_id: String,
    /// Hash of the entry before, hex.
    pub prev_hash: String,
    /// SHA-256 over `prev_hash` and the canonical JSON of this entry without `hash`, hex.
    pub hash: String,
    /// Id of the record: the number with leading zeros.
    pub id: String,
}

impl Record for AuditEntry {
    const KIND: &'static str = "audit_entry";
    const INDEXES: &'static [Index] = &[Index::on("at"), Index::on("action")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.at.into()), Some(Key::text(&self.action).and_time(self.at))]
    }
}

fn id_of(seq: u64) -> String {
    format!("aud_{seq:016}")
}

/// The hash that the first entry of a workspace builds on.
#[must_use]
pub fn genesis(workspace: &WorkspaceId) -> [u8; 32] {
    Sha256::new().chain_update(b"neonhub-audit-v1").chain_update(workspace.as_str()).finalize().into()
}

fn hash_of(prev: &[u8; 32], entry: &AuditEntry) -> Result<[u8; 32]> {
    let mut body = serde_json::to_value(entry).map_err(|cause| Error::internal("audit", cause))?;
    if let Some(map) = body.as_object_mut() {
        map.remove("hash");
    }
    Ok(Sha256::new().chain_update(prev).chain_update(canonical_json(&body)?).finalize().into())
}

impl AuditDraft {
    /// An entry for the acting principal, now.
    #[must_use]
    pub fn of(cx: &Scope, action: impl Into<String>, outcome: Outcome) -> Self {
        AuditDraft {
            at: cx.now(),
            actor: cx.principal().clone(),
            action: action.into(),
            target: None,
            outcome,
            reason: None,
            correlation_id: cx.correlation().to_owned(),
            by: cx.label().to_owned(),
        }
    }

    /// What it was done to.
    #[must_use]
    pub fn on(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.target = Some((kind.into(), id.into()));
        self
    }

    /// Why it was refused or failed: a stable word.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn into_link(self, workspace: &WorkspaceId) -> Result<Link> {
        Ok(Link {
            chain: CHAIN,
            kind: Kind::of::<AuditEntry>(),
            genesis: genesis(workspace),
            forge: Box::new(move |seq, prev| {
                let (target_kind, target_id) = self.target.clone().unzip();
                let mut entry = AuditEntry {
                    seq,
                    at: self.at,
                    actor: self.actor.clone(),
                    action: self.action.clone(),
                    target_kind,
                    target_id,
                    outcome: self.outcome,
                    reason: self.reason.clone(),
                    correlation_id: self.correlation_id.clone(),
                    prev_hash: crate::store_hex(&prev),
                    hash: String::new(),
                    id: id_of(seq),
                };
                let hash = hash_of(&prev, &entry)?;
                entry.hash = crate::store_hex(&hash);
                Ok((Row::of(&entry, entry.at, &self.by)?, hash))
            }),
        })
    }
}

/// The answer of `audit.verify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditReport {
    /// True when every entry is as it was written.
    pub ok: bool,
    /// Entries read.
    pub entries: u64,
    /// Number of the first bad entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<u64>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Walks the chain of the workspace from its first entry.
///
/// # Errors
/// What the store answers; a damaged entry is an answer, not an error.
pub(crate) async fn verify(cx: &Scope) -> Result<AuditReport> {
    let mut prev = genesis(cx.workspace());
    let (mut seq, mut last) = (0, String::new());
    loop {
        let query = Query::by_id().limit(500).after(Key::new(), last.clone());
        let page = match cx.query::<AuditEntry>(&query).await {
            Ok(page) => page,
            Err(error) if error.kind() == ErrorKind::Corrupted => {
                return Ok(bad(seq, seq + 1, "an entry does not match its checksum"));
            }
            Err(error) => return Err(error),
        };
        if page.is_empty() {
            return Ok(AuditReport { ok: true, entries: seq, first_bad: None, problem: None });
        }
        for entry in page {
            if entry.seq != seq + 1 || entry.id != id_of(seq + 1) {
                return Ok(bad(seq, seq + 1, "an entry is missing or out of order"));
            }
            let hash = hash_of(&prev, &entry.body)?;
            if entry.prev_hash != crate::store_hex(&prev) || entry.hash != crate::store_hex(&hash) {
                return Ok(bad(seq, entry.seq, "an entry was changed after it was written"));
            }
            prev = hash;
            seq = entry.seq;
            last.clone_from(&entry.body.id);
        }
    }
}

fn bad(entries: u64, seq: u64, problem: &str) -> AuditReport {
    AuditReport { ok: false, entries, first_bad: Some(seq), problem: Some(problem.to_owned()) }
}
