use proptest::prelude::*;

use super::*;
use crate::llm::{Answer, Origin, StopKind};
use crate::run::{Machine, RunEvent, ToolState};

/// Reads a script of commands from its input, one list per event.
#[derive(Debug)]
struct Player;

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Played {
    left: Vec<Vec<Command>>,
    seen: Vec<RunEvent>,
}

impl Machine for Player {
    type State = Played;
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, mut state: Played, event: &RunEvent) -> (Played, Vec<Command>) {
        if let RunEvent::Started { input, .. } = event {
            state.left = serde_json::from_value(input.clone()).unwrap();
            state.left.reverse();
        }
        state.seen.push(event.clone());
        let commands = state.left.pop().unwrap_or_else(|| vec![Command::done(json!(state.seen.len()))]);
        (state, commands)
    }
}

impl Program for Player {
    const AGENT: &'static str = "player";
    const VERSION: u32 = 1;
    fn limits(&self) -> Limits {
        Limits::default().tool_calls(5).model_calls(3)
    }
    fn partial(&self, state: &Played) -> Value {
        json!(state.seen.len())
    }
}

fn moment(ms: i64) -> Moment {
    Moment { at: Timestamp::from_millis(ms), actor: "user:a".into(), provider: "offline".into() }
}

fn class(tool: &str) -> EffectClass {
    if tool.starts_with("out.") { EffectClass::Write } else { EffectClass::Idempotent }
}

fn started(script: &[Vec<Command>]) -> What {
    What::Started {
        agent: "player".into(),
        version: 1,
        input: serde_json::to_value(script).unwrap(),
        seed: 9,
        limits: Player.limits(),
    }
}

fn answer() -> Answer {
    Answer {
        text: "hi".into(),
        variants: Vec::new(),
        json: None,
        tool_calls: Vec::new(),
        reasoning: Vec::new(),
        citations: Vec::new(),
        usage: Usage { input_uncached: 3, output_visible: 2, ..Usage::default() },
        stop: StopKind::Done,
        warnings: Vec::new(),
        origin: Origin::Offline,
        provider: "offline".into(),
        model: "m".into(),
    }
}

/// What the outside says to a state, `luck` deciding between success and failure.
fn outcome(next: Next, luck: bool) -> Option<What> {
    let failure = (!luck).then(|| fault("bad_luck", "it failed"));
    Some(match next {
        Next::Dispatch(call, Open::Model { .. }) => What::ModelDone {
            call,
            answer: luck.then(|| Box::new(answer())),
            failure,
            said: None,
            receipt: None,
        },
        Next::Dispatch(call, Open::Tool { .. }) => {
            let state = if luck { ToolState::Landed } else { ToolState::Failed };
            What::tool_done(call, state, json!({"ok": luck}), failure)
        }
        Next::Wait(wait, _) => What::Woken { wait, payload: json!(luck) },
        Next::End => return None,
    })
}

/// Runs a script to its end; every commit's entries and the state after it.
fn play(script: &[Vec<Command>], luck: u64) -> (Vec<Entry>, Vec<(usize, RunState<Played>)>) {
    let mut log = Vec::new();
    let mut states = Vec::new();
    let mut state = RunState::new("run_1");
    let mut what = Some(started(script));
    let mut turn = 0;
    while let Some(now) = what {
        let (after, entries) = advance(&Player, state, now, &moment(1_000 + turn), class).unwrap();
        state = after;
        log.extend(entries);
        states.push((log.len(), state.clone()));
        what = outcome(state.next(), luck >> (turn % 64) & 1 == 0);
        turn += 1;
    }
    (log, states)
}

fn commands() -> impl Strategy<Value = Vec<Vec<Command>>> {
    let name = any::<u8>().prop_map(|n| format!("c{n}"));
    let command = prop_oneof![
        (name.clone(), prop::sample::select(vec!["notes.add", "out.send"]), any::<i32>())
            .prop_map(|(c, t, n)| Command::tool(c, t, json!({"n": n}))),
        name.clone().prop_map(|c| Command::model(c, LlmRequest::new().user("x"))),
        (name, 0i64..10_000).prop_map(|(wait, at)| {
            Command::Wait { wait, on: WaitOn::Timer { at: Timestamp::from_millis(at) } }
        }),
        any::<u8>().prop_map(|n| Command::Emit { event: "x.y".into(), data: json!(n) }),
        any::<u8>().prop_map(|n| Command::done(json!(n))),
    ];
    prop::collection::vec(prop::collection::vec(command, 0..3), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// The fold of every prefix of a log is the state the live run had there, also through JSON.
    #[test]
    fn fold_is_the_live_state_at_every_prefix(script in commands(), luck in any::<u64>()) {
        let (log, states) = play(&script, luck);
        let written: Vec<Value> = log.iter().map(|e| serde_json::to_value(e).unwrap()).collect();
        let read: Vec<Entry> = written.into_iter().map(|v| Entry::read(1, v).unwrap()).collect();
        for (len, live) in states {
            prop_assert_eq!(&fold(&Player, "run_1", &read[..len]).unwrap(), &live);
        }
        prop_assert!(fold(&Player, "run_1", &read).unwrap().status.is_final());
    }

    /// A log with an entry left out, doubled or swapped is never taken for a whole one.
    #[test]
    fn a_broken_log_is_refused(script in commands(), luck in any::<u64>(), at in any::<prop::sample::Index>()) {
        let (log, _) = play(&script, luck);
        let at = at.index(log.len());
        let mut twice = log.clone();
        twice.insert(at, log[at].clone());
        let broken = fold(&Player, "run_1", &twice).unwrap_err();
        prop_assert_eq!(broken.code(), "log_broken");
        if at + 1 < log.len() {
            let mut missing = log.clone();
            missing.remove(at);
            prop_assert!(fold(&Player, "run_1", &missing).is_err());
            let mut swapped = log;
            swapped.swap(at, at + 1);
            prop_assert!(fold(&Player, "run_1", &swapped).is_err());
        }
    }
}

fn tool(name: &str) -> Vec<Command> {
    vec![Command::tool(name, "notes.add", json!({}))]
}

#[test]
fn intent_stands_in_the_log_before_the_outcome() {
    let (log, _) = play(&[tool("a"), vec![Command::model("b", LlmRequest::new().user("x"))]], 0);
    let words: Vec<_> = log.iter().map(|e| e.what.word()).collect();
    assert_eq!(
        words,
        ["started", "tool_planned", "tool_done", "model_planned", "model_called", "model_done", "finished"]
    );
}

#[test]
fn limits_end_a_run_with_what_it_has() {
    let script: Vec<_> = (0..9).map(|i| tool(&format!("c{i}"))).collect();
    let (log, states) = play(&script, 0);
    let end = &states.last().unwrap().1;
    assert_eq!(end.status, RunStatus::Failed);
    assert_eq!(end.failure.as_ref().unwrap().code, "limit_reached");
    assert_eq!(end.used.tool_calls, 5);
    assert_eq!(end.output, json!({"partial": 6}));
    assert!(
        matches!(&log[log.len() - 2].what, What::Budget { limit, used: 6, allowed: 5 } if limit == "tool_calls")
    );
}

#[test]
fn waits_do_not_count_as_work() {
    let wait = Command::Wait { wait: "w".into(), on: WaitOn::Signal { name: "go".into() } };
    let script = vec![vec![wait], tool("a")];
    let (state, _) = advance(&Player, RunState::new("r"), started(&script), &moment(0), class).unwrap();
    assert_eq!(state.status, RunStatus::Waiting);
    let day = 24 * 3_600_000;
    let woken = What::Woken { wait: "w".into(), payload: Value::Null };
    let (state, _) = advance(&Player, state, woken, &moment(day), class).unwrap();
    assert_eq!(state.used.waited_ms, day as u64);
    assert_eq!(state.status, RunStatus::Running);
    let done = outcome(state.next(), true).unwrap();
    let (state, _) = advance(&Player, state, done, &moment(day + 3_600_001), class).unwrap();
    assert_eq!(state.status, RunStatus::Completed);
}

#[test]
fn a_program_that_repeats_a_name_or_stands_still_fails_loudly() {
    let (_, states) = play(&[tool("a"), tool("a")], 0);
    assert_eq!(states.last().unwrap().1.failure.as_ref().unwrap().code, "name_taken");
    let (_, states) = play(&[vec![]], 0);
    assert_eq!(states.last().unwrap().1.failure.as_ref().unwrap().code, "stuck");
}
