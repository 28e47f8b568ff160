//! Tools: what an agent, a model or a host may call by name with JSON.
//!
//! Every operation of the catalogue is a tool, with the caller's rights and through the same door. Further tools
//! are objects of [`Tool`]: written in Rust ([`FnTool`]) or in a host language. All of them are listed, described
//! and called in one way; a tool the caller may not use does not exist for it. Arguments and answers are checked
//! against the tool's JSON Schemas, a call ends at the tool's own time limit, and an answer too long for a model
//! is kept aside and read piece by piece ([`ReadToolResult`]).
//!
//! ```
//! use neonhub_core::tool::{CallTool, FnTool, ToolInfo};
//! use neonhub_core::{Hub, Scope};
//! use serde_json::json;
//!
//! /// What to look up.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Stock {
//!     /// Number of the article.
//!     sku: String,
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let info = ToolInfo::new("shop.stock", "How many of an article are in stock");
//! let stock = FnTool::new(info, |_cx: Scope, ask: Stock| async move { Ok(ask.sku.len()) });
//! let hub = Hub::builder().tool(stock).build().await?;
//! let cx = hub.workspace("default").await?;
//! let call = CallTool { name: "shop.stock".into(), args: json!({ "sku": "T-100" }) };
//! assert_eq!(cx.call(call).await?.output, Some(json!(5)));
//! # hub.close().await?;
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod alias;
mod call;
mod find;
mod function;
mod info;
mod ops;
mod registry;
mod spill;

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

use crate::connector::EffectId;
use crate::op::{Entry, entry};
use crate::run::ProbeAnswer;
use crate::store::Kind;
use crate::{Result, Scope};

pub use call::{call, described, stands_for, visible, visible_among, visible_names};
pub(crate) use call::{effect_class, landed};
pub(crate) use find::{is_here, version};
pub use function::FnTool;
pub(crate) use function::schema_of;
pub use info::{ToolInfo, ToolKind, ToolSource};
pub use ops::{CallTool, DescribeTool, ListTools, ToolAnswer, ToolLine};
pub(crate) use registry::Registry;
pub(crate) use spill::aside;
pub use spill::{ReadToolResult, SpilledResult, ToolResult, ToolResultPiece};

/// Something to call by name.
///
/// What `call` stages in the Scope is committed with the call's outcome. A tool whose effect is
/// [`EffectClass::Write`](crate::run::EffectClass::Write) acts on the world: it gets a Scope outside any commit,
/// and fails with `OutcomeUnknown` when it cannot tell whether it acted.
#[async_trait]
pub trait Tool: Debug + Send + Sync + 'static {
    /// What it is.
    fn info(&self) -> &ToolInfo;

    /// Does it. The arguments fit the input schema. Dropping the future is how a call is cancelled.
    async fn call(&self, cx: &Scope, args: Value) -> Result<Value>;

    /// What became of a call of a run whose answer was lost, by the name that [`Scope::effect`] had in it. A run asks after a
    /// crash or a time-out of a tool that acts on the world; what cannot be told is asked of a person.
    async fn landed(&self, _cx: &Scope, _args: &Value, _effect: &EffectId) -> Result<ProbeAnswer> {
        Ok(ProbeAnswer::Unknown)
    }
}

/// Operations on tools.
pub static CATALOGUE: &[Entry] =
    &[entry::<ListTools>(), entry::<DescribeTool>(), entry::<CallTool>(), entry::<ReadToolResult>()];

/// Records of tools.
pub static KINDS: &[Kind] = &[Kind::of::<ToolResult>()];

#[cfg(test)]
mod tests;
