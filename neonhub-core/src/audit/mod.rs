//! The audit log: who did what, in a hash chain that shows every later change.
//!
//! An entry is written in the commit of the change it tells of. Each holds the hash of the one before, so that an
//! edited, removed, inserted or moved entry is found by [`audit.verify`](VerifyAudit). A cut-off end is found by what
//! was anchored outside the store: every 1 000 entries, every day and at every close.

mod anchor;
mod checkpoint;
mod export;
mod merkle;
mod ops;
mod prune;
mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::op::{Entry, entry};
use crate::scope::Principal;
use crate::store::{Index, Key, Kind, Link, Record, Row, canonical_json};
use crate::tenancy::WorkspaceId;
use crate::{Error, Result, Scope, Timestamp};

pub use anchor::{Anchor, Checkpoint, FileAnchor, MemoryAnchor};
pub use export::{AuditExport, ExportFormat, check_export};
pub use ops::{ExportAudit, QueryAudit, VerifyAudit};
pub use prune::{AuditFloor, AuditHold, KEEP_YEARS};
pub use verify::AuditReport;

pub(crate) use anchor::anchor_beside;
pub(crate) use checkpoint::{Chains, anchor_all, checkpoint};
pub(crate) use prune::prune_daily;

/// Operations on the audit log.
pub static CATALOGUE: &[Entry] = &[entry::<QueryAudit>(), entry::<VerifyAudit>(), entry::<ExportAudit>()];

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
    on_behalf_of: Option<String>,
    before_hash: Option<String>,
    after_hash: Option<String>,
    run_id: Option<String>,
    approval_id: Option<String>,
    policy_versions: Vec<String>,
    ip_hash: Option<String>,
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
    /// Whom the actor acted for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// SHA-256 of the target before, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_hash: Option<String>,
    /// SHA-256 of the target after, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_hash: Option<String>,
    /// The agent's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The approval that let it through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
    /// Versions of policies that spoke, `name@version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy_versions: Vec<String>,
    /// Keyed hash of the address the call came from, when the host gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_hash: Option<String>,
    /// Hash of the entry before, hex.
    pub prev_hash: String,
    /// SHA-256 over `prev_hash` and the canonical JSON of this entry without `hash`, hex.
    pub hash: String,
    /// Id of the record: the number with leading zeros.
    pub id: String,
}

impl Record for AuditEntry {
    const KIND: &'static str = "audit_entry";
    const INDEXES: &'static [Index] =
        &[Index::on("at"), Index::on("action"), Index::on("target"), Index::on("actor")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let target = self.target_kind.as_ref().zip(self.target_id.as_ref());
        vec![
            Some(self.at.into()),
            Some(Key::text(&self.action).and_time(self.at)),
            target.map(|(kind, id)| Key::text(kind).and_text(id).and_time(self.at)),
            Some(Key::text(self.actor.label()).and_time(self.at)),
        ]
    }
}

/// 32 bytes from hex.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (slot, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *slot = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
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
            on_behalf_of: None,
            before_hash: None,
            after_hash: None,
            run_id: None,
            approval_id: None,
            policy_versions: Vec::new(),
            ip_hash: cx.ip_hash().map(str::to_owned),
            by: cx.label().to_owned(),
        }
    }

    /// What it was done to.
    #[must_use]
    pub fn on(mut self, kind: impl Into<String>, id: impl Into<String>) -> Self {
        self.target = Some((kind.into(), id.into()));
        self
    }

    /// Whom the actor acts for.
    #[must_use]
    pub fn on_behalf_of(mut self, who: impl Into<String>) -> Self {
        self.on_behalf_of = Some(who.into());
        self
    }

    /// The agent's run.
    #[must_use]
    pub fn in_run(mut self, run: impl Into<String>) -> Self {
        self.run_id = Some(run.into());
        self
    }

    /// The approval that let it through.
    #[must_use]
    pub fn approved_by(mut self, approval: impl Into<String>) -> Self {
        self.approval_id = Some(approval.into());
        self
    }

    /// Versions of policies that spoke.
    #[must_use]
    pub fn under(mut self, policies: Vec<String>) -> Self {
        self.policy_versions = policies;
        self
    }

    /// The bodies of the target before and after: their hashes are kept.
    #[must_use]
    pub fn changed(mut self, before: Option<&str>, after: Option<&str>) -> Self {
        let hash = |body: &str| crate::store_hex(&Sha256::digest(body.as_bytes()));
        (self.before_hash, self.after_hash) = (before.map(hash), after.map(hash));
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
                    on_behalf_of: self.on_behalf_of.clone(),
                    before_hash: self.before_hash.clone(),
                    after_hash: self.after_hash.clone(),
                    run_id: self.run_id.clone(),
                    approval_id: self.approval_id.clone(),
                    policy_versions: self.policy_versions.clone(),
                    ip_hash: self.ip_hash.clone(),
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

#[cfg(test)]
mod tests;
