//! Order and pages of queries.

use super::{KIND, delete, fresh, ids, note, put, workspace, write};
use crate::Result;
use crate::store::{Expected, Key, Query, SharedStore};

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
