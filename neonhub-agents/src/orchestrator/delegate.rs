//! One agent asks another.

use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::RunStatus;
use neonhub_core::{Error, ErrorKind, Permission, Principal, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::child::{self, Errand};
use super::drive::drive_any;
use crate::registry::{Directory, FollowRun, HAND_OFF, Rest, Terms, hash_of, rank};

/// Has another agent do a part of the work of a run, and gives what it answered. The child has the rights that both
/// have, acts on the world no more than the caller may, and lives from what is left of its money and time; asked for the
/// same again, it is the same run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HandOff {
    /// The other agent and what it is asked for: `sms.compose`.
    pub to: String,
    /// The input of that intent.
    pub input: Value,
}

impl Operation for HandOff {
    type Output = Value;
    const NAME: &'static str = HAND_OFF;
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const INTERNAL: bool = true;
    const ERRORS: &'static [&'static str] = &["too_deep", "too_many_runs", "loop_detected", "effect_max"];

    async fn run(self, cx: &Scope) -> Result<Value> {
        let Principal::Agent { run: above, .. } = cx.principal().clone() else {
            let why = "only the run of an agent hands work over: call agents.execute";
            return Err(Error::new(ErrorKind::PermissionDenied, Self::NAME, why));
        };
        let directory = Directory::load(cx).await?;
        let asked = directory.address(cx.hub(), Self::NAME, None, Some(&self.to), None)?;
        let rest = Rest::of(cx, &above).await?;
        if rank(asked.intent.effect_max) > rank(rest.effect_max) {
            let why = "the other intent does more to the world than this one may";
            return Err(Error::new(ErrorKind::Blocked, Self::NAME, why)
                .with_code("effect_max")
                .with_context("intent", asked.address()));
        }
        let key = format!("handoff:{above}:{}", hash_of(&json!([self.to, self.input]))?);
        let terms = Terms { wall_ms: Some(rest.wall_ms.max(1)), ..Terms::of_caller(cx).await? };
        let errand = Errand { asked: &asked, input: &self.input, key: &key, terms };
        let cx = &cx.outside().fork(&["hand_off"]);
        let begun = child::begin(cx, Self::NAME, &errand).await?;
        let view = drive_any(cx, &begun.id).await?;
        let run = view.run.id.clone();
        if view.run.status.is_final() {
            return match view.run.status {
                RunStatus::Completed => {
                    Ok(json!({ "run": run, "status": "completed", "output": view.output }))
                }
                _ => view.into_output(),
            };
        }
        // Nobody else drives it once this run has gone on.
        cx.outside().call(FollowRun { run: run.clone() }).await?;
        let why = "it waits for a person and goes on by itself: do not wait for it";
        Ok(json!({ "run": run, "status": "waiting", "waits_for": view.run.wait_reason, "note": why }))
    }
}
