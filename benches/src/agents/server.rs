//! The model that every client of a run talks to: OpenAI's Chat Completions over loopback, from a process of its own that
//! answers at once. A request without tools is answered; one with tools gets a call of the first tool, and with the
//! tool's result the answer. Both forms are there, whole and as a stream, since clients differ in what they ask for.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::Result;
use crate::load::Kind;

/// The child that this part starts.
pub(super) const CHILD: &str = "agents-server";
/// What the tool is called with.
const ARGUMENTS: &str = r#"{"a":2,"b":3}"#;

/// The server; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    url: String,
}

impl Server {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--child", CHILD]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let out = process.stdout.take().ok_or("the server has no output")?;
        let mut server = Self { process, url: String::new() };
        BufReader::new(out).read_line(&mut server.url)?;
        server.url.truncate(server.url.trim_end().len());
        if server.url.is_empty() { Err("the server did not start".into()) } else { Ok(server) }
    }

    /// Its address up to the version.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that would be lost.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Plays the server: prints its address and serves until its input ends, as it does when the parent is gone. One thread,
/// so that it takes one core at most from the client.
pub(super) fn play() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", url(&listener)?);
        std::io::stdout().flush()?;
        serve(listener).await
    })
}

/// The address of a listener up to the version.
pub(super) fn url(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}/v1", listener.local_addr()?))
}

/// Answers whoever connects.
pub(super) async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // A client that goes away is no matter of the server's.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond)).await;
        });
    }
}

async fn respond(request: Request<Incoming>) -> std::result::Result<Response<Full<Bytes>>, Infallible> {
    let is_known = request.uri().path() == "/v1/chat/completions";
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asked = if is_known { serde_json::from_slice::<Asked>(&body).ok() } else { None };
    let (status, kind, body) = match asked {
        Some(asked) if asked.stream => (StatusCode::OK, "text/event-stream", asked.streamed()),
        Some(asked) => (StatusCode::OK, "application/json", asked.whole().to_string()),
        None => (StatusCode::BAD_REQUEST, "application/json", json!({ "error": "bad request" }).to_string()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

/// What the server reads of a request.
#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    tools: Vec<Tool>,
    messages: Vec<Message>,
}

#[derive(Debug, Deserialize)]
struct Tool {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
}

impl Asked {
    /// The message to answer with, and why it ends.
    fn message(&self) -> (Value, &'static str) {
        let is_told = self.messages.iter().any(|message| message.role == "tool");
        let kind = if is_told { Kind::Tool } else { Kind::Call };
        match self.tools.first().filter(|_| !is_told) {
            Some(tool) => {
                let function = json!({ "name": tool.function.name, "arguments": ARGUMENTS });
                let call = json!({ "index": 0, "id": "call_1", "type": "function", "function": function });
                (json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls")
            }
            None => (json!({ "role": "assistant", "content": kind.answer() }), "stop"),
        }
    }

    fn whole(&self) -> Value {
        let (message, reason) = self.message();
        let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
        frame("chat.completion", &json!([choice]), &usage())
    }

    fn streamed(&self) -> String {
        let (message, reason) = self.message();
        let choice =
            |delta: Value, reason: Value| json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
        let frames = [
            frame("chat.completion.chunk", &choice(message, Value::Null), &Value::Null),
            frame("chat.completion.chunk", &choice(json!({}), reason.into()), &Value::Null),
            frame("chat.completion.chunk", &json!([]), &usage()),
        ];
        let lines: String = frames.iter().map(|frame| format!("data: {frame}\n\n")).collect();
        lines + "data: [DONE]\n\n"
    }
}

fn frame(object: &str, choices: &Value, usage: &Value) -> Value {
    json!({
        "id": "chatcmpl-1", "object": object, "created": 1_795_000_000, "model": "gpt-4.1",
        "choices": choices, "usage": usage,
    })
}

fn usage() -> Value {
    json!({ "prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: Value) -> Asked {
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn a_tool_is_called_once_and_then_answered_with() {
        let tools = json!([{ "type": "function", "function": { "name": "add" } }]);
        let user = json!({ "role": "user", "content": "x" });
        let plain = asked(json!({ "messages": [user] })).whole();
        assert_eq!(plain["choices"][0]["message"]["content"], Kind::Call.answer());
        let call = asked(json!({ "tools": tools, "messages": [user] })).whole();
        assert_eq!(call["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "add");
        assert_eq!(call["choices"][0]["finish_reason"], "tool_calls");
        let told = json!({ "tools": tools, "messages": [user, { "role": "tool", "content": "5" }] });
        assert_eq!(asked(told).whole()["choices"][0]["message"]["content"], Kind::Tool.answer());
    }

    #[test]
    fn a_stream_says_the_same_and_ends() {
        let text = asked(json!({ "stream": true, "messages": [{ "role": "user" }] })).streamed();
        assert!(text.contains(Kind::Call.answer()) && text.ends_with("data: [DONE]\n\n"), "{text}");
    }
}
