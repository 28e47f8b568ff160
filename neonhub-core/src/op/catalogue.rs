//! What the door, the bindings and the docs know of an operation.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{Audit, CallOptions, Effect, Operation, door};
use crate::permission::Permission;
use crate::{Result, Scope};

/// A call by name in flight.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;

/// One line of the catalogue. Plain data in a static slice; schemas are made when asked for.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Dotted name.
    pub name: &'static str,
    /// Rights it needs.
    pub needs: &'static [Permission],
    /// What it does to the world.
    pub effect: Effect,
    /// Audit rows it leaves.
    pub audit: Audit,
    /// Time a call may take.
    pub deadline: Duration,
    /// Not shown by bindings and tools.
    pub internal: bool,
    /// Codes beyond those of every operation.
    pub errors: &'static [&'static str],
    /// JSON Schema of the input, with the docs.
    pub input_schema: fn() -> Schema,
    /// JSON Schema of the answer.
    pub output_schema: fn() -> Schema,
    /// Example inputs as JSON.
    pub examples: fn() -> Vec<Value>,
    /// Calls it with JSON.
    pub call: fn(Scope, Value, CallOptions) -> CallFuture,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The catalogue line of an operation, for a static slice.
#[must_use]
pub const fn entry<O: Operation>() -> Entry {
    Entry {
        name: O::NAME,
        needs: O::NEEDS,
        effect: O::EFFECT,
        audit: O::AUDIT,
        deadline: O::DEADLINE,
        internal: O::INTERNAL,
        errors: O::ERRORS,
        input_schema: schema::<O>,
        output_schema: schema::<O::Output>,
        examples: examples::<O>,
        call: call::<O>,
    }
}

fn schema<T: schemars::JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

fn examples<O: Operation>() -> Vec<Value> {
    O::examples().iter().filter_map(|e| serde_json::to_value(e).ok()).collect()
}

fn call<O: Operation>(cx: Scope, input: Value, options: CallOptions) -> CallFuture {
    Box::pin(async move {
        door::check_bounds(O::NAME, &input)?;
        let op: O = serde_path_to_error::deserialize(input).map_err(|e| door::bad_input(O::NAME, &e))?;
        let output = door::call(&cx, op, options).await?;
        serde_json::to_value(output).map_err(|cause| crate::Error::internal(O::NAME, cause))
    })
}
