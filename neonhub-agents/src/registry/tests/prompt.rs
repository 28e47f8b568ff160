//! Agents that are told a prompt of the registry.

use std::time::Duration;

use neonhub_core::ErrorKind;
use neonhub_core::llm::{Reply, Scripted};
use neonhub_core::prompt::{
    LabelPrompt, PromptFigures, PromptStats, PromptVar, PromptVariant, PublishPrompt, PutPrompt,
    StartPromptExperiment, VarKind,
};
use neonhub_core::run::{GetRun, RunStatus};

use super::*;
use crate::cut::cut;

const NAME: &str = "agents/clerk";

async fn publish(cx: &Scope, prompt: Prompt) {
    cx.call(PutPrompt { prompt, notes: String::new() }).await.unwrap();
    cx.call(PublishPrompt { name: NAME.into() }).await.unwrap();
}

async fn say(cx: &Scope, words: &str) {
    publish(cx, Prompt::new(NAME, 1, words)).await;
}

async fn label(cx: &Scope, version: u32) {
    let (name, label) = (NAME.into(), "production".into());
    cx.call(LabelPrompt { name, label, version: Some(version), reason: None }).await.unwrap();
}

fn told(reference: &str) -> AgentSpec {
    AgentSpec { instructions: None, prompt: Some(reference.into()), ..modelled() }
}

async fn figures(cx: &Scope) -> PromptFigures {
    cx.call(PromptStats { name: NAME.into() }).await.unwrap()
}

/// Version, uses and successes.
async fn counted(cx: &Scope) -> Vec<(u32, u64, u64)> {
    figures(cx).await.versions.iter().map(|v| (v.version, v.runs, v.success)).collect()
}

async fn mark(cx: &Scope, run: &str) -> serde_json::Value {
    let log = cx.call(GetRun { id: run.into(), with_log: true }).await.unwrap().log;
    log.iter().find(|l| l.data["output"]["prompt"].is_object()).unwrap().data["output"]["prompt"].clone()
}

#[tokio::test]
async fn a_prompt_that_is_not_there_is_named_when_the_agent_is_put() {
    let cx = scope().await;
    let fault = async |spec: AgentSpec| {
        let error = cx.call(PutAgent { spec }).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let fault = error.field_faults()[0].clone();
        assert_eq!(fault.field, "prompt");
        fault.message
    };
    assert!(fault(told(NAME)).await.contains("no prompt"));
    say(&cx, "Be brief.").await;
    assert!(fault(told("agents/clerk@production")).await.contains("production"));
    assert!(fault(told("agents/clerk@2")).await.contains("version 2"));
    assert!(fault(told("agents/clerk@draft")).await.contains("draft"));
    assert!(fault(told("Agents Clerk")).await.contains("expected"));
    assert!(fault(AgentSpec { prompt: Some(NAME.into()), ..modelled() }).await.contains("not both"));
    publish(&cx, Prompt::new(NAME, 1, "For {{ who }}.").var(PromptVar::required("who", VarKind::Text))).await;
    assert!(fault(told(NAME)).await.contains("who"));
    activate(&cx, told("agents/clerk@1")).await;
}

#[tokio::test]
async fn a_run_is_told_the_version_of_its_beginning_and_counts_for_it_once() {
    let cx = scope().await;
    say(&cx, "Be brief.").await;
    label(&cx, 1).await;
    activate(&cx, told("agents/clerk@production")).await;
    let model = Arc::new(Scripted::new().reply("one").reply("two").reply(Reply::Refuse("no".into())));
    cx.hub().add_model(Arc::clone(&model) as _);
    let keyed = ExecuteAgent { key: Some("k".into()), ..ask("clerk.work", json!({ "ask": "x" })) };
    let first = cx.call(keyed.clone()).await.unwrap();
    assert_eq!(first.status, RunStatus::Completed, "{first:?}");
    let mark = mark(&cx, &first.run).await;
    assert_eq!((&mark["name"], &mark["version"]), (&json!(NAME), &json!(1)));
    assert_eq!(mark["hash"], Prompt::new(NAME, 1, "Be brief.").hash().unwrap());
    assert_eq!(mark["reference"], "agents/clerk@production");
    // The same run again is no second use.
    cx.call(keyed.clone()).await.unwrap();
    assert_eq!(counted(&cx).await, [(1, 1, 1)]);
    say(&cx, "Be long.").await;
    label(&cx, 2).await;
    cx.call(ask("clerk.work", json!({ "ask": "x" }))).await.unwrap();
    let failed = cx.call(ask("clerk.work", json!({ "ask": "x" }))).await.unwrap();
    assert_eq!(failed.status, RunStatus::Failed);
    cx.call(keyed).await.unwrap();
    assert_eq!(counted(&cx).await, [(1, 1, 1), (2, 2, 1)]);
    let told: Vec<_> = model.requests().iter().map(|r| r.system[0].as_text().unwrap().to_owned()).collect();
    assert_eq!(told, ["Be brief.", "Be long.", "Be long."]);
}

#[tokio::test]
async fn a_label_that_an_agent_can_no_longer_use_starts_no_run_and_names_the_field() {
    let cx = scope().await;
    say(&cx, "Be brief.").await;
    activate(&cx, told(NAME)).await;
    publish(&cx, Prompt::new(NAME, 1, "For {{ who }}.").var(PromptVar::required("who", VarKind::Text))).await;
    let error = cx.call(ask("clerk.work", json!({ "ask": "x" }))).await.unwrap_err();
    assert!(error.context().any(|pair| pair == ("field", "prompt")), "{error}");
    assert!(error.message().contains("who"), "{error}");
    let runs = cx.call(neonhub_core::run::ListRuns::default()).await.unwrap();
    assert!(runs.items.is_empty());
    let health = cx.call(CheckAgents { name: Some("clerk".into()) }).await.unwrap();
    assert!(matches!(health[0].status, neonhub_core::health::Status::Unhealthy { .. }), "{health:?}");
}

#[tokio::test]
async fn a_test_of_prompts_chooses_by_the_person_and_counts_each_once() {
    let cx = scope().await;
    say(&cx, "Be brief.").await;
    say(&cx, "Be long.").await;
    label(&cx, 1).await;
    activate(&cx, told("agents/clerk@production")).await;
    let variant = |to: &str| PromptVariant { to: to.into(), weight: 0.5, version: 0 };
    let experiment = StartPromptExperiment {
        key: "brief".into(),
        prompt: NAME.into(),
        variants: vec![variant("production"), variant("2")],
        ..StartPromptExperiment::default()
    };
    let running = cx.call(experiment).await.unwrap();
    let mut script = Scripted::new();
    for _ in 0..24 {
        script = script.reply("done");
    }
    let model = Arc::new(script);
    cx.hub().add_model(Arc::clone(&model) as _);
    let mut shown = [0_u64; 2];
    for n in 0..12 {
        let person = format!("per_{n:026}");
        let assigned = running.assign(&person).unwrap();
        shown[assigned.variant as usize] += 1;
        for _ in 0..2 {
            let op =
                ExecuteAgent { person_id: Some(person.clone()), ..ask("clerk.work", json!({ "ask": "x" })) };
            let run = cx.call(op).await.unwrap().run;
            let mark = mark(&cx, &run).await;
            assert_eq!(mark["version"], assigned.version);
            assert_eq!(mark["assigned"]["propensity"], 0.5);
        }
    }
    assert!(shown.iter().all(|n| *n > 0), "{shown:?}");
    let figures = figures(&cx).await;
    let report = &figures.experiments[0];
    assert_eq!([report.variants[0].shown, report.variants[1].shown], shown);
    assert_eq!([report.variants[0].hits, report.variants[1].hits], shown);
    let runs: Vec<u64> = figures.versions.iter().map(|v| v.runs).collect();
    assert_eq!(runs, shown.map(|n| n * 2));
}

#[tokio::test]
async fn a_run_that_goes_on_after_a_kill_keeps_its_version_and_counts_once() {
    for commits in 1.. {
        // A store that answers later: work is cut between its commits.
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("test.neon").display());
        let time = clock();
        let open = async || {
            let hub = builder(&time).store(url.as_str()).build().await.unwrap();
            hub.add_model(Arc::new(Scripted::new().reply("done").reply("done").lenient()));
            hub.workspace("default").await.unwrap()
        };
        let cx = open().await;
        say(&cx, "Be brief.").await;
        label(&cx, 1).await;
        activate(&cx, told("agents/clerk@production")).await;
        say(&cx, "Be long.").await;
        let op = ExecuteAgent { key: Some("k".into()), ..ask("clerk.work", json!({ "ask": "x" })) };
        let was_cut = cut(&cx, commits, cx.call(op.clone())).await;
        label(&cx, 2).await;
        time.advance(Duration::from_secs(31));
        let cx = open().await;
        let done = cx.call(op).await.unwrap();
        assert_eq!(done.status, RunStatus::Completed, "{commits}: {done:?}");
        let version = mark(&cx, &done.run).await["version"].as_u64().unwrap();
        // Before it was prepared, the run had not looked yet.
        assert!(version == 1 || commits <= 4, "{commits}: {version}");
        assert_eq!(counted(&cx).await, [(u32::try_from(version).unwrap(), 1, 1)], "{commits}");
        if !was_cut {
            assert!(commits > 5, "only {commits} places to cut");
            return;
        }
    }
}

#[tokio::test]
async fn instructions_with_an_offline_template_answer_without_a_model() {
    let cx = scope().await;
    let words = Prompt::new("clerk", 1, "You are {{ agent }}.")
        .var(PromptVar::required("agent", VarKind::Text))
        .offline_template("{{ agent }} has noted: {{ input.ask }}");
    activate(&cx, AgentSpec { instructions: Some(words), ..modelled() }).await;
    let done = cx.call(ask("clerk.work", json!({ "ask": "two teas" }))).await.unwrap();
    assert_eq!(done.output, json!({ "text": "Clerk has noted: two teas" }), "{done:?}");
    assert!(done.is_offline);
    // An answer with a schema is filled, not said.
    let mut spec = cx.call(GetAgent { name: "clerk".into(), version: None }).await.unwrap();
    spec.version = "1.1.0".into();
    spec.intents[0].output_schema =
        json!({ "type": "object", "properties": { "ask": { "type": "string" } }, "required": ["ask"] });
    activate(&cx, spec).await;
    let done = cx.call(ask("clerk.work", json!({ "ask": "two teas" }))).await.unwrap();
    assert_eq!(done.output, json!({ "ask": "two teas" }), "{done:?}");
}
