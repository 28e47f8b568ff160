//! What the store was given at its opens, so that each thing comes once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DEFAULT_WORKSPACE, Hub};
use crate::audit::{AuditDraft, Outcome};
use crate::schedule::{Schedule, suggestions};
use crate::store::{Expected, Key, Record, Write};
use crate::tenancy::{Workspace, new_record};
use crate::{Result, Scope};

/// Stands in the default workspace of every store whose suggested schedules were made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreMark {
    id: String,
    /// Version of the store's layout when it was last opened.
    pub version: u32,
}

impl StoreMark {
    const ID: &'static str = "store";

    fn at(version: u32) -> Self {
        StoreMark { id: Self::ID.to_owned(), version }
    }
}

impl Record for StoreMark {
    const KIND: &'static str = "store_mark";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Hub {
    /// What stands beside the first workspace of a new store: the suggested schedules, and the mark.
    pub(super) async fn first_records(&self, cx: &Scope, workspace: &Workspace) -> Result<Vec<Write>> {
        let mark = StoreMark::at(self.store().version().await?.0);
        let mut writes = vec![new_record(self, &mark, cx.label())?];
        for schedule in suggestions(cx, workspace) {
            writes.push(new_record(self, &schedule, cx.label())?);
        }
        Ok(writes)
    }

    /// Gives a store of before what new ones begin with, once, and tells the audit log when the layout was brought to
    /// another version since the last open.
    pub(super) async fn keep_mark(&self) -> Result<()> {
        let version = self.store().version().await?.0;
        let Some(home) = self.entry_of(DEFAULT_WORKSPACE).await? else { return Ok(()) };
        let cx = self.system_scope(home.workspace, "open").staging("hub.open", "mark");
        match cx.get::<StoreMark>(StoreMark::ID).await? {
            Some(mark) if mark.version == version => return Ok(()),
            Some(mut mark) => {
                let draft = AuditDraft::of(&cx, "store.migrate", Outcome::Ok);
                cx.note(draft.on("store", format!("version {} to {version}", mark.version)))?;
                mark.body.version = version;
                cx.save(&mark)?;
            }
            None => {
                cx.put(&StoreMark::at(version), Expected::Absent)?;
                let workspace = self.workspace_of(&cx).await?.body;
                for schedule in suggestions(&cx, &workspace) {
                    // Somebody made one of this name, or the store has it already.
                    if cx.find::<Schedule>("name", Key::text(&schedule.name)).await?.is_none() {
                        cx.put(&schedule, Expected::Absent)?;
                    }
                }
            }
        }
        match cx.flush().await {
            // Another process opened it at the same time.
            Err(error) if error.is_lost_race() => Ok(()),
            other => other.map(drop),
        }
    }
}
