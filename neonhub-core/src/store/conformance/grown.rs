//! Indexes that a newer build declares, and commits that are synced later.

use serde::{Deserialize, Serialize};

use super::{AT, Note, delete, fresh, note, put, read, workspace, write};
use crate::store::{Batch, Durability, Expected, Index, Key, Kind, Query, Record, Row, SharedStore, Write};
use crate::{ErrorKind, Result};

/// The same record as a newer build declares it: with an index more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct GrownNote(Note);

impl Record for GrownNote {
    const KIND: &'static str = Note::KIND;
    const INDEXES: &'static [Index] = &[Index::unique("name"), Index::on("size"), Index::unique("turned")];
    fn id(&self) -> &str {
        &self.0.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        let turned: String = self.0.id.chars().rev().collect();
        self.0.keys().into_iter().chain([Some(Key::text(&turned))]).collect()
    }
}

/// The same with an index that is to be unique over sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct TwinNote(Note);

impl Record for TwinNote {
    const KIND: &'static str = Note::KIND;
    const INDEXES: &'static [Index] = &[Index::unique("name"), Index::on("size"), Index::unique("only_size")];
    fn id(&self) -> &str {
        &self.0.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        self.0.keys().into_iter().chain([Some(Key::int(self.0.size))]).collect()
    }
}

/// Indexes that a newer build declares behind the others hold the records that were there; an older build is refused.
pub async fn added_indexes_hold_what_was_there(s: SharedStore) -> Result<()> {
    let (old, new) = (Kind::of::<Note>(), Kind::of::<GrownNote>());
    fresh(&s).await?;
    for n in 0..1_201_i64 {
        write(&s, 1, vec![put(&note(&format!("n{n:04}"), n % 7), Expected::Absent)?]).await?;
    }
    write(&s, 2, vec![put(&note("\u{0}odd", 3), Expected::Absent)?]).await?;
    let (seq, before) = (s.seq().await?, s.get(old, &workspace(1), "n0005").await?);
    s.declare(&[new]).await?;
    s.declare(&[new]).await?;
    let backwards = Query::index("turned").equals(Key::text("5000n"));
    let found = s.query(new, &workspace(1), &backwards).await?;
    assert_eq!(found.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["n0005"]);
    assert_eq!(s.count(new, &workspace(1), &Query::index("turned")).await?, 1_201);
    assert_eq!(s.count(new, &workspace(2), &Query::index("turned").equals(Key::text("ddo\u{0}"))).await?, 1);
    assert_eq!(s.count(new, &workspace(1), &Query::index("size").equals(6)).await?, 171);
    let after = s.get(new, &workspace(1), "n0005").await?;
    assert_eq!(after.map(|r| (r.rev, r.body)), before.map(|r| (r.rev, r.body)));
    assert_eq!(s.seq().await?, seq, "what records are indexed by is no change of theirs");
    let twin = GrownNote(note("n0005", 9));
    let row = Row::of(&twin, AT, "user:test")?;
    write(&s, 1, vec![Write::Put { kind: new, row, expected: Expected::Rev(1) }]).await?;
    assert_eq!(s.count(new, &workspace(1), &Query::index("turned")).await?, 1_201);
    assert_eq!(s.check().await?, []);
    if s.caps().durable {
        assert_eq!(s.drift().await?, Vec::<String>::new());
        assert_eq!(s.declare(&[old]).await.err().map(|e| e.kind()), Some(ErrorKind::Config));
    }
    Ok(())
}

/// A process of an older build, still open while a newer one added an index, writes no record that lacks its entry.
pub async fn an_older_build_writes_nothing_beside_a_newer_one(s: SharedStore) -> Result<()> {
    let new = Kind::of::<GrownNote>();
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    s.declare(&[new]).await?;
    let seq = s.seq().await?;
    for (id, expected) in [("b", Expected::Absent), ("a", Expected::Rev(1)), ("a", Expected::Any)] {
        let Err(error) = write(&s, 1, vec![put(&note(id, 2), expected)?]).await else {
            return Err(crate::Error::internal("test", "a record was written without an entry"));
        };
        assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "newer_store"), "{error}");
        let said = |key: &str| error.context().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
        assert_eq!(said("store").as_deref(), Some("name! size turned!"));
        assert_eq!(said("build").as_deref(), Some("name! size"));
    }
    assert_eq!(s.seq().await?, seq);
    assert_eq!(read(&s, 1, "a").await?.map(|n| n.size), Some(1), "it still reads");
    let row = Row::of(&GrownNote(note("b", 2)), AT, "user:test")?;
    write(&s, 1, vec![Write::Put { kind: new, row, expected: Expected::Absent }]).await?;
    assert_eq!(s.count(new, &workspace(1), &Query::index("turned")).await?, 2);
    write(&s, 1, vec![delete("a", Expected::Rev(1))]).await?;
    assert_eq!(s.count(new, &workspace(1), &Query::index("turned")).await?, 1);
    Ok(())
}

/// An index that is declared unique over records that share a value is refused, names two of them, and changes nothing.
pub async fn a_unique_index_over_equal_values_is_refused(s: SharedStore) -> Result<()> {
    let new = Kind::of::<TwinNote>();
    fresh(&s).await?;
    for (ws, id, size) in [(1, "a", 1), (1, "b", 2), (1, "c", 2), (2, "a", 1)] {
        write(&s, ws, vec![put(&note(id, size), Expected::Absent)?]).await?;
    }
    let Err(error) = s.declare(&[new]).await else {
        return Err(crate::Error::internal("test", "two records share a unique key"));
    };
    assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "unique_taken"), "{error}");
    let said = |key: &str| error.context().find(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
    let mut two = [said("id"), said("other_id")];
    two.sort();
    assert_eq!(two, [Some("b".to_owned()), Some("c".to_owned())]);
    assert_eq!(said("index").as_deref(), Some("only_size"));
    // The build before goes on, and can mend it.
    s.declare(&[Kind::of::<Note>()]).await?;
    write(&s, 1, vec![put(&note("c", 3), Expected::Rev(1))?]).await?;
    s.declare(&[new]).await?;
    let row = Row::of(&TwinNote(note("d", 3)), AT, "user:test")?;
    let taken = write(&s, 1, vec![Write::Put { kind: new, row, expected: Expected::Absent }]).await;
    assert_eq!(taken.err().map(|e| e.kind()), Some(ErrorKind::AlreadyExists));
    assert_eq!(s.count(new, &workspace(1), &Query::index("only_size")).await?, 3);
    assert_eq!(s.check().await?, []);
    Ok(())
}

/// Commits whose sync may come later are seen, ordered and checked as all others.
pub async fn batched_commits_are_seen_at_once(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    let start = s.seq().await?;
    for n in 0..20_i64 {
        let mut batch = Batch::new(workspace(1), AT);
        batch.durability = if n % 5 == 4 { Durability::Sync } else { Durability::CHUNKS };
        batch.writes.push(put(&note(&format!("n{n:02}"), n), Expected::Absent)?);
        assert_eq!(s.commit(batch).await?.seq, start + 1 + n.cast_unsigned());
        assert_eq!(s.count(Kind::of::<Note>(), &workspace(1), &Query::by_id()).await?, n.cast_unsigned() + 1);
    }
    let mut stale = Batch::new(workspace(1), AT);
    stale.durability = Durability::Batched(1);
    stale.writes = vec![put(&note("z", 1), Expected::Absent)?, put(&note("n00", 9), Expected::Rev(7))?];
    assert_eq!(s.commit(stale).await.err().map(|e| e.kind()), Some(ErrorKind::Conflict));
    assert!(read(&s, 1, "z").await?.is_none());
    assert_eq!(s.changes(start, 100).await?.len(), 20);
    s.close().await?;
    Ok(())
}
