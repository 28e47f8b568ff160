//! Entries for auditors: the bytes that were hashed, or a table, with the checkpoints that vouch for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::verify::{AuditReport, Link};
use super::{AuditEntry, Checkpoint, merkle, unhex};

/// How entries are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExportFormat {
    /// One canonical JSON object a line (RFC 8785): with it anyone can check the chain.
    #[default]
    Ndjson,
    /// A table with a header (RFC 4180).
    Csv,
}

/// A page of exported entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditExport {
    /// How they are written.
    pub format: ExportFormat,
    /// The entries.
    pub text: String,
    /// How many.
    pub entries: u64,
    /// First and last number; 0 when there are none.
    pub first: u64,
    /// Last number.
    pub last: u64,
    /// Checkpoints outside the store whose last entry is among these.
    pub checkpoints: Vec<Checkpoint>,
    /// Where the next page starts; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

pub(super) const HEADER: &str = "seq,at,actor,on_behalf_of,action,target_kind,target_id,outcome,reason,run_id,\
    approval_id,policy_versions,before_hash,after_hash,ip_hash,correlation_id,prev_hash,hash\n";

/// One line of the table.
pub(super) fn csv_line(entry: &AuditEntry) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let outcome = match entry.outcome {
        super::Outcome::Ok => "ok",
        super::Outcome::Denied => "denied",
        super::Outcome::Failed => "failed",
    };
    let cells = [
        entry.seq.to_string(),
        entry.at.to_string(),
        entry.actor.label(),
        text(&entry.on_behalf_of),
        entry.action.clone(),
        text(&entry.target_kind),
        text(&entry.target_id),
        outcome.to_owned(),
        text(&entry.reason),
        text(&entry.run_id),
        text(&entry.approval_id),
        entry.policy_versions.join(" "),
        text(&entry.before_hash),
        text(&entry.after_hash),
        text(&entry.ip_hash),
        entry.correlation_id.clone(),
        entry.prev_hash.clone(),
        entry.hash.clone(),
    ];
    let mut line = cells.iter().map(|c| cell(c)).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

/// Quoted where RFC 4180 asks for it; what a spreadsheet would run as a formula is quoted as text.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Checks exported lines without the store: each builds on the one before, and every checkpoint whose entries are all
/// there has their root.
#[must_use]
pub fn check_export(ndjson: &str, checkpoints: &[Checkpoint]) -> AuditReport {
    let mut link: Option<Link> = None;
    let mut leaves: Vec<(u64, [u8; 32])> = Vec::new();
    for line in ndjson.lines().filter(|l| !l.is_empty()) {
        let read = leaves.len() as u64;
        let before = match link.or_else(|| first(line)) {
            Some(before) => before,
            None => return AuditReport::bad(read, 1, "an entry cannot be read"),
        };
        match before.next(line) {
            Ok(next) => {
                leaves.push((next.seq, next.hash));
                link = Some(next);
            }
            Err(problem) => return AuditReport::bad(read, before.seq + 1, problem),
        }
    }
    let mut held = 0;
    for checkpoint in checkpoints {
        let of: Vec<[u8; 32]> = leaves
            .iter()
            .filter(|(seq, _)| (checkpoint.from..=checkpoint.seq).contains(seq))
            .map(|(_, hash)| *hash)
            .collect();
        if of.len() as u64 != checkpoint.seq + 1 - checkpoint.from {
            continue;
        }
        held += 1;
        let has_head = of.last().copied() == unhex(&checkpoint.head);
        if !has_head || unhex(&checkpoint.root) != Some(merkle::root(&of)) {
            let problem = "the entries are not those that were anchored";
            return AuditReport::bad(leaves.len() as u64, checkpoint.seq, problem);
        }
    }
    AuditReport::good(leaves.len() as u64, held)
}

/// What the first line says it builds on.
fn first(line: &str) -> Option<Link> {
    let entry: AuditEntry = serde_json::from_str(line).ok()?;
    Some(Link { seq: entry.seq.checked_sub(1)?, hash: unhex(&entry.prev_hash)? })
}
