//! Whether the inputs of a plan fit the intents they go to.

use neonhub_core::llm::schema;
use neonhub_core::{Faults, Hub};
use serde_json::Value;

use super::model::{AgentPlan, PlanNode};
use super::validate::NodeAsked;
use super::{reference, types};
use crate::registry::{Addressed, rank};

/// Types whose values have words inside a longer text.
const SCALARS: &[&str] = &["boolean", "integer", "null", "number", "string"];

/// Faults of what a node, its fallback and its undoing are given, and of what they do beyond what the node may.
pub(super) fn check(
    hub: &Hub,
    plan: &AgentPlan,
    i: usize,
    node: &PlanNode,
    asked: &[Option<NodeAsked>],
    faults: &mut Faults,
) {
    let Some(Some(own)) = asked.get(i) else { return };
    let at = format!("nodes[{i}]");
    let found = Found { hub, plan, asked };
    found.input(&own.own, &node.input, &format!("{at}.input"), faults);
    if let Some(fallback) = &own.fallback {
        found.input(fallback, &node.input, &format!("{at}.failure"), faults);
    }
    if let Some((asked, undo)) = own.undo.as_ref().zip(node.undo.as_ref()) {
        found.input(asked, &undo.input, &format!("{at}.undo.input"), faults);
    }
    let Some(most) = node.effect_max else { return };
    for asked in own.all() {
        let class = asked.intent.effect_max;
        let within = rank(class) <= rank(most);
        let why = format!("the intent {} is {}", asked.address(), class.word());
        faults.check(within, format!("{at}.effect_max"), why);
    }
}

/// A plan with the intents that were found for it.
struct Found<'p> {
    hub: &'p Hub,
    plan: &'p AgentPlan,
    asked: &'p [Option<NodeAsked>],
}

impl Found<'_> {
    /// Faults of one input, told of the field `at`.
    fn input(&self, asked: &Addressed, input: &Value, at: &str, faults: &mut Faults) {
        let empty = Value::Object(serde_json::Map::new());
        let input = if input.is_null() { &empty } else { input };
        let (places, _) = reference::places(input);
        if places.is_empty() {
            let Err(error) = asked.check(self.hub, "orchestrator.plan", input) else { return };
            for fault in error.field_faults() {
                let rest = fault.field.strip_prefix("input").unwrap_or(&fault.field);
                faults.push(format!("{at}{rest}"), fault.message.clone());
            }
            return;
        }
        // What is put in later has its own check, and with it what holds it.
        let is_open =
            |field: &str| places.iter().any(|p| is_within(&p.field, field) || is_within(field, &p.field));
        for fault in schema::check(&asked.input, input).unwrap_or_default() {
            if !is_open(&fault.field) {
                faults.push(format!("{at}.{}", fault.field), fault.message);
            }
        }
        for place in &places {
            self.place(asked, place, &format!("{at}.{}", place.field), faults);
        }
    }

    fn place(&self, asked: &Addressed, place: &reference::Place, field: &str, faults: &mut Faults) {
        let from = self.plan.nodes.iter().position(|node| node.id == place.reference.node);
        let Some(Some(source)) = from.and_then(|from| self.asked.get(from)) else { return };
        let source = &source.own;
        let given = types::at(&source.output, &place.reference.path);
        if given == types::Known::Missing {
            let path = place.reference.path.join(".");
            return faults.push(field, format!("{} gives no {path:?}", source.address()));
        }
        let taken = if place.is_whole {
            types::at(&asked.input, &place.at)
        } else {
            types::Known::Types(SCALARS.iter().map(|word| (*word).to_owned()).collect())
        };
        if taken == types::Known::Missing {
            faults.push(field, format!("{} takes no such field", asked.address()));
        } else if !types::fits(&given, &taken) {
            let (given, taken) = (types::words(&given), types::words(&taken));
            faults.push(field, format!("{} gives {given}, {taken} fits here", source.address()));
        }
    }
}

/// True when a path is another one or lies below it.
fn is_within(path: &str, above: &str) -> bool {
    above.is_empty()
        || path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}
