//! A server of tools that a workspace is linked to, and what it said of its tools when it was.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::store::{Index, Key, Record};
use crate::{Faults, Timestamp, id_type};

id_type!(McpServerId, "mcp", "A server of tools.");

/// Longest name of a server: the names of its tools begin with it, and have 64 characters at most.
const MAX_NAME: usize = 24;
/// Most words of a command line, and most variables of its environment.
const MAX_WORDS: usize = 100;

/// How a server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum McpVia {
    /// A program of this machine that speaks over its standard streams. It gets `PATH`, `HOME` and what is named here, and
    /// nothing else of the environment.
    Stdio {
        /// The program.
        command: String,
        /// What it is called with.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        args: Vec<String>,
        /// Variables of its environment, by the names of secrets in the vault.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        env: BTreeMap<String, String>,
    },
    /// A server that is asked over streamable HTTP.
    Http {
        /// Its whole address.
        url: String,
        /// Name of the secret in the vault that goes with every request as bearer token.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secret: Option<String>,
    },
}

/// A tool as its server describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpTool {
    /// What its server calls it.
    pub name: String,
    /// What it does, in the words of its server.
    pub doc: String,
    /// JSON Schema of its arguments.
    pub input_schema: Value,
    /// JSON Schema of its answer, when it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// What its server claims of its effects. Nothing is built on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hints: Option<Value>,
}

/// A tool of a server that cannot be used here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// What its server calls it.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// A server that a workspace is linked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpServer {
    /// Id.
    pub id: McpServerId,
    /// Its name here; the names of its tools begin with it. Unique in the workspace.
    pub name: String,
    /// How it is reached.
    pub via: McpVia,
    /// Its tools as they were accepted, by name.
    pub tools: Vec<McpTool>,
    /// SHA-256 over them, hex.
    pub tools_hash: String,
    /// When they were accepted.
    pub pinned_at: Timestamp,
    /// Who accepted them.
    pub pinned_by: String,
}

impl Record for McpServer {
    const KIND: &'static str = "mcp_server";
    const INDEXES: &'static [Index] = &[Index::unique("name")];

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.name))]
    }
}

/// Checks the name of a server and how it is reached.
pub(super) fn check(faults: &mut Faults, name: &str, via: &McpVia) {
    let shaped = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(shaped)
        && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    faults.check(is_name, "name", "expected 1..24 characters of a-z, 0-9 and underscore, a letter first");
    match via {
        McpVia::Stdio { command, args, env } => {
            faults.check(!command.trim().is_empty(), "via.command", "expected a program");
            let has_nul = |text: &String| text.contains('\0');
            let is_sane = args.len() <= MAX_WORDS && !args.iter().any(has_nul) && !has_nul(command);
            faults.check(is_sane, "via.args", "expected at most 100 words without NUL");
            let is_variable = |name: &String| !name.is_empty() && !name.contains(['=', '\0']);
            let is_env = env.len() <= MAX_WORDS && env.keys().all(is_variable);
            faults.check(is_env, "via.env", "expected at most 100 names without = and NUL");
        }
        McpVia::Http { url, .. } => {
            let is_http = url.starts_with("https://") || url.starts_with("http://");
            faults.check(is_http && url.len() <= 2_000, "via.url", "expected a whole http address");
        }
    }
}
