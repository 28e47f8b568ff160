//! Making plans and looking at them before they run.

use neonhub_core::bus::Event;
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::EffectClass;
use neonhub_core::{Error, Money, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::build::{self, PlanShape, PlanTask};
use super::model::{AgentPlan, PlanTotals};
use super::validate::{self, Checked};
use crate::campaign::Brief;
use crate::registry::{Directory, rank};

/// Makes a plan from the brief of a campaign, or from tasks in a row or side by side, and checks it. Nothing runs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MakePlan {
    /// What it is for. Default: the goal of the brief.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// The brief of a campaign: the plan makes, plans and writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brief: Option<Brief>,
    /// Tasks, up to 200, when there is no brief.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<PlanTask>,
    /// How the tasks follow each other. Default: `chain`.
    pub shape: PlanShape,
    /// Most money for models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
}

/// What keeps a plan from running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanFault {
    /// Where, as a path of the plan: `nodes[2].input.id`.
    pub field: String,
    /// What was expected and what to do.
    pub message: String,
}

impl PlanFault {
    fn of(fault: &neonhub_core::Fault) -> Self {
        PlanFault { field: fault.field.clone(), message: fault.message.clone() }
    }
}

/// A plan that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MadePlan {
    /// The plan.
    pub plan: AgentPlan,
    /// What an approval is bound to.
    pub hash: String,
    /// What it comes to; absent while it has faults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<PlanTotals>,
    /// Everything that keeps it from running, by field.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<PlanFault>,
}

impl Operation for MakePlan {
    type Output = MadePlan;
    const NAME: &'static str = "orchestrator.plan";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;

    async fn run(self, cx: &Scope) -> Result<MadePlan> {
        let plan = match (&self.brief, self.tasks.as_slice()) {
            (Some(brief), []) => {
                let mut plan = build::of_brief(brief, self.budget);
                plan.goal = self.goal.unwrap_or(plan.goal);
                plan
            }
            (None, tasks @ [_, ..]) => {
                build::of_tasks(self.goal.as_deref().unwrap_or_default(), tasks, self.shape, self.budget)
            }
            _ => return Err(Error::invalid(Self::NAME, "tasks", "expected either a brief or tasks")),
        };
        let directory = Directory::load(cx).await?;
        let hash = plan.hash()?;
        let (totals, faults) = match validate::check(cx.hub(), &directory, Self::NAME, &plan) {
            Ok(checked) => (Some(checked.totals), Vec::new()),
            Err(error) if !error.field_faults().is_empty() => {
                (None, error.field_faults().iter().map(PlanFault::of).collect())
            }
            Err(error) => return Err(error),
        };
        let data = json!({ "hash": hash, "nodes": plan.nodes.len(), "faults": faults.len() });
        cx.emit(Event::new(cx, "plan.created", "plan", &hash, data))?;
        Ok(MadePlan { plan, hash, totals, faults })
    }

    fn examples() -> Vec<Self> {
        let task = |intent: &str, input| PlanTask { intent: intent.to_owned(), input, id: None };
        vec![MakePlan {
            goal: Some("Answer two questions".into()),
            tasks: vec![
                task("support.suggest_reply", json!({ "message": "How long may I return a parcel?" })),
                task("support.suggest_reply", json!({ "message": "{{previous.output.body}}" })),
            ],
            ..Self::default()
        }]
    }
}

/// Something a plan would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanEffect {
    /// The node.
    pub node: String,
    /// `agent.intent`.
    pub address: String,
    /// The most it does to the world.
    pub effect: EffectClass,
    /// True when it can be taken back.
    pub can_undo: bool,
}

/// Shows what a plan would do, in which order and for how much, without doing any of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SimulatePlan {
    /// The plan.
    pub plan: AgentPlan,
}

/// What a plan would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Simulated {
    /// What an approval is bound to.
    pub hash: String,
    /// Nodes that can begin together, step by step.
    pub order: Vec<Vec<String>>,
    /// What it comes to.
    pub totals: PlanTotals,
    /// What it would change, in the order of the plan: each node, then its fallback and its undoing.
    pub effects: Vec<PlanEffect>,
    /// True when it acts on the world: it runs only with this hash in `approved`.
    pub needs_approval: bool,
}

impl Operation for SimulatePlan {
    type Output = Simulated;
    const NAME: &'static str = "orchestrator.simulate";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Simulated> {
        let directory = Directory::load(cx).await?;
        let checked = validate::check(cx.hub(), &directory, Self::NAME, &self.plan)?;
        let needs_approval = checked.acts();
        let Checked { asked, steps, totals } = checked;
        let ids = |step: &Vec<usize>| {
            step.iter().filter_map(|i| self.plan.nodes.get(*i)).map(|node| node.id.clone()).collect()
        };
        let each = self.plan.nodes.iter().zip(&asked);
        let each = each.flat_map(|(node, asked)| asked.all().map(move |asked| (node, asked)));
        let effects = each.filter(|(_, asked)| rank(asked.intent.effect_max) > rank(EffectClass::Read));
        Ok(Simulated {
            hash: self.plan.hash()?,
            order: steps.iter().map(ids).collect(),
            totals,
            needs_approval,
            effects: effects
                .map(|(node, asked)| PlanEffect {
                    node: node.id.clone(),
                    address: asked.address(),
                    effect: asked.intent.effect_max,
                    can_undo: node.undo.is_some(),
                })
                .collect(),
        })
    }

    fn examples() -> Vec<Self> {
        MakePlan::examples()
            .into_iter()
            .map(|op| SimulatePlan {
                plan: build::of_tasks("Answer two questions", &op.tasks, op.shape, None),
            })
            .collect()
    }
}
