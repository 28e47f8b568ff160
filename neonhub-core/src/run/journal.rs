//! Writing and reading logs in the store.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::entry::{Entry, LOG_VERSION, What};
use super::pack;
use super::record::{AgentRun, LogEntry};
use crate::audit::{AuditDraft, Outcome};
use crate::bus::Event;
use crate::store::{Expected, Key, Kind, Query, Record as _, Row, canonical_json};
use crate::{Error, ErrorKind, Result, Scope};

/// Entries read at once.
const PAGE: usize = 500;

/// Stages entries with the events and audit rows that belong to them. Large texts go
/// to the blob store with the commit or before it; a crash in between leaves a blob nobody names, which is harmless.
pub(super) async fn stage(cx: &Scope, run: &AgentRun, entries: &[Entry]) -> Result<()> {
    keep(cx, &run.id, entries).await?;
    entries.iter().try_for_each(|entry| announce(cx, run, entry))
}

/// Stages entries alone.
pub(super) async fn keep(cx: &Scope, run: &str, entries: &[Entry]) -> Result<()> {
    for entry in entries {
        if let Some(row) = whole(cx, run, entry)? {
            cx.stage_row(Kind::of::<LogEntry>(), row, Expected::Absent)?;
            continue;
        }
        let value = serde_json::to_value(entry).map_err(|cause| Error::internal("runs.append", cause))?;
        let packed = pack::pack(value);
        for text in packed.blobs.values() {
            cx.keep_blob(text.as_bytes()).await?;
        }
        cx.create(&LogEntry {
            id: LogEntry::id_of(run, entry.seq),
            run: run.to_owned(),
            seq: entry.seq,
            version: LOG_VERSION,
            kind: entry.what.word().to_owned(),
            hashes: packed.blobs.into_keys().collect(),
            data: packed.value,
        })?;
    }
    Ok(())
}

/// The row of an entry that is kept as it is, written without a tree of its values. None for one with large texts.
fn whole(cx: &Scope, run: &str, entry: &Entry) -> Result<Option<Row>> {
    /// A [`LogEntry`] around an entry.
    #[derive(Serialize)]
    struct Whole<'e> {
        id: &'e str,
        run: &'e str,
        seq: u32,
        version: u16,
        kind: &'static str,
        data: &'e Entry,
    }
    let id = LogEntry::id_of(run, entry.seq);
    let kind = entry.what.word();
    let body =
        canonical_json(&Whole { id: &id, run, seq: entry.seq, version: LOG_VERSION, kind, data: entry })?;
    Ok(pack::is_plain(&body).then(|| Row {
        id,
        rev: 0,
        schema: LogEntry::SCHEMA,
        created_at: cx.now(),
        updated_at: cx.now(),
        created_by: cx.label().to_owned(),
        body,
        keys: vec![Some(LogEntry::key(run, entry.seq))],
    }))
}

pub(super) fn announce(cx: &Scope, run: &AgentRun, entry: &Entry) -> Result<()> {
    let cx = &cx.fork(&["entry", &entry.seq.to_string()]);
    let event = |word: &str, data| Event::new(cx, word, AgentRun::KIND, &run.id, data);
    let row = |word: &str, how| AuditDraft::of(cx, word, how).on(AgentRun::KIND, &run.id);
    match &entry.what {
        What::Started { agent, .. } => {
            cx.emit(event("agent_run.started", json!({ "agent": agent })))?;
            cx.note(row("agent_run.started", Outcome::Ok))
        }
        What::Emitted { event: word, data } => cx.emit(event(word, data.clone())),
        What::Wait { wait, on } => {
            cx.emit(event("agent_run.waiting", json!({ "wait": wait, "reason": on.reason() })))
        }
        What::Finished { status, failure, .. } => {
            let code = failure.as_ref().map(|f| f.code.clone());
            cx.emit(event("agent_run.finished", json!({ "status": status, "code": code })))?;
            let how = if failure.is_some() { Outcome::Failed } else { Outcome::Ok };
            let row = row("agent_run.finished", how);
            cx.note(match code {
                Some(code) => row.because(code),
                None => row,
            })
        }
        _ => Ok(()),
    }
}

/// The whole log of a run, in order.
///
/// # Errors
/// `Corrupted` when a text of it is missing or damaged; `Config` when a newer version wrote it.
pub async fn load(cx: &Scope, run: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut texts = BTreeMap::new();
    let mut query = Query::index("run").prefix(Key::text(run)).limit(PAGE);
    loop {
        let page = cx.query::<LogEntry>(&query).await?;
        for row in &page {
            entries.push(read(cx, &row.body, &mut texts).await?);
        }
        match page.last() {
            Some(last) if page.len() == PAGE => {
                query = query.after(last.keys().into_iter().next().flatten().unwrap_or_default(), last.id());
            }
            _ => return Ok(entries),
        }
    }
}

/// One entry of a run.
pub(super) async fn entry(cx: &Scope, run: &str, seq: u32) -> Result<Option<Entry>> {
    match cx.get::<LogEntry>(&LogEntry::id_of(run, seq)).await? {
        Some(row) => read(cx, &row.body, &mut BTreeMap::new()).await.map(Some),
        None => Ok(None),
    }
}

async fn read(cx: &Scope, row: &LogEntry, texts: &mut BTreeMap<String, String>) -> Result<Entry> {
    let mut wanted = Vec::new();
    pack::references(&row.data, &mut wanted);
    for hash in wanted {
        if texts.contains_key(&hash) {
            continue;
        }
        let bytes = cx.blob(&hash).await?.unwrap_or_default();
        if crate::llm::hex(&<sha2::Sha256 as sha2::Digest>::digest(&bytes)) != hash {
            return Err(Error::new(
                ErrorKind::Corrupted,
                "runs.read",
                "a text of the log is missing or damaged: restore it from a backup",
            )
            .with_context("run", &row.run)
            .with_context("seq", row.seq));
        }
        let text = String::from_utf8(bytes).map_err(|cause| Error::internal("runs.read", cause))?;
        texts.insert(hash, text);
    }
    Entry::read(row.version, pack::unpack(row.data.clone(), texts)?)
}

/// Input and output of a run, from the first and last entry.
pub(super) async fn ends(cx: &Scope, run: &AgentRun) -> Result<(Value, Value)> {
    let first = entry(cx, &run.id, 0).await?;
    let last = if run.status.is_final() && run.used.steps > 0 {
        entry(cx, &run.id, run.used.steps - 1).await?
    } else {
        None
    };
    let output = match last.map(|e| e.what) {
        Some(What::Finished { output, .. }) => output,
        _ => Value::Null,
    };
    Ok((input(first), output))
}

/// The input of a run, from the first entry of its log.
pub(super) fn input(first: Option<Entry>) -> Value {
    match first.map(|entry| entry.what) {
        Some(What::Started { input, .. }) => input,
        _ => Value::Null,
    }
}
