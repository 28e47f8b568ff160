//! Which tools a caller has.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::alias::{ALIASES, Alias, alias};
use super::info::{MAX_RESULT_BYTES, RESULT_CAP_BYTES, ToolInfo};
use super::registry::Added;
use super::spill::ReadToolResult;
use super::{ToolKind, ToolSource};
use crate::op::{Entry, Operation as _};
use crate::{Error, ErrorKind, Permission, Result, Scope};

/// A tool that was found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// An operation, under its own name or another.
    Operation(&'static Entry, Option<&'static Alias>),
    /// An added tool.
    Added(Arc<Added>),
}

impl Found {
    pub(super) fn name(&self) -> &str {
        match self {
            Found::Operation(entry, None) => entry.name,
            Found::Operation(_, Some(alias)) => alias.name,
            Found::Added(added) => &added.tool.info().name,
        }
    }

    /// Its description; that of an operation is made from its types.
    pub(super) fn info(&self) -> ToolInfo {
        match self {
            Found::Added(added) => added.tool.info().clone(),
            Found::Operation(entry, alias) => of_operation(entry, *alias),
        }
    }
}

fn of_operation(entry: &'static Entry, alias: Option<&'static Alias>) -> ToolInfo {
    let mut input = (entry.input_schema)().to_value();
    let doc = input.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(alias) = alias
        && let Value::Object(fixed) = (alias.fixed)()
    {
        leave_out(&mut input, &fixed);
    }
    ToolInfo {
        name: alias.map_or(entry.name, |alias| alias.name).to_owned(),
        doc,
        kind: ToolKind::Database,
        source: ToolSource::Catalogue,
        input_schema: input,
        output_schema: (entry.output_schema)().to_value(),
        needs: entry.needs.to_vec(),
        version: u32::from(entry.version),
        effect: entry.effect.into(),
        sinks: entry.sinks.to_vec(),
        timeout_ms: u64::try_from(entry.deadline.as_millis()).unwrap_or(u64::MAX),
        ..ToolInfo::default()
    }
}

/// What an alias fixes is not asked for.
fn leave_out(schema: &mut Value, fixed: &Map<String, Value>) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !fixed.contains_key(name));
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| !name.as_str().is_some_and(|name| fixed.contains_key(name)));
    }
}

/// An operation the caller may call as a tool. The operations on tools are no tools, but for reading a result.
fn may(cx: &Scope, entry: &Entry) -> bool {
    let is_shown = !entry.internal && !entry.host_only;
    let is_tool = is_shown && (!entry.name.starts_with("tools.") || entry.name == ReadToolResult::NAME);
    is_tool && holds(cx, entry.needs)
}

fn holds(cx: &Scope, needs: &[Permission]) -> bool {
    needs.iter().all(|word| cx.permissions().has(*word))
}

/// The longest answer of a tool that is given out at once, in bytes of JSON.
pub(super) fn result_cap(cx: &Scope, name: &str) -> u64 {
    if name == ReadToolResult::NAME {
        // Its reader said how long it may be; kept aside once more it could never be read.
        return MAX_RESULT_BYTES;
    }
    let added = cx.hub().tools().get(cx.workspace(), name);
    added.map_or(RESULT_CAP_BYTES, |added| added.tool.info().result_cap_bytes)
}

/// Every tool of the caller, sorted by name.
pub(super) fn all(cx: &Scope) -> Vec<Found> {
    among(cx, |_| true)
}

/// Those of [`all`] whose names are wanted.
pub(super) fn among(cx: &Scope, wanted: impl Fn(&str) -> bool) -> Vec<Found> {
    let hub = cx.hub();
    let operations = hub.operations().filter(|entry| wanted(entry.name) && may(cx, entry));
    let mut found: Vec<Found> = operations.map(|entry| Found::Operation(entry, None)).collect();
    let added = hub.tools().all(cx.workspace()).into_iter().filter(|added| {
        let info = added.tool.info();
        wanted(&info.name) && holds(cx, &info.needs)
    });
    found.extend(added.map(Found::Added));
    found.sort_by(|a, b| a.name().cmp(b.name()));
    found
}

/// The tool of this name.
///
/// # Errors
/// `NotFound` with the closest names the caller has, also for a tool it may not use.
pub(super) fn find(cx: &Scope, name: &str) -> Result<Found> {
    if let Some(added) =
        cx.hub().tools().get(cx.workspace(), name).filter(|added| holds(cx, &added.tool.info().needs))
    {
        return Ok(Found::Added(added));
    }
    let alias = alias(name);
    let operation = alias.map_or(name, |alias| alias.operation);
    match cx.hub().operation(operation) {
        Ok(entry) if may(cx, entry) => Ok(Found::Operation(entry, alias)),
        _ => Err(unknown(cx, name)),
    }
}

/// True when this process has a tool or operation of this name for the workspace, whoever may use it.
pub(crate) fn is_here(cx: &Scope, name: &str) -> bool {
    let operation = alias(name).map_or(name, |alias| alias.operation);
    cx.hub().tools().get(cx.workspace(), name).is_some() || cx.hub().operation(operation).is_ok()
}

/// The version of the tool or operation of this name in this process.
pub(crate) fn version(cx: &Scope, name: &str) -> Option<u32> {
    if let Some(added) = cx.hub().tools().get(cx.workspace(), name) {
        return Some(added.tool.info().version);
    }
    let operation = alias(name).map_or(name, |alias| alias.operation);
    cx.hub().operation(operation).ok().map(|entry| u32::from(entry.version))
}

fn unknown(cx: &Scope, name: &str) -> Error {
    let tools = all(cx);
    let aliases =
        ALIASES.iter().filter(|alias| cx.hub().operation(alias.operation).is_ok_and(|entry| may(cx, entry)));
    let names = tools.iter().map(Found::name).chain(aliases.map(|alias| alias.name));
    let close = crate::hub::closest(name, names);
    Error::new(ErrorKind::NotFound, "tools.call", format!("there is no tool {name:?}"))
        .with_code("unknown_tool")
        .with_context("closest", close.join(", "))
}
