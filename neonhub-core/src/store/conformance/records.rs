//! Records and the writes of one commit.

use super::{AT, KIND, Note, delete, fresh, ids, note, put, read, workspace, write};
use crate::store::{Expected, Key, Query, Record as _, Row, SharedStore, Write};
use crate::{ErrorKind, Result, Timestamp};

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

/// Workspaces see nothing of each other.
pub async fn workspaces_are_apart(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    assert!(read(&s, 2, "a").await?.is_none());
    assert_eq!(s.count(KIND, &workspace(2), &Query::index("size")).await?, 0);
    assert_eq!(s.find_many(KIND, &workspace(2), "name", &[Key::text("name-a")]).await?, [None]);
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
