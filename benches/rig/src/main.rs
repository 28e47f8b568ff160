//! Clients of a model in Rust, beside which NeonHub is measured: `neonhub-bench-rig NAME FOLDER KIND URL AT AMOUNT`.

#[path = "../../src/load.rs"]
mod load;
#[path = "../../src/process.rs"]
mod process;

use std::error::Error;
use std::sync::Arc;

use load::{Kind, Order};
use rig_agent::tool::Tool;
use rig_agent::{Agent, AgentBuilder};
use rig_core::providers::openai::OpenAIConfig;
use rig_core::tool::{ToolContext, ToolExecutionError};
use serde::Deserialize;
use serde_json::{Value, json};

/// Result of a measurement; the error is a sentence for the person at the terminal.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const MODEL: &str = "gpt-4.1";
const KEY: &str = "bench";
const INSTRUCTIONS: &str = "You answer in one sentence.";
/// The pin of `Cargo.toml`.
const RIG: &str = "rig 0.44.0";

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [name, _folder, order @ ..] = words.as_slice() else {
        return Err("expected NAME FOLDER KIND URL AT AMOUNT".into());
    };
    let order = Order::read(order)?;
    match name.as_str() {
        "reqwest" => bare(&order).await,
        "rig" => rig(&order).await,
        other => return Err(format!("there is no client {other:?}: choose reqwest or rig").into()),
    }
    Ok(())
}

/// What is left without a library: the request by hand, and the fields that are needed of the answer.
async fn bare(order: &Order) {
    let (client, kind) = (reqwest::Client::new(), order.kind);
    let url: Arc<str> = format!("{}/chat/completions", order.url).into();
    let run = move || {
        let (client, url) = (client.clone(), Arc::clone(&url));
        async move { by_hand(&client, &url, kind).await }
    };
    order.measure("reqwest", run).await;
}

#[derive(Debug, Deserialize)]
struct Answer {
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Value,
}

async fn by_hand(client: &reqwest::Client, url: &str, kind: Kind) -> Result<String> {
    let mut messages = vec![
        json!({ "role": "system", "content": INSTRUCTIONS }),
        json!({ "role": "user", "content": kind.question() }),
    ];
    loop {
        let mut body = json!({ "model": MODEL, "messages": messages });
        if kind == Kind::Tool {
            let function =
                json!({ "name": "add", "description": "Adds two numbers.", "parameters": schema() });
            body["tools"] = json!([{ "type": "function", "function": function }]);
        }
        let sent = client.post(url).bearer_auth(KEY).json(&body).send().await?;
        let answer: Answer = sent.error_for_status()?.json().await?;
        let message = answer.choices.into_iter().next().ok_or("no choice")?.message;
        let Some(call) = message.pointer("/tool_calls/0") else {
            return Ok(message["content"].as_str().unwrap_or_default().to_owned());
        };
        let args: Numbers = serde_json::from_str(call["function"]["arguments"].as_str().unwrap_or_default())?;
        let result = json!({
            "role": "tool", "tool_call_id": call["id"], "content": (args.a + args.b).to_string(),
        });
        messages.extend([message, result]);
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
        "required": ["a", "b"],
        "additionalProperties": false
    })
}

#[derive(Debug, Deserialize)]
struct Numbers {
    a: i64,
    b: i64,
}

struct Add;

impl Tool for Add {
    const NAME: &'static str = "add";
    type Args = Numbers;
    type Output = i64;
    type Error = ToolExecutionError;

    fn description(&self) -> String {
        "Adds two numbers.".to_owned()
    }

    fn parameters(&self) -> Value {
        schema()
    }

    async fn call(
        &self,
        _context: &mut ToolContext,
        args: Numbers,
    ) -> std::result::Result<i64, ToolExecutionError> {
        Ok(args.a + args.b)
    }
}

async fn rig(order: &Order) {
    let agent = Arc::new(agent(order));
    let kind = order.kind;
    let run = move || {
        let agent = Arc::clone(&agent);
        async move { Ok(agent.prompt(kind.question()).await?.output()) }
    };
    order.measure(RIG, run).await;
}

fn agent(order: &Order) -> Agent {
    let client = OpenAIConfig::new(KEY).with_base_url(&*order.url).client();
    let builder = AgentBuilder::new(client.chat(MODEL)).preamble(INSTRUCTIONS);
    match order.kind {
        Kind::Call => builder.build(),
        Kind::Tool => builder.default_max_turns(3).tool(Add).build(),
    }
}
