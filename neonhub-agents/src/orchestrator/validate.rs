//! The check of a plan: all faults at once, before anything runs.

use std::collections::{BTreeMap, BTreeSet};

use neonhub_core::hub::closest;
use neonhub_core::run::EffectClass;
use neonhub_core::{Currency, Faults, Hub, Money, Result};

use super::model::{AgentPlan, NodeFailure, NodeJoin, PlanTotals};
use super::{graph, inputs, reference};
use crate::registry::{Addressed, Directory, is_name, rank};

/// Most nodes of a plan.
// Rule of agents, section 7.
pub(super) const MAX_NODES: usize = 200;

/// The intents that one node may come to ask for.
#[derive(Debug)]
pub(super) struct NodeAsked {
    pub(super) own: Addressed,
    pub(super) fallback: Option<Addressed>,
    pub(super) undo: Option<Addressed>,
}

impl NodeAsked {
    pub(super) fn all(&self) -> impl Iterator<Item = &Addressed> {
        std::iter::once(&self.own).chain(&self.fallback).chain(&self.undo)
    }
}

/// A plan whose intents were found.
#[derive(Debug)]
pub(super) struct Checked {
    /// Of each node, by index.
    pub(super) asked: Vec<NodeAsked>,
    /// Indices of the nodes in steps.
    pub(super) steps: Vec<Vec<usize>>,
    pub(super) totals: PlanTotals,
}

impl Checked {
    /// True when the plan may act on the world, also by a fallback or an undoing: it is run only as it was looked at.
    pub(super) fn acts(&self) -> bool {
        let mut all = self.asked.iter().flat_map(NodeAsked::all);
        all.any(|asked| rank(asked.intent.effect_max) >= rank(EffectClass::Write))
    }

    /// The versions of the agents that were found, by name.
    pub(super) fn versions(&self) -> BTreeMap<String, String> {
        let all = self.asked.iter().flat_map(NodeAsked::all);
        all.map(|asked| (asked.spec.name.clone(), asked.spec.version.clone())).collect()
    }
}

/// Checks a plan.
///
/// # Errors
/// `InvalidInput` that lists every fault by field: the size, doubled and unknown names, intents that no agent has,
/// circles, inputs that do not fit, references whose types do not match, effects beyond what the node allows, and a
/// cost above the budget.
pub(super) fn check(
    hub: &Hub,
    directory: &Directory,
    operation: &'static str,
    plan: &AgentPlan,
) -> Result<Checked> {
    let mut faults = Faults::new();
    let size = plan.nodes.len();
    faults.check((1..=MAX_NODES).contains(&size), "nodes", format!("has {size}, 1 to {MAX_NODES} fit"));
    faults.check(plan.goal.len() <= 2_000, "goal", "expected at most 2 000 bytes");
    names(plan, &mut faults);
    let needs = graph::needs(plan);
    let (steps, stuck) = graph::steps(&needs);
    if !stuck.is_empty() {
        let path = graph::circle(&needs, &stuck);
        let ids: Vec<&str> = path.iter().filter_map(|i| plan.nodes.get(*i)).map(|n| n.id.as_str()).collect();
        faults.push("nodes", format!("wait for each other in a circle: {}", ids.join(" -> ")));
    }
    let asked = intents(hub, directory, operation, plan, &mut faults);
    for (i, node) in plan.nodes.iter().enumerate() {
        inputs::check(hub, plan, i, node, &asked, &mut faults);
    }
    let totals = totals(plan, &asked, &steps, &mut faults);
    faults.into_result(operation)?;
    Ok(Checked { asked: asked.into_iter().flatten().collect(), steps, totals })
}

fn names(plan: &AgentPlan, faults: &mut Faults) {
    let known: BTreeSet<&str> = plan.nodes.iter().map(|node| node.id.as_str()).collect();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        let at = format!("nodes[{i}]");
        faults.check(is_name(&node.id), format!("{at}.id"), "expected 1..40 characters of a-z, 0-9 and _");
        if let Some(first) = seen.insert(&node.id, i) {
            faults.push(format!("{at}.id"), format!("{:?} is the id of nodes[{first}] too", node.id));
        }
        let (mut referred, mut broken) = (reference::nodes(&node.input), reference::places(&node.input).1);
        if let Some(undo) = &node.undo {
            // A node is taken back after all have ended.
            referred.extend(reference::nodes(&undo.input));
            broken.extend(reference::places(&undo.input).1);
        }
        for id in node.depends_on.iter().chain(&referred).filter(|id| !known.contains(id.as_str())) {
            let near = closest(id, known.iter().copied()).join(", ");
            faults.push(at.clone(), format!("there is no node {id:?}, close are {near}"));
        }
        for broken in broken {
            let why = format!("{broken:?} is no reference: expected {{{{node.output.field}}}}");
            faults.push(format!("{at}.input"), why);
        }
        if let NodeJoin::Quorum { n } = node.when {
            let before = node.depends_on.len();
            let within = n >= 1 && n as usize <= before;
            faults.check(within, format!("{at}.when.n"), format!("expected 1 to {before}, as it depends on"));
        }
    }
}

/// The intents of all nodes, with those of their fallbacks and undoings.
fn intents(
    hub: &Hub,
    directory: &Directory,
    operation: &'static str,
    plan: &AgentPlan,
    faults: &mut Faults,
) -> Vec<Option<NodeAsked>> {
    let find = |agent: &str, intent: &str| directory.address(hub, operation, Some(agent), Some(intent), None);
    let mut found = Vec::with_capacity(plan.nodes.len());
    for (i, node) in plan.nodes.iter().enumerate() {
        let at = format!("nodes[{i}]");
        let fallback = match &node.failure {
            NodeFailure::Fallback { agent, intent } => {
                noted(find(agent, intent), format!("{at}.failure"), faults)
            }
            _ => None,
        };
        let undo = node.undo.as_ref();
        let undo = undo.and_then(|u| noted(find(&u.agent, &u.intent), format!("{at}.undo"), faults));
        let own = noted(find(&node.agent, &node.intent), format!("{at}.intent"), faults);
        found.push(own.map(|own| NodeAsked { own, fallback, undo }));
    }
    found
}

/// What was found; else why not, as a fault of a field.
fn noted(found: Result<Addressed>, field: String, faults: &mut Faults) -> Option<Addressed> {
    let error = match found {
        Ok(asked) => return Some(asked),
        Err(error) => error,
    };
    match error.context().find(|(key, _)| *key == "closest") {
        Some((_, near)) => faults.push(field, format!("{}, close are {near}", error.message())),
        None => faults.push(field, error.message()),
    }
    None
}

fn totals(
    plan: &AgentPlan,
    asked: &[Option<NodeAsked>],
    steps: &[Vec<usize>],
    faults: &mut Faults,
) -> PlanTotals {
    let mut unknown = Vec::new();
    let mut sum: Option<Money> = None;
    let mut wanted: Option<Currency> = plan.budget.map(|budget| budget.currency);
    for (i, node) in plan.nodes.iter().enumerate() {
        let intent = asked.get(i).and_then(Option::as_ref).map(|asked| &asked.own.intent);
        // What an operation does costs no model.
        if node.cost_estimate.is_none()
            && intent.is_some_and(|i| i.operation.is_some() && i.cost_hint.is_none())
        {
            continue;
        }
        let Some(cost) = node.cost_estimate.or_else(|| intent.and_then(|intent| intent.cost_hint)) else {
            unknown.push(node.id.clone());
            continue;
        };
        let field = format!("nodes[{i}].cost_estimate");
        if cost.minor < 0 {
            faults.push(field, "expected nothing below zero");
            continue;
        }
        if *wanted.get_or_insert(cost.currency) != cost.currency {
            faults.push(field, "expected the currency of the budget and of the other nodes");
            continue;
        }
        let before = sum.map_or(0, |sum| sum.minor);
        match Money::new(before.saturating_add(cost.minor), cost.currency) {
            Ok(money) => sum = Some(money),
            Err(error) => faults.push(field, error.message()),
        }
    }
    if let (Some(budget), Some(sum)) = (plan.budget, sum) {
        let within = sum.minor <= budget.minor;
        faults.check(within, "budget", format!("the nodes are estimated at {sum}, above {budget}"));
    }
    faults.check(plan.budget.is_none_or(|budget| budget.minor > 0), "budget", "expected more than nothing");
    let order = steps.iter().flatten().rev().filter_map(|i| plan.nodes.get(*i));
    let rollback = order.filter(|node| node.undo.is_some()).map(|node| node.id.clone()).collect();
    PlanTotals {
        nodes: u32::try_from(plan.nodes.len()).unwrap_or(u32::MAX),
        depth: u32::try_from(steps.len()).unwrap_or(u32::MAX),
        cost: sum,
        unknown,
        rollback,
    }
}
