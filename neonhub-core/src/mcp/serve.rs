//! The catalogue as a server of tools.

use std::pin::pin;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult, PaginatedRequestParams,
    ServerCapabilities, ServerConfig,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::{ErrorData, ServerHandler, ServiceExt as _};
use serde_json::Value;

use super::answer;
use crate::op::CallOptions;
use crate::permission::PermissionSet;
use crate::scope::CancelToken;
use crate::tool::{CallTool, visible_among};
use crate::{Error, Result, Scope};

/// The agent that acts for who calls.
const AGENT: &str = "mcp";
/// Tools of one page of the list.
const PAGE: usize = 100;
const INSTRUCTIONS: &str = "Marketing of one workspace: people and consent, brand knowledge, campaigns, and one gate that every message passes. \
A call that acts on the outside may wait for a person: it says so, and is made again once it is approved. \
An answer that is too long comes with a handle for tools.read_result.";

/// Shows the tools of `cx` over the standard streams of this process, until they are closed. Nothing else may be printed
/// meanwhile.
///
/// # Errors
/// `Unavailable` when the other side speaks no protocol that is known.
pub async fn serve_stdio(cx: &Scope) -> Result<()> {
    let operation = "mcp.serve_stdio";
    let failed = |cause: &dyn std::fmt::Display| {
        Error::new(
            crate::ErrorKind::Unavailable,
            operation,
            format!("the other side cannot be served: {cause}"),
        )
    };
    let running =
        Exposed::to(cx.clone()).serve(rmcp::transport::stdio()).await.map_err(|cause| failed(&cause))?;
    running.waiting().await.map(|_| ()).map_err(|cause| failed(&cause))
}

/// What one caller sees.
#[derive(Clone, Debug)]
pub(super) struct Exposed(Option<Scope>);

impl Exposed {
    /// All calls are this principal's.
    pub(super) fn to(cx: Scope) -> Self {
        Exposed(Some(cx))
    }

    /// Each call brings its principal.
    pub(super) fn to_callers() -> Self {
        Exposed(None)
    }

    /// The agent that acts for the caller.
    fn scope(&self, context: &RequestContext<RoleServer>) -> Result<Scope, ErrorData> {
        let brought = || {
            let parts = context.extensions.get::<http_types::request::Parts>()?;
            parts.extensions.get::<Scope>().cloned()
        };
        let caller = self.0.clone().or_else(brought);
        let caller = caller.ok_or_else(|| ErrorData::invalid_request("the call brings no key", None))?;
        // There is no run, and what is kept for one caller (a yes, a long answer) is for no other.
        let on_behalf_of = caller.label().to_owned();
        Ok(caller.for_agent(AGENT, &on_behalf_of, PermissionSet::all()))
    }
}

impl ServerHandler for Exposed {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("neonhub", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let cx = self.scope(&context)?;
        let after = request.and_then(|page| page.cursor).unwrap_or_default();
        let mut tools = visible_among(&cx, |name| name > after.as_str());
        let has_more = tools.len() > PAGE;
        tools.truncate(PAGE);
        let next = tools.last().filter(|_| has_more).map(|info| info.name.clone());
        let mut page = ListToolsResult::with_all_items(tools.into_iter().map(answer::tool).collect());
        page.next_cursor = next;
        Ok(page)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let cx = self.scope(&context)?;
        if let Some(told) = request.input_responses.as_ref().and_then(|all| all.get(answer::APPROVAL))
            && told.get("action").and_then(Value::as_str) != Some("accept")
        {
            let error =
                Error::new(crate::ErrorKind::Blocked, "tools.call", "the person did not go on with the call");
            return Ok(answer::refused(&error.with_code("approval_required")));
        }
        let args = Value::Object(request.arguments.unwrap_or_default());
        let stop = CancelToken::new();
        let options = CallOptions::new().cancel(stop.clone());
        let mut call = pin!(cx.call_with(CallTool { name: request.name.into_owned(), args }, options));
        let done = tokio::select! {
            biased;
            () = context.ct.cancelled() => {
                // The door ends the call, with its span and its row in the audit log.
                stop.cancel();
                let _ = call.await;
                return Err(answer::broken(&"the caller has cancelled the call"));
            }
            done = &mut call => done,
        };
        match done {
            Ok(answer) => answer::answered(answer),
            Err(error) if answer::is_unknown(&error) => Err(answer::unknown(&error)),
            Err(error) if error.code() == "approval_required" && answer::can_ask(&context) => {
                answer::ask(&error)
            }
            Err(error) => Ok(answer::refused(&error)),
        }
    }
}
