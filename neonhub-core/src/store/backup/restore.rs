//! Restoring a backup, and increments on top of it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::delta::base_at;
use super::read::{read, verify};
use super::{Manifest, PAGE, damaged, verify_backup};
use crate::store::{Item, Store};
use crate::{Error, ErrorKind, Result};

/// Reads a backup and the increments that go on top of it to their ends, and checks that each goes on where the one
/// before ends.
///
/// # Errors
/// As [`verify_backup`]; `Conflict` with the code `backup_out_of_order`.
pub(in crate::store) fn check_order(full: &Path, increments: &[PathBuf]) -> Result<()> {
    let first = verify_backup(full)?;
    if let Some(since) = first.since_seq {
        return Err(out_of_order(since, 0));
    }
    let mut at = first.seq;
    for increment in increments {
        let next = verify_backup(increment)?;
        match next.since_seq {
            Some(since) if since == at => at = next.seq,
            since => return Err(out_of_order(since.unwrap_or_default(), at)),
        }
    }
    Ok(())
}

/// Restores a backup into an empty store, after every byte of it was checked.
///
/// # Errors
/// As [`verify_backup`]; `Conflict` when the store holds anything.
pub async fn restore_backup(path: &Path, into: &dyn Store) -> Result<Manifest> {
    let manifest = verify_backup(path)?;
    if let Some(since) = manifest.since_seq {
        return Err(out_of_order(since, 0));
    }
    let figures = into.figures().await?;
    if into.seq().await? > 0 || figures.blobs > 0 || figures.kinds.iter().any(|k| k.records > 0) {
        return Err(Error::new(
            ErrorKind::Conflict,
            "store.restore",
            "the store to restore into is not empty: name a new file or database",
        ));
    }
    take_in(path, into, manifest).await
}

/// Restores an increment on top of the store that was restored from the backup it goes on from, or from the increment
/// before it.
///
/// # Errors
/// As [`verify_backup`]; `Conflict` with the code `backup_out_of_order` when the store does not end with the commit that
/// the increment goes on from, naming both positions, and when a kind has got indexes between the two.
pub async fn restore_increment(path: &Path, into: &dyn Store) -> Result<Manifest> {
    let (manifest, base) = verify(path)?;
    let at = into.seq().await?;
    let Some(base) = base else {
        return Err(Error::new(
            ErrorKind::Conflict,
            "store.restore",
            "this is a full backup, not an increment: restore it into a new store",
        )
        .with_code("backup_out_of_order"));
    };
    if base.seq != at || base_at(into, at).await? != base {
        return Err(out_of_order(base.seq, at));
    }
    check_kinds(path, into).await?;
    take_in(path, into, manifest).await
}

fn out_of_order(since: u64, at: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        "store.restore",
        format!(
            "this increment goes on after commit {since} of its store, and here {at} is the last one: restore the \
             backup that ends with {since} first, then the increments in their order"
        ),
    )
    .with_code("backup_out_of_order")
    .with_context("since_seq", since)
    .with_context("seq", at)
}

/// Records that did not change lack the keys of indexes that were added since.
async fn check_kinds(path: &Path, into: &dyn Store) -> Result<()> {
    let mut have = HashMap::new();
    for item in into.snapshot().await?.next().await? {
        if let Item::Kind { name, indexes, .. } = item {
            have.insert(name, indexes);
        }
    }
    read(path, |item| match item {
        Item::Kind { name, indexes, .. } if have.get(&name).is_some_and(|old| *old != indexes) => {
            Err(Error::new(
                ErrorKind::Conflict,
                "store.restore",
                "a kind got indexes between the backup and this increment: take a full backup after an upgrade",
            )
            .with_code("backup_out_of_order")
            .with_context("kind", name))
        }
        _ => Ok(()),
    })
    .map(drop)
}

/// Loads a file that was checked.
async fn take_in(path: &Path, into: &dyn Store, manifest: Manifest) -> Result<Manifest> {
    // Pages are handed over as they are read: the file may be larger than memory.
    let (pages, mut inbox) = tokio::sync::mpsc::channel::<Vec<Item>>(2);
    let source = path.to_owned();
    let reader = tokio::task::spawn_blocking(move || {
        let (mut page, mut heavy) = (Vec::new(), 0);
        let gone = || Error::new(ErrorKind::Cancelled, "store.restore", "the restore was given up");
        let (manifest, _) = read(&source, |item| {
            if let Item::Blob { bytes, .. } = &item {
                heavy += bytes.len();
            }
            page.push(item);
            if page.len() < PAGE.0 && heavy < PAGE.1 {
                return Ok(());
            }
            heavy = 0;
            pages.blocking_send(std::mem::take(&mut page)).map_err(|_| gone())
        })?;
        pages.blocking_send(page).map_err(|_| gone())?;
        Ok::<_, Error>(manifest)
    });
    while let Some(page) = inbox.recv().await {
        into.load(page).await?;
    }
    let again = reader.await.map_err(|cause| Error::internal("store.restore", cause))??;
    if again != manifest {
        return Err(damaged("it changed while it was restored: throw the new store away", 0));
    }
    Ok(manifest)
}
