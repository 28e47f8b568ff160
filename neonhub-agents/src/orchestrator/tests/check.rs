use neonhub_core::{Currency, Money};

use super::*;

async fn fields(nodes: Vec<PlanNode>) -> Vec<(String, String)> {
    let (cx, _) = world().await;
    let error = cx.call(SimulatePlan { plan: plan(nodes) }).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    error.field_faults().iter().map(|f| (f.field.clone(), f.message.clone())).collect()
}

#[tokio::test]
async fn all_faults_of_a_plan_are_told_at_once() {
    let bad = vec![
        node("a", &["c"]),
        node("b", &["a", "zz"]),
        node("c", &["b"]),
        node("a", &[]),
        PlanNode { intent: "worked".into(), ..node("d", &[]) },
        PlanNode { agent: "anne".into(), ..node("e", &[]) },
        PlanNode { input: json!({ "names": "x" }), ..node("f", &[]) },
        PlanNode { input: json!({ "name": "{{d2.output.name}} {{now}}" }), ..node("g", &[]) },
        PlanNode { effect_max: Some(EffectClass::Read), intent: "act".into(), ..node("h", &[]) },
        PlanNode { when: NodeJoin::Quorum { n: 2 }, ..node("i", &["h"]) },
        PlanNode {
            failure: NodeFailure::Fallback { agent: "bob".into(), intent: "nap".into() },
            undo: Some(Undo { agent: "cat".into(), intent: "work".into(), input: json!({}) }),
            ..node("j", &[])
        },
    ];
    let faults = fields(bad).await;
    let has = |field: &str, words: &str| {
        assert!(faults.iter().any(|(f, m)| f == field && m.contains(words)), "{field} {words}: {faults:#?}");
    };
    has("nodes", "a -> c -> b -> a");
    has("nodes[1]", "\"zz\"");
    has("nodes[3].id", "nodes[0]");
    has("nodes[4].intent", "work");
    has("nodes[5].intent", "ann");
    has("nodes[6].input.name", "");
    has("nodes[7]", "\"d2\"");
    has("nodes[7].input", "\"now\"");
    has("nodes[8].effect_max", "write");
    has("nodes[9].when.n", "1 to 1");
    has("nodes[10].failure", "nap");
    has("nodes[10].undo", "cat");
}

#[tokio::test]
async fn what_a_node_gives_must_fit_where_it_goes() {
    let take = |input: Value| PlanNode { input, ..node("b", &[]) };
    let good = json!({ "name": "n {{a.output.length}}", "n": "{{a.output.length}}", "say": "{{a.output}}" });
    let (cx, _) = world().await;
    cx.call(SimulatePlan { plan: plan(vec![node("a", &[]), take(good)]) }).await.unwrap();
    for (input, field, words) in [
        (json!({ "name": "{{a.output.length}}" }), "nodes[1].input.name", "gives integer"),
        (json!({ "name": "x", "n": "{{a.output.name}}" }), "nodes[1].input.n", "gives string"),
        (json!({ "name": "{{a.output.size}}" }), "nodes[1].input.name", "gives no \"size\""),
        (json!({ "name": "x", "more": "{{a.output.name}}" }), "nodes[1].input.more", "takes no such field"),
        (json!({ "name": "all of {{a.output}}" }), "nodes[1].input.name", "gives object"),
    ] {
        let faults = fields(vec![node("a", &[]), take(input.clone())]).await;
        assert!(faults.iter().any(|(f, m)| f == field && m.contains(words)), "{input}: {faults:?}");
    }
}

#[tokio::test]
async fn size_and_cost_are_bounded() {
    let many = |n: usize| (0..n).map(|i| node(&format!("n{i}"), &[])).collect::<Vec<_>>();
    assert_eq!(fields(many(201)).await[0].1, "has 201, 1 to 200 fit");
    assert_eq!(fields(vec![]).await[0].0, "nodes");
    let (cx, _) = world().await;
    cx.call(SimulatePlan { plan: plan(many(200)) }).await.unwrap();
    let eur = |minor| Money::new(minor, Currency::parse("c", "EUR").unwrap()).unwrap();
    let costs = |minor| PlanNode { cost_estimate: Some(eur(minor)), ..node("a", &[]) };
    let of = |budget, nodes| SimulatePlan { plan: AgentPlan { budget: Some(eur(budget)), ..plan(nodes) } };
    let twice = || vec![costs(60), PlanNode { id: "b".into(), ..costs(60) }, node("c", &[])];
    let over = cx.call(of(100, twice())).await.unwrap_err();
    assert_eq!(over.field_faults()[0].field, "budget");
    let fits = cx.call(of(120, twice())).await.unwrap();
    assert_eq!((fits.totals.cost, fits.totals.unknown), (Some(eur(120)), vec!["c".to_owned()]));
    let other = Money::new(1, Currency::parse("c", "USD").unwrap()).unwrap();
    let mixed = vec![costs(60), PlanNode { cost_estimate: Some(other), ..node("b", &[]) }];
    assert_eq!(cx.call(of(100, mixed)).await.unwrap_err().field_faults()[0].field, "nodes[1].cost_estimate");
}

#[tokio::test]
async fn a_simulation_shows_all_and_does_nothing() {
    let (cx, diary) = world().await;
    let undo =
        Undo { agent: "bob".into(), intent: "work".into(), input: json!({ "name": "{{b.output.name}}" }) };
    let acts = PlanNode { intent: "act".into(), undo: Some(undo), ..node("b", &["a"]) };
    let shown =
        cx.call(SimulatePlan { plan: plan(vec![node("c", &["b"]), acts, node("a", &[])]) }).await.unwrap();
    assert_eq!(shown.order, [["a"], ["b"], ["c"]]);
    assert_eq!(shown.totals.rollback, ["b"]);
    assert!(shown.needs_approval);
    assert_eq!((shown.effects.len(), shown.effects[0].address.as_str()), (1, "ann.act"));
    assert!(diary.lines().is_empty());
    assert!(cx.call(neonhub_core::run::ListRuns::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_plan_that_acts_runs_as_it_was_looked_at_or_not_at_all() {
    let (cx, diary) = world().await;
    let acting = plan(vec![PlanNode { intent: "act".into(), ..node("a", &[]) }]);
    let go = |plan: &AgentPlan, approved: Option<String>| {
        cx.call(RunPlan { plan: plan.clone(), approved, ..RunPlan::default() })
    };
    assert_eq!(go(&acting, None).await.unwrap_err().code(), "approval_needed");
    let hash = cx.call(SimulatePlan { plan: acting.clone() }).await.unwrap().hash;
    let mut changed = acting.clone();
    changed.nodes[0].input = json!({ "name": "other" });
    assert_eq!(go(&changed, Some(hash.clone())).await.unwrap_err().code(), "plan_changed");
    assert!(diary.lines().is_empty());
    go(&acting, Some(hash)).await.unwrap();
    assert_eq!(diary.lines(), ["a"]);
}

#[tokio::test]
async fn words_find_the_intent_they_mean() {
    let (cx, _) = world().await;
    let route = |text: &str| cx.call(RouteIntent { text: Some(text.into()), ..RouteIntent::default() });
    let found = route("Please pause the running campaign").await.unwrap();
    assert_eq!((found.agent.as_str(), found.intent.as_str()), ("campaign", "pause"));
    assert!(found.confidence >= 0.55 && found.alternatives.len() == 3);
    let found = route("answer a question of a customer from the knowledge base").await.unwrap();
    assert_eq!(found.agent, "support");
    let none = route("quantum chromodynamics seminar").await.unwrap_err();
    assert_eq!((none.kind(), none.code()), (ErrorKind::NotFound, "no_intent"));
    let named = RouteIntent { intent: Some("ann.work".into()), input: Some(json!({})), text: None };
    assert_eq!(cx.call(named).await.unwrap_err().field_faults()[0].field, "input.name");
}

#[tokio::test]
async fn tasks_become_a_chain_or_stand_side_by_side() {
    let (cx, _) = world().await;
    let task = |intent: &str, input| PlanTask { intent: intent.into(), input, id: None };
    let tasks = vec![
        task("ann.work", json!({ "name": "first" })),
        task("bob.work", json!({ "name": "after {{previous.output.name}}" })),
    ];
    let made = cx.call(MakePlan { tasks: tasks.clone(), ..MakePlan::default() }).await.unwrap();
    assert!(made.faults.is_empty() && made.totals.unwrap().depth == 2, "{:?}", made.faults);
    let view = cx.call(RunPlan { plan: made.plan, ..RunPlan::default() }).await.unwrap();
    assert_eq!(view.nodes[1].output["name"], "after first");
    let side = MakePlan { tasks, shape: PlanShape::Parallel, ..MakePlan::default() };
    let made = cx.call(side).await.unwrap();
    assert!(made.faults.iter().any(|f| f.message.contains("previous")), "{:?}", made.faults);
}

#[tokio::test]
async fn a_brief_becomes_a_campaign_that_waits_for_its_release() {
    let (cx, _) = world().await;
    let create = neonhub_core::op::entry::<crate::campaign::CreateCampaign>();
    let brief = serde_json::from_value((create.examples)().remove(0)["brief"].clone()).unwrap();
    let made = cx.call(MakePlan { brief: Some(brief), ..MakePlan::default() }).await.unwrap();
    assert_eq!(made.faults, []);
    let view = cx.call(RunPlan { plan: made.plan, ..RunPlan::default() }).await.unwrap();
    assert!(view.nodes.iter().all(|n| n.state == NodeState::Done), "{:?}", states(&view));
    let campaigns = cx.call(crate::campaign::ListCampaigns::default()).await.unwrap().items;
    assert_eq!(campaigns.len(), 1);
    // The children are runs like all others, and know where they come from.
    let child = view.nodes[0].run.clone().unwrap();
    let child = cx.call(neonhub_core::run::GetRun { id: child, with_log: false }).await.unwrap().run;
    assert_eq!((child.parent_run, child.depth), (Some(view.run), 1));
}
