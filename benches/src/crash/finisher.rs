//! Goes on with a run that processes of other languages began and said yes to: a part of `cargo xtask test --only together`.

use std::sync::Arc;

use neonhub::Hub;
use neonhub_core::llm::Scripted;
use neonhub_core::op::CallOptions;
use serde_json::json;

use crate::Result;

/// Plays the child: works the jobs of a store until none is left, and prints how the run stands. Arguments are the store and
/// the run.
///
/// # Errors
/// Whatever an operation answers: none is expected.
pub(super) fn play(arguments: &[String]) -> Result<()> {
    let [store, run] = arguments else { return Err("the finisher needs a store and a run".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let hub: Hub = neonhub::builder().from_env()?.store(store).build().await?;
        hub.add_model(Arc::new(Scripted::new().reply("The brand is made.")));
        let cx = hub.workspace("default").await?;
        cx.work_until_idle().await?;
        let found = cx.call_by_name("agents.get_run", json!({ "id": run }), CallOptions::new()).await?;
        let status = found.pointer("/run/status").and_then(|status| status.as_str()).unwrap_or_default();
        println!("finished {run}: {status}");
        hub.close().await?;
        Ok(())
    })
}
