//! What a worked-out group writes: statements with one array per column, so that a table takes one of each sort.

use std::borrow::Cow;

use super::escape::{body_in, escape};
use super::write::Param;
use crate::store::plan::{Facts, Plan, TablePlan};
use crate::store::{Key, Kind, Row};

/// Arrays of one statement: one element per row.
#[derive(Default)]
pub(super) struct Columns<'a> {
    ids: Vec<Cow<'a, str>>,
    revs: Vec<i64>,
    schemas: Vec<i32>,
    created: Vec<i64>,
    updated: Vec<i64>,
    by: Vec<Cow<'a, str>>,
    bodies: Vec<Cow<'a, str>>,
    sums: Vec<i64>,
    keys: Vec<Vec<Option<&'a [u8]>>>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(kind: Kind, rows: &'a [Row]) -> Self {
        let mut out =
            Columns { keys: vec![Vec::with_capacity(rows.len()); kind.indexes.len()], ..Self::default() };
        for row in rows {
            out.ids.push(escape(&row.id));
            out.revs.push(row.rev.cast_signed());
            out.schemas.push(i32::from(row.schema));
            out.created.push(row.created_at.as_millis());
            out.updated.push(row.updated_at.as_millis());
            out.by.push(escape(&row.created_by));
            out.bodies.push(body_in(&row.body));
            out.sums.push(row.checksum(kind.name).cast_signed());
            for (column, key) in out.keys.iter_mut().zip(row.keys.iter().chain(std::iter::repeat(&None))) {
                column.push(key.as_ref().map(Key::as_bytes));
            }
        }
        out
    }

    pub(super) fn params(&'a self, workspace: Param<'a>) -> Vec<Param<'a>> {
        let mut out: Vec<Param<'a>> = vec![
            workspace,
            &self.ids,
            &self.revs,
            &self.schemas,
            &self.created,
            &self.updated,
            &self.by,
            &self.bodies,
            &self.sums,
        ];
        out.extend(self.keys.iter().map(|k| k as Param<'a>));
        out
    }
}

/// The rows of a statement as a table `u`, from parameter 2 on.
fn unnest(kind: Kind) -> String {
    let mut types = String::from(
        "unnest($2::text[], $3::bigint[], $4::integer[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[]",
    );
    let mut names = String::from("u(id, rev, schema, created_at, updated_at, created_by, body, checksum");
    for (n, index) in kind.indexes.iter().enumerate() {
        types.push_str(&format!(", ${}::bytea[]", n + 10));
        names.push_str(&format!(", ix_{}", index.name));
    }
    format!("{types}) AS {names})")
}

pub(super) fn insert_text(kind: Kind) -> String {
    let columns: String = kind.indexes.iter().map(|i| format!(", ix_{}", i.name)).collect();
    let values: String = kind.indexes.iter().map(|i| format!(", u.ix_{}", i.name)).collect();
    format!(
        "INSERT INTO \"{}\" (workspace_id, id, rev, schema, created_at, updated_at, created_by, body, checksum{columns}) \
         SELECT $1, u.id, u.rev, u.schema, u.created_at, u.updated_at, u.created_by, u.body::jsonb, u.checksum{values} \
         FROM {}",
        kind.name,
        unnest(kind)
    )
}

// The ids stand there twice: a planner without statistics joins the new rows to all of the workspace, not to these.
pub(super) fn update_text(kind: Kind) -> String {
    let sets: String = kind.indexes.iter().map(|i| format!(", ix_{0} = u.ix_{0}", i.name)).collect();
    format!(
        "UPDATE \"{}\" AS t SET rev = u.rev, schema = u.schema, updated_at = u.updated_at, body = u.body::jsonb, \
         checksum = u.checksum{sets} FROM {} WHERE t.workspace_id = $1 AND t.id = ANY($2) AND t.id = u.id",
        kind.name,
        unnest(kind)
    )
}

/// A statement and its arrays, until they are sent.
pub(super) enum Step<'a> {
    Ids(String, Vec<Cow<'a, str>>),
    Rows(String, Columns<'a>),
    Heads(&'static str, Vec<&'static str>, Vec<i64>, Vec<&'a [u8]>),
}

impl<'a> Step<'a> {
    pub(super) fn text(&self) -> &str {
        match self {
            Step::Ids(text, _) | Step::Rows(text, _) => text,
            Step::Heads(text, ..) => text,
        }
    }

    pub(super) fn params(&'a self, workspace: Param<'a>) -> Vec<Param<'a>> {
        match self {
            Step::Ids(_, ids) => vec![workspace, ids],
            Step::Rows(_, columns) => columns.params(workspace),
            Step::Heads(_, chains, seqs, hashes) => vec![workspace, chains, seqs, hashes],
        }
    }
}

pub(super) fn table_steps<'a>(kind: Kind, table: &'a TablePlan, steps: &mut Vec<Step<'a>>) {
    let list = |ids: &'a [String]| ids.iter().map(|id| escape(id)).collect();
    if !table.deletes.is_empty() {
        let text = format!("DELETE FROM \"{}\" WHERE workspace_id = $1 AND id = ANY($2)", kind.name);
        steps.push(Step::Ids(text, list(&table.deletes)));
    }
    for (n, ids) in &table.releases {
        let index = kind.indexes.get(*n).map_or("", |i| i.name);
        let text = format!(
            "UPDATE \"{}\" SET ix_{index} = NULL WHERE workspace_id = $1 AND id = ANY($2)",
            kind.name
        );
        steps.push(Step::Ids(text, list(ids)));
    }
    if !table.updates.is_empty() {
        steps.push(Step::Rows(update_text(kind), Columns::of(kind, &table.updates)));
    }
    if !table.inserts.is_empty() {
        steps.push(Step::Rows(insert_text(kind), Columns::of(kind, &table.inserts)));
    }
}

pub(super) fn head_steps<'a>(plan: &'a Plan, facts: &Facts, steps: &mut Vec<Step<'a>>) {
    // A new chain must be inserted: of two processes that start it, one repeats.
    let known = "UPDATE _chain AS t SET seq = u.seq, hash = u.hash \
                 FROM unnest($2::text[], $3::bigint[], $4::bytea[]) AS u(chain, seq, hash) \
                 WHERE t.workspace_id = $1 AND t.chain = u.chain";
    let new = "INSERT INTO _chain (workspace_id, chain, seq, hash) \
               SELECT $1, u.chain, u.seq, u.hash FROM unnest($2::text[], $3::bigint[], $4::bytea[]) AS u(chain, seq, hash)";
    for (text, is_known) in [(known, true), (new, false)] {
        let heads: Vec<_> =
            plan.heads.iter().filter(|(chain, _)| facts.heads.contains_key(*chain) == is_known).collect();
        if !heads.is_empty() {
            let chains = heads.iter().map(|(chain, _)| **chain).collect();
            let seqs = heads.iter().map(|(_, head)| head.0.cast_signed()).collect();
            let hashes = heads.iter().map(|(_, head)| &head.1[..]).collect();
            steps.push(Step::Heads(text, chains, seqs, hashes));
        }
    }
}
