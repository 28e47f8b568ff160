//! Plans whose driver goes away after any commit.

use neonhub_core::run::RunStatus;
use neonhub_core::store::SharedStore;

use super::*;
use crate::cut::cut;

fn thirteen() -> Vec<PlanNode> {
    let mut nodes = vec![node("n00", &[])];
    for i in 1..12 {
        // Three columns side by side.
        let before = if i <= 3 { "n00".to_owned() } else { format!("n{:02}", i - 3) };
        nodes.push(node(&format!("n{i:02}"), &[&before]));
    }
    nodes.push(node("n12", &["n09", "n10", "n11"]));
    nodes
}

#[tokio::test]
async fn a_plan_of_thirteen_goes_on_after_a_kill_at_any_commit_and_repeats_no_finished_node() {
    let mut cuts = 0;
    let mut commits = 1;
    loop {
        let store: SharedStore = Arc::new(neonhub_core::store::MemoryStore::new());
        let time = clock();
        let builder = || Hub::builder().store_backend(Arc::clone(&store)).clock(time.clone()).seed(3);
        let (cx, before) = open(builder()).await;
        hire(&cx).await;
        let op = RunPlan { plan: plan(thirteen()), key: Some("k".into()), ..RunPlan::default() };
        let was_cut = cut(&cx, commits, cx.call(op.clone())).await;
        let done_before = before.lines();
        // Another process, once the hold of the first is over.
        time.advance(std::time::Duration::from_secs(31));
        let (cx, after) = open(builder()).await;
        let view = cx.call(op).await.unwrap();
        assert_eq!(view.status, RunStatus::Completed, "{commits}: {view:?}");
        assert!(view.nodes.iter().all(|n| n.state == NodeState::Done && n.tries == 1), "{commits}");
        // Of each node exactly one run, and a tool whose answer was written down was not called again.
        let runs =
            neonhub_core::run::ListRuns { agent: Some("ann".into()), limit: Some(100), ..Default::default() };
        let runs = cx.call(runs).await.unwrap().items;
        assert_eq!(runs.len(), 13, "{commits}");
        assert!(runs.iter().all(|run| run.used.tool_calls == 2), "{commits}");
        let mut all: Vec<String> = done_before;
        all.extend(after.lines());
        // At most what was under way in the turn that was cut is asked for again.
        assert!(all.len() <= 13 + 3, "{commits}: {all:?}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 13, "{commits}");
        if !was_cut {
            break;
        }
        cuts += 1;
        commits += 3;
    }
    assert!(cuts > 20, "only {cuts} places to cut");
}
