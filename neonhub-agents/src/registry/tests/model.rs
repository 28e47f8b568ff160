use neonhub_core::llm::{PartBody, Reply, Scripted, ToolCall};
use neonhub_core::run::RunStatus;
use serde_json::Value;

use super::*;

fn calls(list: &[(&str, &str, Value)]) -> Reply {
    let call = |(id, name, args): &(&str, &str, Value)| ToolCall {
        id: (*id).into(),
        name: (*name).into(),
        args: args.clone(),
    };
    Reply::Tools(list.iter().map(call).collect())
}

fn count(text: &str) -> (&'static str, &'static str, Value) {
    ("c", "sms.segments", json!({ "text": text }))
}

async fn play(spec: AgentSpec, script: Scripted) -> (Executed, Arc<Scripted>) {
    let cx = scope().await;
    let intent = format!("{}.work", spec.name);
    activate(&cx, spec).await;
    let script = Arc::new(script);
    cx.hub().add_model(Arc::clone(&script) as _);
    let done = cx.call(ask(&intent, json!({ "ask": "what now?" }))).await.unwrap();
    (done, script)
}

/// The tool results of the last request, as (is error, output).
fn results(script: &Scripted) -> Vec<(bool, Value)> {
    let last = script.requests().pop().unwrap();
    let parts = last.messages.into_iter().flat_map(|m| m.parts);
    parts
        .filter_map(|part| match part.body {
            PartBody::ToolResult { is_error, output, .. } => Some((is_error, output)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_model_works_with_the_tools_of_its_agent_and_no_others() {
    let script = Scripted::new()
        .reply(calls(&[count("hello"), ("d", "people.list", json!({}))]))
        .reply("All counted.");
    let (done, script) = play(modelled(), script).await;
    assert_eq!(
        (done.status, &done.output),
        (RunStatus::Completed, &json!({ "text": "All counted." })),
        "{done:?}"
    );
    let requests = script.requests();
    let names: Vec<_> = requests[0].tools.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["brands.create", "brands.list", "sms.segments"]);
    assert_eq!(requests[0].system[0].as_text(), Some("You are a clerk."));
    let told = results(&script);
    assert_eq!((told[0].0, &told[0].1["counted"]["segments"]), (false, &json!(1)), "{told:?}");
    assert_eq!((told[1].0, &told[1].1["error"]), (true, &json!("invalid_call")));
    assert!(!done.is_offline);
    script.finish();
}

#[tokio::test]
async fn three_wrong_calls_in_a_row_end_the_run() {
    let wrong = || calls(&[("c", "sms.segments", json!({ "txt": "a" }))]);
    let script = Scripted::new().reply(wrong()).reply(wrong()).reply(calls(&[("c", "nothing", json!({}))]));
    let (done, _) = play(modelled(), script).await;
    assert_eq!(done.failure.unwrap().code, "invalid_tool_use");
    // A good call in between begins the count anew.
    let script = Scripted::new()
        .reply(wrong())
        .reply(wrong())
        .reply(calls(&[count("a")]))
        .reply(wrong())
        .reply("done");
    assert_eq!(play(modelled(), script).await.0.status, RunStatus::Completed);
}

#[tokio::test]
async fn the_same_call_is_served_from_the_log_then_warned_about_then_ends_the_run() {
    let same = || calls(&[count("again")]);
    let script = Scripted::new().reply(same()).reply(same()).reply(same()).reply(same());
    let (done, script) = play(modelled(), script).await;
    assert_eq!(done.failure.unwrap().code, "loop_detected");
    let told = results(&script);
    assert_eq!(told[0], told[1]);
    assert_eq!(told[2].1["error"], "loop_warning");
}

#[tokio::test]
async fn an_answer_with_a_made_up_figure_is_given_back_once() {
    let strict = || AgentSpec { output_checks: vec![OutputCheck::FiguresHaveSource], ..modelled() };
    let script = Scripted::new().reply("There are 4711 of them.").reply_to("4711", "There are some.");
    let (done, script) = play(strict(), script).await;
    assert_eq!(done.output, json!({ "text": "There are some." }));
    script.finish();
    let script = Scripted::new().reply("There are 4711 of them.").reply("There are 4712 of them.");
    assert_eq!(play(strict(), script).await.0.failure.unwrap().code, "unsourced_figure");
}

#[tokio::test]
async fn guardrails_keep_a_text_in_the_house() {
    let rails = Some(Guardrails { must_not_say: vec!["guaranteed".into()], ..Guardrails::default() });
    let spec = AgentSpec { guardrails: rails, ..modelled() };
    let script = Scripted::new().reply("It is guaranteed.").reply("It is still guaranteed.");
    let failure = play(spec, script).await.0.failure.unwrap();
    assert_eq!((failure.kind.as_str(), failure.code.as_str()), ("blocked", "guardrail"));
}

#[tokio::test]
async fn an_answer_has_the_shape_of_its_intent() {
    let mut spec = modelled();
    spec.intents[0].output_schema = json!({ "type": "object", "properties": { "n": { "type": "integer" } },
        "required": ["n"] });
    let script = Scripted::new().reply("no JSON at all").reply("{\"n\": 3}");
    let (done, script) = play(spec.clone(), script).await;
    assert_eq!(done.output, json!({ "n": 3 }));
    assert!(script.requests()[1].messages.iter().any(|m| m.text().contains("invalid_output")));
    assert_eq!(script.requests()[1].messages[1].text(), "no JSON at all", "it sees what it said");
    let script = Scripted::new().reply("{\"n\": \"x\"}").reply("{}");
    assert_eq!(play(spec, script).await.0.failure.unwrap().code, "invalid_output");
}

#[tokio::test]
async fn a_refusal_is_no_answer_and_limits_end_a_run() {
    let (done, _) = play(modelled(), Scripted::new().reply(Reply::Refuse("no".into()))).await;
    assert_eq!(done.failure.unwrap().code, "refused");
    let mut spec = modelled();
    spec.limits.model_calls = 1;
    let (done, _) = play(spec, Scripted::new().reply(calls(&[count("a")]))).await;
    assert_eq!(done.failure.unwrap().code, "limit_reached");
    assert_eq!(done.output["partial"]["turns"], 2);
}

#[tokio::test]
async fn an_agent_reads_only_its_spaces() {
    let mut spec = modelled();
    spec.tools = vec!["knowledge.search".into()];
    spec.spaces = vec!["faq".into()];
    let script = Scripted::new()
        .reply(calls(&[("c", "knowledge.search", json!({ "query": "x", "spaces": ["payroll"] }))]))
        .reply("done");
    let (_, script) = play(spec, script).await;
    assert!(results(&script)[0].1["message"].as_str().unwrap().contains("payroll"));
}

#[tokio::test]
async fn equal_runs_begin_with_equal_bytes() {
    let first = || async {
        let (_, script) = play(modelled(), Scripted::new().reply("done")).await;
        let request = script.requests().remove(0);
        (request.tools, request.system)
    };
    let (one, two) = (first().await, first().await);
    assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&two).unwrap());
}

#[tokio::test]
async fn a_call_that_reads_the_same_again_is_shown_as_served_from_the_log() {
    use neonhub_core::run::{GetRun, ToolExecutionState};
    let cx = scope().await;
    activate(&cx, modelled()).await;
    let again = || {
        calls(&[
            ("c", "sms.segments", json!({ "text": "hello" })),
            ("d", "sms.segments", json!({ "text": "you" })),
        ])
    };
    let script = Scripted::new().reply(calls(&[count("hello")])).reply(again()).reply("Counted.");
    cx.hub().add_model(Arc::new(script));
    let done = cx.call(ask("clerk.work", json!({ "ask": "how long?" }))).await.unwrap();
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    let details = cx.call(GetRun { id: done.run, with_log: true }).await.unwrap();
    let tools: Vec<_> = details.tools.iter().filter(|one| one.tool == "sms.segments").collect();
    let told: Vec<_> = tools.iter().map(|one| (one.call.as_str(), one.state, one.attempts)).collect();
    let (made, served) = (ToolExecutionState::Landed, ToolExecutionState::ServedFromLog);
    assert_eq!(told, [("turn/1/0", made, 1), ("turn/2/1", made, 1), ("c", served, 0)]);
    assert_eq!((&tools[2].args, &tools[2].result_hash), (&tools[0].args, &tools[0].result_hash));
    assert_eq!((tools[0].version, tools[0].cost.as_ref()), (Some(1), None));
    // It is not in the log as a call: no bound of the run counts it.
    assert_eq!(details.log.iter().filter(|line| line.kind == "tool_planned").count(), 3);
}
