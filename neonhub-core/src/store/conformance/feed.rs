//! Many writers: the feed, counters and chains.

use std::sync::Arc;

use super::{AT, KIND, Note, delete, fresh, note, put, read, workspace, write};
use crate::store::{Batch, ChangeOp, Expected, Link, Query, Row, SharedStore, Stored};
use crate::{ErrorKind, Result};

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
