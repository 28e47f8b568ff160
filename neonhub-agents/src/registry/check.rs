//! What a description must be before it is used.

use std::collections::BTreeSet;

use neonhub_core::hub::closest;
use neonhub_core::llm::schema;
use neonhub_core::run::{EffectClass, Limits};
use neonhub_core::{Faults, Hub, NEVER_AGENT, PermissionSet, Scope, tool};
use serde_json::Value;

use super::address::Addressed;
use super::directory::Directory;
use super::instruct;
use super::model::{AgentSpec, IntentSpec};

/// Most intents, tools and other words of one agent.
const MOST: usize = 50;
/// Names that runs and callers have which are no agents of the registry.
const RESERVED: &[&str] = &["mcp", "orchestrator"];
/// Bounds a description may raise its runs to. Ours: ten times the defaults.
const MOST_LIMITS: Limits =
    Limits { model_calls: 500, tool_calls: 1_000, wall_ms: 24 * 3_600_000, live_tokens: 2_000_000 };

/// A name of letters, digits and underscores that begins with a letter.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// Three numbers, and perhaps a word for what is not released: `1.2.0`, `2.0.0-beta.1`.
pub(super) fn is_semver(text: &str) -> bool {
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let number = |n: &str| {
        (1..=9).contains(&n.len())
            && n.bytes().all(|b| b.is_ascii_digit())
            && (n == "0" || !n.starts_with('0'))
    };
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let parts: Vec<&str> = core.split('.').collect();
    parts.len() == 3
        && parts.iter().all(|n| number(n))
        && pre.is_none_or(|pre| pre.len() <= 40 && pre.split('.').all(word))
}

/// How much a class does to the world: more is larger.
pub(crate) const fn rank(class: EffectClass) -> u8 {
    match class {
        EffectClass::Pure => 0,
        EffectClass::Read => 1,
        EffectClass::Idempotent => 2,
        EffectClass::Compensable => 3,
        EffectClass::Write => 4,
    }
}

/// Faults of the description itself, whatever this program holds.
pub(super) fn shape(spec: &AgentSpec, faults: &mut Faults) {
    faults.check(is_name(&spec.name), "name", "expected 1..40 characters of a-z, 0-9 and _, a letter first");
    faults.check(!RESERVED.contains(&spec.name.as_str()), "name", "expected another name: this one is taken");
    faults.check(is_semver(&spec.version), "version", "expected a version such as 1.2.0");
    faults.check(!spec.title.trim().is_empty() && spec.title.len() <= 200, "title", "expected 1..200 bytes");
    let told = !spec.purpose.trim().is_empty() && spec.purpose.len() <= 2_000;
    faults.check(told, "purpose", "expected 1..2 000 bytes that say what the agent is for");
    faults.check((1..=MOST).contains(&spec.intents.len()), "intents", "expected 1..50 intents");
    for (field, list) in [("tools", &spec.tools), ("handoff", &spec.handoff), ("spaces", &spec.spaces)] {
        faults.check(list.len() <= MOST, field, "expected at most 50");
        let mut seen = BTreeSet::new();
        for (i, word) in list.iter().enumerate() {
            faults.check(seen.insert(word), format!("{field}[{i}]"), "expected each name once");
        }
    }
    let is_other = spec.fallback.as_ref().is_none_or(|name| is_name(name) && *name != spec.name);
    faults.check(is_other, "fallback", "expected the name of another agent");
    let never: Vec<&str> =
        spec.permissions.iter().filter(|word| NEVER_AGENT.has(**word)).map(|word| word.word()).collect();
    faults.check(never.is_empty(), "permissions", format!("no agent may hold {}", never.join(", ")));
    let Limits { model_calls, tool_calls, wall_ms, live_tokens } = spec.limits;
    let within = model_calls <= MOST_LIMITS.model_calls
        && tool_calls <= MOST_LIMITS.tool_calls
        && wall_ms <= MOST_LIMITS.wall_ms
        && live_tokens <= MOST_LIMITS.live_tokens;
    let most = "expected at most 500 model calls, 1 000 tool calls, 24 h and 2 000 000 tokens";
    faults.check(within, "limits", most);
    faults.check(spec.budget.is_none_or(|money| money.minor > 0), "budget", "expected more than nothing");
    let monthly = spec.quotas.cost_per_month;
    faults.check(monthly.is_none_or(|m| m.minor > 0), "quotas.cost_per_month", "expected more than nothing");
    faults.check(spec.quotas.runs_per_day != Some(0), "quotas.runs_per_day", "expected 1 or more");
    let mut names = BTreeSet::new();
    for (i, intent) in spec.intents.iter().enumerate() {
        let at = format!("intents[{i}]");
        faults.check(
            is_name(&intent.name),
            format!("{at}.name"),
            "expected 1..40 characters of a-z, 0-9 and _",
        );
        faults.check(names.insert(&intent.name), format!("{at}.name"), "expected each name once");
        faults.check(!intent.doc.trim().is_empty(), format!("{at}.doc"), "expected what it does");
        for (field, value) in
            [("input_schema", &intent.input_schema), ("output_schema", &intent.output_schema)]
        {
            if !value.is_null() {
                let linted = schema::lint(value);
                let why = linted.err().map(|error| error.message().to_owned());
                faults.check(why.is_none(), format!("{at}.{field}"), why.unwrap_or_default());
            }
        }
    }
    instruct::shape(spec, faults);
    if let Some(prompt) = &spec.instructions
        && let Err(error) = prompt.check()
    {
        for fault in error.field_faults() {
            faults.push(format!("instructions.{}", fault.field), fault.message.clone());
        }
    }
}

/// The operations on tools are no tools, but for reading a result.
fn is_tool(operation: &str) -> bool {
    !operation.starts_with("tools.") || operation == "tools.read_result"
}

/// Faults against what this program and workspace hold: every missing tool, prompt, operation and agent by name.
pub(super) fn parts(cx: &Scope, directory: &Directory, spec: &AgentSpec, faults: &mut Faults) {
    let hub = cx.hub();
    for (i, word) in spec.permissions.iter().enumerate() {
        hub.check_declared(faults, &format!("permissions[{i}]"), *word);
    }
    // Whether an agent is whole does not hang on the rights of whoever looks.
    let mut known: BTreeSet<String> = tool::visible_names(cx).into_iter().collect();
    let operations = hub.operations().filter(|entry| !entry.internal && !entry.host_only);
    known.extend(operations.map(|entry| entry.name).filter(|name| is_tool(name)).map(str::to_owned));
    for (i, name) in spec.tools.iter().enumerate() {
        let is_known =
            known.contains(name) || tool::stands_for(name).is_some_and(|name| known.contains(name));
        if !is_known {
            let near = closest(name, known.iter().map(String::as_str)).join(", ");
            faults.push(format!("tools[{i}]"), format!("there is no tool {name:?}, close are {near}"));
        }
    }
    let addresses = directory.addresses();
    for (i, address) in spec.handoff.iter().enumerate() {
        if !addresses.contains(address) {
            let near = closest(address, addresses.iter().map(String::as_str)).join(", ");
            faults.push(
                format!("handoff[{i}]"),
                format!("no agent has the intent {address:?}, close are {near}"),
            );
        }
    }
    if let Some(name) = &spec.fallback {
        let other = directory.current().find(|other| other.name == *name);
        let shares = other.is_some_and(|o| spec.intents.iter().any(|i| o.intent(&i.name).is_some()));
        let known = directory.current().map(|other| other.name.as_str());
        let why = match other {
            Some(_) => "expected an agent with an intent of the same name".to_owned(),
            None => format!("there is no agent {name:?}, close are {}", closest(name, known).join(", ")),
        };
        faults.check(shares, "fallback", why);
    }
    for (i, intent) in spec.intents.iter().enumerate() {
        intent_parts(hub, spec, intent, &format!("intents[{i}]"), faults);
    }
    if let Some(plan) = &spec.offline_plan {
        for (i, step) in plan.steps.iter().enumerate() {
            let why = "expected one of the agent's tools";
            faults.check(spec.tools.contains(&step.tool), format!("offline_plan.steps[{i}].tool"), why);
        }
    }
    if let Some(probe) = &spec.health_probe {
        match spec.intent(&probe.intent).and_then(|intent| intent.operation.as_deref()) {
            Some(operation) => {
                let reads = hub.operation(operation).is_ok_and(|entry| entry.effect.is_read_only());
                faults.check(reads, "health_probe.intent", "expected an intent that only reads");
                if let Ok(asked) = Addressed::of(hub, "agents.activate", spec, &probe.intent)
                    && let Err(error) = asked.check(hub, "agents.activate", &probe.input)
                {
                    faults.push("health_probe.input", error.message());
                }
            }
            None => {
                faults.push("health_probe.intent", "expected an intent of this agent that is an operation")
            }
        }
    }
}

fn intent_parts(hub: &Hub, spec: &AgentSpec, intent: &IntentSpec, at: &str, faults: &mut Faults) {
    let Some(operation) = &intent.operation else {
        let why = "an intent without an operation is done by a model: give the agent instructions";
        let is_told = spec.instructions.is_some() || spec.prompt.is_some();
        faults.check(is_told, format!("{at}.operation"), why);
        faults.check(
            intent.fixed.is_empty(),
            format!("{at}.fixed"),
            "expected an operation that takes the fields",
        );
        return examples(hub, spec, intent, at, faults);
    };
    let Ok(entry) = hub.operation(operation) else {
        let names = hub.operations().filter(|e| !e.internal).map(|e| e.name);
        let near = closest(operation, names).join(", ");
        return faults.push(
            format!("{at}.operation"),
            format!("there is no operation {operation:?}, close are {near}"),
        );
    };
    let is_shown = !entry.internal && !entry.host_only;
    faults.check(is_shown, format!("{at}.operation"), "agents may not call this operation");
    let class = EffectClass::from(entry.effect);
    let within = rank(class) <= rank(intent.effect_max);
    faults.check(within, format!("{at}.effect_max"), format!("the operation is {}", class.word()));
    let rights = PermissionSet::of(&spec.permissions);
    for need in entry.needs.iter().filter(|need| !rights.has(**need)) {
        faults.push("permissions", format!("{at}.operation needs {}", need.word()));
    }
    let properties = (entry.input_schema)().to_value();
    for name in intent.fixed.keys() {
        let is_field = properties.get("properties").and_then(|p| p.get(name)).is_some();
        faults.check(is_field, format!("{at}.fixed.{name}"), "the operation has no such field");
    }
    examples(hub, spec, intent, at, faults);
}

fn examples(hub: &Hub, spec: &AgentSpec, intent: &IntentSpec, at: &str, faults: &mut Faults) {
    let Ok(asked) = Addressed::of(hub, "agents.activate", spec, &intent.name) else { return };
    for (i, example) in intent.examples.iter().enumerate() {
        if let Err(error) = asked.check(hub, "agents.activate", example) {
            faults.push(format!("{at}.examples[{i}]"), error.message());
        }
    }
    let is_object = asked.input.get("type").and_then(Value::as_str) == Some("object");
    faults.check(is_object, format!("{at}.input_schema.type"), "expected object: an input has names");
}
