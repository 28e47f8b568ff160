use std::sync::atomic::Ordering;

use neonhub_core::run::RunStatus;
use neonhub_core::{ErrorKind, Permission, PermissionSet};

use super::*;

/// A run with personal data in its input, in the answer of its tool, and in its output.
async fn real_run(cx: &Scope) -> Executed {
    let said = "Dear Zelda, 42 are left. Write to zelda@mail.test.";
    let script = play_script(cx, Scripted::new().reply(stock("T-100")).reply(said));
    let done = ask(cx, "How many T-100 are left? zelda@mail.test, +49 30 901820").await;
    assert_eq!(done.status, RunStatus::Completed, "{done:?}");
    script.finish();
    done
}

fn promote(run: &str) -> PromoteRun {
    PromoteRun { run: run.into(), set: "clerk/stock".into(), ..PromoteRun::default() }
}

#[tokio::test]
async fn a_promoted_run_holds_fakes_and_replays_without_model_tool_or_network() {
    let (cx, tool_calls) = open().await;
    let done = real_run(&cx).await;
    assert_eq!(tool_calls.load(Ordering::SeqCst), 1);
    let case = cx.call(promote(&done.run)).await.unwrap();
    let kept =
        serde_json::to_string(&cx.call(GetEvalSet { name: "clerk/stock".into() }).await.unwrap()).unwrap();
    for gone in ["Zelda", "zelda", "mail.test", "901820"] {
        assert!(!kept.contains(gone), "{gone} in {kept}");
    }
    assert_eq!(case.from_run.as_deref(), Some(done.run.as_str()));
    assert_eq!(case.context.tools.len(), 1, "{case:?}");
    // The same mail address is the same fake in input and output.
    let mail = |text: &str| {
        text.split_whitespace()
            .find(|w| w.contains("@example.com"))
            .unwrap()
            .trim_matches([',', '.'])
            .to_owned()
    };
    let asked = mail(case.input["ask"].as_str().unwrap());
    assert_eq!(asked, mail(case.expected.as_ref().unwrap()["text"].as_str().unwrap()));
    // Promoting again is the same case; another one of the name is refused.
    assert_eq!(cx.call(promote(&done.run)).await.unwrap(), case);
    let by_run =
        || PromoteToEval { id: done.run.clone(), set: "clerk/stock".into(), ..PromoteToEval::default() };
    assert_eq!(cx.call(by_run()).await.unwrap(), case);
    let auditor = PermissionSet::of(&[Permission::ReadAudit]);
    let refused = cx.with_permissions(auditor).call(by_run()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    let other = PromoteRun { tags: vec!["x".into()], ..promote(&done.run) };
    assert_eq!(cx.call(other).await.unwrap_err().code(), "case_taken");
    // Judged by shape and by a judge, unless the caller knows better.
    assert_eq!(case.graders.iter().map(Grader::word).collect::<Vec<_>>(), ["schema", "judge"]);
    let exact = vec![Grader::Exact { path: String::new() }];
    put(&cx, vec![EvalCase { graders: exact, ..case.clone() }]).await;
    let silent = play_script(&cx, Scripted::new());
    let run = cx.call(RunEvals { is_recorded: true, ..evals() }).await.unwrap();
    assert_eq!(Some(&run.results[0].output), case.expected.as_ref());
    assert_eq!((run.misses, run.results[0].failure.as_ref()), (0, None));
    assert_eq!(tool_calls.load(Ordering::SeqCst), 1);
    assert_eq!((run.pass_rate, silent.requests().len()), (1.0, 0));
}

#[tokio::test]
async fn another_model_reads_the_recorded_answers_and_misses_are_named() {
    let (cx, tool_calls) = open().await;
    let done = real_run(&cx).await;
    cx.call(PromoteRun { graders: vec![contains("42")], ..promote(&done.run) }).await.unwrap();
    let script =
        play_script(&cx, Scripted::new().reply(stock("T-200")).reply(stock("T-100")).reply("42 are left"));
    let run = cx.call(evals()).await.unwrap();
    let result = &run.results[0];
    assert_eq!((result.score, result.is_passed, run.misses), (1.0, true, 1), "{run:?}");
    assert_eq!(
        (result.misses[0].tool.as_str(), &result.misses[0].args),
        ("shop.stock", &json!({ "sku": "T-200" }))
    );
    // Neither call reached the shop; the model was told what was recorded.
    assert_eq!(tool_calls.load(Ordering::SeqCst), 1);
    let told = serde_json::to_string(&script.requests()[2]).unwrap();
    assert!(told.contains("\"left\":42") && told.contains("replay_miss"), "{told}");
    assert!(!told.contains("Zelda"));
    assert_eq!(cx.call(GetEvalRun { id: run.id.clone() }).await.unwrap(), run);
}

#[tokio::test]
async fn a_draft_of_the_agent_is_tried_with_its_own_desk() {
    let (cx, _) = open().await;
    put(&cx, vec![case("one", vec![contains("42")])]).await;
    let instructions = Some(Prompt::new("clerk", 2, "You are another clerk of the shop."));
    let draft = AgentSpec { version: "1.1.0".into(), instructions, ..clerk() };
    cx.call(PutAgent { spec: draft }).await.unwrap();
    let script = play_script(&cx, Scripted::new().reply("42").reply("41"));
    let new = cx.call(RunEvals { version: Some("1.1.0".into()), ..evals() }).await.unwrap();
    let old = cx.call(evals()).await.unwrap();
    assert_eq!((new.version.as_str(), new.pass_rate), ("1.1.0", 1.0));
    assert_eq!((old.version.as_str(), old.pass_rate), ("1.0.0", 0.0));
    let told: Vec<_> = script.requests().iter().map(|r| r.system[0].as_text().unwrap().to_owned()).collect();
    assert!(told[0].starts_with("You are another") && told[1].starts_with("You are a clerk"), "{told:?}");
    let gone = cx.call(RunEvals { version: Some("9.0.0".into()), ..evals() }).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Conflict);
    play_script(&cx, Scripted::new().reply("42"));
    let bench =
        BenchmarkAgent { agent: "clerk".into(), set: "clerk/stock".into(), ..BenchmarkAgent::default() };
    let found = cx.call(bench.clone()).await.unwrap();
    assert_eq!((found.version.as_str(), found.pass_rate, found.p95_ms), ("1.0.0", 1.0, 0));
    assert_eq!(cx.call(GetEvalRun { id: found.run }).await.unwrap().score, found.score);
    let other = BenchmarkAgent { agent: "support".into(), ..bench };
    assert_eq!(cx.call(other).await.unwrap_err().field_faults()[0].field, "set");
}

#[tokio::test]
async fn only_a_completed_run_becomes_a_case_and_sets_are_checked() {
    let (cx, _) = open().await;
    play_script(&cx, Scripted::new().reply(Reply::Refuse("no".into())));
    let failed = ask(&cx, "x").await;
    assert_eq!(cx.call(promote(&failed.run)).await.unwrap_err().code(), "run_not_completed");
    let bad = |graders| {
        let cases = vec![EvalCase { name: "a".into(), ..case("a", graders) }];
        let set = EvalSet { name: "x".into(), agent: "clerk".into(), note: String::new(), cases };
        cx.call(PutEvalSet { set })
    };
    let faulty = [
        vec![],
        vec![Grader::Exact { path: String::new() }],
        vec![Grader::Judge { rubric: "good".into(), model: None }],
        vec![Grader::Regex { path: String::new(), pattern: "(".into(), absent: false }],
        vec![Grader::Numeric { path: "n".into(), value: Some(1.0), abs: -1.0, rel: 0.0 }],
    ];
    for graders in faulty {
        assert_eq!(bad(graders).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(cx.call(evals()).await.unwrap_err().code(), "unknown_set");
    put(&cx, vec![case("one", vec![contains("x")]), case("two", vec![contains("x")])]).await;
    put(&cx, vec![case("two", vec![contains("x")])]).await;
    let names = |set: EvalSet| set.cases.into_iter().map(|c| c.name).collect::<Vec<_>>();
    assert_eq!(names(cx.call(GetEvalSet { name: "clerk/stock".into() }).await.unwrap()), ["two"]);
    assert_eq!(cx.call(ListEvalSets::default()).await.unwrap().items[0].cases, ["two"]);
}

#[tokio::test]
async fn a_model_that_is_away_passes_nothing() {
    let (cx, _) = open().await;
    put(&cx, vec![case("one", vec![Grader::NoEffect { allow: vec![] }])]).await;
    let away = neonhub_core::Error::new(ErrorKind::Unavailable, "x", "away");
    play_script(&cx, Scripted::new().reply(Reply::Fail(away)));
    let run = cx.call(evals()).await.unwrap();
    assert!(run.results[0].is_broken && !run.results[0].is_passed, "{run:?}");
    let gate = cx.call(GateEvals { run: run.id, max_misses: Some(0), ..GateEvals::default() }).await.unwrap();
    assert_eq!((gate.is_ok, gate.exit_code), (false, 1));
}

#[tokio::test]
async fn the_last_runs_are_played_on_a_successor() {
    let (cx, tool_calls) = open().await;
    for n in 0..3 {
        play_script(&cx, Scripted::new().reply(stock("T-100")).reply("42 are left"));
        assert_eq!(ask(&cx, &format!("ask {n}")).await.status, RunStatus::Completed);
    }
    let script = Scripted::new()
        .reply(stock("T-100"))
        .reply("42 are left")
        .reply(stock("T-9"))
        .reply("none")
        .reply("No idea");
    let script = play_script(&cx, script);
    let op = ShadowModel {
        agent: "clerk".into(),
        successor: "maker/next".into(),
        n: Some(3),
        graders: vec![contains("42")],
        seed: None,
    };
    let report = cx.call(op.clone()).await.unwrap();
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    let same: Vec<bool> = report.runs.iter().map(|r| r.is_same_output).collect();
    assert_eq!(same, [true, false, false]);
    let scores: Vec<(f64, f64)> = report.runs.iter().map(|r| (r.baseline, r.successor)).collect();
    assert_eq!(scores, [(1.0, 1.0), (1.0, 0.0), (1.0, 0.0)]);
    assert_eq!(report.runs[1].misses, ["shop.stock"]);
    let parts = report.runs[2].diverges.clone().unwrap();
    assert_eq!((parts.at, parts.then.as_deref(), parts.now), (0, Some("shop.stock"), None));
    // Three runs are too few to say more.
    assert_eq!((report.comparison.pairs, report.comparison.verdict), (3, Verdict::TooFewCases));
    assert!(script.requests().iter().all(|r| r.model.as_deref() == Some("maker/next")));
    assert_eq!(tool_calls.load(Ordering::SeqCst), 3);
    assert_eq!(cx.call(ShadowModel { n: Some(0), ..op }).await.unwrap_err().kind(), ErrorKind::InvalidInput);
}
