//! The program of a plan by itself, without a hub.

use neonhub_core::run::{Command, Failure, Machine as _, RunEvent, RunStatus};

use super::super::program::Conductor;
use super::super::state::{NodeResult, PlanState, failure};
use super::*;

fn started(nodes: Vec<PlanNode>) -> (PlanState, Vec<Command>) {
    let event = RunEvent::Started { input: json!({ "plan": plan(nodes) }), at: Timestamp::EPOCH, seed: 1 };
    Conductor.step(PlanState::default(), &event)
}

/// The turn that is asked for: its name, and its nodes with their tries.
fn turn(commands: &[Command]) -> (String, Vec<(String, u64)>) {
    let found = commands.iter().find_map(|command| match command {
        Command::CallTool { call, args, .. } => Some((call.clone(), args["nodes"].clone())),
        _ => None,
    });
    let (call, nodes) = found.unwrap_or_else(|| panic!("no turn in {commands:?}"));
    let of = |node: &Value| (node["id"].as_str().unwrap().to_owned(), node["tries"].as_u64().unwrap());
    (call, nodes.as_array().unwrap().iter().map(of).collect())
}

fn away() -> Failure {
    Failure { retryable: true, ..failure(ErrorKind::Unavailable, "unavailable", "the store is away") }
}

fn broken(call: &str) -> RunEvent {
    RunEvent::ToolFailed { call: call.to_owned(), failure: away() }
}

fn ended(call: &str, results: &[NodeResult]) -> RunEvent {
    RunEvent::ToolDone { call: call.to_owned(), output: serde_json::to_value(results).unwrap() }
}

fn result(id: &str, status: RunStatus) -> NodeResult {
    let failure = (status == RunStatus::Failed).then(|| failure(ErrorKind::Blocked, "no", "no"));
    NodeResult {
        id: id.into(),
        run: Some(format!("run_{id}")),
        status,
        output: json!({}),
        failure,
        acted: false,
    }
}

#[test]
fn a_turn_that_breaks_off_is_asked_for_again_as_it_was_and_then_fails_the_plan() {
    let (mut state, commands) = started(vec![node("a", &[]), node("b", &[])]);
    let whole = vec![("a".to_owned(), 1), ("b".to_owned(), 1)];
    assert_eq!(turn(&commands), ("turn/1".to_owned(), whole.clone()));
    for n in 2..4 {
        let (next, commands) = Conductor.step(state, &broken(&format!("turn/{}", n - 1)));
        assert_eq!(turn(&commands), (format!("turn/{n}"), whole.clone()));
        state = next;
    }
    let (_, commands) = Conductor.step(state, &broken("turn/3"));
    assert!(matches!(commands.as_slice(), [Command::Fail { failure }] if *failure == away()), "{commands:?}");
}

#[test]
fn an_undoing_that_breaks_off_is_asked_for_again() {
    let undo = Undo { agent: "bob".into(), intent: "work".into(), input: json!({ "name": "no a" }) };
    let (state, _) = started(vec![PlanNode { undo: Some(undo), ..node("a", &[]) }, node("b", &["a"])]);
    let (state, _) = Conductor.step(state, &ended("turn/1", &[result("a", RunStatus::Completed)]));
    let (state, commands) = Conductor.step(state, &ended("turn/2", &[result("b", RunStatus::Failed)]));
    let undoing = vec![("undo/a".to_owned(), 1)];
    assert_eq!(turn(&commands), ("turn/3".to_owned(), undoing.clone()));
    let (state, commands) = Conductor.step(state, &broken("turn/3"));
    assert_eq!(turn(&commands), ("turn/4".to_owned(), undoing));
    let (state, commands) =
        Conductor.step(state, &ended("turn/4", &[result("undo/a", RunStatus::Completed)]));
    assert!(
        matches!(commands.as_slice(), [Command::Fail { failure }] if failure.code == "no"),
        "{commands:?}"
    );
    assert_eq!(state.nodes[0].state, NodeState::Undone);
}

#[test]
fn an_undoing_that_waits_is_none_yet() {
    let undo = Undo { agent: "bob".into(), intent: "work".into(), input: json!({ "name": "no a" }) };
    let (state, _) = started(vec![PlanNode { undo: Some(undo), ..node("a", &[]) }, node("b", &["a"])]);
    let (state, _) = Conductor.step(state, &ended("turn/1", &[result("a", RunStatus::Completed)]));
    let (state, _) = Conductor.step(state, &ended("turn/2", &[result("b", RunStatus::Failed)]));
    let (state, _) = Conductor.step(state, &ended("turn/3", &[result("undo/a", RunStatus::Waiting)]));
    assert_eq!(state.nodes[0].state, NodeState::Done);
    assert_eq!(state.nodes[0].failure.as_ref().unwrap().code, "undo_waits");
}
