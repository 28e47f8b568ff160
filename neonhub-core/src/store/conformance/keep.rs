//! What a newer build wrote stays when an older one writes the record.

use super::{AT, KIND, fresh, note, put, read, workspace, write};
use crate::store::{
    Expected, ImportPlan, Key, OnConflict, Row, SharedStore, Write, canonical_json, export, import,
};
use crate::{Error, Result};

/// A row with a field that the type of the suite does not know.
fn newer(id: &str, size: i64) -> Result<Row> {
    let mut row = Row::of(&note(id, size), AT, "user:test")?;
    let mut body: serde_json::Value =
        serde_json::from_str(&row.body).map_err(|cause| Error::internal("test", cause))?;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("rating".into(), serde_json::json!({ "stars": 4, "by": ["x\u{0}", 0.5] }));
    }
    row.body = canonical_json(&body)?;
    Ok(row)
}

async fn row_of(s: &SharedStore, id: &str) -> Result<Row> {
    let row = s.get(KIND, &workspace(1), id).await?;
    row.ok_or_else(|| Error::internal("test", "missing"))
}

/// A write over a record keeps the fields that its type does not know; a record made anew has none of them.
pub async fn unknown_fields_are_kept(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    for id in ["a", "b", "c"] {
        let row = newer(id, 1)?;
        write(&s, 1, vec![Write::Put { kind: KIND, row, expected: Expected::Absent }]).await?;
    }
    let again = vec![
        put(&note("a", 2), Expected::Rev(1))?,
        put(&note("b", 2), Expected::Any)?,
        put(&note("b", 3), Expected::Present)?,
        super::delete("c", Expected::Any),
        put(&note("c", 2), Expected::Absent)?,
    ];
    write(&s, 1, again).await?;
    for (id, size, rev) in [("a", 2, 2), ("b", 3, 3)] {
        let row = row_of(&s, id).await?;
        assert_eq!((row.rev, row.body.as_str()), (rev, newer(id, size)?.body.as_str()));
        assert_eq!(read(&s, 1, id).await?.map(|f| f.body), Some(note(id, size)));
        assert_eq!(row.keys, [Some(Key::text(format!("name-{id}"))), Some(Key::int(size))]);
    }
    assert_eq!(row_of(&s, "c").await?.body, Row::of(&note("c", 2), AT, "user:test")?.body);
    assert_eq!(s.check().await?, []);
    Ok(())
}

/// A line that is imported in the place of a record is the whole record.
pub async fn an_imported_line_replaces_all(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    write(&s, 1, vec![put(&note("a", 1), Expected::Absent)?]).await?;
    let ws = workspace(1);
    let mut lines = Vec::new();
    let exported = export(s.as_ref(), Some(&ws), |kind| kind == KIND.name, &mut lines).await;
    if super::offered(exported)?.is_none() {
        return Ok(());
    }
    let row = newer("a", 2)?;
    write(&s, 1, vec![Write::Put { kind: KIND, row, expected: Expected::Rev(1) }]).await?;
    let plan = ImportPlan {
        workspace: &ws,
        at: AT,
        kinds: &[KIND],
        on_conflict: OnConflict::Replace,
        dry_run: false,
    };
    assert_eq!(import(s.as_ref(), &plan, &mut lines.as_slice()).await?.written, 1);
    assert_eq!(row_of(&s, "a").await?.body, Row::of(&note("a", 1), AT, "user:test")?.body);
    Ok(())
}
