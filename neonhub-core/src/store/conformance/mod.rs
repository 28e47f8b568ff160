//! One suite for every store. A backend invokes `store_conformance!` with a function that opens a fresh one.

mod blobs;
mod feed;
mod grown;
mod keep;
#[cfg(feature = "postgres")]
pub mod postgres;
mod queries;
mod records;
mod refs;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Batch, Expected, Index, Key, Kind, Query, Record, Row, SharedStore, Stored, Write};
use crate::tenancy::WorkspaceId;
use crate::{ErrorKind, Result, Timestamp};

pub use blobs::*;
pub use feed::*;
pub use grown::*;
pub use keep::*;
pub use queries::*;
pub use records::*;
pub use refs::*;

/// These files, from which a test reads the names of all cases.
pub const SOURCE: &str = concat!(
    include_str!("records.rs"),
    include_str!("queries.rs"),
    include_str!("feed.rs"),
    include_str!("blobs.rs"),
    include_str!("keep.rs"),
    include_str!("grown.rs"),
    include_str!("refs.rs"),
);

/// The record the suite works with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Note {
    /// Its id.
    pub id: String,
    /// Text, unique.
    pub name: Option<String>,
    /// Number, for ranges.
    pub size: i64,
    /// Some text.
    pub text: String,
}

impl Record for Note {
    const KIND: &'static str = "conformance_note";
    const INDEXES: &'static [Index] = &[Index::unique("name"), Index::on("size")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![self.name.as_ref().map(Key::text), Some(Key::int(self.size))]
    }
}

const KIND: Kind = Kind::of::<Note>();
const AT: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn workspace(n: u8) -> WorkspaceId {
    WorkspaceId::hub_sibling(n)
}

fn note(id: &str, size: i64) -> Note {
    Note { id: id.into(), name: Some(format!("name-{id}")), size, text: String::new() }
}

fn put(note: &Note, expected: Expected) -> Result<Write> {
    Ok(Write::Put { kind: KIND, row: Row::of(note, AT, "user:test")?, expected })
}

fn delete(id: &str, expected: Expected) -> Write {
    Write::Delete { kind: KIND, id: id.into(), expected }
}

async fn write(store: &SharedStore, ws: u8, writes: Vec<Write>) -> Result<u64> {
    let mut batch = Batch::new(workspace(ws), AT);
    batch.writes = writes;
    Ok(store.commit(batch).await?.seq)
}

async fn read(store: &SharedStore, ws: u8, id: &str) -> Result<Option<Stored<Note>>> {
    store.get(KIND, &workspace(ws), id).await?.as_ref().map(Stored::from_row).transpose()
}

async fn ids(store: &SharedStore, query: &Query) -> Result<Vec<String>> {
    Ok(store.query(KIND, &workspace(1), query).await?.into_iter().map(|r| r.id).collect())
}

/// What a backend answers, or `None` for what it does not offer.
fn offered<T>(answer: Result<T>) -> Result<Option<T>> {
    match answer {
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        other => other.map(Some),
    }
}

async fn fresh(store: &SharedStore) -> Result<()> {
    store.declare(&[KIND]).await
}

/// Makes one test per case of the suite. A suite that needs a server says so: `ignore = "why"`.
#[macro_export]
macro_rules! store_conformance {
    (ignore = $why:literal, $open:expr) => {
        $crate::store_conformance!(@all [#[ignore = $why]] $open);
    };
    ($open:expr) => {
        $crate::store_conformance!(@all [] $open);
    };
    (@all $attr:tt $open:expr) => {
        $crate::store_conformance!(@each $attr $open;
            create_then_get, update_keeps_the_creation_header, delete_frees_everything, commit_is_atomic,
            expectations_are_checked, conflicts_say_what_was_found, unique_keys_hold,
            writes_of_a_commit_build_on_each_other, workspaces_are_apart, odd_bodies_survive, check_and_close,
            queries_are_ordered, pages_are_stable_under_writes,
            feed_is_gapless, feed_is_ordered_under_load, parallel_writers_agree, chains_never_fork,
            blobs_are_content_addressed, blobs_come_back_whole, blobs_go_with_their_commit,
            unknown_fields_are_kept, an_imported_line_replaces_all,
            added_indexes_hold_what_was_there, an_older_build_writes_nothing_beside_a_newer_one,
            a_unique_index_over_equal_values_is_refused, batched_commits_are_seen_at_once,
            removing_a_record_takes_along_what_belongs_to_it, a_record_that_is_needed_keeps_the_other,
            nothing_refers_to_what_is_not_there, nothing_is_left_behind_by_a_race,
            a_removal_too_large_needs_a_tombstone);
    };
    (@each $attr:tt $open:expr; $($case:ident),+) => {
        $( $crate::store_conformance!(@one $attr $open; $case); )+

        #[test]
        fn every_case_of_the_suite_is_run() {
            let listed = [$(stringify!($case)),+];
            let source = $crate::store::conformance::SOURCE;
            let written: Vec<&str> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn ")?.split_once('(').map(|(name, _)| name))
                .collect();
            assert_eq!(listed.as_slice(), written.as_slice());
        }
    };
    (@one [$($attr:tt)*] $open:expr; $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $($attr)*
        async fn $case() -> $crate::Result<()> {
            $crate::store::conformance::$case($open().await?).await
        }
    };
}
