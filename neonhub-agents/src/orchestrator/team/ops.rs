//! Starting supervisors and debates.

use std::time::Duration;

use neonhub_core::llm::schema;
use neonhub_core::op::{Cost, Effect, Operation};
use neonhub_core::run::{AgentRun, Driver, EffectClass, NewRun, Program, RunView};
use neonhub_core::{Error, Faults, Money, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::child::is_held;
use super::super::drive::drive_any;
use super::debate::{DebateInput, Debater};
use super::member;
use super::supervise::{SuperviseInput, Supervisor};
use crate::registry::{ExecuteMode, Executed, FollowRun, Terms, check_path};

/// Most intents of a team.
const MOST_MEMBERS: usize = 20;
/// Errands of a supervisor unless it is given another bound, and at most.
const STEPS: (u32, u32) = (10, 50);
/// Drafts of a debate unless another number is wanted, and at most.
const DRAFTS: (u32, u32) = (3, 8);
/// Bytes of the outputs of a team.
const MAX_OUTPUT: usize = 64 << 20;

/// What is asked of a run beside its input.
struct Wanted {
    key: Option<String>,
    mode: ExecuteMode,
    budget: Option<Money>,
}

/// Starts a run of a team, or finds the one with the same key, and drives it when somebody waits for it.
async fn start<P: Program>(
    cx: &Scope,
    operation: &'static str,
    program: P,
    input: &impl Serialize,
    wanted: Wanted,
) -> Result<Executed> {
    let value = serde_json::to_value(input).map_err(|cause| Error::internal(operation, cause))?;
    let mut new = NewRun::new(value);
    if let Some((parent, depth)) = Terms::of_caller(cx).await?.parent {
        let names = (program.agent(), program.intent());
        check_path(cx, operation, (parent.as_str(), depth), names, new.input()).await?;
        new = new.child_of(parent, depth);
    }
    if let Some(key) = wanted.key {
        new = new.key(key);
    }
    if let Some(money) = wanted.budget {
        new = new.budget(money);
    }
    let run = Driver::new(program).start(cx, new).await?;
    let cx = cx.outside();
    if wanted.mode == ExecuteMode::Sync || run.status.is_final() {
        match drive_any(&cx, &run.id).await {
            Ok(view) if view.run.status.is_final() => return Ok(Executed::of(&view.run, view.output)),
            Ok(_) => {}
            // Another process drives it.
            Err(error) if is_held(&error) => {}
            Err(error) => return Err(error),
        }
    }
    cx.call(FollowRun { run: run.id.clone() }).await?;
    let run = cx.need::<AgentRun>(&run.id).await?.body;
    let view = RunView { run, input: Value::Null, output: Value::Null };
    Ok(Executed::of(&view.run, view.output))
}

fn words(field: &'static str, text: &str, faults: &mut Faults) {
    let fits = (1..=4_000).contains(&text.trim().chars().count());
    faults.check(fits, field, "expected 1 to 4 000 characters");
}

fn shared(input: &Value, budget: Option<Money>, faults: &mut Faults) {
    faults.check(input.is_object() || input.is_null(), "input", "expected an object");
    faults.check(budget.is_none_or(|money| money.minor > 0), "budget", "expected more than nothing");
}

/// Has a team of agents work towards a goal: a supervisor picks who is asked next and with which input, until the goal
/// is reached, nobody else can be asked, or it has asked as often as it may.
///
/// A model decides; offline, rules ask each of the team once, in order, as soon as what it needs is there from the input
/// or from what others answered. Each errand is a run of its own below this one, with the rights that both have; a killed
/// process goes on with what is not finished. The output has `steps` with whom was asked, why, and the whole answer,
/// `ended` (`done` or `max_steps`), `why` and the model's `answer` in words.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Supervise {
    /// What is to be reached, 1 to 4 000 characters.
    pub goal: String,
    /// Whom the supervisor may ask, as `agent.intent`, 1 to 20.
    pub team: Vec<String>,
    /// What is known, an object; its fields fill inputs of the same name.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub input: Value,
    /// Most errands, 1 to 50. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<u32>,
    /// The most that one of the team may do to the world. Default: `idempotent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect_max: Option<EffectClass>,
    /// The route that chooses the supervisor's model. Default: that of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Most money for models of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// The same key is the same run, 1 to 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether to wait for it. Default: `sync`.
    pub mode: ExecuteMode,
}

impl Operation for Supervise {
    type Output = Executed;
    const NAME: &'static str = "orchestrator.supervise";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const MAX_OUTPUT: usize = MAX_OUTPUT;
    const ERRORS: &'static [&'static str] = &["idempotency_mismatch", "too_deep", "loop_detected"];

    async fn run(self, cx: &Scope) -> Result<Executed> {
        let steps = self.max_steps.unwrap_or(STEPS.0);
        let mut faults = Faults::new();
        words("goal", &self.goal, &mut faults);
        shared(&self.input, self.budget, &mut faults);
        faults.check((1..=STEPS.1).contains(&steps), "max_steps", "expected 1 to 50");
        faults.check((1..=MOST_MEMBERS).contains(&self.team.len()), "team", "expected 1 to 20 intents");
        for (i, address) in self.team.iter().enumerate() {
            let is_first = !self.team.iter().take(i).any(|other| other == address);
            faults.check(is_first, format!("team[{i}]"), "expected each intent once");
        }
        faults.into_result(Self::NAME)?;
        member::resolve(cx, Self::NAME, &self.team, self.effect_max).await?;
        let input = SuperviseInput {
            goal: self.goal,
            team: self.team,
            input: self.input,
            max_steps: steps,
            route: self.route,
            effect_max: self.effect_max,
        };
        let wanted = Wanted { key: self.key, mode: self.mode, budget: self.budget };
        start(cx, Self::NAME, Supervisor, &input, wanted).await
    }

    fn mask(output: &mut Executed) {
        output.output = Value::Null;
    }

    fn examples() -> Vec<Self> {
        vec![Supervise {
            goal: "Answer the customer and say how long the answer is as a short message".into(),
            team: vec!["support.suggest_reply".into()],
            input: json!({ "message": "How long may I return a parcel?" }),
            key: Some("ticket-17".into()),
            ..Self::default()
        }]
    }
}

/// Has several drafts made for a question, a critic look at each, and a judge choose one. What was not chosen is kept,
/// whole, with what speaks for and against it.
///
/// Models criticise and judge; offline, or when they fail, rules do: figures that the input does not have, gaps, orders
/// to a reader and copies count against a draft, and of equal ones that wins which shares most with the others. The
/// output says who did what (`critic` and `judge`: `model` or `rules`), and has `output` of the winner as it was,
/// `drafts`, `dissent` and `is_unanimous`. Drafters do no more than change records here.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Debate {
    /// What the drafts are to answer, 1 to 4 000 characters.
    pub question: String,
    /// Who drafts, as `agent.intent`, 1 to 8; they take turns until there are enough drafts.
    pub drafters: Vec<String>,
    /// The input of those intents, an object.
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub input: Value,
    /// How many drafts, 2 to 8. Default 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u32>,
    /// The route that chooses the model of critic and judge. Default: that of the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Most money for models of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// The same key is the same run, 1 to 255 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether to wait for it. Default: `sync`.
    pub mode: ExecuteMode,
}

impl Operation for Debate {
    type Output = Executed;
    const NAME: &'static str = "orchestrator.debate";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Idempotent;
    const COST: Cost = Cost::Model;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);
    const MAX_OUTPUT: usize = MAX_OUTPUT;
    const ERRORS: &'static [&'static str] = &["idempotency_mismatch", "too_deep", "loop_detected"];

    async fn run(self, cx: &Scope) -> Result<Executed> {
        let n = self.n.unwrap_or(DRAFTS.0);
        let mut faults = Faults::new();
        words("question", &self.question, &mut faults);
        shared(&self.input, self.budget, &mut faults);
        faults.check((2..=DRAFTS.1).contains(&n), "n", "expected 2 to 8");
        let within = (1..=n as usize).contains(&self.drafters.len());
        faults.check(within, "drafters", "expected 1 to as many as there are drafts");
        faults.into_result(Self::NAME)?;
        let input = if self.input.is_null() { json!({}) } else { self.input };
        for (i, member) in member::resolve(cx, Self::NAME, &self.drafters, None).await?.iter().enumerate() {
            let mut faults = Faults::new();
            for fault in schema::check(&member.input, &input)? {
                let joint = if fault.field.is_empty() { "" } else { "." };
                let why = format!("drafters[{i}], {}: {}", member.address(), fault.message);
                faults.push(format!("input{joint}{}", fault.field), why);
            }
            faults.into_result(Self::NAME)?;
        }
        let input =
            DebateInput { question: self.question, drafters: self.drafters, input, n, route: self.route };
        let wanted = Wanted { key: self.key, mode: self.mode, budget: self.budget };
        start(cx, Self::NAME, Debater, &input, wanted).await
    }

    fn mask(output: &mut Executed) {
        output.output = Value::Null;
    }

    fn examples() -> Vec<Self> {
        vec![Debate {
            question: "How do we answer this customer?".into(),
            drafters: vec!["support.suggest_reply".into()],
            input: json!({ "message": "How long may I return a parcel?" }),
            n: Some(2),
            ..Self::default()
        }]
    }
}
