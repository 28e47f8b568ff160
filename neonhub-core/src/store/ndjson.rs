//! Export and import of records as lines of JSON (NDJSON), one record a line, the same from every engine.

use std::collections::BTreeSet;
use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Batch, Expected, Item, Kind, RecordItem, Store, canonical_json};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Timestamp};

/// Records of one commit of an import.
const PAGE: usize = 200;
/// Faults that are listed; more are counted.
const FAULTS: usize = 100;

/// Everything of a line but the body.
#[derive(Serialize)]
struct Header<'a> {
    kind: &'a str,
    workspace: &'a WorkspaceId,
    id: &'a str,
    rev: u64,
    schema: u16,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: &'a str,
    keys: &'a [Option<String>],
}

/// A line as it is read; the revision starts anew.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: String,
    #[serde(rename = "workspace")]
    _workspace: Option<String>,
    id: String,
    #[serde(rename = "rev")]
    _rev: Option<u64>,
    schema: u16,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: String,
    keys: Vec<Option<String>>,
    body: Value,
}

/// What an export wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Writes the records of one workspace, or of all, that `wanted` names; by kind, workspace and id.
///
/// # Errors
/// `Unavailable` when `out` cannot be written; `Corrupted` naming a damaged record.
pub async fn export(
    store: &dyn Store,
    workspace: Option<&WorkspaceId>,
    wanted: impl Fn(&str) -> bool + Send,
    out: &mut (dyn Write + Send),
) -> Result<Exported> {
    let mut snapshot = store.snapshot().await?;
    let mut done = Exported::default();
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            return Ok(done);
        }
        for item in page {
            let record = match item {
                Item::Record(record) => record,
                Item::Kind { .. } => continue,
                // Nothing but records and their kinds stands before what stands here.
                _ => return Ok(done),
            };
            if workspace.is_some_and(|ws| *ws != record.workspace) || !wanted(&record.kind) {
                continue;
            }
            let line = line(&record)?;
            out.write_all(line.as_bytes()).map_err(|cause| {
                Error::new(
                    ErrorKind::Unavailable,
                    "store.export",
                    "the export cannot be written: check folder, rights and free space",
                )
                .with_source(cause)
            })?;
            done.records += 1;
            done.bytes += line.len() as u64;
        }
    }
}

fn line(record: &RecordItem) -> Result<String> {
    let header = Header {
        kind: &record.kind,
        workspace: &record.workspace,
        id: &record.id,
        rev: record.rev,
        schema: record.schema,
        created_at: record.created_at,
        updated_at: record.updated_at,
        created_by: &record.created_by,
        keys: &record.keys,
    };
    let mut text = serde_json::to_string(&header).map_err(|cause| Error::internal("store.export", cause))?;
    // The body goes in as it is kept: canonical, whatever the engine.
    text.pop();
    text.push_str(",\"body\":");
    text.push_str(&record.body);
    text.push_str("}\n");
    Ok(text)
}

/// What to do with a record that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Report the line and leave the record as it is.
    #[default]
    Fail,
    /// Leave the record as it is, without a word.
    Skip,
    /// Put the line in its place.
    Replace,
}

/// A line that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LineFault {
    /// Number of the line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// What an import did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Imported {
    /// Lines read.
    pub lines: u64,
    /// Records written.
    pub written: u64,
    /// Records that were there already and stayed.
    pub skipped: u64,
    /// Lines that were refused.
    pub refused: u64,
    /// The first 100 of them.
    pub faults: Vec<LineFault>,
}

impl Imported {
    fn refuse(&mut self, line: u64, problem: impl Into<String>) {
        self.refused += 1;
        if self.faults.len() < FAULTS {
            self.faults.push(LineFault { line, problem: problem.into() });
        }
    }
}

/// Where an import goes and how.
#[derive(Debug)]
pub struct ImportPlan<'a> {
    /// Workspace of the new records; that of the lines does not matter.
    pub workspace: &'a WorkspaceId,
    /// When.
    pub at: Timestamp,
    /// The kinds it may write.
    pub kinds: &'a [Kind],
    /// What to do with records that are there.
    pub on_conflict: OnConflict,
    /// Reads and checks everything and writes nothing.
    pub dry_run: bool,
}

/// Reads lines into a workspace; each line stands alone, and a wrong one is reported with its number.
///
/// # Errors
/// `Unavailable` when the source cannot be read; what the store answers to a commit.
pub async fn import(
    store: &dyn Store,
    plan: &ImportPlan<'_>,
    source: &mut (dyn BufRead + Send),
) -> Result<Imported> {
    let mut done = Imported::default();
    let mut page = Vec::with_capacity(PAGE);
    loop {
        let mut text = String::new();
        let read = source.read_line(&mut text).map_err(|cause| {
            Error::new(ErrorKind::Unavailable, "store.import", "the source cannot be read as UTF-8 text")
                .with_source(cause)
        })?;
        if read > 0 {
            done.lines += 1;
            if !text.trim().is_empty() {
                match parse(&text, plan) {
                    Ok(found) => page.push((done.lines, found)),
                    Err(problem) => done.refuse(done.lines, problem),
                }
            }
        }
        if page.len() >= PAGE || (read == 0 && !page.is_empty()) {
            write(store, plan, std::mem::take(&mut page), &mut done).await?;
        }
        if read == 0 {
            return Ok(done);
        }
    }
}

fn parse(text: &str, plan: &ImportPlan<'_>) -> Result<(Kind, super::Row), String> {
    let line: Line = serde_json::from_str(text).map_err(|cause| format!("no record: {cause}"))?;
    let kind = plan.kinds.iter().find(|k| k.name == line.kind);
    let kind = *kind.ok_or("its kind is unknown or not for import")?;
    if line.schema > kind.schema {
        return Err(format!("its shape has version {}, this build knows up to {}", line.schema, kind.schema));
    }
    if line.keys.len() != kind.indexes.len() {
        return Err(format!("expected {} keys", kind.indexes.len()));
    }
    if line.id.is_empty() || line.id.len() > 255 {
        return Err("expected an id of 1..255 bytes".into());
    }
    let body = canonical_json(&line.body).map_err(|e| e.message().to_owned())?;
    let record = RecordItem {
        workspace: plan.workspace.clone(),
        kind: line.kind,
        id: line.id,
        rev: 0,
        schema: line.schema,
        created_at: line.created_at,
        updated_at: line.updated_at,
        created_by: line.created_by,
        keys: line.keys,
        body,
    };
    record.into_row().map(|row| (kind, row)).map_err(|e| e.message().to_owned())
}

async fn write(
    store: &dyn Store,
    plan: &ImportPlan<'_>,
    page: Vec<(u64, (Kind, super::Row))>,
    done: &mut Imported,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for (number, (kind, row)) in page {
        if plan.on_conflict != OnConflict::Replace {
            let there = store.get(kind, plan.workspace, &row.id).await?.is_some();
            if there || !seen.insert((kind.name, row.id.clone())) {
                match plan.on_conflict {
                    OnConflict::Skip => done.skipped += 1,
                    _ => done.refuse(number, "there is a record with this id already"),
                }
                continue;
            }
        }
        if plan.dry_run {
            done.written += 1;
            continue;
        }
        // A line of its own commit: one that clashes with a unique key takes no other line with it.
        let mut batch = Batch::new(plan.workspace.clone(), plan.at);
        let expected = if plan.on_conflict == OnConflict::Replace { Expected::Any } else { Expected::Absent };
        // A line is a whole record: nothing of the one it replaces stays.
        batch.writes.push(super::Write::Put { kind: kind.whole(), row, expected });
        match store.commit(batch).await {
            Ok(_) => done.written += 1,
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::Conflict) => {
                done.refuse(number, error.message().to_owned());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
