//! A tool of a server, called as one of ours.

use std::sync::Arc;

use async_trait::async_trait;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult};
use rmcp::service::ServiceError;
use rmcp::transport::streamable_http_client::StreamableHttpError;
use serde_json::{Value, json};

use super::client::Link;
use super::model::McpServer;
use crate::store::Key;
use crate::tool::{Tool, ToolInfo};
use crate::{Error, ErrorKind, Result, Retry, Scope};

const CALL: &str = "tools.call";

/// One tool of a connected server.
#[derive(Debug)]
pub(super) struct RemoteTool {
    pub(super) info: ToolInfo,
    /// What its server calls it.
    pub(super) theirs: String,
    /// Hash of the list it was accepted with.
    pub(super) tools_hash: String,
    pub(super) link: Arc<Link>,
}

#[async_trait]
impl Tool for RemoteTool {
    fn info(&self) -> &ToolInfo {
        &self.info
    }

    async fn call(&self, cx: &Scope, args: Value) -> Result<Value> {
        let told = |kind, code, message| {
            Error::new(kind, CALL, message).with_code(code).with_context("server", &self.link.name)
        };
        if self.link.running.is_closed() {
            let message = "the connection to the server has ended: call mcp.connect";
            return Err(told(ErrorKind::Unavailable, "mcp_unreachable", message).with_retry(Retry::Backoff));
        }
        // Another process may have accepted another list, or disconnected the server.
        let server = cx.find::<McpServer>("name", Key::text(&self.link.name)).await?;
        let is_pinned = server.is_some_and(|server| server.tools_hash == self.tools_hash);
        if self.link.has_changed() || !is_pinned {
            let message = "the server has changed its tools: a person must accept them with mcp.refresh";
            return Err(told(ErrorKind::Blocked, "mcp_tools_changed", message));
        }
        let mut call = CallToolRequestParams::new(self.theirs.clone());
        if let Value::Object(args) = args {
            call = call.with_arguments(args);
        }
        let done = self.link.running.call_tool_once(call).await;
        match done.map_err(|error| failed(&self.link.name, &error))? {
            CallToolResponse::Complete(result) => output(result),
            // Nobody sits at an agent's call: what it would ask a person for has no one to answer.
            _ => Err(Error::new(
                ErrorKind::Unsupported,
                CALL,
                "the server asks a person something, or answers later, in the middle of the call: its tool cannot be used by agents",
            )
            .with_code("mcp_input_required")),
        }
    }
}

/// What the tool answered: its structured answer, else its text, else all that it showed.
fn output(result: CallToolResult) -> Result<Value> {
    let texts: Vec<&str> =
        result.content.iter().filter_map(|block| block.as_text().map(|text| text.text.as_str())).collect();
    if result.is_error == Some(true) {
        let told = texts.join("\n");
        let message = if told.is_empty() { "the tool has failed".to_owned() } else { told };
        return Err(Error::new(ErrorKind::Internal, CALL, message).with_code("mcp_tool_error"));
    }
    if let Some(structured) = result.structured_content {
        return Ok(structured);
    }
    if texts.len() == result.content.len() {
        return Ok(Value::String(texts.join("\n")));
    }
    serde_json::to_value(&result.content)
        .map(|content| json!({ "content": content }))
        .map_err(|cause| Error::internal(CALL, cause))
}

fn failed(server: &str, error: &ServiceError) -> Error {
    let (kind, code, message) = match error {
        ServiceError::McpError(refusal) => {
            let kind = if refusal.code.0 == -32_602 { ErrorKind::InvalidInput } else { ErrorKind::Internal };
            (kind, "mcp_refused", refusal.message.to_string())
        }
        ServiceError::TransportSend(cause) if is_unconnected(&*cause.error) => {
            (ErrorKind::Unavailable, "mcp_unreachable", "the call did not reach the server".to_owned())
        }
        // It may have been sent, and what became of it is not known.
        _ => {
            (ErrorKind::OutcomeUnknown, "mcp_lost", "the server is gone in the middle of the call".to_owned())
        }
    };
    let told = Error::new(kind, CALL, message).with_code(code).with_context("server", server);
    if kind == ErrorKind::Unavailable { told.with_retry(Retry::Backoff) } else { told }
}

/// True when there was not even a connection that the call could have gone over.
fn is_unconnected(cause: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(
        cause.downcast_ref(),
        Some(StreamableHttpError::<reqwest::Error>::Client(error)) if error.is_connect()
    )
}
