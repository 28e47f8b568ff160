//! Our side in Rust: a program of an agent, driven with the adapter of OpenAI's Chat Completions. It plays a child
//! process, as every client does.

use std::path::Path;
use std::sync::Arc;

use neonhub_core::llm::{Answer, Api, LlmRequest, Message, Part, Provider, Role, ToolCall, ToolSpec};
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::run::{Command, Driver, Machine, NewRun, Program, RunEvent};
use neonhub_core::seal::RootKey;
use neonhub_core::{Hub, Permission, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clients::{DURABLE, OURS};
use crate::Result;
use crate::load::{Kind, Order};

/// The child that this part starts.
pub(super) const CHILD: &str = "agents-ours";
/// What the model is told; every client tells it the same.
const INSTRUCTIONS: &str = "You answer in one sentence.";

/// Adds two numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// First number.
    a: i64,
    /// Second number.
    b: i64,
}

impl Operation for Add {
    type Output = i64;
    const NAME: &'static str = "bench.add";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, _cx: &Scope) -> neonhub_core::Result<i64> {
        Ok(self.a + self.b)
    }
}

static CATALOGUE: &[Entry] = &[entry::<Add>()];

/// Asks the model, does what it calls for, and ends with what it says.
#[derive(Debug)]
struct Clerk {
    tools: Vec<ToolSpec>,
}

/// What the clerk remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Talk {
    messages: Vec<Message>,
    turns: u32,
    pending: Option<ToolCall>,
}

impl Clerk {
    fn new(kind: Kind) -> Self {
        let add = ToolSpec {
            name: Add::NAME.to_owned(),
            doc: "Adds two numbers.".to_owned(),
            input_schema: json!({
                "type": "object",
                "properties": { "a": { "type": "integer" }, "b": { "type": "integer" } },
                "required": ["a", "b"],
                "additionalProperties": false
            }),
        };
        Self { tools: if kind == Kind::Tool { vec![add] } else { Vec::new() } }
    }

    fn ask(&self, mut talk: Talk, message: Message) -> (Talk, Vec<Command>) {
        talk.messages.push(message);
        talk.turns += 1;
        let mut request = LlmRequest::new().system(INSTRUCTIONS);
        request.messages.clone_from(&talk.messages);
        request.tools.clone_from(&self.tools);
        let call = format!("turn/{}", talk.turns);
        (talk, vec![Command::model(call, request)])
    }

    fn answered(mut talk: Talk, answer: &Answer) -> (Talk, Vec<Command>) {
        let Some(call) = answer.tool_calls.first().cloned() else {
            return (talk, vec![Command::done(json!({ "text": answer.text }))]);
        };
        talk.messages.push(answer.message());
        let command = Command::tool(format!("tool/{}", talk.turns), &*call.name, call.args.clone());
        talk.pending = Some(call);
        (talk, vec![command])
    }
}

impl Machine for Clerk {
    type State = Talk;
    type Event = RunEvent;
    type Command = Command;

    fn step(&self, mut talk: Talk, event: &RunEvent) -> (Talk, Vec<Command>) {
        match event {
            RunEvent::Started { input, .. } => {
                let question = Message::user(input.as_str().unwrap_or_default());
                self.ask(talk, question)
            }
            RunEvent::ModelDone { answer, .. } => Self::answered(talk, answer),
            RunEvent::ToolDone { output, .. } if let Some(call) = talk.pending.take() => {
                let result = Part::tool_result(call.id, call.name, output.clone());
                self.ask(talk, Message::new(Role::Tool, vec![result]))
            }
            other => (talk, vec![Command::Fail { failure: other.failure() }]),
        }
    }
}

impl Program for Clerk {
    const AGENT: &'static str = "clerk";
    const VERSION: u32 = 1;
}

/// Plays the client: `NAME FOLDER ORDER`.
pub(super) fn play(words: &[String]) -> Result<()> {
    let [name, folder, order @ ..] = words else { return Err("expected NAME FOLDER ORDER".into()) };
    let (store, order) = (store(name, Path::new(folder)), Order::read(order)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let hub = open(&store, &order.url).await?;
        let cx = hub.workspace("default").await?;
        let (driver, kind) = (Arc::new(Driver::new(Clerk::new(order.kind))), order.kind);
        let run = move || {
            let (cx, driver) = (cx.clone(), Arc::clone(&driver));
            async move { one(&cx, &driver, kind).await }
        };
        let label = name.replacen(OURS, concat!("neonhub ", env!("CARGO_PKG_VERSION")), 1);
        order.measure(&label, run).await;
        hub.close().await?;
        Ok(())
    })
}

/// Where a client keeps its runs.
fn store(name: &str, folder: &Path) -> String {
    match name {
        DURABLE => format!("sqlite:{}", folder.join("hub.neon").display()),
        _ => "memory:".to_owned(),
    }
}

async fn open(store: &str, url: &str) -> Result<Hub> {
    let model = Provider::builder("openai").base_url(url).api(Api::Chat).model("gpt-4.1").build()?;
    let key = RootKey::from_bytes([0x5a; 32], "bench");
    let builder = Hub::builder().store(store).root_key(key).operations(CATALOGUE);
    Ok(builder.model(Arc::new(model)).build().await?)
}

async fn one(cx: &Scope, driver: &Driver<Clerk>, kind: Kind) -> Result<String> {
    let output = driver.execute(cx, NewRun::new(Value::from(kind.question()))).await?.into_output()?;
    output.get("text").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| "the run gave no text".into())
}

#[cfg(test)]
mod tests {
    use neonhub_core::run::ListRuns;
    use tokio::net::TcpListener;

    use super::super::server;
    use super::*;

    /// Both kinds on a store; gives the hub's scope.
    async fn both(store: &str) -> Scope {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = server::url(&listener).unwrap();
        tokio::spawn(server::serve(listener));
        let cx = open(store, &url).await.unwrap().workspace("default").await.unwrap();
        for kind in [Kind::Call, Kind::Tool] {
            let driver = Driver::new(Clerk::new(kind));
            assert_eq!(one(&cx, &driver, kind).await.unwrap(), kind.answer());
        }
        cx
    }

    #[tokio::test]
    async fn the_agent_answers_over_the_wire_in_memory_and_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for name in [OURS, DURABLE] {
            let cx = both(&store(name, folder.path())).await;
            let runs = cx.call(ListRuns::default()).await.unwrap().items;
            let mut calls: Vec<_> =
                runs.iter().map(|run| (run.used.model_calls, run.used.tool_calls)).collect();
            calls.sort_unstable();
            assert_eq!(calls, [(1, 0), (2, 1)]);
        }
    }
}
