//! Events in bulk, for tests of streams.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Internal: no surface and no tool shows it.
pub(crate) static CATALOGUE: &[Entry] = &[entry::<EmitEvents>()];

/// Publishes events of type `test.tick`, numbered from `first`, in one commit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EmitEvents {
    /// Number of the first.
    first: u64,
    /// How many, 1 to 1 000.
    count: u64,
}

impl Operation for EmitEvents {
    type Output = ();
    const NAME: &'static str = "testing.emit_events";
    const NEEDS: &'static [Permission] = &[Permission::ManageJobs];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<()> {
        if !(1..=1_000).contains(&self.count) {
            return Err(Error::invalid(Self::NAME, "count", "expected 1 to 1 000"));
        }
        for n in self.first..self.first.saturating_add(self.count) {
            cx.emit(Event::new(cx, "test.tick", "test", &n.to_string(), json!({ "n": n })))?;
        }
        Ok(())
    }

    fn examples() -> Vec<Self> {
        vec![EmitEvents { first: 0, count: 100 }]
    }
}
