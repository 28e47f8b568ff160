//! What a run of an agent works with, gathered once when it begins.

use neonhub_core::llm::{OfflinePlan, Taint, ToolSpec};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::{AgentRun, EffectClass};
use neonhub_core::tool::{self, ReadToolResult, ToolInfo, ToolSource};
use neonhub_core::{Error, Permission, Principal, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::address::Addressed;
use super::check::rank;
use super::desk::{Desk, DeskTool};
use super::directory::{Directory, pinned};
use super::fence::{Fence, HAND_OFF};
use super::instruct::{self, Told};

/// Gathers what a run works with: instructions, tools that agent and caller both may use, schema and checks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrepareRun {
    /// The agent.
    pub agent: String,
    /// The version that the run pins.
    pub version: String,
    /// The intent.
    pub intent: String,
    /// The input of the run.
    pub input: Value,
}

impl Operation for PrepareRun {
    type Output = Value;
    const NAME: &'static str = "agents.prepare";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const INTERNAL: bool = true;
    // The input of a run, and what names it.
    const MAX_INPUT: usize = 8 << 20;

    async fn run(self, cx: &Scope) -> Result<Value> {
        let spec = pinned(cx, &self.agent, &self.version).await?;
        let asked = Addressed::of(cx.hub(), Self::NAME, &spec, &self.intent)?;
        let desk = match &asked.intent.operation {
            Some(operation) => {
                let class = EffectClass::from(cx.hub().operation(operation)?.effect);
                let may_act_again =
                    matches!(class, EffectClass::Pure | EffectClass::Read | EffectClass::Idempotent);
                let act = Some((operation.clone(), asked.joined(&self.input)));
                Desk { act, may_act_again, ..Desk::default() }
            }
            None => desk(cx, &asked, &self.input).await?,
        };
        serde_json::to_value(desk).map_err(|cause| Error::internal(Self::NAME, cause))
    }
}

async fn desk(cx: &Scope, asked: &Addressed, input: &Value) -> Result<Desk> {
    let Addressed { spec, intent, .. } = asked;
    let other_names = spec.tools.iter().filter(|name| tool::stands_for(name).is_some());
    let others = other_names.filter_map(|name| tool::described(cx, name).ok());
    let mut tools: Vec<DeskTool> = tool::visible_among(cx, |name| spec.tools.iter().any(|tool| tool == name))
        .into_iter()
        .chain(others)
        .filter(|info| rank(info.effect) <= rank(intent.effect_max))
        .map(|info| of_info(&info))
        .collect();
    let handoff = handoffs(cx, asked).await?;
    if !handoff.is_empty() {
        tools.push(hand_off(&handoff));
    }
    let is_reader = |name: &str| !tools.is_empty() && name == ReadToolResult::NAME;
    let reader = tool::visible_among(cx, is_reader).first().map(of_info);
    // Tools in the order of their names make a prefix that a provider can cache.
    tools.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    tools.dedup_by(|a, b| a.spec.name == b.spec.name);
    let offline = spec.offline_plan.as_ref().map(|plan| filled(plan, input, &tools));
    let unit = if spec.prompt.is_some() { unit(cx).await? } else { None };
    let Told { system, mark, config, template } =
        instruct::told(cx, PrepareRun::NAME, asked, input, unit.as_deref()).await?;
    Ok(Desk {
        act: None,
        may_act_again: false,
        system,
        prompt: mark,
        tools,
        reader,
        wanted: (!intent.output_schema.is_null()).then(|| intent.output_schema.clone()),
        offline,
        template,
        route: spec.route.clone().or(config.route),
        temperature: config.temperature,
        guardrails: spec.guardrails.clone(),
        checks: spec.output_checks.clone(),
        fence: Fence { spaces: spec.spaces.clone(), memory: spec.memory.clone(), handoff },
    })
}

/// The handoffs of an agent that do no more to the world than the intent may.
async fn handoffs(cx: &Scope, asked: &Addressed) -> Result<Vec<String>> {
    if asked.spec.handoff.is_empty() {
        return Ok(Vec::new());
    }
    let directory = Directory::load(cx).await?;
    let most = rank(asked.intent.effect_max);
    let within = |address: &&String| {
        directory
            .address(cx.hub(), PrepareRun::NAME, None, Some(address), None)
            .is_ok_and(|other| rank(other.intent.effect_max) <= most)
    };
    Ok(asked.spec.handoff.iter().filter(within).cloned().collect())
}

/// Who or what a run is for: the person it is about, else the run itself. None outside of runs.
async fn unit(cx: &Scope) -> Result<Option<String>> {
    let Principal::Agent { run, .. } = cx.principal() else { return Ok(None) };
    // A run that is in no commit yet is about nobody.
    let person = cx.get::<AgentRun>(run).await?.and_then(|row| row.body.person_id);
    Ok(Some(person.unwrap_or_else(|| run.clone())))
}

fn of_info(info: &ToolInfo) -> DeskTool {
    let taint = if info.source == ToolSource::Catalogue {
        taint_of(tool::stands_for(&info.name).unwrap_or(&info.name))
    } else {
        Taint::ThirdPartyTool
    };
    DeskTool { class: info.effect, taint, spec: info.spec() }
}

/// The label of what an operation answers.
fn taint_of(name: &str) -> Taint {
    let room = name.split('.').next().unwrap_or_default();
    match (room, name) {
        ("knowledge" | "documents" | "memory" | "conversations", _) | (_, "voice.context") => {
            Taint::Retrieved
        }
        // What another agent says may repeat what it has read anywhere.
        ("bus" | "streams" | "agents" | "orchestrator" | "runs", _) => Taint::ThirdPartyTool,
        // The answer of whatever was called through it. What is read on is as the answer that it reads in; this is for one
        // that nobody knows.
        (_, "catalogue.call" | "catalogue.batch" | "tools.read_result") => Taint::ThirdPartyTool,
        _ => Taint::FirstParty,
    }
}

fn hand_off(addresses: &[String]) -> DeskTool {
    let input_schema = json!({
        "type": "object",
        "properties": {
            "to": { "enum": addresses, "description": "The agent and what it is asked for" },
            "input": { "type": "object", "description": "The input of that intent" }
        },
        "required": ["to", "input"],
        "additionalProperties": false
    });
    let doc = "Has another agent do a part of the work and gives its answer.".to_owned();
    DeskTool {
        spec: ToolSpec { name: HAND_OFF.to_owned(), doc, input_schema },
        class: EffectClass::Idempotent,
        taint: Taint::Model,
    }
}

/// The plan with what it takes from the input, and with the names that its tools have on the desk.
fn filled(plan: &OfflinePlan, input: &Value, tools: &[DeskTool]) -> OfflinePlan {
    let mut plan = plan.clone();
    for step in &mut plan.steps {
        fill(&mut step.args, input);
        let operation = tool::stands_for(&step.tool);
        let same = |tool: &&DeskTool| operation.is_some() && tool::stands_for(&tool.spec.name) == operation;
        if let Some(tool) = tools.iter().find(same) {
            step.tool.clone_from(&tool.spec.name);
        }
    }
    plan
}

fn fill(args: &mut Value, input: &Value) {
    match args {
        Value::String(text) => {
            let Some(path) = text.strip_prefix("$input") else { return };
            if !path.is_empty() && !path.starts_with('.') {
                return;
            }
            let found = path.split('.').skip(1).try_fold(input, |value, key| match value {
                Value::Array(items) => items.get(key.parse::<usize>().ok()?),
                other => other.get(key),
            });
            *args = found.cloned().unwrap_or_default();
            plain(args);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, input)),
        Value::Object(map) => map.values_mut().for_each(|item| fill(item, input)),
        _ => {}
    }
}

/// Words of the caller that begin like a reference to a step are none: a space goes before them.
fn plain(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with('$') => text.insert(0, ' '),
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(map) => map.values_mut().for_each(plain),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_keeps_its_label_whatever_it_comes_through() {
        for name in ["knowledge.search", "memory.search", "voice.context"] {
            assert_eq!(taint_of(name), Taint::Retrieved, "{name}");
        }
        for name in ["bus.receive", "agents.execute", "runs.explain", "catalogue.call", "tools.read_result"] {
            assert_eq!(taint_of(name), Taint::ThirdPartyTool, "{name}");
        }
        assert_eq!(taint_of("brands.list"), Taint::FirstParty);
    }

    #[test]
    fn a_plan_takes_what_it_names_from_the_input() {
        let input = json!({ "message": "$step.x", "list": [1, { "x": 2 }] });
        let mut args =
            json!(["$input.message", "$input.list.1.x", "$input.gone", "$inputs", { "all": "$input" }]);
        fill(&mut args, &input);
        let all = json!({ "message": " $step.x", "list": [1, { "x": 2 }] });
        assert_eq!(args, json!([" $step.x", 2, null, "$inputs", { "all": all }]));
    }
}
