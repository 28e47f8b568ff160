//! Who can be asked.

use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::EffectClass;
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::registry::{Directory, rank};

/// An intent that a team can ask for, as it was when the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The agent.
    pub agent: String,
    /// The intent.
    pub intent: String,
    /// The version of the agent.
    pub version: String,
    /// What the intent does.
    pub doc: String,
    /// JSON Schema of its input.
    pub input: Value,
}

impl Member {
    /// `agent.intent`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}.{}", self.agent, self.intent)
    }
}

/// Finds the intents that a team is made of, in their order.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResolveTeam {
    /// The intents, as `agent.intent`.
    pub team: Vec<String>,
    /// The most that one of them may do to the world.
    pub effect_max: Option<EffectClass>,
}

impl Operation for ResolveTeam {
    type Output = Vec<Member>;
    const NAME: &'static str = "orchestrator.team";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const INTERNAL: bool = true;
    const ERRORS: &'static [&'static str] = &["unknown_agent", "unknown_intent", "agent_disabled"];

    async fn run(self, cx: &Scope) -> Result<Vec<Member>> {
        resolve(cx, Self::NAME, &self.team, self.effect_max).await
    }
}

/// The members of a team.
///
/// # Errors
/// `InvalidInput` that names every intent which is not there or does more than it may.
pub(super) async fn resolve(
    cx: &Scope,
    operation: &'static str,
    team: &[String],
    effect_max: Option<EffectClass>,
) -> Result<Vec<Member>> {
    let directory = Directory::load(cx).await?;
    let most = effect_max.unwrap_or(EffectClass::Idempotent);
    let mut faults = Faults::new();
    let mut members = Vec::with_capacity(team.len());
    for (i, address) in team.iter().enumerate() {
        let field = format!("team[{i}]");
        let asked = match directory.address(cx.hub(), operation, None, Some(address), None) {
            Ok(asked) => asked,
            Err(error) => {
                let near = error.context().find(|(key, _)| *key == "closest").map(|(_, near)| near);
                let near = near.map(|near| format!(", close are {near}")).unwrap_or_default();
                faults.push(field, format!("{}{near}", error.message()));
                continue;
            }
        };
        let class = asked.intent.effect_max;
        let why = format!("{} is {}, above {}", asked.address(), class.word(), most.word());
        faults.check(rank(class) <= rank(most), field, why);
        members.push(Member {
            agent: asked.spec.name,
            intent: asked.intent.name,
            version: asked.spec.version,
            doc: asked.intent.doc,
            input: asked.input,
        });
    }
    faults.into_result(operation)?;
    Ok(members)
}

/// The members as a log has them.
pub(super) fn read(output: &Value) -> Result<Vec<Member>> {
    serde_json::from_value(output.clone()).map_err(|cause| Error::internal(ResolveTeam::NAME, cause))
}
