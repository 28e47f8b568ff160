//! What is kept of checks and of tries to heal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::store::{Index, Keep, Key, Record};

/// How one part has been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthRecord {
    /// The part.
    pub subject: String,
    /// `healthy`, `degraded` or `unhealthy`.
    pub status: String,
    /// Since when.
    pub since: Timestamp,
    /// Checks so far.
    pub checks: u64,
    /// Failures in a row.
    pub failures: u32,
    /// Time of the last check, in milliseconds.
    pub latency_ms: u64,
    /// What is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When it was last checked.
    pub at: Timestamp,
}

impl Record for HealthRecord {
    const KIND: &'static str = "health_record";
    const INDEXES: &'static [Index] = &[Index::on("status")];
    fn id(&self) -> &str {
        &self.subject
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.status).and_time(self.at))]
    }
}

/// How a try to heal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealResult {
    /// The part is healthy.
    Healed,
    /// It is not.
    Unchanged,
    /// The recipe itself failed.
    Failed,
}

/// One try to heal a part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealAction {
    /// Its id.
    pub id: String,
    /// The part.
    pub subject: String,
    /// The recipe.
    pub recipe: String,
    /// How the part was before: `healthy`, `degraded` or `unhealthy`.
    pub before: String,
    /// How it was after.
    pub after: String,
    /// How it ended.
    pub result: HealResult,
    /// What the recipe did, or why it failed.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

impl Record for HealAction {
    const KIND: &'static str = "heal_action";
    const INDEXES: &'static [Index] = &[Index::on("subject")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.subject).and_time(self.at))]
    }
    fn retention() -> Keep {
        // As long as records of health; the audit log keeps the row of each try.
        Keep::Age(30)
    }
}
