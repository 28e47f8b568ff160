//! Blobs.

use super::{AT, fresh, note, offered, put, workspace};
use crate::store::{Batch, Blob, Expected, Item, SharedStore, Snapshot, blob_hash, pack};
use crate::{Result, Timestamp};

/// Blobs are found by their content and stored once.
pub async fn blobs_are_content_addressed(s: SharedStore) -> Result<()> {
    let hash = s.blob_put(b"hello").await?;
    assert_eq!(hash, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!(s.blob_put(b"hello").await?, hash);
    assert_eq!(s.blob_get(&hash).await?.as_deref(), Some(&b"hello"[..]));
    assert_eq!(s.blob_get("00").await?, None);
    Ok(())
}

/// A blob that can be compressed takes less room, is found by the hash of what was put, and leaves the store plain.
pub async fn blobs_come_back_whole(s: SharedStore) -> Result<()> {
    let text = "a page of words ".repeat(20_000).into_bytes();
    let noise: Vec<u8> =
        (0..50_000_u64).map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()).to_le_bytes()[0]).collect();
    let mut hashes = Vec::new();
    for blob in [&text, &noise] {
        let hash = s.blob_put(blob).await?;
        assert_eq!(s.blob_put(blob).await?, hash);
        assert_eq!(s.blob_get(&hash).await?.as_ref(), Some(blob));
        hashes.push(hash);
    }
    if let Some(figures) = offered(s.figures().await)? {
        assert_eq!(figures.blobs, 2);
        assert!(figures.blob_bytes >= noise.len() as u64);
        let small = (text.len() / 10 + noise.len()) as u64;
        assert!(!s.caps().durable || figures.blob_bytes < small, "{}", figures.blob_bytes);
    }
    assert_eq!(s.check().await?, []);
    if let Some(snapshot) = offered(s.snapshot().await)? {
        let mut plain = plain_blobs(snapshot).await?;
        plain.sort_unstable_by_key(Vec::len);
        assert!(plain == [noise, text]);
    }
    if let Some(gone) = offered(s.blob_delete(&hashes, Timestamp::from_millis(i64::MAX)).await)? {
        assert_eq!(gone, 2);
        for hash in &hashes {
            assert_eq!(s.blob_get(hash).await?, None);
        }
    }
    Ok(())
}

/// A body that a commit brings is there with it, and not without it.
pub async fn blobs_go_with_their_commit(s: SharedStore) -> Result<()> {
    fresh(&s).await?;
    if !s.takes_blobs() {
        return Ok(());
    }
    let text = "a page of words ".repeat(200).into_bytes();
    let hash = blob_hash(&text);
    let commit = async |expected: Expected| {
        let mut batch = Batch::new(workspace(1), AT);
        batch.writes = vec![put(&note("a", 1), expected)?];
        batch.blobs = vec![Blob { hash: hash.clone(), bytes: text.clone() }];
        s.commit(batch).await
    };
    assert!(commit(Expected::Rev(9)).await.is_err());
    assert_eq!(s.blob_get(&hash).await?, None);
    for expected in [Expected::Absent, Expected::Rev(1)] {
        commit(expected).await?;
        assert_eq!(s.blob_get(&hash).await?.as_ref(), Some(&text));
    }
    assert_eq!(s.blob_put(&text).await?, hash);
    let mut alone = Batch::new(workspace(1), AT);
    alone.blobs = vec![Blob { hash: blob_hash(b"alone"), bytes: b"alone".to_vec() }];
    assert_eq!(s.commit(alone).await?.seq, 0);
    assert_eq!(s.blob_get(&blob_hash(b"alone")).await?.as_deref(), Some(&b"alone"[..]));
    Ok(())
}

async fn plain_blobs(mut snapshot: Box<dyn Snapshot>) -> Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    loop {
        let page = snapshot.next().await?;
        if page.is_empty() {
            return Ok(found);
        }
        for item in page {
            if let Item::Blob { hash, bytes } = item {
                found.push(pack::unpack(&hash, bytes)?);
            }
        }
    }
}
