//! A Rust function as a tool.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Tool, ToolInfo};
use crate::{Error, Result, Scope};

/// A tool over an async function: the schemas come from the types of its argument and answer.
pub struct FnTool<I, O, F> {
    info: ToolInfo,
    function: F,
    types: PhantomData<fn(I) -> O>,
}

impl<I, O, F> fmt::Debug for FnTool<I, O, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnTool").field("name", &self.info.name).finish_non_exhaustive()
    }
}

impl<I, O, F, R> FnTool<I, O, F>
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema + Send + 'static,
    F: Fn(Scope, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O>> + Send + 'static,
{
    /// The schemas in `info` are replaced by those of the types.
    #[allow(clippy::new_ret_no_self, reason = "a hub takes tools behind an Arc and nobody needs the type")]
    pub fn new(mut info: ToolInfo, function: F) -> Arc<dyn Tool> {
        info.input_schema = schema_of::<I>();
        info.output_schema = schema_of::<O>();
        Arc::new(FnTool { info, function, types: PhantomData })
    }
}

/// The JSON Schema of a type.
pub(crate) fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

#[async_trait]
impl<I, O, F, R> Tool for FnTool<I, O, F>
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema + Send + 'static,
    F: Fn(Scope, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O>> + Send + 'static,
{
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    async fn call(&self, cx: &Scope, args: Value) -> Result<Value> {
        let args = serde_path_to_error::deserialize(args)
            .map_err(|cause| crate::op::door::bad_input("tools.call", &cause))?;
        let output = (self.function)(cx.clone(), args).await?;
        serde_json::to_value(output).map_err(|cause| Error::internal("tools.call", cause))
    }
}
