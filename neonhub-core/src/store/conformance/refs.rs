//! References: what happens to records when one they refer to is removed.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AT, workspace, write};
use crate::store::{
    CASCADE_LIMIT, ChangeOp, Expected, Index, Key, Kind, Query, Record, Ref, Row, SharedStore, Tombstone,
    Write,
};
use crate::{ErrorKind, Result};

/// A record that others refer to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shelf {
    id: String,
}

impl Record for Shelf {
    const KIND: &'static str = "conformance_shelf";
    fn id(&self) -> &str {
        &self.id
    }
}

/// Goes with its shelf.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Book {
    id: String,
    shelf: Option<String>,
}

impl Record for Book {
    const KIND: &'static str = "conformance_book";
    const INDEXES: &'static [Index] = &[Index::unique("title"), Index::on("shelf")];
    const REFS: &'static [Ref] = &[Ref::cascade(Shelf::KIND, "shelf")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.id)), self.shelf.as_ref().map(|s| Key::text(s).and_int(1))]
    }
}

/// Keeps its book, and forgets who it was lent from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Loan {
    id: String,
    book: Option<String>,
    from: Option<String>,
    seen: Option<String>,
}

impl Record for Loan {
    const KIND: &'static str = "conformance_loan";
    const INDEXES: &'static [Index] = &[Index::on("book"), Index::on("from"), Index::on("seen")];
    const REFS: &'static [Ref] = &[
        Ref::restrict(Book::KIND, "book"),
        Ref::detach(Shelf::KIND, "from"),
        Ref::detach(Book::KIND, "seen"),
    ];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        [&self.book, &self.from, &self.seen].map(|id| id.as_ref().map(Key::text)).into()
    }
    fn detach(&mut self, index: &str) {
        match index {
            "from" => self.from = None,
            _ => self.seen = None,
        }
    }
}

const KINDS: [Kind; 4] =
    [Kind::of::<Shelf>(), Kind::of::<Book>(), Kind::of::<Loan>(), Kind::of::<Tombstone>()];

fn make<R: Record>(record: &R) -> Result<Write> {
    let row = Row::of(record, AT, "user:test")?;
    Ok(Write::Put { kind: Kind::of::<R>(), row, expected: Expected::Absent })
}

fn drop_it<R: Record>(id: &str) -> Write {
    Write::Delete { kind: Kind::of::<R>(), id: id.into(), expected: Expected::Any }
}

fn shelf(id: &str) -> Result<Write> {
    make(&Shelf { id: id.into() })
}

fn book(id: &str, shelf: &str) -> Result<Write> {
    make(&Book { id: id.into(), shelf: Some(shelf.into()) })
}

fn loan(id: &str, book: Option<&str>, from: Option<&str>, seen: Option<&str>) -> Result<Write> {
    let [book, from, seen] = [book, from, seen].map(|id| id.map(str::to_owned));
    make(&Loan { id: id.into(), book, from, seen })
}

async fn count<R: Record>(s: &SharedStore, ws: u8) -> Result<u64> {
    s.count(Kind::of::<R>(), &workspace(ws), &Query::by_id()).await
}

/// What a removal brings about is in the same commit, down to what refers to what refers to it, and nowhere else.
pub async fn removing_a_record_takes_along_what_belongs_to_it(s: SharedStore) -> Result<()> {
    s.declare(&KINDS).await?;
    for ws in [1, 2] {
        write(&s, ws, vec![shelf("a")?, shelf("ab")?, book("a1", "a")?, book("a2", "a")?, book("b1", "ab")?])
            .await?;
        write(&s, ws, vec![loan("l", None, Some("a"), Some("a1"))?, loan("m", None, None, Some("b1"))?])
            .await?;
    }
    let before = s.get(KINDS[2], &workspace(1), "l").await?.map(|r| r.created_by);
    let seq = write(&s, 1, vec![drop_it::<Shelf>("a")]).await?;
    let gone = [s.get(KINDS[0], &workspace(1), "a").await?, s.get(KINDS[1], &workspace(1), "a1").await?];
    assert_eq!(gone, [None, None]);
    assert_eq!((count::<Shelf>(&s, 1).await?, count::<Book>(&s, 1).await?), (1, 1));
    let kept = s.get(KINDS[2], &workspace(1), "l").await?;
    let kept = kept.ok_or_else(|| crate::Error::internal("test", "missing"))?;
    let expected = Loan { id: "l".into(), book: None, from: None, seen: None };
    assert_eq!(serde_json::from_str::<Loan>(&kept.body).ok(), Some(expected));
    // Forgetting two records in one commit is one change of the one that forgets.
    assert_eq!((kept.rev, Some(kept.created_by)), (2, before));
    assert_eq!(s.count(KINDS[2], &workspace(1), &Query::index("seen")).await?, 1);
    let mut seen: Vec<_> = s.changes(seq - 1, 5).await?.into_iter().flat_map(|e| e.changes).collect();
    seen.sort_by(|a, b| a.id.cmp(&b.id));
    let seen: Vec<_> = seen.iter().map(|c| (c.id.as_str(), c.op)).collect();
    let all = [
        ("a", ChangeOp::Delete),
        ("a1", ChangeOp::Delete),
        ("a2", ChangeOp::Delete),
        ("l", ChangeOp::Update),
    ];
    assert_eq!(seen, all);
    assert_eq!((count::<Shelf>(&s, 2).await?, count::<Book>(&s, 2).await?), (2, 3));
    // What went with it gave up its unique keys, and its ids are free.
    write(&s, 1, vec![shelf("a")?, book("a1", "a")?]).await?;
    assert_eq!(s.check().await?, []);
    Ok(())
}

/// A record that is still needed keeps the other one, also from far below, and then nothing is changed.
pub async fn a_record_that_is_needed_keeps_the_other(s: SharedStore) -> Result<()> {
    s.declare(&KINDS).await?;
    write(
        &s,
        1,
        vec![shelf("a")?, book("a1", "a")?, book("a2", "a")?, loan("l", Some("a2"), None, Some("a1"))?],
    )
    .await?;
    let seq = s.seq().await?;
    for removal in [drop_it::<Book>("a2"), drop_it::<Shelf>("a")] {
        let Err(error) = write(&s, 1, vec![shelf("never")?, removal]).await else {
            return Err(crate::Error::internal("test", "a record that is needed was removed"));
        };
        assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "restricted"), "{error}");
        assert!(error.context().any(|(k, v)| k == "held_by" && v == "l"), "{error}");
        assert!(error.context().any(|(k, v)| k == "id" && v == "a2"), "{error}");
    }
    assert_eq!((s.seq().await?, count::<Shelf>(&s, 1).await?, count::<Book>(&s, 1).await?), (seq, 1, 2));
    // With the one that needs it, it goes.
    write(&s, 1, vec![drop_it::<Loan>("l"), drop_it::<Shelf>("a")]).await?;
    assert_eq!((count::<Loan>(&s, 1).await?, count::<Book>(&s, 1).await?), (0, 0));
    Ok(())
}

/// Nothing is made to refer to what is not there.
pub async fn nothing_refers_to_what_is_not_there(s: SharedStore) -> Result<()> {
    s.declare(&KINDS).await?;
    let refused = async |writes: Vec<Write>, why: &str| {
        let error = write(&s, 1, writes).await.err();
        let error =
            error.map(|e| (e.kind(), e.code().to_owned(), e.context().any(|(k, v)| k == "id" && v == "a")));
        assert_eq!(error, Some((ErrorKind::Conflict, "parent_missing".to_owned(), true)), "{why}");
    };
    refused(vec![book("a1", "a")?], "not there").await;
    write(&s, 2, vec![shelf("a")?]).await?;
    refused(vec![book("a1", "a")?], "of another workspace").await;
    // In one commit the order of the writes is free.
    write(&s, 1, vec![book("a1", "a")?, shelf("a")?, shelf("b")?]).await?;
    refused(vec![drop_it::<Shelf>("a"), book("a2", "a")?], "removed in the same commit").await;
    assert_eq!(count::<Book>(&s, 1).await?, 1);
    let moved = Row::of(&Book { id: "a1".into(), shelf: Some("b".into()) }, AT, "user:test")?;
    let moved = Write::Put { kind: KINDS[1], row: moved, expected: Expected::Rev(1) };
    write(&s, 1, vec![drop_it::<Shelf>("a"), moved]).await?;
    assert_eq!((count::<Shelf>(&s, 1).await?, count::<Book>(&s, 1).await?), (1, 1));
    write(&s, 1, vec![make(&Book { id: "loose".into(), shelf: None })?]).await?;
    Ok(())
}

/// Records that are made while the one they refer to is removed either go with it or are refused.
pub async fn nothing_is_left_behind_by_a_race(s: SharedStore) -> Result<()> {
    s.declare(&KINDS).await?;
    for round in 0..4 {
        write(&s, 1, vec![shelf("a")?]).await?;
        let mut tasks = Vec::new();
        for n in 0..24 {
            let s = Arc::clone(&s);
            tasks.push(tokio::spawn(async move {
                let writes = match n {
                    12 => vec![drop_it::<Shelf>("a")],
                    n => vec![book(&format!("r{round}n{n}"), "a")?],
                };
                write(&s, 1, writes).await
            }));
        }
        for task in tasks {
            match task.await.map_err(|cause| crate::Error::internal("test", cause))? {
                Ok(_) => {}
                Err(error) => assert_eq!(error.code(), "parent_missing", "{error}"),
            }
        }
        assert_eq!((count::<Shelf>(&s, 1).await?, count::<Book>(&s, 1).await?), (0, 0));
    }
    assert_eq!(s.check().await?, []);
    Ok(())
}

/// As many records as one commit takes go with it; one more, and a tombstone must stand for the rest.
pub async fn a_removal_too_large_needs_a_tombstone(s: SharedStore) -> Result<()> {
    s.declare(&KINDS).await?;
    write(&s, 1, vec![shelf("a")?, shelf("b")?]).await?;
    for page in 0..4 {
        let ids = (0..CASCADE_LIMIT / 4).map(|n| format!("p{page}n{n}"));
        let both = ids.flat_map(|id| [book(&id, "a"), book(&format!("{id}b"), "b")]);
        write(&s, 1, both.collect::<Result<_>>()?).await?;
    }
    write(&s, 1, vec![book("one more", "b")?]).await?;
    write(&s, 1, vec![drop_it::<Shelf>("a")]).await?;
    assert_eq!(count::<Book>(&s, 1).await?, CASCADE_LIMIT as u64 + 1);
    let Err(error) = write(&s, 1, vec![drop_it::<Shelf>("b")]).await else {
        return Err(crate::Error::internal("test", "too much went in one commit"));
    };
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "cascade_too_large"));
    assert!(error.context().any(|(k, v)| k == "id" && v == "b"), "{error}");
    assert_eq!(count::<Shelf>(&s, 1).await?, 1);
    let stone = Tombstone::of(Shelf::KIND, "b", AT, "user:test");
    write(&s, 1, vec![drop_it::<Shelf>("b"), make(&stone)?]).await?;
    assert_eq!((count::<Shelf>(&s, 1).await?, count::<Book>(&s, 1).await?), (0, CASCADE_LIMIT as u64 + 1));
    for (writes, code) in [(vec![shelf("b")?], "tombstoned"), (vec![book("late", "b")?], "parent_missing")] {
        assert_eq!(write(&s, 1, writes).await.err().map(|e| e.code().to_owned()).as_deref(), Some(code));
    }
    Ok(())
}
