//! Where a file may lie: not on a network file system.
//!
//! Processes share the index of the write-ahead log through memory that is mapped from a file beside it, and take turns by
//! locks on files. SQLite says that neither holds over a network (<https://www.sqlite.org/wal.html>, "Overview", and
//! <https://www.sqlite.org/useovernet.html>): two machines that write one file damage it.

use std::path::{Component, Path, Prefix};

use crate::{Error, ErrorKind, Result};

/// Types of network file systems as `statfs` gives them on Linux.
// <linux/magic.h> of Linux 6.12, and for NCP and Ceph the headers of the file systems themselves; listed in statfs(2).
const NETWORK: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x00c3_6400, "Ceph"),
];

/// Refuses a file on a network file system.
///
/// # Errors
/// `Config` with the code `network_file_system`, naming the file system, the folder and the cure.
pub(super) fn check(path: &Path) -> Result<()> {
    let folder = super::folder_of(path);
    // The file may be a link to another place than its folder.
    let place = if path.exists() { path } else { folder };
    match network_of(place) {
        Some(system) => Err(refused(system, folder)),
        None => Ok(()),
    }
}

fn refused(system: &str, folder: &Path) -> Error {
    Error::new(
        ErrorKind::Config,
        "hub.open",
        "the store would lie on a network file system, where the locks and the shared memory of SQLite do not hold and \
         two machines would damage it: keep it on a disk of this machine, or the records in PostgreSQL; when no other \
         machine ever opens it, `sqlite:PATH?network_fs=allow` opens it all the same",
    )
    .with_code("network_file_system")
    .with_context("file_system", system)
    .with_context("folder", folder.display())
}

/// The network file system that a path is on, where the system tells.
fn network_of(path: &Path) -> Option<&'static str> {
    if is_share(path) {
        return Some("SMB");
    }
    by_type(path)
}

/// True for a path to a share: `\\server\share\...` on Windows.
fn is_share(path: &Path) -> bool {
    let first = path.components().next();
    matches!(first, Some(Component::Prefix(p)) if matches!(p.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..)))
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn by_type(path: &Path) -> Option<&'static str> {
    // A file system that does not tell is not refused.
    let found = rustix::fs::statfs(path).ok()?.f_type;
    named(found as u64)
}

#[cfg(target_vendor = "apple")]
fn by_type(path: &Path) -> Option<&'static str> {
    /// The mark of file systems on disks of this machine (`MNT_LOCAL` of <sys/mount.h>).
    const LOCAL: u32 = 0x1000;
    let found = rustix::fs::statfs(path).ok()?.f_flags;
    (found & LOCAL == 0).then_some("a volume of another machine")
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn by_type(_path: &Path) -> Option<&'static str> {
    None
}

/// Types have 32 bits; the word that holds them may be longer and has the sign of the machine's.
#[cfg_attr(target_vendor = "apple", allow(dead_code, reason = "there the system marks them itself"))]
fn named(word: u64) -> Option<&'static str> {
    NETWORK.iter().find(|(magic, _)| u64::from(*magic) == word & 0xffff_ffff).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_type() {
        assert_eq!(named(0x6969), Some("NFS"));
        // As a 64-bit machine gives it when the word has a sign.
        assert_eq!(named(0xffff_ffff_ff53_4d42), Some("CIFS"));
        for local in [0xef53, 0x9123_683e, 0x5846_5342, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(named(local), None, "{local:x}");
        }
    }

    #[test]
    fn a_local_folder_is_taken_and_the_refusal_names_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        check(&dir.path().join("new.neon")).unwrap();
        let error = refused("NFS", dir.path());
        assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "network_file_system"));
        assert!(
            error.to_string().contains("NFS") && error.message().contains("?network_fs=allow"),
            "{error}"
        );
    }
}
