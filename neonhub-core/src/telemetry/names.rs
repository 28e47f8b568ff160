//! Names of the OpenTelemetry conventions for generative AI. Their state is "Development", so they stand in a table
//! with a version, and nowhere else.

/// Version of the names.
// OpenTelemetry semantic conventions for generative AI, in their own repository since 2026; state Development.
pub const GENAI_VERSION: &str = "2026-development";

/// Which names are written. Conventions in development change; dashboards follow later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GenAiNames {
    /// Those of [`GENAI_VERSION`].
    #[default]
    Current,
    /// Beside them the histogram `gen_ai.client.token.usage` of 2025, in place of which there are counters now.
    WithPrevious,
}

/// Operations and attributes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct GenAi;

impl GenAi {
    /// A call of a chat model.
    pub const CHAT: &'static str = "chat";
    /// Making embeddings.
    pub const EMBEDDINGS: &'static str = "embeddings";
    /// Searching knowledge.
    pub const RETRIEVAL: &'static str = "retrieval";
    /// A call of a tool.
    pub const EXECUTE_TOOL: &'static str = "execute_tool";
    /// A run of an agent.
    pub const INVOKE_AGENT: &'static str = "invoke_agent";
    /// A run of several agents.
    pub const INVOKE_WORKFLOW: &'static str = "invoke_workflow";
    /// Making a plan.
    pub const PLAN: &'static str = "plan";

    /// Attribute: the operation.
    pub const OPERATION: &'static str = "gen_ai.operation.name";
    /// Attribute: the provider.
    pub const PROVIDER: &'static str = "gen_ai.provider.name";
    /// Attribute: the model that was asked for.
    pub const REQUEST_MODEL: &'static str = "gen_ai.request.model";
    /// Attribute: the model that answered.
    pub const RESPONSE_MODEL: &'static str = "gen_ai.response.model";
    /// Attribute: tokens put in.
    pub const INPUT_TOKENS: &'static str = "gen_ai.usage.input_tokens";
    /// Attribute: tokens that came out.
    pub const OUTPUT_TOKENS: &'static str = "gen_ai.usage.output_tokens";
    /// Attribute: the agent.
    pub const AGENT: &'static str = "gen_ai.agent.name";
    /// Attribute: the tool.
    pub const TOOL: &'static str = "gen_ai.tool.name";
    /// Attribute: code of the failure.
    pub const ERROR: &'static str = "error.type";

    /// Operations of a memory, by our tools' last words.
    pub const MEMORY: &'static [&'static str] =
        &["create_memory", "search_memory", "update_memory", "upsert_memory", "delete_memory"];

    /// The operation of a tool: memory tools and searches have names of their own.
    #[must_use]
    pub fn of_tool(tool: &str) -> &'static str {
        let (room, word) = tool.rsplit_once('.').unwrap_or(("", tool));
        let is_memory = room.ends_with("memory") || room.ends_with("memories");
        let own = Self::MEMORY.iter().find(|m| m.split_once('_').is_some_and(|(w, _)| w == word));
        if let Some(name) = own.filter(|_| is_memory) {
            return name;
        }
        if tool == "knowledge.search" { Self::RETRIEVAL } else { Self::EXECUTE_TOOL }
    }
}
