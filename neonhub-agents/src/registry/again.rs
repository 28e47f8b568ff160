//! Trying again what failed before a run changed anything.

use std::time::Duration;

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{Command, Failure};
use neonhub_core::{ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::guard::BREAKER;

/// Tries in all, and the longest first pause; the second is twice as long.
// Rule of agents, section 7: three, from 75 ms.
const TRIES: u32 = 3;
const PAUSE_MS: u64 = 75;
/// Longest pause that can be asked for, in milliseconds.
const MOST_MS: u64 = 10_000;
/// Begins the name of a call that waits; the number of the try follows.
pub(super) const PAUSE: &str = "pause/";

/// How the keys of the nodes of a plan begin: the plan itself tries those again.
pub(crate) const NODE_KEY: &str = "plan:";

/// What is to be done again after the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Redo {
    /// Gather what the run works with.
    Prepare,
    /// Call the operation that does it all.
    Act,
    /// Ask the model.
    Ask,
}

/// The tries of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Again {
    /// Failures that were passed over.
    pub(super) tries: u32,
    /// What waits for its pause.
    pub(super) redo: Option<Redo>,
    /// True once a call that changes something was made, whatever came of it.
    pub(super) has_acted: bool,
}

impl Again {
    /// The pause before another try; `None` when there is none.
    pub(super) fn pause(&mut self, redo: Redo, failure: &Failure, seed: u64) -> Option<Command> {
        let may_pass = [ErrorKind::Unavailable, ErrorKind::Timeout].iter().any(|k| k.code() == failure.kind);
        // A breaker stays open for longer than any pause here.
        let is_shut = failure.code == BREAKER || failure.code == neonhub_core::resilience::NO_PLACE;
        if !failure.retryable || !may_pass || is_shut || self.has_acted || self.tries + 1 >= TRIES {
            return None;
        }
        self.tries += 1;
        self.redo = Some(redo);
        let top = PAUSE_MS << (self.tries - 1);
        // Full jitter, from the run's own chance: the log folds to the same pause.
        let ms = seed.rotate_left(16 * self.tries) % (top + 1);
        Some(Command::tool(format!("{PAUSE}{}", self.tries), PauseRun::NAME, json!({ "ms": ms })))
    }

    /// A name for a call that is made again.
    pub(super) fn name(&self, call: &str) -> String {
        if self.tries == 0 { call.to_owned() } else { format!("{call}~{}", self.tries + 1) }
    }
}

/// The name that a call had the first time.
pub(super) fn first_name(call: &str) -> &str {
    call.split_once('~').map_or(call, |(name, _)| name)
}

/// Lets a run wait for a moment before it tries something again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRun {
    /// How long, in milliseconds, at most 10 000.
    pub ms: u64,
}

impl Operation for PauseRun {
    type Output = ();
    const NAME: &'static str = "agents.pause";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<()> {
        cx.sleep(Duration::from_millis(self.ms.min(MOST_MS))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind, retryable: bool) -> Failure {
        Failure {
            kind: kind.code().to_owned(),
            code: kind.code().to_owned(),
            operation: "t".to_owned(),
            message: "t".to_owned(),
            retryable,
        }
    }

    #[test]
    fn two_pauses_and_none_after_an_act() {
        let down = failure(ErrorKind::Unavailable, true);
        for seed in [0, 7, u64::MAX, 0x1234_5678_9abc_def0] {
            let mut again = Again::default();
            let pauses: Vec<Command> = (0..5).filter_map(|_| again.pause(Redo::Ask, &down, seed)).collect();
            assert_eq!(pauses.len(), 2);
            for (command, top) in pauses.into_iter().zip([75, 150]) {
                let Command::CallTool { args, .. } = command else { panic!("no pause") };
                assert!(args["ms"].as_u64().unwrap() <= top, "{args}");
            }
        }
        let mut acted = Again { has_acted: true, ..Again::default() };
        assert!(acted.pause(Redo::Ask, &down, 1).is_none());
        for other in [failure(ErrorKind::Unavailable, false), failure(ErrorKind::InvalidInput, true)] {
            assert!(Again::default().pause(Redo::Ask, &other, 1).is_none());
        }
    }

    #[test]
    fn a_call_keeps_its_name_the_first_time() {
        let mut again = Again::default();
        assert_eq!(again.name("act"), "act");
        again.tries = 2;
        assert_eq!(
            (again.name("act").as_str(), first_name("act~3"), first_name("act")),
            ("act~3", "act", "act")
        );
    }
}
