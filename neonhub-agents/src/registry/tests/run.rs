use std::time::Duration;

use neonhub_core::run::{CancelRun, GetRun, ListRuns, RunStatus};
use neonhub_core::{ErrorKind, PermissionSet, Retry};
use neonhub_rag::IngestText;

use super::super::directory::Directory;
use super::*;
use crate::campaign::CampaignStatus;

fn brief() -> serde_json::Value {
    let create = neonhub_core::op::entry::<crate::campaign::CreateCampaign>();
    (create.examples)().remove(0)["brief"].clone()
}

#[tokio::test]
async fn an_intent_is_found_by_its_address_or_alone() {
    let cx = scope().await;
    let hub = cx.hub().clone();
    let all = Directory::load(&cx).await.unwrap();
    let find = |agent: Option<&str>, intent: Option<&str>| {
        all.address(&hub, "t", agent, intent, None).map(|asked| asked.address())
    };
    assert_eq!(find(None, Some("campaign.plan")).unwrap(), "campaign.plan");
    assert_eq!(find(Some("campaign"), Some("plan")).unwrap(), "campaign.plan");
    assert_eq!(find(Some("campaign"), Some("campaign.plan")).unwrap(), "campaign.plan");
    assert_eq!(find(None, Some("launch")).unwrap(), "campaign.launch");
    assert_eq!(find(Some("support"), None).unwrap(), "support.suggest_reply");
    let both = find(None, Some("compose")).unwrap_err();
    assert_eq!((both.kind(), both.code()), (ErrorKind::InvalidInput, "ambiguous_intent"));
    for address in ["brand_voice.compose", "email.compose", "sms.compose"] {
        assert!(both.message().contains(address), "{both}");
    }
    let closest = |error: neonhub_core::Error| {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        error.context().find(|(key, _)| *key == "closest").unwrap().1.to_owned()
    };
    assert!(closest(find(None, Some("lanch")).unwrap_err()).contains("campaign.launch"));
    assert!(closest(find(Some("campaigns"), Some("plan")).unwrap_err()).contains("campaign"));
    assert!(closest(find(None, Some("campaign.pln")).unwrap_err()).contains("plan"));
    assert!(find(Some("campaign"), None).unwrap_err().message().contains("create_campaign"));
    assert_eq!(find(None, None).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn an_operation_behind_an_intent_runs_as_the_agent_and_once() {
    let cx = scope().await;
    let op = ExecuteAgent { key: Some("k".into()), ..ask("create_campaign", json!({ "brief": brief() })) };
    let done = cx.call(op.clone()).await.unwrap();
    assert_eq!((done.status, done.agent.as_str()), (RunStatus::Completed, "campaign"), "{done:?}");
    assert_eq!(done.output["status"], json!(CampaignStatus::Draft));
    assert_eq!(cx.call(op).await.unwrap().run, done.run);
    let listed = cx.call(ListRuns { agent: Some("campaign".into()), ..ListRuns::default() }).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].intent.as_deref(), Some("create_campaign"));
    assert_eq!(listed.items[0].spec.as_ref().unwrap().version, "1.0.0");
    let shown = cx.call(GetRun { id: done.run, with_log: true }).await.unwrap();
    assert_eq!(shown.input["brief"]["goal"], brief()["goal"]);
    let tools: Vec<_> =
        shown.log.iter().filter(|l| l.kind == "tool_planned").map(|l| &l.data["tool"]).collect();
    assert_eq!(tools, ["agents.prepare", "campaign.create"]);
    let metrics =
        cx.call(AgentMetrics { agent: "campaign".into(), ..AgentMetrics::default() }).await.unwrap();
    assert_eq!((metrics.len(), metrics[0].runs, metrics[0].ok, metrics[0].p50_ms), (1, 1, 1, Some(0)));
    assert_eq!((metrics[0].intent.as_str(), metrics[0].day.as_str()), ("create_campaign", "2026-11-24"));
}

#[tokio::test]
async fn what_does_not_fit_makes_no_run() {
    let cx = scope().await;
    let mut bad = brief();
    bad["channels"] = json!(["pigeon"]);
    let error = cx.call(ask("create_campaign", json!({ "brief": bad }))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.field_faults()[0].field.starts_with("input.brief.channels"), "{error}");
    // What an intent gives itself is not for the caller to give.
    let error = cx.call(ask("sms.compose", json!({ "channel": "email" }))).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "input.channel");
    let error = cx.call(ask("support.suggest_reply", json!({ "message": "" }))).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "input.message");
    for op in [
        ExecuteAgent { deadline_ms: Some(0), ..ask("sms.compose", json!({})) },
        ExecuteAgent { input: json!("words"), ..ask("sms.compose", json!({})) },
    ] {
        assert_eq!(cx.call(op).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(cx.call(ListRuns::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_key_belongs_to_one_intent() {
    let cx = scope().await;
    let id = json!({ "id": "cmp_01kaf3w0000000000000000000" });
    let keyed = |intent: &str| ExecuteAgent { key: Some("k".into()), ..ask(intent, id.clone()) };
    cx.call(keyed("campaign.plan")).await.unwrap();
    let other = cx.call(keyed("campaign.pause")).await.unwrap_err();
    assert_eq!((other.kind(), other.code()), (ErrorKind::Conflict, "idempotency_mismatch"));
}

#[tokio::test]
async fn a_failure_of_the_run_stands_in_the_answer() {
    let cx = scope().await;
    let gone = "cmp_01kaf3w0000000000000000000";
    let done = cx.call(ask("campaign.plan", json!({ "id": gone }))).await.unwrap();
    assert_eq!(done.status, RunStatus::Failed);
    assert_eq!(done.failure.as_ref().unwrap().kind, "not_found");
    assert_eq!(done.into_output().unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn an_agent_has_no_more_rights_than_its_caller_and_its_description() {
    let cx = scope().await;
    let caller =
        cx.with_permissions(PermissionSet::of(&[Permission::ExecuteAgents, Permission::ReadContent]));
    let done = caller.call(ask("create_campaign", json!({ "brief": brief() }))).await.unwrap();
    assert_eq!(done.failure.unwrap().kind, "permission_denied");
    // The caller may; the agent may not.
    let mut spec = modelled();
    spec.permissions = vec![Permission::ExecuteAgents];
    spec.tools = vec!["brands.create".into(), "sms.segments".into()];
    activate(&cx, spec).await;
    let model = Arc::new(neonhub_core::llm::Scripted::new().reply("done").lenient());
    cx.hub().add_model(Arc::clone(&model) as _);
    cx.call(ask("clerk.work", json!({ "ask": "x" }))).await.unwrap();
    let offered: Vec<String> = model.requests()[0].tools.iter().map(|t| t.name.clone()).collect();
    assert!(!offered.contains(&"brands.create".to_owned()), "{offered:?}");
}

#[tokio::test]
async fn support_quotes_what_it_found_or_hands_over() {
    let cx = scope().await;
    let ask_it = || ask("support.suggest_reply", json!({ "message": "How long may I return a parcel?" }));
    let none = cx.call(ask_it()).await.unwrap();
    assert_eq!(none.status, RunStatus::Completed, "{none:?}");
    assert_eq!((none.output["action"].as_str(), none.is_offline), (Some("escalate"), true));
    for (name, input) in [
        ("spaces.create", json!({ "name": "support" })),
        ("datasets.create", json!({ "space": "support", "name": "faq" })),
    ] {
        cx.call_by_name(name, input, neonhub_core::op::CallOptions::new()).await.unwrap();
    }
    let text = "# Returns\n\nA parcel may be returned within 30 days. We pay the way back.".to_owned();
    cx.call(IngestText { dataset: "faq".into(), title: "Returns".into(), text, ..IngestText::default() })
        .await
        .unwrap();
    let found = cx.call(ask_it()).await.unwrap();
    assert_eq!(found.output["action"], "draft", "{found:?}");
    assert!(found.output["body"].as_str().unwrap().contains("30 days"));
    assert!(found.output["citations"][0].as_str().unwrap().starts_with("doc_"));
    assert!(found.summary.starts_with("offline result"), "{}", found.summary);
}

#[tokio::test]
async fn a_started_run_is_driven_by_the_queue_with_the_rights_of_its_caller() {
    let cx = scope().await;
    let start = |intent: &str, input| ExecuteAgent { mode: ExecuteMode::Start, ..ask(intent, input) };
    let begun = cx.call(start("create_campaign", json!({ "brief": brief() }))).await.unwrap();
    assert_eq!((begun.status, &begun.output), (RunStatus::Queued, &json!(null)));
    let weak = cx.with_permissions(PermissionSet::of(&[Permission::ExecuteAgents]));
    let refused =
        weak.call(start("campaign.plan", json!({ "id": "cmp_01kaf3w0000000000000000000" }))).await.unwrap();
    cx.work_until_idle().await.unwrap();
    let get = |id: &str| cx.call(GetRun { id: id.to_owned(), with_log: false });
    assert_eq!(get(&begun.run).await.unwrap().run.status, RunStatus::Completed);
    assert_eq!(get(&refused.run).await.unwrap().run.failure.unwrap().kind, "not_found");
    let weak = weak.call(start("create_campaign", json!({ "brief": brief() }))).await.unwrap();
    cx.work_until_idle().await.unwrap();
    assert_eq!(get(&weak.run).await.unwrap().run.failure.unwrap().kind, "permission_denied");
}

#[tokio::test]
async fn a_started_run_can_be_cancelled_before_anybody_drives_it() {
    let cx = scope().await;
    let op = ExecuteAgent { mode: ExecuteMode::Start, ..ask("create_campaign", json!({ "brief": brief() })) };
    let begun = cx.call(op).await.unwrap();
    cx.call(CancelRun { id: begun.run.clone() }).await.unwrap();
    cx.work_until_idle().await.unwrap();
    let run = cx.call(GetRun { id: begun.run, with_log: false }).await.unwrap().run;
    assert_eq!(run.status, RunStatus::Cancelled);
    assert!(cx.call(crate::campaign::ListCampaigns::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn runs_of_a_day_are_counted_at_the_door() {
    let clock = clock();
    let cx = builder(&clock).build().await.unwrap().workspace("default").await.unwrap();
    let mut own = cx.call(GetAgent { name: "support".into(), version: None }).await.unwrap();
    own.version = "1.1.0".into();
    own.quotas.runs_per_day = Some(2);
    activate(&cx, own).await;
    let call = || cx.call(ask("support.suggest_reply", json!({ "message": "hello" })));
    let keyed =
        ExecuteAgent { key: Some("k".into()), ..ask("support.suggest_reply", json!({ "message": "hello" })) };
    let first = cx.call(keyed.clone()).await.unwrap();
    call().await.unwrap();
    // What was started already is no new run.
    assert_eq!(cx.call(keyed).await.unwrap().run, first.run);
    let over = call().await.unwrap_err();
    assert_eq!((over.kind(), over.code()), (ErrorKind::RateLimited, "agent_quota"));
    // 15:00 to midnight.
    assert_eq!(over.retry(), Retry::After(Duration::from_secs(9 * 3600)));
    clock.advance(Duration::from_secs(9 * 3600));
    call().await.unwrap();
}

#[tokio::test]
async fn a_run_ends_with_the_version_it_began_with() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    let model = Arc::new(neonhub_core::llm::Scripted::new().reply("one").reply("two"));
    cx.hub().add_model(Arc::clone(&model) as _);
    let begin = ExecuteAgent { mode: ExecuteMode::Start, ..ask("clerk.work", json!({ "ask": "x" })) };
    let begun = cx.call(begin).await.unwrap();
    let newer = Some(Prompt::new("clerk", 2, "You are another clerk."));
    activate(&cx, AgentSpec { version: "2.0.0".into(), instructions: newer, ..modelled() }).await;
    cx.work_until_idle().await.unwrap();
    let old = cx.call(GetRun { id: begun.run, with_log: false }).await.unwrap().run;
    assert_eq!((old.status, old.spec.unwrap().version.as_str()), (RunStatus::Completed, "1.0.0"));
    let new = cx.call(ask("clerk.work", json!({ "ask": "x" }))).await.unwrap();
    assert_eq!(new.version, "2.0.0");
    let told: Vec<_> = model.requests().iter().map(|r| r.system[0].as_text().unwrap().to_owned()).collect();
    assert_eq!(told, ["You are a clerk.", "You are another clerk."]);
    // The log says which prompt it was, and what was rendered.
    let log = cx.call(GetRun { id: new.run, with_log: true }).await.unwrap().log;
    let mark = &log.iter().find(|l| l.data["output"]["prompt"].is_object()).unwrap().data["output"]["prompt"];
    let prompt = Prompt::new("clerk", 2, "You are another clerk.");
    assert_eq!((&mark["name"], &mark["version"]), (&json!("clerk"), &json!(2)));
    assert_eq!(mark["hash"], prompt.hash().unwrap());
    assert_eq!(
        mark["rendered_hash"],
        prompt.render(&std::collections::BTreeMap::default()).unwrap().rendered_hash
    );
    // A pinned version is taken although a later one is in use.
    cx.hub().add_model(Arc::new(neonhub_core::llm::Scripted::new().reply("three")));
    let pinned = ExecuteAgent { version: Some("1.0.0".into()), ..ask("clerk.work", json!({ "ask": "y" })) };
    assert_eq!(cx.call(pinned).await.unwrap().version, "1.0.0");
}

#[tokio::test]
async fn agents_ask_each_other_a_hundred_times_at_most_under_one_root() {
    use neonhub_core::run::AgentRun;
    use neonhub_core::store::{Batch, Expected, Kind, Row, Write};
    let cx = scope().await;
    activate(&cx, modelled()).await;
    let input = |n: usize| json!({ "ask": format!("question {n}") });
    let start = |n| ExecuteAgent { mode: ExecuteMode::Start, ..ask("clerk.work", input(n)) };
    let root = cx.call(start(0)).await.unwrap().run;
    let under = |run: &str| cx.for_agent("clerk", run, PermissionSet::all());
    let child = under(&root).call(start(1)).await.unwrap().run;
    // The others are there, a level below.
    let row = cx.need::<AgentRun>(&child).await.unwrap().body;
    let more = async |many: std::ops::Range<u32>| {
        let mut batch = Batch::new(cx.workspace().clone(), cx.now());
        for n in many {
            let other =
                AgentRun { id: format!("{child}{n}"), parent_run: Some(child.clone()), ..row.clone() };
            let row = Row::of(&other, cx.now(), "test").unwrap();
            batch.writes.push(Write::Put { kind: Kind::of::<AgentRun>(), row, expected: Expected::Absent });
        }
        cx.hub().store().commit(batch).await.unwrap();
    };
    more(0..98).await;
    let last = under(&root).call(start(2)).await.unwrap().run;
    assert_eq!(under(&child).call(start(3)).await.unwrap_err().code(), "too_many_runs");
    assert_eq!(under(&root).call(start(4)).await.unwrap_err().code(), "too_many_runs");
    assert_eq!(under(&last).call(start(5)).await.unwrap_err().code(), "too_many_runs");
    cx.call(start(6)).await.unwrap();
}
