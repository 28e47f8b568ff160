//! One transaction for a group of batches of one workspace, in two exchanges with the server: what is there,
//! locked in sorted order; then everything to write, the feed, and the commit.

use std::borrow::Cow;

use deadpool_postgres::Object;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row as Found, Statement};

use super::error::{failed, is_lost, is_race};
use super::escape::{body_out, escape, unescape};
use super::session::{pipeline, prepare};
use super::steps::{head_steps, table_steps};
use crate::store::plan::{Facts, Needs, Plan, work_out};
use crate::store::{Batch, Key, compact};
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "store.commit";
/// Names the workspace for this transaction, and gives the transaction's number, by which its fate is known.
const BEGIN: &str = "SELECT set_config('neonhub.workspace', $1, true), pg_current_xact_id()::text";
/// The lists of indexes that the tables have: a newer process may have added some.
const SHAPE: &str = "SELECT name, indexes FROM _kind WHERE name = ANY($1)";
/// Numbers are given out last, so that the one row all commits share is held for one exchange alone.
const FEED: &str = "WITH s AS (UPDATE _shard SET seq = seq + $1 WHERE shard = 0 RETURNING seq) \
    INSERT INTO _feed (shard, seq, workspace_id, at, changes, xid) \
    SELECT 0, s.seq - $1 + u.n, $2, u.at, u.changes, pg_current_xact_id()::text::bigint \
    FROM s, unnest($3::bigint[], $4::text[]) WITH ORDINALITY AS u(at, changes, n) RETURNING seq";

type Answer = Result<Vec<Found>, tokio_postgres::Error>;
pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// Per batch: its position in the feed counted from the first of the group, or why it was refused.
pub(super) type Answers = Vec<Result<Option<usize>>>;

/// What a group came to.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Committed; the position of the first entry, when there is one.
    Done(Answers, u64),
    /// Another transaction was first: nothing was written, repeat it.
    Race(Error),
    /// The connection went away during the commit of this transaction.
    Lost(Lost),
    /// Nothing was written.
    Failed(Error),
}

/// A commit of which nobody knows whether it took effect.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) answers: Answers,
    /// Number of the transaction.
    pub(super) xid: String,
    /// Its entries of the feed.
    pub(super) entries: Vec<String>,
}

/// Requests under way with what they refer to.
fn ask<'a>(client: &'a Object, statement: Statement, params: Vec<Param<'a>>) -> BoxFuture<'a, Answer> {
    async move { client.query(&statement, &params).await }.boxed()
}

fn plain<'a>(client: &'a Object, text: &'static str) -> BoxFuture<'a, Answer> {
    async move { client.batch_execute(text).await.map(|()| Vec::new()) }.boxed()
}

/// Commits a group.
pub(super) async fn group(client: &Object, workspace: &str, batches: &[Batch]) -> Outcome {
    commit(client, workspace, batches, "BEGIN").await
}

/// Commits a group in a transaction that has begun and holds locks.
pub(super) async fn group_begun(client: &Object, workspace: &str, batches: &[Batch]) -> Outcome {
    commit(client, workspace, batches, ";").await
}

async fn commit(client: &Object, workspace: &str, batches: &[Batch], begin: &'static str) -> Outcome {
    let needs = Needs::of(batches);
    let facts = match find(client, workspace, &needs, begin).await {
        Ok(found) => found,
        Err(outcome) => {
            let _ = client.batch_execute("ROLLBACK").await;
            return outcome;
        }
    };
    let (facts, xid) = facts;
    let plan = work_out(batches, &facts);
    let entries = match entries(&plan) {
        Ok(entries) => entries,
        Err(error) => {
            let _ = client.batch_execute("ROLLBACK").await;
            return Outcome::Failed(error);
        }
    };
    match write(client, workspace, &plan, &facts, &entries).await {
        Ok(first) => Outcome::Done(plan.answers, first),
        // What writes nothing is not lost.
        Err(Trouble::Server(cause)) if is_lost(&cause) && entries.is_empty() => {
            Outcome::Done(plan.answers, 0)
        }
        Err(Trouble::Server(cause)) if is_lost(&cause) => {
            Outcome::Lost(Lost { answers: plan.answers, xid, entries })
        }
        Err(Trouble::Server(cause)) if is_race(&cause) => Outcome::Race(clash(&cause)),
        Err(Trouble::Server(cause)) => Outcome::Failed(failed(OPERATION, &cause)),
        Err(Trouble::Ours(error)) => {
            let _ = client.batch_execute("ROLLBACK").await;
            Outcome::Failed(error)
        }
    }
}

/// A race that does not end: the error if it is the last word.
fn clash(cause: &tokio_postgres::Error) -> Error {
    if cause.code() == Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) {
        let table = cause.as_db_error().and_then(|db| db.table()).unwrap_or_default().to_owned();
        return Error::new(ErrorKind::Conflict, OPERATION, "others keep writing the same values: try again")
            .with_code("stale_revision")
            .with_context("kind", table);
    }
    failed(OPERATION, cause)
}

/// First exchange: opens the transaction, locks what the group touches and reads what it must know.
async fn find(
    client: &Object,
    workspace: &str,
    needs: &Needs,
    begin: &'static str,
) -> Result<(Facts, String), Outcome> {
    let lost = |cause: tokio_postgres::Error| match is_race(&cause) {
        true => Outcome::Race(clash(&cause)),
        false => Outcome::Failed(failed(OPERATION, &cause)),
    };
    let ids: Vec<Vec<Cow<'_, str>>> =
        needs.records.values().map(|(_, ids)| ids.iter().map(|id| escape(id)).collect()).collect();
    let keys: Vec<Vec<&[u8]>> =
        needs.keys.values().map(|(_, keys)| keys.iter().map(Key::as_bytes).collect()).collect();
    let chains: Vec<&str> = needs.chains.iter().copied().collect();
    let mut texts = vec![BEGIN.to_owned()];
    for name in needs.records.keys() {
        let body = if needs.bodies.contains(name) { ", body::text" } else { "" };
        texts.push(format!(
            "SELECT id, rev{body} FROM \"{name}\" WHERE workspace_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE"
        ));
    }
    for ((name, n), (kind, _)) in &needs.keys {
        let index = kind.indexes.get(*n).map_or("", |i| i.name);
        texts.push(format!(
            "SELECT id, ix_{index} FROM \"{name}\" WHERE workspace_id = $1 AND ix_{index} = ANY($2)"
        ));
    }
    if !chains.is_empty() {
        texts.push(
            "SELECT chain, seq, hash FROM _chain WHERE workspace_id = $1 AND chain = ANY($2) ORDER BY chain FOR UPDATE"
                .into(),
        );
    }
    let names: Vec<&str> = needs.records.keys().copied().collect();
    texts.push(SHAPE.to_owned());
    let mut statements = Vec::with_capacity(texts.len());
    for text in &texts {
        statements.push(prepare(client, text, OPERATION).await.map_err(Outcome::Failed)?);
    }
    let shape = statements.pop();
    let mut statements = statements.into_iter();
    let mut requests = vec![plain(client, begin)];
    requests.extend(statements.next().map(|s| ask(client, s, vec![&workspace])));
    let lists = ids.iter().map(|l| l as Param<'_>).chain(keys.iter().map(|l| l as Param<'_>));
    let lists = lists.chain((!chains.is_empty()).then_some(&chains as Param<'_>));
    requests.extend(statements.zip(lists).map(|(s, list)| ask(client, s, vec![&workspace, list])));
    // Last: the locks above keep tables as they are from now on.
    requests.extend(shape.map(|s| ask(client, s, vec![&names])));
    let mut answers = Vec::with_capacity(requests.len());
    for answer in pipeline(requests).await {
        answers.push(answer.map_err(lost)?);
    }
    read_facts(needs, answers).map_err(|cause| Outcome::Failed(failed(OPERATION, &cause)))
}

fn read_facts(needs: &Needs, answers: Vec<Vec<Found>>) -> Result<(Facts, String), tokio_postgres::Error> {
    let mut answers = answers;
    let shape = answers.pop().unwrap_or_default();
    let mut answers = answers.into_iter().skip(1);
    let xid = answers.next().and_then(|rows| rows.first().map(|r| r.try_get(1))).transpose()?;
    let mut facts = Facts::default();
    for (name, rows) in needs.records.keys().zip(answers.by_ref()) {
        for row in rows {
            let (id, rev): (String, i64) = (unescape(row.try_get(0)?), row.try_get(1)?);
            // A body that cannot be read has nothing to keep.
            let body = if row.len() > 2 { body_out(row.try_get(2)?).ok() } else { None };
            facts.bodies.extend(body.map(|body| ((*name, id.clone()), body)));
            facts.revs.insert((name, id), rev.cast_unsigned());
        }
    }
    for ((name, n), rows) in needs.keys.keys().zip(answers.by_ref()) {
        for row in rows {
            let key = Key::from_encoded(row.try_get(1)?);
            facts.holders.insert((name, *n, key), unescape(row.try_get(0)?));
        }
    }
    for row in answers.flatten() {
        let (chain, seq, hash): (&str, i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if let (Some(chain), Ok(hash)) = (needs.chains.get(chain), <[u8; 32]>::try_from(hash)) {
            facts.heads.insert(chain, (seq.cast_unsigned(), hash));
        }
    }
    for row in shape {
        let (name, found): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        if let Some((name, (kind, _))) = needs.records.get_key_value(name)
            && found.split_whitespace().count() > kind.indexes.len()
        {
            facts.outgrown.insert(name, found.to_owned());
        }
    }
    Ok((facts, xid.unwrap_or_default()))
}

enum Trouble {
    Server(tokio_postgres::Error),
    Ours(Error),
}

/// The entries of the feed as they are stored.
fn entries(plan: &Plan) -> Result<Vec<String>> {
    plan.feed.iter().map(|(_, changes)| compact::text(changes)).collect()
}

/// Second exchange: writes, feed and commit in one go. Gives the position of the first entry.
async fn write(
    client: &Object,
    workspace: &str,
    plan: &Plan,
    facts: &Facts,
    texts: &[String],
) -> Result<u64, Trouble> {
    if plan.feed.is_empty() {
        return client.batch_execute("COMMIT").await.map(|()| 0).map_err(Trouble::Server);
    }
    let mut steps = Vec::new();
    for (kind, table) in plan.tables.values() {
        table_steps(*kind, table, &mut steps);
    }
    head_steps(plan, facts, &mut steps);
    let count = i64::try_from(plan.feed.len()).unwrap_or(i64::MAX);
    let ats: Vec<i64> = plan.feed.iter().map(|(at, _)| at.as_millis()).collect();
    let mut statements = Vec::with_capacity(steps.len());
    for step in &steps {
        statements.push(prepare(client, step.text(), OPERATION).await.map_err(Trouble::Ours)?);
    }
    let feed = prepare(client, FEED, OPERATION).await.map_err(Trouble::Ours)?;
    let mut requests: Vec<BoxFuture<'_, Answer>> = steps
        .iter()
        .zip(statements)
        .map(|(step, statement)| ask(client, statement, step.params(&workspace)))
        .collect();
    requests.push(ask(client, feed, vec![&count, &workspace, &ats, &texts]));
    requests.push(plain(client, "COMMIT"));
    let mut first = i64::MAX;
    for answer in pipeline(requests).await {
        for row in answer.map_err(Trouble::Server)?.iter().filter(|r| !r.is_empty()) {
            first = first.min(row.try_get(0).map_err(Trouble::Server)?);
        }
    }
    Ok(first.cast_unsigned())
}
