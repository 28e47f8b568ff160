//! What a server says of its tools: its hash, how it differs from what was accepted, and the tools made of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::model::{LeftOut, McpTool};
use super::ops::{ToolChange, ToolChanges};
use crate::store::canonical_json;
use crate::tool::{ToolInfo, ToolKind, ToolSource};
use crate::{Permission, Result};

/// Most tools of a server: a longer list is no list for a model.
const MAX_TOOLS: usize = 500;

/// The list in the order of names.
pub(super) fn list(tools: Vec<rmcp::model::Tool>) -> Vec<McpTool> {
    let mut list: Vec<McpTool> = tools.into_iter().map(described).collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list
}

fn described(tool: rmcp::model::Tool) -> McpTool {
    McpTool {
        name: tool.name.into_owned(),
        doc: tool.description.map(std::borrow::Cow::into_owned).unwrap_or_default(),
        input_schema: Value::Object((*tool.input_schema).clone()),
        output_schema: tool.output_schema.map(|schema| Value::Object((*schema).clone())),
        hints: tool.annotations.and_then(|hints| serde_json::to_value(hints).ok()),
    }
}

/// SHA-256 over the canonical JSON of a list, hex.
pub(super) fn hash(list: &[McpTool]) -> Result<String> {
    let text = canonical_json(&json!(list))?;
    Ok(crate::store_hex(&Sha256::digest(text.as_bytes())))
}

/// How `now` differs from what was accepted.
pub(super) fn changes(accepted: &[McpTool], now: &[McpTool]) -> Vec<ToolChanges> {
    let old: BTreeMap<&str, &McpTool> = accepted.iter().map(|tool| (tool.name.as_str(), tool)).collect();
    let new: BTreeMap<&str, &McpTool> = now.iter().map(|tool| (tool.name.as_str(), tool)).collect();
    let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let change = |name: &str| {
        let (change, doc) = match (old.get(name), new.get(name)) {
            (None, Some(tool)) => (ToolChange::Added, Some(tool.doc.clone())),
            (Some(before), Some(tool)) if before != tool => (ToolChange::Changed, Some(tool.doc.clone())),
            (Some(_), None) => (ToolChange::Removed, None),
            _ => return None,
        };
        Some(ToolChanges { name: name.to_owned(), change, doc })
    };
    names.into_iter().filter_map(change).collect()
}

/// The tools of a server as agents know them, each beside what its server calls it, and those that cannot be used.
pub(super) fn tools(server: &str, list: &[McpTool]) -> (Vec<(ToolInfo, String)>, Vec<LeftOut>) {
    let (mut infos, mut left_out, mut taken) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (n, tool) in list.iter().enumerate() {
        let out = |reason: &str| LeftOut { name: tool.name.clone(), reason: reason.to_owned() };
        if n >= MAX_TOOLS {
            left_out.push(out("a server has 500 tools at most"));
            continue;
        }
        let info = info(server, tool);
        if let Err(error) = info.check() {
            let first = error.field_faults().first();
            let reason =
                first.map_or_else(|| error.message().to_owned(), |f| format!("{}: {}", f.field, f.message));
            left_out.push(out(&reason));
        } else if taken.insert(info.name.clone()) {
            infos.push((info, tool.name.clone()));
        } else {
            left_out.push(out("another tool of this server has the same name here"));
        }
    }
    (infos, left_out)
}

fn info(server: &str, tool: &McpTool) -> ToolInfo {
    let doc =
        if tool.doc.trim().is_empty() { format!("{} of {server}", tool.name) } else { tool.doc.clone() };
    let output = tool.output_schema.clone().filter(|schema| crate::llm::schema::lint(schema).is_ok());
    ToolInfo {
        name: format!("{server}.{}", plain(&tool.name)),
        doc: doc.chars().take(4_000).collect(),
        kind: ToolKind::Integration,
        source: ToolSource::Mcp,
        input_schema: tool.input_schema.clone(),
        output_schema: output.unwrap_or(Value::Bool(true)),
        needs: vec![Permission::ExecuteAgents],
        // Hints are claims of the server: the effect stays the default, an act on the world.
        ..ToolInfo::default()
    }
}

/// `findAccount` and `find-account` become `find_account`.
fn plain(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut ends_word = false;
    for c in name.chars() {
        if ends_word && c.is_ascii_uppercase() {
            out.push('_');
        }
        ends_word = c.is_ascii_lowercase() || c.is_ascii_digit();
        match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '_' | '.') => out.push(c),
            _ => out.push('_'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, doc: &str) -> McpTool {
        let input_schema = json!({ "type": "object" });
        McpTool { name: name.into(), doc: doc.into(), input_schema, output_schema: None, hints: None }
    }

    #[test]
    fn names_take_the_form_of_ours() {
        for (theirs, ours) in
            [("findAccount", "find_account"), ("find-account", "find_account"), ("GETUser2", "getuser2")]
        {
            assert_eq!(plain(theirs), ours);
        }
        let (infos, left_out) = tools("crm", &[tool("findAccount", ""), tool("find_account", "Finds.")]);
        assert_eq!(infos[0].0.name, "crm.find_account");
        assert_eq!(infos[0].1, "findAccount");
        assert_eq!(left_out[0].name, "find_account");
    }

    #[test]
    fn a_tool_that_lies_about_its_effects_is_an_act_on_the_world() {
        let mut harmless = tool("look", "Looks.");
        harmless.hints = Some(json!({ "readOnlyHint": true, "idempotentHint": true }));
        let (infos, _) = tools("crm", &[harmless]);
        assert_eq!(infos[0].0.effect, crate::run::EffectClass::Write);
    }

    #[test]
    fn every_kind_of_change_is_named() {
        let before = [tool("a", "A."), tool("b", "B."), tool("c", "C.")];
        let now = [tool("a", "A."), tool("b", "Other."), tool("d", "D.")];
        let told = changes(&before, &now);
        let words: Vec<_> = told.iter().map(|c| (c.name.as_str(), c.change)).collect();
        assert_eq!(words, [("b", ToolChange::Changed), ("c", ToolChange::Removed), ("d", ToolChange::Added)]);
        assert_ne!(hash(&before).unwrap(), hash(&now).unwrap());
    }

    #[test]
    fn a_schema_that_is_none_is_left_out_with_the_reason() {
        let mut odd = tool("odd", "Odd.");
        odd.input_schema = json!({ "type": "string" });
        let (infos, left_out) = tools("crm", &[odd]);
        assert!(infos.is_empty());
        assert!(left_out[0].reason.contains("input_schema"), "{}", left_out[0].reason);
    }
}
