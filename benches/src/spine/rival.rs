//! Bare SQLite writing what we wrote: the same rows and index entries, in the same batches, with the same sync.
//!
//! The rival gets every row ready made, so that its time is writing and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::Result;

/// The change feed: each of its rows is one batch of ours.
const FEED: &str = "_feed";

/// Settings of our own connection that decide what a commit costs.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
    PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 16777216;";

/// What is to be written: a statement by number, and its values.
type Write = (usize, Vec<Value>);

/// The batches of a finished store, read back from its feed.
#[derive(Debug)]
pub(super) struct Script {
    schema: Vec<String>,
    statements: Vec<String>,
    batches: Vec<Vec<Write>>,
}

impl Script {
    /// Reads the store's batches after the position `after`. A row that was written more than once is written as
    /// often, each time as it ended.
    pub(super) fn read(store: &Path, after: i64) -> Result<Self> {
        let connection = Connection::open(store)?;
        let mut script = Self { schema: schema(&connection)?, statements: Vec::new(), batches: Vec::new() };
        let mut numbers = BTreeMap::new();
        let mut feed =
            connection.prepare("SELECT seq, ws, at, changes FROM _feed WHERE seq > ?1 ORDER BY seq")?;
        let mut entries = feed.query([after])?;
        while let Some(entry) = entries.next()? {
            let workspace: i64 = entry.get("ws")?;
            let mut batch = Vec::new();
            for (kind, id) in touched(&entry.get::<_, String>("changes")?)? {
                let select = format!("SELECT * FROM \"{kind}\" WHERE ws = ?1 AND id = ?2");
                let mut select = connection.prepare_cached(&select)?;
                let columns = select.column_count();
                let values =
                    select.query_row((workspace, &id), |row| (0..columns).map(|at| row.get(at)).collect());
                match values {
                    Ok(values) => batch.push((script.number(&mut numbers, &kind, columns), values)),
                    // Removed by a later batch: nothing is left to write.
                    Err(rusqlite::Error::QueryReturnedNoRows) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let row = (0..4).map(|at| entry.get(at)).collect::<rusqlite::Result<Vec<Value>>>()?;
            batch.push((script.number(&mut numbers, FEED, 4), row));
            script.batches.push(batch);
        }
        Ok(script)
    }

    fn number(&mut self, numbers: &mut BTreeMap<String, usize>, table: &str, columns: usize) -> usize {
        *numbers.entry(table.to_owned()).or_insert_with(|| {
            let marks = vec!["?"; columns].join(", ");
            self.statements.push(format!("INSERT OR REPLACE INTO \"{table}\" VALUES ({marks})"));
            self.statements.len() - 1
        })
    }

    /// Number of rows that one replay writes.
    pub(super) fn rows(&self) -> usize {
        self.batches.iter().map(Vec::len).sum()
    }

    /// Number of batches, each of which is one synced transaction.
    pub(super) fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Makes an empty database with our tables and indexes.
    pub(super) fn prepare(&self, path: &Path) -> Result<Connection> {
        let connection = Connection::open(path)?;
        connection.execute_batch(SETTINGS)?;
        for statement in &self.schema {
            connection.execute_batch(statement)?;
        }
        Ok(connection)
    }

    /// Writes everything, one transaction per batch.
    pub(super) fn replay(&self, connection: &mut Connection) -> Result<()> {
        connection.set_prepared_statement_cache_capacity(self.statements.len());
        for batch in &self.batches {
            let transaction =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            for (number, values) in batch {
                let statement = self.statements.get(*number).ok_or("a row without its statement")?;
                transaction.prepare_cached(statement)?.execute(params_from_iter(values))?;
            }
            transaction.commit()?;
        }
        Ok(())
    }
}

/// The statements that make our tables and indexes; those that SQLite makes by itself have none.
fn schema(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<Vec<String>>>()?)
}

/// Kind and id of every record of a feed entry, which holds `[kind, id, revision before, after]` for each.
fn touched(changes: &str) -> Result<Vec<(String, String)>> {
    let changes: Vec<(String, String, u64, u64)> = serde_json::from_str(changes)?;
    Ok(changes.into_iter().map(|(kind, id, _, _)| (kind, id)).collect())
}

#[cfg(test)]
mod tests {
    use neonhub_core::store::sqlite::SqliteStore;
    use neonhub_core::store::{Batch, Expected, Index, Key, Kind, Record, Row, Store, Write};
    use neonhub_core::{Timestamp, WorkspaceId};
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Serialize, Deserialize)]
    struct Note(String, u64);

    impl Record for Note {
        const KIND: &'static str = "note";
        const INDEXES: &'static [Index] = &[Index::on("size")];

        fn id(&self) -> &str {
            &self.0
        }

        fn keys(&self) -> Vec<Option<Key>> {
            vec![Some(Key::int(self.1 as i64))]
        }
    }

    async fn commit(store: &SqliteStore, notes: &[Note]) {
        let at = Timestamp::from_millis(1);
        let mut batch = Batch::new(WorkspaceId::hub(), at);
        for note in notes {
            let row = Row::of(note, at, "test").unwrap();
            batch.writes.push(Write::Put { kind: Kind::of::<Note>(), row, expected: Expected::Any });
        }
        store.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn replay_gives_the_same_rows_and_index_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ours.neon");
        let store = SqliteStore::open(&path).await.unwrap();
        store.declare(&[Kind::of::<Note>()]).await.unwrap();
        commit(&store, &[Note("a".to_owned(), 1), Note("b".to_owned(), 2)]).await;
        commit(&store, &[Note("b".to_owned(), 3)]).await;
        store.close().await.unwrap();

        let script = Script::read(&path, 0).unwrap();
        assert_eq!((script.batches(), script.rows()), (2, 5));
        let mut rival = script.prepare(&folder.path().join("rival.db")).unwrap();
        script.replay(&mut rival).unwrap();

        let ours = Connection::open(&path).unwrap();
        for query in [
            "SELECT group_concat(body) FROM note ORDER BY id",
            "SELECT count(*) FROM note INDEXED BY note__size WHERE ix_size IS NOT NULL",
            "SELECT group_concat(changes) FROM _feed",
        ] {
            let answer = |connection: &Connection| {
                connection.query_row(query, [], |row| row.get::<_, Value>(0)).unwrap()
            };
            assert_eq!(answer(&ours), answer(&rival), "{query}");
        }
    }
}
