//! Operations on tools.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::find::{self, Found};
use super::{SpilledResult, ToolInfo, ToolSource, call, spill};
use crate::op::{Effect, Operation};
use crate::run::EffectClass;
use crate::{Error, Permission, Result, Scope};

/// Lists the tools the caller has: operations it may call, and tools added to this process.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListTools {
    /// Only names that begin with this, such as `people.`.
    pub prefix: Option<String>,
    /// Only tools from here.
    pub source: Option<ToolSource>,
}

/// One tool of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolLine {
    /// Its name.
    pub name: String,
    /// What it does, in one line.
    pub doc: String,
    /// Where it comes from.
    pub source: ToolSource,
    /// What it does to the world.
    pub effect: EffectClass,
}

impl From<ToolInfo> for ToolLine {
    fn from(info: ToolInfo) -> Self {
        let doc = info.doc.lines().next().unwrap_or_default().to_owned();
        ToolLine { name: info.name, doc, source: info.source, effect: info.effect }
    }
}

impl Operation for ListTools {
    type Output = Vec<ToolLine>;
    const NAME: &'static str = "tools.list";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<ToolLine>> {
        let named =
            |found: &Found| self.prefix.as_deref().is_none_or(|prefix| found.name().starts_with(prefix));
        let lines = find::all(cx).into_iter().filter(named).map(|found| ToolLine::from(found.info()));
        Ok(lines.filter(|line| self.source.is_none_or(|source| line.source == source)).collect())
    }

    fn examples() -> Vec<Self> {
        vec![
            ListTools { prefix: Some("people.".into()), source: Some(ToolSource::Catalogue) },
            ListTools::default(),
        ]
    }
}

/// Describes one tool: what it does, the schemas of its arguments and answer, its bounds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescribeTool {
    /// Its name, or another name of it such as `sendEmail`.
    pub name: String,
}

impl Operation for DescribeTool {
    type Output = ToolInfo;
    const NAME: &'static str = "tools.describe";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Read;
    const ERRORS: &'static [&'static str] = &["unknown_tool"];

    async fn run(self, cx: &Scope) -> Result<ToolInfo> {
        find::find(cx, &self.name).map(|found| found.info()).map_err(|error| error.for_operation(Self::NAME))
    }

    fn examples() -> Vec<Self> {
        vec![DescribeTool { name: "people.resolve".into() }]
    }
}

/// Calls a tool with JSON, as an agent does: arguments and answer are checked, and a long answer is kept aside.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallTool {
    /// Its name, or another name of it such as `sendEmail`.
    pub name: String,
    /// Its arguments, an object.
    #[serde(default = "no_args")]
    pub args: Value,
}

fn no_args() -> Value {
    json!({})
}

/// The answer of a tool: one of `output` and `spilled` is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolAnswer {
    /// The tool that answered, under its own name.
    pub tool: String,
    /// What it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where its answer is kept, when it is longer than the tool's `result_cap_bytes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spilled: Option<SpilledResult>,
}

impl Operation for CallTool {
    type Output = ToolAnswer;
    const NAME: &'static str = "tools.call";
    const NEEDS: &'static [Permission] = &[Permission::ExecuteAgents];
    const EFFECT: Effect = Effect::Write;
    const FORWARDS: bool = true;
    // The tool's own limit is the one that counts.
    const DEADLINE: Duration = Duration::from_secs(24 * 3600 + 60);
    const ERRORS: &'static [&'static str] = &["unknown_tool", "tool_answer", "tool_timeout", "host_error"];

    async fn run(self, cx: &Scope) -> Result<ToolAnswer> {
        if !self.args.is_object() {
            return Err(Error::invalid(Self::NAME, "args", "expected an object"));
        }
        let found = find::find(cx, &self.name)?;
        let scope = match &found {
            // An operation commits by itself, with the reruns and the audit row it declares.
            Found::Operation(..) => cx.outside(),
            Found::Added(_) => cx.clone(),
        };
        let output = call::through(&scope, &found, self.args).await?;
        let tool = found.name().to_owned();
        let Some((record, told)) = spill::aside(cx, &tool, &output)? else {
            return Ok(ToolAnswer { tool, output: Some(output), spilled: None });
        };
        cx.create(&record)?;
        Ok(ToolAnswer { tool, output: None, spilled: Some(told) })
    }

    fn examples() -> Vec<Self> {
        vec![
            CallTool { name: "scope.whoami".into(), args: json!({}) },
            CallTool { name: "sms.segments".into(), args: json!({ "text": "Spring is here" }) },
        ]
    }
}
