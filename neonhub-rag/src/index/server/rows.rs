//! Writing: documents out, documents in, and the position of the feed, in one transaction.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use neonhub_core::Result;

use super::super::TextDoc;
use super::super::rows::{check, unit};
use super::wire::{HalfVec, Lexemes};
use super::{Place, begin, fault, prepare};

/// What an index is to hold: the hash and the number of chunks by document.
pub(crate) type Wanted = BTreeMap<String, (String, u32)>;

/// One document that comes in.
#[derive(Clone, Debug)]
pub(crate) struct Entry<'a> {
    /// Its id.
    pub(crate) document: &'a str,
    /// Its chunks.
    pub(crate) passages: Vec<Passage<'a>>,
}

/// One chunk that comes in.
#[derive(Clone, Debug)]
pub(crate) struct Passage<'a> {
    /// Its words.
    pub(crate) doc: TextDoc<'a>,
    /// Its vector. Without one it is found by its words alone.
    pub(crate) vector: Option<&'a [f32]>,
}

/// How far an index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It holds what is wanted, or what a later position of the feed wants.
    There,
    /// These documents are still missing.
    Missing(BTreeSet<String>),
    /// Others bring it to a later position of the feed: read the records again.
    Behind,
}

impl Place {
    /// How far the index is from what is wanted at a position of the feed. Only looks.
    pub(crate) async fn progress(&self, seq: u64, wanted: &Wanted) -> Result<Progress> {
        let mut client = self.client().await?;
        let tx = begin(&mut client, &self.workspace).await?;
        if let Some(state) = self.state(&tx, "").await?
            && let Some(progress) = state.judge(seq, &self.embedder)
        {
            return Ok(progress);
        }
        let held = self.held(&tx).await?;
        Ok(Progress::Missing(missing(wanted, &held).map(|(id, _)| id.clone()).collect()))
    }

    /// Takes out what is not wanted, puts these documents in where they are missing, and notes the position of the feed
    /// when nothing is missing any more. One process does it at a time.
    pub(crate) async fn bring(&self, seq: u64, wanted: &Wanted, entries: &[Entry<'_>]) -> Result<Progress> {
        let mut client = self.client().await?;
        let tx = begin(&mut client, &self.workspace).await?;
        let new = "INSERT INTO _passage_space (workspace_id, space, seq, goal, embedder) VALUES ($1, $2, -1, -1, $3) \
                   ON CONFLICT DO NOTHING";
        let new = prepare(&tx, new).await?;
        tx.execute(&new, &[&self.workspace, &self.space, &self.embedder]).await.map_err(fault)?;
        let state = self.state(&tx, " FOR UPDATE").await?;
        if let Some(progress) = state.and_then(|s| s.judge(seq, &self.embedder)) {
            return Ok(progress);
        }
        let held = self.held(&tx).await?;
        let mut lacking: BTreeSet<String> = missing(wanted, &held).map(|(id, _)| id.clone()).collect();
        let entries: Vec<&Entry<'_>> = entries.iter().filter(|e| lacking.remove(e.document)).collect();
        let mut stale: Vec<&str> =
            held.keys().map(String::as_str).filter(|id| !wanted.contains_key(*id)).collect();
        // What a document was before stays until what it is now comes in.
        stale.extend(entries.iter().map(|e| e.document));
        self.take_out(&tx, &stale).await?;
        self.put_in(&tx, wanted, &entries).await?;
        self.note(&tx, seq, lacking.is_empty()).await?;
        tx.commit().await.map_err(fault)?;
        Ok(if lacking.is_empty() { Progress::There } else { Progress::Missing(lacking) })
    }

    async fn state(&self, tx: &Transaction<'_>, lock: &str) -> Result<Option<State>> {
        let text = format!(
            "SELECT seq, goal, embedder FROM _passage_space WHERE workspace_id = $1 AND space = $2{lock}"
        );
        let statement = prepare(tx, &text).await?;
        let row = tx.query_opt(&statement, &[&self.workspace, &self.space]).await.map_err(fault)?;
        Ok(row.map(|row| State { seq: row.get(0), goal: row.get(1), embedder: row.get(2) }))
    }

    /// Hash by document of what is there.
    async fn held(&self, tx: &Transaction<'_>) -> Result<BTreeMap<String, String>> {
        let text = "SELECT document, hash FROM _passage_document WHERE workspace_id = $1 AND space = $2";
        let statement = prepare(tx, text).await?;
        let rows = tx.query(&statement, &[&self.workspace, &self.space]).await.map_err(fault)?;
        Ok(rows.into_iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    async fn take_out(&self, tx: &Transaction<'_>, documents: &[&str]) -> Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        for table in ["_passage", "_passage_document"] {
            let text =
                format!("DELETE FROM {table} WHERE workspace_id = $1 AND space = $2 AND document = ANY ($3)");
            let statement = prepare(tx, &text).await?;
            tx.execute(&statement, &[&self.workspace, &self.space, &documents]).await.map_err(fault)?;
        }
        Ok(())
    }

    async fn put_in(&self, tx: &Transaction<'_>, wanted: &Wanted, entries: &[&Entry<'_>]) -> Result<()> {
        let mut columns = Columns::default();
        for entry in entries {
            let Some((hash, chunks)) = wanted.get(entry.document) else { continue };
            let mut words = 0;
            for passage in &entry.passages {
                words += columns.add(entry.document, passage, self)?;
            }
            columns.documents.push(entry.document);
            columns.hashes.push(hash);
            columns.chunks.push(i32::try_from(*chunks).unwrap_or(i32::MAX));
            columns.totals.push(words);
        }
        if columns.documents.is_empty() {
            return Ok(());
        }
        let text = format!(
            "INSERT INTO _passage (workspace_id, space, embedder, id, document, words, lexemes, embedding) \
             SELECT $1, $2, $3, u.* FROM unnest($4::text[], $5::text[], $6::integer[], $7::tsvector[], $8::{}.halfvec[]) u",
            super::schema::quoted(&self.server.vector)
        );
        let statement = prepare(tx, &text).await?;
        let Columns { ids, owners, counts, lexemes, vectors, .. } = &columns;
        tx.execute(
            &statement,
            &[&self.workspace, &self.space, &self.embedder, ids, owners, counts, lexemes, vectors],
        )
        .await
        .map_err(fault)?;
        let text = "INSERT INTO _passage_document (workspace_id, space, document, hash, chunks, words) \
                    SELECT $1, $2, u.* FROM unnest($3::text[], $4::text[], $5::integer[], $6::bigint[]) u";
        let statement = prepare(tx, text).await?;
        let Columns { documents, hashes, chunks, totals, .. } = &columns;
        tx.execute(&statement, &[&self.workspace, &self.space, documents, hashes, chunks, totals])
            .await
            .map(drop)
            .map_err(fault)
    }

    /// Notes where the index is, or where it is going, which keeps others from bringing it back to an older position.
    async fn note(&self, tx: &Transaction<'_>, seq: u64, is_there: bool) -> Result<()> {
        let text = "UPDATE _passage_space SET seq = CASE WHEN $4 THEN $3 ELSE seq END, goal = $3, embedder = $5 \
                    WHERE workspace_id = $1 AND space = $2";
        let statement = prepare(tx, text).await?;
        let seq = seq.cast_signed();
        tx.execute(&statement, &[&self.workspace, &self.space, &seq, &is_there, &self.embedder])
            .await
            .map(drop)
            .map_err(fault)
    }
}

/// Where an index is, and where somebody is bringing it.
struct State {
    seq: i64,
    goal: i64,
    embedder: String,
}

impl State {
    /// Whether there is nothing to do for a position of the feed.
    fn judge(&self, seq: u64, embedder: &str) -> Option<Progress> {
        let seq = seq.cast_signed();
        let is_same = self.embedder == embedder;
        if self.goal > seq || (self.seq >= seq && !is_same) {
            return Some(Progress::Behind);
        }
        (self.seq >= seq).then_some(Progress::There)
    }
}

/// What is wanted and not held in this form.
fn missing<'w>(
    wanted: &'w Wanted,
    held: &BTreeMap<String, String>,
) -> impl Iterator<Item = (&'w String, &'w (String, u32))> {
    wanted.iter().filter(|(id, (hash, _))| held.get(*id) != Some(hash))
}

/// Arrays of the statements: one element per row.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<&'a str>,
    owners: Vec<&'a str>,
    counts: Vec<i32>,
    lexemes: Vec<Lexemes>,
    vectors: Vec<Option<HalfVec>>,
    documents: Vec<&'a str>,
    hashes: Vec<&'a str>,
    chunks: Vec<i32>,
    totals: Vec<i64>,
}

impl<'a> Columns<'a> {
    /// Adds a chunk; gives the number of its words.
    fn add(&mut self, document: &'a str, passage: &Passage<'a>, place: &Place) -> Result<i64> {
        let lexemes = Lexemes::of(&passage.doc, &place.space);
        let words = lexemes.count;
        let vector = match passage.vector {
            Some(vector) => {
                check("index.upsert", vector, place.dims)?;
                // A vector without direction is near to nothing.
                Some(unit(vector)).filter(|v| v.iter().any(|x| *x != 0.0)).map(|v| HalfVec::of(&v))
            }
            None => None,
        };
        self.ids.push(passage.doc.id);
        self.owners.push(document);
        self.counts.push(i32::try_from(words).unwrap_or(i32::MAX));
        self.lexemes.push(lexemes);
        self.vectors.push(vector);
        Ok(words.into())
    }
}
