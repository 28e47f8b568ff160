//! Schedules that stand in a new store, switched off: an owner who wants them resumes them.

use serde_json::{Value, json};

use super::model::{Schedule, Target};
use super::ops::CreateSchedule;
use super::when::When;
use crate::op::Operation as _;
use crate::store::ops::DriftStore;
use crate::tenancy::Workspace;
use crate::{Error, ErrorKind, Result, Scope};

/// Why a suggested schedule does not fire.
const SUGGESTED: &str = "suggested";
/// Time between two looks for drift.
// The figure of the earlier product.
const DRIFT_MS: u64 = 6 * 3_600_000;
/// When the backup is taken: few write then. Our choice.
const BACKUP_TIME: &str = "03:00";

/// What a new store suggests: a backup every day, and a look for drift every six hours.
pub(crate) fn suggestions(cx: &Scope, workspace: &Workspace) -> Vec<Schedule> {
    let daily = When::LocalDaily { time: BACKUP_TIME.to_owned(), zone: workspace.timezone.clone() };
    let often = When::Every { ms: DRIFT_MS, anchor: None };
    vec![
        suggestion(cx, "daily backup", crate::hub::ops::RotateBackup::NAME, daily),
        suggestion(cx, "drift check", DriftStore::NAME, often),
    ]
}

fn suggestion(cx: &Scope, name: &str, operation: &str, when: When) -> Schedule {
    let cx = cx.fork(&[SUGGESTED, name]);
    let target = Target::Operation { operation: operation.to_owned(), input: json!({}) };
    Schedule {
        enabled: false,
        paused_reason: Some(SUGGESTED.to_owned()),
        principal: "system:schedules".to_owned(),
        rights: Vec::new(),
        ..CreateSchedule::new(name, target, when).record(&cx, cx.now())
    }
}

impl Schedule {
    /// True for one that came with the store and that nobody stands for yet.
    pub(super) fn is_suggestion(&self) -> bool {
        !self.enabled && self.rights.is_empty() && self.paused_reason.as_deref() == Some(SUGGESTED)
    }

    /// Has it work with the rights of who asks from now on.
    pub(super) fn take_over(&mut self, cx: &Scope) {
        self.principal = cx.label().to_owned();
        self.rights = cx.permission_words();
    }

    /// Refuses to fire one that nobody stands for.
    pub(super) fn check_stood_for(&self, cx: &Scope) -> Result<()> {
        if !self.is_suggestion() {
            return Ok(());
        }
        let message = "this schedule is a suggestion: resume it first, it works with the rights of who does";
        Err(Error::new(ErrorKind::Conflict, cx.operation(), message).with_code("only_suggested"))
    }
}

impl Target {
    /// The same with another input or payload.
    pub(super) fn with_input(self, new: Value) -> Self {
        match self {
            Target::Operation { operation, .. } => Target::Operation { operation, input: new },
            Target::Agent { agent, intent, .. } => Target::Agent { agent, intent, input: new },
            Target::Job { queue, name, .. } => Target::Job { queue, name, payload: new },
        }
    }
}
