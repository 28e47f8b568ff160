use super::*;
use crate::store::conformance::Note;
use crate::store::{Expected, Write};

mod suite {
    async fn open() -> crate::Result<crate::store::SharedStore> {
        let dir = tempfile::tempdir().unwrap();
        let store = super::SledStore::open(&dir.path().join("store")).await?;
        // The folder outlives the test in the temporary folder of the system, which the process does not need again.
        std::mem::forget(dir);
        Ok(std::sync::Arc::new(store))
    }
    crate::store_conformance!(open);
}

#[tokio::test]
async fn one_opener_at_a_time_and_what_was_committed_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let kind = Kind::of::<Note>();
    let ws = WorkspaceId::hub_sibling(1);
    let store = SledStore::open(&path).await.unwrap();
    store.declare(&[kind]).await.unwrap();
    let error = SledStore::open(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("SQLite"), "{error}");
    let note = Note { id: "a".into(), name: None, size: 1, text: "kept".into() };
    let mut batch = Batch::new(ws.clone(), Timestamp::EPOCH);
    let row = Row::of(&note, Timestamp::EPOCH, "t").unwrap();
    batch.writes.push(Write::Put { kind, row, expected: Expected::Absent });
    store.commit(batch).await.unwrap();
    let blob = store.blob_put(b"body").await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let again = SledStore::open(&path).await.unwrap();
    assert!(again.get(kind, &ws, "a").await.unwrap().unwrap().body.contains("kept"));
    assert_eq!(again.blob_get(&blob).await.unwrap().unwrap(), b"body");
    assert_eq!(again.seq().await.unwrap(), 1);
}

#[tokio::test]
async fn the_version_is_that_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let store = SledStore::open(&path).await.unwrap();
    let (found, ours) = store.version().await.unwrap();
    assert!(found == ours && ours > 1, "{found} of {ours}");
    store.db().unwrap().insert(b"m", &[1]).unwrap();
    assert_eq!(store.version().await.unwrap(), (1, ours), "as it stands in the folder");
    store.close().await.unwrap();
    drop(store);
    assert_eq!(SledStore::open(&path).await.unwrap().version().await.unwrap(), (ours, ours));
}
