//! Servers that are known by name, and what each takes of OpenAI's Chat Completions.
//!
//! Addresses: constants of litellm 1.109 and the vendors' documentation, read in November 2026.

use serde::{Deserialize, Serialize};

use super::wire::{Api, Preset};

/// What an endpoint takes of Chat Completions. The default is careful: what is not known is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is one answer about one endpoint")]
pub struct EndpointCaps {
    /// Takes `response_format` with a schema; else the schema is put into the instructions.
    pub json_schema: bool,
    /// Holds answers strictly to a schema of the common subset.
    pub strict: bool,
    /// Takes `tool_choice`; else a wish for a tool is dropped with a warning.
    pub tool_choice: bool,
    /// Takes `stream_options` and so counts tokens of streams.
    pub stream_usage: bool,
    /// Leaves out padding against traffic analysis when asked to.
    pub obfuscation: bool,
    /// Wants instructions as `developer`; else they are `system`.
    pub developer_role: bool,
    /// Wants `max_completion_tokens`; else `max_tokens`.
    pub max_completion_tokens: bool,
    /// Takes `reasoning_effort`.
    pub reasoning_effort: bool,
    /// Always ends a stream with `[DONE]`; else a clean end after a reason to stop will do.
    pub done_marker: bool,
    /// Makes pictures as OpenAI's GPT image models do; else as its models of before, with `response_format`.
    pub gpt_images: bool,
    /// Sends vectors as base64 when asked to, a quarter of the bytes.
    pub embeddings_base64: bool,
}

/// OpenAI itself.
const OPENAI: EndpointCaps = EndpointCaps {
    json_schema: true,
    strict: true,
    tool_choice: true,
    stream_usage: true,
    obfuscation: true,
    developer_role: true,
    max_completion_tokens: true,
    reasoning_effort: true,
    done_marker: true,
    gpt_images: true,
    embeddings_base64: true,
};
/// What every server takes, as far as is known.
const CAREFUL: EndpointCaps = EndpointCaps {
    json_schema: false,
    strict: false,
    tool_choice: false,
    stream_usage: false,
    obfuscation: false,
    developer_role: false,
    max_completion_tokens: false,
    reasoning_effort: false,
    done_marker: false,
    gpt_images: false,
    embeddings_base64: false,
};

const fn server(word: &'static str, base_url: &'static str, key_variable: &'static str) -> Preset {
    Preset { word, base_url, key_variable: Some(key_variable), api: Api::Chat, endpoint: CAREFUL }
}

/// The providers that are known by name.
pub(in crate::llm) static PRESETS: &[Preset] = &[
    Preset {
        word: "openai",
        base_url: "https://api.openai.com/v1",
        key_variable: Some("OPENAI_API_KEY"),
        // Reasoning models call tools over Chat only with reasoning turned off (model page of GPT-6 Luna, 2026).
        api: Api::Responses,
        endpoint: OPENAI,
    },
    Preset {
        word: "anthropic",
        base_url: "https://api.anthropic.com/v1",
        key_variable: Some("ANTHROPIC_API_KEY"),
        api: Api::Messages,
        endpoint: CAREFUL,
    },
    Preset {
        word: "ollama",
        base_url: "http://localhost:11434",
        key_variable: None,
        api: Api::Ollama,
        endpoint: CAREFUL,
    },
    server("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    server("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
    server("mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
    server("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    server("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    server("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    server("cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    server("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    server("deepinfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    server("sambanova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    server("moonshot", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
    server("dashscope", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"),
    server("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_addresses_whole() {
        let mut words: Vec<_> = PRESETS.iter().map(|p| p.word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), PRESETS.len());
        assert!(PRESETS.iter().all(|p| p.base_url.starts_with("http") && !p.base_url.ends_with('/')));
        assert_eq!(EndpointCaps::default(), CAREFUL);
    }
}
