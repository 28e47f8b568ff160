//! What the door, the bindings and the docs know of an operation.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::{Audit, CallOptions, Cost, Effect, Idempotency, Operation, Sink, Stability, door};
use crate::permission::Permission;
use crate::{Result, Scope};

/// A call by name in flight.
pub type CallFuture = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;

/// One line of the catalogue. Plain data in a static slice; schemas are made when asked for.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Dotted name.
    pub name: &'static str,
    /// Raised when the shape of input or answer changes.
    pub version: u16,
    /// Rights it needs.
    pub needs: &'static [Permission],
    /// What it does to the world.
    pub effect: Effect,
    /// What a call costs.
    pub cost: Cost,
    /// Fields of the answer that are hidden without `read:pii`.
    pub masks: &'static [&'static str],
    /// Audit rows it leaves.
    pub audit: Audit,
    /// Whether a call takes an idempotency key.
    pub idempotency: Idempotency,
    /// The largest input as JSON, in bytes.
    pub max_input: usize,
    /// The largest answer as JSON, in bytes.
    pub max_output: usize,
    /// How firm its shape is.
    pub stability: Stability,
    /// The version of NeonHub it came with.
    pub since: &'static str,
    /// True when a suspended or closed workspace takes it all the same.
    pub while_suspended: bool,
    /// True when it is no call of its own: what it calls is counted.
    pub uncounted: bool,
    /// True when it only passes a call on.
    pub forwards: bool,
    /// Where its words go out of reach.
    pub sinks: &'static [Sink],
    /// Time a call may take.
    pub deadline: Duration,
    /// Not shown by bindings and tools.
    pub internal: bool,
    /// No tool, and not for agents.
    pub host_only: bool,
    /// Codes beyond those of every operation.
    pub errors: &'static [&'static str],
    /// JSON Schema of the input, with the docs.
    pub input_schema: fn() -> Schema,
    /// JSON Schema of the answer.
    pub output_schema: fn() -> Schema,
    /// Example inputs as JSON.
    pub examples: fn() -> Vec<Value>,
    /// The input as the operation reads it: with its defaults, or every fault it has.
    pub normal: fn(Value) -> Result<Value>,
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
        version: O::VERSION,
        needs: O::NEEDS,
        cost: O::COST,
        masks: O::MASKS,
        idempotency: O::IDEMPOTENCY,
        max_input: O::MAX_INPUT,
        max_output: O::MAX_OUTPUT,
        stability: O::STABILITY,
        since: O::SINCE,
        while_suspended: O::WHILE_SUSPENDED,
        uncounted: O::UNCOUNTED,
        forwards: O::FORWARDS,
        sinks: O::SINKS,
        effect: O::EFFECT,
        audit: O::AUDIT,
        deadline: O::DEADLINE,
        internal: O::INTERNAL,
        host_only: O::HOST_ONLY,
        errors: O::ERRORS,
        input_schema: schema::<O>,
        output_schema: schema::<O::Output>,
        examples: examples::<O>,
        normal: door::normal::<O>,
        call: |cx, input, options| Box::pin(door::call_json::<O>(cx, input, options)),
    }
}

fn schema<T: schemars::JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

fn examples<O: Operation>() -> Vec<Value> {
    O::examples().iter().filter_map(|e| serde_json::to_value(e).ok()).collect()
}
