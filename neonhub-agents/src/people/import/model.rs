//! The records of imports.

use neonhub_core::Timestamp;
use neonhub_core::store::{Index, Key, Record};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::ImportId;
use crate::people::csv::{Encoding, RowFault};

/// State of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportStatus {
    /// Pages are being read; after a crash or stop, starting again goes on.
    #[default]
    Running,
    /// Every row was read.
    Finished,
}

/// An import and its counts. `rows = imported + rejected`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportJob {
    /// Its id.
    pub id: ImportId,
    /// SHA-256 of the file and the settings, 64 hex digits.
    pub key: String,
    /// Name of the file, without its folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is noted as the source of everything it brings.
    pub source: String,
    /// State.
    pub status: ImportStatus,
    /// Data rows read and committed: the checkpoint.
    pub rows: u64,
    /// Rows that a person came from.
    pub imported: u64,
    /// Rows without a usable identifier.
    pub rejected: u64,
    /// Different people that the rows mean.
    pub people: u64,
    /// Of the imported rows: those that made a person.
    pub created: u64,
    /// Of the imported rows: those that changed a known person.
    pub updated: u64,
    /// Of the imported rows: those that changed nothing.
    pub unchanged: u64,
    /// Merges made on the way.
    pub merged: u64,
    /// Pairs left for someone to decide.
    pub candidates: u64,
    /// Rows of the consent ledger.
    pub consents: u64,
    /// Faults noted, of rejected and of imported rows.
    pub faults: u64,
    /// Imported rows with an address that is suppressed; it stays so.
    pub suppressed: u64,
    /// Pages committed.
    pub pages: u64,
    /// The encoding of the file.
    pub encoding: Encoding,
    /// The delimiter of the file.
    pub delimiter: String,
    /// Known columns that the file does not have.
    pub missing_columns: Vec<String>,
    /// When it was first started.
    pub started_at: Timestamp,
    /// When it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
}

impl Record for ImportJob {
    const KIND: &'static str = "import_job";
    const INDEXES: &'static [Index] = &[Index::unique("key")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.key))]
    }
}

/// The faults of one page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultPage {
    /// Import and page, so that pages sort.
    pub id: String,
    /// The import.
    pub import: ImportId,
    /// Faults in the order of their rows.
    pub faults: Vec<RowFault>,
}

impl FaultPage {
    /// The id of a page's record.
    #[must_use]
    pub fn id_of(import: &ImportId, page: u64) -> String {
        format!("{import}-{page:010}")
    }

    /// Number of the page.
    pub(super) fn number(&self) -> u64 {
        self.id.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

impl Record for FaultPage {
    const KIND: &'static str = "import_faults";
    const INDEXES: &'static [Index] = &[Index::on("import")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.import.as_str()).and_text(&self.id))]
    }
}
