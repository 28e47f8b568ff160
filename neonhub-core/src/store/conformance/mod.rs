//! One suite for every store. A backend invokes `store_conformance!` with a function that opens a fresh one.

mod grown;
#[cfg(feature = "postgres")]
pub mod postgres;
mod refs;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Batch, ChangeOp, Expected, Index, Key, Kind, Link, Query, Record, Row, SharedStore, Stored, Write,
};
use crate::tenancy::WorkspaceId;
use crate::{ErrorKind, Result, Timestamp};

pub use grown::*;
pub use refs::*;

/// These files, from which a test reads the names of all cases.
pub const SOURCE: &str = concat!(include_str!("mod.rs"), include_str!("grown.rs"), include_str!("refs.rs"));

/// The record the suite works with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// Its id.
    pub id: String,
    /// Text, unique.
    pub name: Option<String>,
    /// Number, for ranges.
    pub size: i64,
    /// Some text.
    pub text: String,
}

impl Record for Note {
    const KIND: &'static str = "conformance_note";
    const INDEXES: &'static [Index] = &[Index::unique("name"), Index::on("size")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![self.name.as_ref().map(Key::text), Some(Key::int(self.size))]
    }
}

const KIND: Kind = Kind::of::<Note>();
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn workspace(n: u8) -> WorkspaceId {
    WorkspaceId::hub_sibling(n)
}

fn note(id: &str, size: i64) -> Note {
    Note { id: id.into(), name: Some(format!("name-{id}")), size, text: String::new() }
}

fn put(note: &Note, expected: Expected) -> Result<Write> {
    Ok(Write::Put { kind: KIND, row: Row::of(note, AT, "user:test")?, expected })
}

fn delete(id: &str, expected: Expected) -> Write {
    Write::Delete { kind: KIND, id: id.into(), expected }
}

async fn write(store: &SharedStore, ws: u8, writes: Vec<Write>) -> Result<u64> {
    let mut batch = Batch::new(workspace(ws), AT);
    batch.writes = writes;
    Ok(store.commit(batch).await?.seq)
}

async fn read(store: &SharedStore, ws: u8, id: &str) -> Result<Option<Stored<Note>>> {
    store.get(KIND, &workspace(ws), id).await?.as_ref().map(Stored::from_row).transpose()
}

async fn ids(store: &SharedStore, query: &Query) -> Result<Vec<String>> {
    Ok(store.query(KIND, &workspace(1), query).await?.into_iter().map(|r| r.id).collect())
}

async fn fresh(store: &SharedStore) -> Result<()> {
    store.declare(&[KIND]).await
}

/// What was created is read back equal, with revision 1; what was not is `None`.
pub async fn create_then_get(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let a = note("a", 1);
    write(&s, 1, vec![put(&a, Expected::Absent)?]).await?;
    let found = read(&s, 1, "a").await?.ok_or_else(|| crate::Error::internal("test", "missing"))?;
    assert_eq!((found.rev, &found.body, found.created_by.as_str()), (1, &a, "user:test"));
    assert!(read(&s, 1, "b").await?.is_none());
    Ok(())
}

/// An update raises the revision and keeps who created the record and when.
pub async fn update_keeps_the_creation_header(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    let mut row = Row::of(&note("a", 2), Timestamp::from_millis(1_700_000_100_000), "user:other")?;
    row.created_at = Timestamp::EPOCH;
    write(&s, 1, vec![Write::Put { kind: KIND, row, expected: Expected::Rev(1) }]).await?;
    let found = read(&s, 1, "a").await?.ok_or_else(|| crate::Error::internal("test", "missing"))?;
    assert_eq!((found.rev, found.size, found.created_at, found.created_by.as_str()), (2, 2, AT, "user:test"));
    assert_eq!(found.updated_at.as_millis(), 1_700_000_100_000);
    Ok(())
}

/// A deleted record is gone from reads, indexes and unique keys.
pub async fn delete_frees_everything(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    write(&s, 1, vec![delete("a", Expected::Rev(1))]).await?;
    assert!(read(&s, 1, "a").await?.is_none());
    assert!(ids(&s, &Query::index("size")).await?.is_empty());
    let mut again = note("b", 1);
    again.name = Some("name-a".into());
    write(&s, 1, vec![put(&again, Expected::Absent)?]).await?;
    Ok(())
}

/// A commit is all or nothing: one stale revision and no write of it is seen.
pub async fn commit_is_atomic(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    let seq = s.seq().await?;
    let refused =
        write(&s, 1, vec![put(&note("b", 2), Expected::Absent)?, put(&note("a", 3), Expected::Rev(9))?])
            .await;
    let Err(error) = refused else {
        return Err(crate::Error::internal("test", "a stale revision was accepted"));
    };
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "stale_revision"));
    assert!(error.context().any(|(k, v)| k == "found" && v == "1"), "{error}");
    assert!(read(&s, 1, "b").await?.is_none());
    assert!(ids(&s, &Query::index("size").from(2)).await?.is_empty());
    assert_eq!(s.seq().await?, seq);
    Ok(())
}

/// `Absent` refuses an existing id, `Rev` refuses an absent one, a check alone writes nothing.
pub async fn expectations_are_checked(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    let check = |expected| Write::Check { kind: KIND, id: "a".into(), expected };
    assert_eq!(write(&s, 1, vec![check(Expected::Rev(1))]).await?, 0);
    for (writes, why) in [
        (vec![put(&note("a", 1), Expected::Absent)?], "absent"),
        (vec![put(&note("b", 1), Expected::Rev(1))?], "rev of nothing"),
        (vec![delete("b", Expected::Rev(1))], "delete of nothing"),
        (vec![put(&note("c", 1), Expected::Any)?, check(Expected::Rev(2))], "check"),
    ] {
        assert_eq!(write(&s, 1, writes).await.err().map(|e| e.kind()), Some(ErrorKind::Conflict), "{why}");
    }
    assert!(read(&s, 1, "c").await?.is_none());
    write(&s, 1, vec![delete("nothing", Expected::Any)]).await?;
    Ok(())
}

/// A unique key is held once per workspace, and moves when its holder gives it up in the same commit.
pub async fn unique_keys_hold(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    let mut b = note("b", 1);
    b.name = Some("name-a".into());
    let Err(error) = write(&s, 1, vec![put(&b, Expected::Absent)?]).await else {
        return Err(crate::Error::internal("test", "a taken unique key was accepted"));
    };
    assert_eq!((error.kind(), error.code()), (ErrorKind::AlreadyExists, "unique_taken"));
    assert!(error.context().any(|(k, v)| k == "holder" && v == "a"), "{error}");
    write(&s, 2, vec![put(&b, Expected::Absent)?]).await?;
    let mut a = note("a", 1);
    a.name = None;
    write(&s, 1, vec![put(&a, Expected::Rev(1))?, put(&b, Expected::Absent)?]).await?;
    let found = s.find_many(KIND, &workspace(1), "name", &[Key::text("name-a"), Key::text("none")]).await?;
    assert_eq!(found.into_iter().map(|r| r.map(|r| r.id)).collect::<Vec<_>>(), [Some("b".to_owned()), None]);
    Ok(())
}

/// Workspaces see nothing of each other.
pub async fn workspaces_are_apart(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    assert!(read(&s, 2, "a").await?.is_none());
    assert_eq!(s.count(KIND, &workspace(2), &Query::index("size")).await?, 0);
    assert_eq!(s.find_many(KIND, &workspace(2), "name", &[Key::text("name-a")]).await?, [None]);
    Ok(())
}

/// Queries give ranges in order, both ways, page by page, ties by id.
pub async fn queries_are_ordered(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let mut writes = Vec::new();
    for (n, id) in ["e", "d", "c", "b", "a"].into_iter().enumerate() {
        writes.push(put(&note(id, (n / 2) as i64), Expected::Absent)?);
    }
    write(&s, 1, writes).await?;
    assert_eq!(ids(&s, &Query::index("size")).await?, ["d", "e", "b", "c", "a"]);
    assert_eq!(ids(&s, &Query::index("size").descending()).await?, ["a", "c", "b", "e", "d"]);
    assert_eq!(ids(&s, &Query::index("size").equals(1)).await?, ["b", "c"]);
    assert_eq!(ids(&s, &Query::index("size").from(1).up_to(2)).await?, ["b", "c", "a"]);
    assert_eq!(ids(&s, &Query::index("size").limit(2).after(Key::int(0), "e")).await?, ["b", "c"]);
    assert_eq!(ids(&s, &Query::index("size").descending().after(Key::int(1), "c")).await?, ["b", "e", "d"]);
    assert_eq!(ids(&s, &Query::by_id().limit(2).after(Key::new(), "b")).await?, ["c", "d"]);
    assert_eq!(ids(&s, &Query::by_id().descending().limit(1)).await?, ["e"]);
    assert_eq!(ids(&s, &Query::index("name").prefix("name-b")).await?, ["b"]);
    assert_eq!(s.count(KIND, &workspace(1), &Query::index("size").from(1)).await?, 3);
    Ok(())
}

/// The feed holds each commit once, in order, without a gap.
pub async fn feed_is_gapless(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let start = s.seq().await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?, put(&note("b", 1), Expected::Absent)?]).await?;
    write(&s, 2, vec![put(&note("c", 1), Expected::Absent)?]).await?;
    write(&s, 1, vec![put(&note("a", 2), Expected::Rev(1))?, delete("b", Expected::Any)]).await?;
    let feed = s.changes(start, 10).await?;
    assert_eq!(feed.iter().map(|e| e.seq - start).collect::<Vec<_>>(), [1, 2, 3]);
    let last = feed.last().ok_or_else(|| crate::Error::internal("test", "empty feed"))?;
    let seen: Vec<_> = last.changes.iter().map(|c| (c.id.as_str(), c.before, c.after, c.op)).collect();
    assert_eq!(seen, [("a", 1, 2, ChangeOp::Update), ("b", 1, 0, ChangeOp::Delete)]);
    assert_eq!(s.changes(start + 1, 1).await?.len(), 1);
    assert_eq!(*s.watch().borrow(), start + 3);
    Ok(())
}

/// Parallel writers of several workspaces: the feed holds each commit once, in order, and a refused one not at all.
pub async fn feed_is_ordered_under_load(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let start = s.seq().await?;
    let tasks: Vec<_> = (0..40_u8)
        .map(|n| {
            let s = Arc::clone(&s);
            tokio::spawn(async move {
                // Every fourth writer expects a revision that is not there.
                let expected = if n % 4 == 3 { Expected::Rev(7) } else { Expected::Absent };
                write(&s, 1 + n % 3, vec![put(&note(&format!("n{n:02}"), 1), expected)?]).await
            })
        })
        .collect();
    let mut seqs = Vec::new();
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await.map_err(|cause| crate::Error::internal("test", cause))? {
            Ok(seq) => seqs.push(seq),
            Err(error) => assert_eq!((n % 4, error.kind()), (3, ErrorKind::Conflict), "{error}"),
        }
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (start + 1..=start + 30).collect::<Vec<_>>());
    let feed = s.changes(start, 100).await?;
    assert_eq!(feed.iter().map(|e| e.seq).collect::<Vec<_>>(), seqs);
    let mut ids: Vec<_> = feed.iter().flat_map(|e| &e.changes).map(|c| c.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 30);
    Ok(())
}

/// Going on after the last record of a page neither skips nor repeats what was there throughout, whatever is
/// written between the pages.
pub async fn pages_are_stable_under_writes(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let mut writes = Vec::new();
    for n in 0..40_i64 {
        writes.push(put(&note(&format!("s{n:02}"), n / 4), Expected::Absent)?);
    }
    write(&s, 1, writes).await?;
    let mut seen = Vec::new();
    let mut query = Query::index("size").limit(7);
    for round in 0.. {
        let page = s.query(KIND, &workspace(1), &query).await?;
        let Some(last) = page.last() else { break };
        let key = last.keys.get(1).cloned().flatten().unwrap_or_default();
        query = query.after(key, last.id.clone());
        seen.extend(page.iter().map(|r| r.id.clone()));
        // New ones before and behind the cursor, and the record under the cursor goes.
        let early = put(&note(&format!("a{round:02}"), 0), Expected::Absent)?;
        let late = put(&note(&format!("z{round:02}"), 9), Expected::Absent)?;
        write(&s, 1, vec![early, late, delete(&last.id, Expected::Any)]).await?;
    }
    let steady: Vec<_> = seen.iter().filter(|id| id.starts_with('s')).cloned().collect();
    assert_eq!(steady, (0..40).map(|n| format!("s{n:02}")).collect::<Vec<_>>());
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "a record was given twice");
    Ok(())
}

/// A conflict names kind, id, what was expected and what was found.
pub async fn conflicts_say_what_was_found(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    write(&s, 1, vec![put(&note("a", 2), Expected::Rev(1))?]).await?;
    for (writes, expected, found) in [
        (vec![put(&note("a", 3), Expected::Rev(1))?], "1", "2"),
        (vec![put(&note("a", 3), Expected::Absent)?], "absent", "2"),
        (vec![delete("b", Expected::Rev(4))], "4", "0"),
    ] {
        let Err(error) = write(&s, 1, writes).await else {
            return Err(crate::Error::internal("test", "a wrong expectation was accepted"));
        };
        let said = |key: &str| error.context().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
        assert_eq!(said("kind").as_deref(), Some(Note::KIND));
        assert_eq!((said("expected").as_deref(), said("found").as_deref()), (Some(expected), Some(found)));
    }
    Ok(())
}

/// Writes of one commit see each other: the same record twice, a key taken twice, keys that change hands.
pub async fn writes_of_a_commit_build_on_each_other(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let named = |id: &str, name: &str| Note { name: Some(name.into()), ..note(id, 1) };
    let twice = vec![put(&named("a", "one"), Expected::Absent)?, put(&named("b", "one"), Expected::Absent)?];
    assert_eq!(write(&s, 1, twice).await.err().map(|e| e.kind()), Some(ErrorKind::AlreadyExists));
    assert!(read(&s, 1, "a").await?.is_none());
    write(
        &s,
        1,
        vec![put(&named("a", "one"), Expected::Absent)?, put(&named("b", "two"), Expected::Absent)?],
    )
    .await?;
    // a -> three, b -> one: the key is free when b takes it.
    write(
        &s,
        1,
        vec![put(&named("a", "three"), Expected::Rev(1))?, put(&named("b", "one"), Expected::Rev(1))?],
    )
    .await?;
    let found = s.find_many(KIND, &workspace(1), "name", &["one", "two", "three"].map(Key::text)).await?;
    let holders: Vec<_> = found.into_iter().map(|r| r.map(|r| r.id)).collect();
    assert_eq!(holders, [Some("b".to_owned()), None, Some("a".to_owned())]);
    // Removed and made again in one commit: a new record, with revision 1 and a header of its own.
    let mut again = Row::of(&named("a", "four"), Timestamp::from_millis(1_800_000_000_000), "user:other")?;
    again.rev = 99;
    let again = Write::Put { kind: KIND, row: again, expected: Expected::Absent };
    let seq = write(&s, 1, vec![delete("a", Expected::Rev(2)), again]).await?;
    let a = read(&s, 1, "a").await?.ok_or_else(|| crate::Error::internal("test", "missing"))?;
    assert_eq!((a.rev, a.created_by.as_str()), (1, "user:other"));
    let entry = s.changes(seq - 1, 1).await?;
    let ops: Vec<_> = entry.iter().flat_map(|e| &e.changes).map(|c| (c.before, c.after)).collect();
    assert_eq!(ops, [(2, 0), (0, 1)]);
    Ok(())
}

/// Empty and large bodies, odd characters and large numbers come back as they went in.
pub async fn odd_bodies_survive(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    for (n, text) in
        ["", "\u{1F600} \u{202e}\u{0} \"\\ ' ; -- \r\n", &"x".repeat(1 << 20)].into_iter().enumerate()
    {
        let id = format!("id/{n} \u{e9}' \"%_\u{0}z");
        let mut odd = note(&id, (1 << 53) - 1 - n as i64);
        odd.text = text.to_owned();
        write(&s, 1, vec![put(&odd, Expected::Absent)?]).await?;
        assert_eq!(read(&s, 1, &id).await?.map(|f| f.body), Some(odd));
    }
    Ok(())
}

/// Parallel writers never lose an update.
pub async fn parallel_writers_agree(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("counter", 0), Expected::Absent)?]).await?;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let s = Arc::clone(&s);
            tokio::spawn(async move {
                for _ in 0..10 {
                    loop {
                        let Some(mut found) = read(&s, 1, "counter").await? else { continue };
                        found.body.size += 1;
                        match write(&s, 1, vec![put(&found.body, Expected::Rev(found.rev))?]).await {
                            Ok(_) => break,
                            Err(error) if error.kind() == ErrorKind::Conflict => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
                Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await.map_err(|cause| crate::Error::internal("test", cause))??;
    }
    let found = read(&s, 1, "counter").await?.ok_or_else(|| crate::Error::internal("test", "missing"))?;
    assert_eq!((found.size, found.rev), (80, 81));
    Ok(())
}

/// Chain entries build on each other, also when commits race, and a refused commit leaves no link.
pub async fn chains_never_fork(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let link = |fail: bool| Link {
        chain: "test",
        kind: KIND,
        genesis: [0; 32],
        forge: Box::new(move |seq, prev| {
            if fail {
                return Err(crate::Error::internal("test", "refused"));
            }
            let mut entry = note(&format!("link-{seq:04}"), i64::from(prev[0]));
            entry.name = None;
            let mut hash = prev;
            hash[0] = hash[0].wrapping_add(1);
            Ok((Row::of(&entry, AT, "user:test")?, hash))
        }),
    };
    let commit = |fail| {
        let s = Arc::clone(&s);
        let link = link(fail);
        async move {
            let mut batch = Batch::new(workspace(1), AT);
            batch.links.push(link);
            s.commit(batch).await
        }
    };
    assert!(commit(true).await.is_err());
    let tasks: Vec<_> = (0..20).map(|_| tokio::spawn(commit(false))).collect();
    for task in tasks {
        task.await.map_err(|cause| crate::Error::internal("test", cause))??;
    }
    let rows = s.query(KIND, &workspace(1), &Query::by_id().limit(100)).await?;
    let seen: Vec<_> =
        rows.iter().map(|r| Stored::<Note>::from_row(r).map(|n| n.body.size)).collect::<Result<_>>()?;
    assert_eq!(seen, (0..20).collect::<Vec<i64>>());
    Ok(())
}

/// Blobs are found by their content and stored once.
pub async fn blobs_are_content_addressed(s: SharedStore) -> Result<()> {
    let hash = s.blob_put(b"hello").await?;
    assert_eq!(hash, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(s.blob_put(b"hello").await?, hash);
    assert_eq!(s.blob_get(&hash).await?.as_deref(), Some(&b"hello"[..]));
    assert_eq!(s.blob_get("00").await?, None);
    Ok(())
}

/// A healthy store has no findings; a closed one refuses.
pub async fn check_and_close(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    assert_eq!(s.check().await?, []);
    s.close().await?;
    s.close().await?;
    assert_eq!(read(&s, 1, "a").await.err().map(|e| e.kind()), Some(ErrorKind::Unavailable));
    Ok(())
}

/// Makes one test per case of the suite. A suite that needs a server says so: `ignore = "why"`.
#[macro_export]
macro_rules! store_conformance {
    (ignore = $why:literal, $open:expr) => {
        $crate::store_conformance!(@all [#[ignore = $why]] $open);
    };
    ($open:expr) => {
        $crate::store_conformance!(@all [] $open);
    };
    (@all $attr:tt $open:expr) => {
        $crate::store_conformance!(@each $attr $open;
            create_then_get, update_keeps_the_creation_header, delete_frees_everything, commit_is_atomic,
            expectations_are_checked, unique_keys_hold, workspaces_are_apart, queries_are_ordered,
            feed_is_gapless, feed_is_ordered_under_load, pages_are_stable_under_writes,
            conflicts_say_what_was_found, writes_of_a_commit_build_on_each_other, odd_bodies_survive, parallel_writers_agree, chains_never_fork,
            blobs_are_content_addressed, check_and_close,
            added_indexes_hold_what_was_there, an_older_build_writes_nothing_beside_a_newer_one,
            a_unique_index_over_equal_values_is_refused, batched_commits_are_seen_at_once,
            removing_a_record_takes_along_what_belongs_to_it, a_record_that_is_needed_keeps_the_other,
            nothing_refers_to_what_is_not_there, nothing_is_left_behind_by_a_race,
            a_removal_too_large_needs_a_tombstone);
    };
    (@each $attr:tt $open:expr; $($case:ident),+) => {
        $( $crate::store_conformance!(@one $attr $open; $case); )+

        #[test]
        fn every_case_of_the_suite_is_run() {
            let listed = [$(stringify!($case)),+];
            let source = $crate::store::conformance::SOURCE;
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('(').map(|(name, _)| name))
                .collect();
            assert_eq!(listed.as_slice(), written.as_slice());
        }
    };
    (@one [$($attr:tt)*] $open:expr; $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $($attr)*
        async fn $case() -> $crate::Result<()> {
            $crate::store::conformance::$case($open().await?).await
        }
    };
}
