use neonhub_core::economy::{GetQuotas, QuotaWindow};
use neonhub_core::llm::{OfflinePlan, PlanStep};
use neonhub_core::run::{EffectClass, Limits};
use neonhub_core::{Currency, ErrorKind, Faults, Money, PermissionSet};

use super::super::directory::Directory;
use super::*;

#[tokio::test]
async fn every_built_in_agent_is_whole() {
    let cx = scope().await;
    let directory = Directory::load(&cx).await.unwrap();
    assert_eq!(
        directory.current().map(|spec| spec.name.as_str()).collect::<Vec<_>>(),
        ["brand_voice", "campaign", "content", "email", "sms", "social", "support"]
    );
    for spec in directory.current() {
        let mut faults = Faults::new();
        check::shape(spec, &mut faults);
        check::parts(&cx, &directory, spec, &mut faults);
        assert!(faults.is_empty(), "{}: {:?}", spec.name, faults.into_result("t"));
    }
    let listed = cx.call(ListAgents::default()).await.unwrap();
    assert_eq!(listed.len(), 7);
    assert!(listed.iter().all(|agent| agent.is_builtin && agent.is_current && !agent.intents.is_empty()));
    let checks = cx.call(CheckAgents::default()).await.unwrap();
    assert!(checks.iter().all(|c| c.status == neonhub_core::health::Status::Healthy), "{checks:?}");
}

#[tokio::test]
async fn activation_names_everything_that_is_missing() {
    let cx = scope().await;
    let mut spec = modelled();
    spec.tools = vec!["sms.segmets".into(), "brands.list".into()];
    spec.handoff = vec!["sms.write".into()];
    spec.instructions = None;
    spec.intents.push(IntentSpec {
        name: "plan".into(),
        doc: "Plans.".into(),
        operation: Some("campaign.pln".into()),
        ..IntentSpec::default()
    });
    spec.intents.push(IntentSpec {
        name: "launch".into(),
        doc: "Launches.".into(),
        operation: Some("campaign.start".into()),
        effect_max: EffectClass::Read,
        ..IntentSpec::default()
    });
    spec.offline_plan = Some(OfflinePlan {
        steps: vec![PlanStep {
            id: "a".into(),
            tool: "people.get".into(),
            args: json!({}),
            after: vec![],
            when: None,
        }],
        answer: String::new(),
    });
    spec.health_probe = Some(HealthProbe { intent: "work".into(), input: json!({}) });
    cx.call(PutAgent { spec }).await.unwrap();
    let op = ActivateAgent { name: "clerk".into(), version: Some("1.0.0".into()) };
    let error = cx.call(op.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let fields: Vec<&str> = error.field_faults().iter().map(|f| f.field.as_str()).collect();
    for expected in [
        "tools[0]",
        "handoff[0]",
        "intents[0].operation",
        "intents[1].operation",
        "intents[2].effect_max",
        "permissions",
        "offline_plan.steps[0].tool",
        "health_probe.intent",
    ] {
        assert!(fields.contains(&expected), "{expected} in {fields:?}");
    }
    assert!(error.field_faults().iter().any(|f| f.message.contains("sms.segments")), "{error}");
    // Nothing was put into use.
    let error = cx.call(GetAgent { name: "clerk".into(), version: None }).await.unwrap_err();
    assert_eq!(error.code(), "agent_disabled");
}

#[tokio::test]
async fn the_shape_is_checked_before_a_draft_is_kept() {
    let cx = scope().await;
    let mut spec = modelled();
    spec.name = "Clerk!".into();
    spec.version = "1.0".into();
    spec.permissions.push(Permission::ManageBilling);
    spec.limits = Limits::default().model_calls(501);
    spec.intents[0].input_schema = json!({ "type": "object", "properties": { "a": 3 } });
    let error = cx.call(PutAgent { spec }).await.unwrap_err();
    let fields: Vec<&str> = error.field_faults().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["name", "version", "permissions", "limits", "intents[0].input_schema"]);
    for name in ["orchestrator", "mcp"] {
        let error =
            cx.call(PutAgent { spec: AgentSpec { name: name.into(), ..modelled() } }).await.unwrap_err();
        assert_eq!(error.field_faults()[0].field, "name", "{error}");
    }
    for (text, good) in
        [("1.2.0", true), ("2.0.0-beta.1", true), ("01.2.3", false), ("1.2.3-", false), ("1.2.3.4", false)]
    {
        assert_eq!(check::is_semver(text), good, "{text}");
    }
}

#[tokio::test]
async fn versions_take_each_others_place_and_never_change() {
    let cx = scope().await;
    activate(&cx, modelled()).await;
    let changed = AgentSpec { purpose: "Something else.".into(), ..modelled() };
    let error = cx.call(PutAgent { spec: changed.clone() }).await.unwrap_err();
    assert_eq!(error.code(), "version_taken");
    activate(&cx, AgentSpec { version: "1.1.0".into(), ..changed }).await;
    let versions = cx.call(AgentVersions { name: "clerk".into() }).await.unwrap();
    let shown: Vec<_> = versions.iter().map(|v| (v.version.as_str(), v.state.word(), v.is_current)).collect();
    assert_eq!(shown, [("1.0.0", "deprecated", false), ("1.1.0", "active", true)]);
    // Back to the first, then off, then on again.
    cx.call(ActivateAgent { name: "clerk".into(), version: Some("1.0.0".into()) }).await.unwrap();
    assert_eq!(cx.call(GetAgent { name: "clerk".into(), version: None }).await.unwrap().version, "1.0.0");
    cx.call(DisableAgent { name: "clerk".into(), version: None }).await.unwrap();
    assert!(cx.call(ListAgents::default()).await.unwrap().iter().all(|a| a.name != "clerk"));
    assert!(cx.call(ListAgents { all: true }).await.unwrap().iter().any(|a| a.name == "clerk"));
    let error = cx.call(ask("clerk.work", json!({ "ask": "x" }))).await.unwrap_err();
    assert_eq!(error.code(), "agent_disabled");
    cx.call(ActivateAgent { name: "clerk".into(), version: None }).await.unwrap();
    assert_eq!(cx.call(GetAgent { name: "clerk".into(), version: None }).await.unwrap().version, "1.0.0");
}

#[tokio::test]
async fn the_only_version_of_an_agent_needs_no_name() {
    let cx = scope().await;
    cx.call(PutAgent { spec: modelled() }).await.unwrap();
    let activate = || cx.call(ActivateAgent { name: "clerk".into(), version: None });
    assert_eq!(activate().await.unwrap().version, "1.0.0");
    cx.call(DisableAgent { name: "clerk".into(), version: Some("1.0.0".into()) }).await.unwrap();
    cx.call(PutAgent { spec: AgentSpec { version: "1.1.0".into(), ..modelled() } }).await.unwrap();
    let error = activate().await.unwrap_err();
    assert_eq!(error.context().find(|(name, _)| *name == "versions").unwrap().1, "1.0.0, 1.1.0");
}

#[tokio::test]
async fn a_workspace_overrides_a_built_in_agent_and_takes_it_back() {
    let cx = scope().await;
    let mut own = cx.call(GetAgent { name: "support".into(), version: None }).await.unwrap();
    let error = cx.call(PutAgent { spec: own.clone() }).await.unwrap_err();
    assert_eq!(error.code(), "version_taken");
    (own.version, own.title) = ("1.1.0".into(), "Our desk".into());
    activate(&cx, own).await;
    assert_eq!(cx.call(GetAgent { name: "support".into(), version: None }).await.unwrap().title, "Our desk");
    let other = cx.hub().create_workspace("other").await.unwrap();
    assert_eq!(
        other.call(GetAgent { name: "support".into(), version: None }).await.unwrap().title,
        "Support"
    );
    cx.call(DisableAgent { name: "support".into(), version: Some("1.1.0".into()) }).await.unwrap();
    assert_eq!(cx.call(GetAgent { name: "support".into(), version: None }).await.unwrap().title, "Support");
    cx.call(DisableAgent { name: "support".into(), version: None }).await.unwrap();
    let error = cx.call(GetAgent { name: "support".into(), version: None }).await.unwrap_err();
    assert_eq!(error.code(), "agent_disabled");
}

#[tokio::test]
async fn only_who_manages_policies_changes_agents() {
    let cx = scope().await;
    let member =
        cx.with_permissions(PermissionSet::of(&[Permission::ExecuteAgents, Permission::ReadContent]));
    let refused = member.call(PutAgent { spec: modelled() }).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert!(member.call(ListAgents::default()).await.is_ok());
    assert!(member.call(GetAgent { name: "sms".into(), version: None }).await.is_ok());
}

#[tokio::test]
async fn limits_of_money_become_quotas_and_go_with_the_version() {
    let cx = scope().await;
    let eur = |minor| Some(Money::new(minor, Currency::parse("c", "EUR").unwrap()).unwrap());
    let quotas = AgentQuotas { runs_per_day: None, cost_per_month: eur(5_000) };
    activate(&cx, AgentSpec { budget: eur(100), quotas, ..modelled() }).await;
    let held = cx.call(GetQuotas::default()).await.unwrap();
    let windows: Vec<_> = held.iter().map(|q| (q.quota.window, q.quota.money.map(|m| m.minor))).collect();
    assert!(
        windows.contains(&(QuotaWindow::Run, Some(100)))
            && windows.contains(&(QuotaWindow::Month, Some(5_000)))
    );
    activate(&cx, AgentSpec { version: "1.1.0".into(), ..modelled() }).await;
    assert!(cx.call(GetQuotas::default()).await.unwrap().is_empty());
    activate(&cx, AgentSpec { version: "1.2.0".into(), budget: eur(100), ..modelled() }).await;
    assert_eq!(cx.call(GetQuotas::default()).await.unwrap().len(), 1);
    cx.call(DisableAgent { name: "clerk".into(), version: Some("1.2.0".into()) }).await.unwrap();
    assert!(cx.call(GetQuotas::default()).await.unwrap().is_empty());
}

/// What to count.
#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Sku {
    sku: String,
}

#[tokio::test]
async fn an_agent_whose_tool_went_away_is_unhealthy() {
    let cx = scope().await;
    let info = neonhub_core::tool::ToolInfo::new("shop.stock", "Counts").effect(EffectClass::Read);
    let stock = neonhub_core::tool::FnTool::new(info, |_cx, ask: Sku| async move { Ok(ask.sku.len()) });
    cx.hub().add_tool(stock).unwrap();
    let mut spec = modelled();
    spec.tools.push("shop.stock".into());
    activate(&cx, spec).await;
    let check = CheckAgents { name: Some("clerk".into()) };
    assert_eq!(cx.call(check.clone()).await.unwrap()[0].status.word(), "healthy");
    // Whoever looks: the rights of the one who asks make no agent ill.
    let viewer = cx.with_permissions(PermissionSet::of(&[Permission::ReadAnalytics]));
    assert_eq!(viewer.call(check.clone()).await.unwrap()[0].status.word(), "healthy");
    cx.hub().remove_tool("shop.stock");
    let found = cx.call(check).await.unwrap().remove(0);
    assert!(found.status.why().unwrap().contains("shop.stock"), "{found:?}");
}
