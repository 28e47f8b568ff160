mod callers;
mod stdio;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ElicitRequestParams,
    ElicitResult, ElicitationAction, Implementation, ProtocolVersion,
};
use rmcp::service::{
    ClientLifecycleMode, ClientServiceExt as _, RequestContext, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ServiceExt as _};
use serde_json::{Value, json};

use super::serve::Exposed;
use super::*;
use crate::op::CallOptions;
use crate::tool::{CallTool, Tool, ToolInfo, visible};
use crate::{Hub, Permission, PermissionSet, Result, Scope};

/// Counts what it did to the world.
#[derive(Debug)]
struct Order {
    info: ToolInfo,
    done: AtomicU32,
}

impl Order {
    fn new(name: &str) -> Arc<Self> {
        let mut info = ToolInfo::new(name, "Orders an article.");
        info.input_schema = json!({ "type": "object", "properties": { "sku": { "type": "string" } },
            "required": ["sku"], "additionalProperties": false });
        Arc::new(Order { info, done: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Tool for Order {
    fn info(&self) -> &ToolInfo {
        &self.info
    }
    async fn call(&self, _cx: &Scope, args: Value) -> Result<Value> {
        let order = self.done.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(json!({ "order": order, "sku": args["sku"] }))
    }
}

async fn hub(tool: &Arc<Order>) -> Scope {
    let hub = Hub::builder()
        .root_key(crate::seal::RootKey::from_bytes([7; 32], "test"))
        .tool(Arc::clone(tool) as Arc<dyn Tool>);
    hub.build().await.unwrap().workspace("default").await.unwrap()
}

async fn call(cx: &Scope, name: &str, input: Value) -> Result<Value> {
    cx.call_by_name(name, input, CallOptions::new()).await
}

async fn key(cx: &Scope, words: &[Permission]) -> String {
    let made = call(cx, "api_keys.create", json!({ "name": "mcp", "permissions": words })).await.unwrap();
    made["secret"].as_str().unwrap().to_owned()
}

async fn serve(cx: &Scope) -> String {
    let served = cx.call(ServeMcp::default()).await.unwrap();
    served.url
}

/// A person at the other side, who has what is asked for approved and goes on, or does not.
#[derive(Clone)]
struct Person {
    owner: Scope,
    goes_on: bool,
}

impl ClientHandler for Person {
    fn get_info(&self) -> ClientConfig {
        let can = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(can, Implementation::new("desk", "1"))
    }

    async fn create_elicitation(
        &self,
        asked: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, rmcp::ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = asked else { panic!("no form") };
        if !self.goes_on {
            return Ok(ElicitResult::new(ElicitationAction::Decline));
        }
        let id = message.split("Approval ").nth(1).unwrap().split(':').next().unwrap();
        call(&self.owner, "approvals.approve", json!({ "id": id })).await.unwrap();
        Ok(ElicitResult::new(ElicitationAction::Accept))
    }
}

fn newest() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
}

async fn over_http(
    url: &str,
    key: &str,
    mode: ClientLifecycleMode,
    person: Person,
) -> Result<RunningService<RoleClient, Person>, rmcp::service::ClientInitializeError> {
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(key);
    let client = crate::http::HttpClient::new().unwrap().into_inner();
    person.serve_with_lifecycle(StreamableHttpClientTransport::with_client(client, config), mode).await
}

fn order(sku: &str) -> CallToolRequestParams {
    let args = json!({ "sku": sku }).as_object().unwrap().clone();
    CallToolRequestParams::new("shop.order").with_arguments(args)
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

#[tokio::test]
async fn a_key_sees_and_calls_what_it_may_with_both_protocols() {
    let cx = hub(&Order::new("shop.order")).await;
    let url = serve(&cx).await;
    let secret = key(&cx, &[Permission::ExecuteAgents, Permission::ReadContent]).await;
    let person = Person { owner: cx.clone(), goes_on: false };
    for mode in [newest(), ClientLifecycleMode::Initialize] {
        let client = over_http(&url, &secret, mode, person.clone()).await.unwrap();
        let listed = client.list_all_tools().await.unwrap();
        let theirs: Vec<&str> = listed.iter().map(|tool| tool.name.as_ref()).collect();
        let caller = cx.hub().api_key(&secret).await.unwrap().for_agent("mcp", "mcp", PermissionSet::all());
        let ours: Vec<String> = visible(&caller).into_iter().map(|info| info.name).collect();
        assert_eq!(theirs, ours);
        assert!(theirs.contains(&"scope.whoami") && !theirs.contains(&"api_keys.create"));
        let who = client.call_tool(CallToolRequestParams::new("scope.whoami")).await.unwrap();
        let who = who.structured_content.unwrap();
        assert_eq!(who["principal"]["kind"], "agent");
        let wrong = CallToolRequestParams::new("scope.can");
        let told = client.call_tool(wrong).await.unwrap();
        assert_eq!(told.is_error, Some(true));
        assert!(text(&told).contains("operation"), "the missing field is named: {}", text(&told));
        let ServiceError::McpError(none) =
            client.call_tool(CallToolRequestParams::new("scope.whoam")).await.unwrap_err()
        else {
            panic!("an unknown tool is a fault of the request")
        };
        assert_eq!(none.code.0, -32_602);
        assert!(none.data.unwrap()["closest"].as_str().unwrap().contains("scope.whoami"));
        client.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_key_of_the_workspace() {
    let cx = hub(&Order::new("shop.order")).await;
    let url = serve(&cx).await;
    let person = Person { owner: cx.clone(), goes_on: false };
    assert!(over_http(&url, "nope", newest(), person.clone()).await.is_err());
    let made = call(&cx, "workspaces.create", json!({ "name": "Other", "slug": "other" })).await;
    made.unwrap();
    let other = cx.hub().workspace("other").await.unwrap();
    let foreign = key(&other, &[Permission::ExecuteAgents]).await;
    assert!(over_http(&url, &foreign, newest(), person.clone()).await.is_err());
    let mine = key(&cx, &[Permission::ExecuteAgents]).await;
    let client = over_http(&url, &mine, newest(), person).await.unwrap();
    cx.hub().close().await.unwrap();
    assert!(client.call_tool(CallToolRequestParams::new("scope.whoami")).await.is_err(), "the hub is closed");
}

#[tokio::test]
async fn an_act_on_the_outside_waits_for_a_person() {
    let shop = Order::new("shop.order");
    let cx = hub(&shop).await;
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let scope = cx.clone();
    let server = tokio::spawn(async move { Exposed::to(scope).serve(ours).await.unwrap().waiting().await });
    let person = Person { owner: cx.clone(), goes_on: true };
    let client = person.serve_with_lifecycle(theirs, newest()).await.unwrap();
    let done = client.call_tool(order("T-100")).await.unwrap();
    assert_eq!(done.structured_content.unwrap(), json!({ "order": 1, "sku": "T-100" }));
    let shown = call(&cx, "approvals.list", json!({ "state": "approved" })).await.unwrap();
    assert_eq!(shown["items"][0]["requested_by"], "agent:mcp");
    client.cancel().await.unwrap();
    server.await.unwrap().unwrap();
    assert_eq!(shop.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_person_who_does_not_go_on_and_a_caller_who_cannot_ask_are_told() {
    let shop = Order::new("shop.order");
    let cx = hub(&shop).await;
    let url = serve(&cx).await;
    let secret = key(&cx, &[Permission::ExecuteAgents]).await;
    for mode in [newest(), ClientLifecycleMode::Initialize] {
        let person = Person { owner: cx.clone(), goes_on: false };
        let client = over_http(&url, &secret, mode, person).await.unwrap();
        let told = client.call_tool(order("T-100")).await.unwrap();
        assert_eq!(told.is_error, Some(true));
        assert!(text(&told).starts_with("approval_required"), "{}", text(&told));
        client.cancel().await.unwrap();
    }
    assert_eq!(shop.done.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_export_waits_for_a_person_who_sees_that_its_words_are_foreign() {
    let cx = hub(&Order::new("shop.order")).await;
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let scope = cx.clone();
    let server = tokio::spawn(async move { Exposed::to(scope).serve(ours).await.unwrap().waiting().await });
    let person = Person { owner: cx.clone(), goes_on: false };
    let client = person.serve_with_lifecycle(theirs, newest()).await.unwrap();
    let args = json!({ "limit": 7 }).as_object().unwrap().clone();
    let export = CallToolRequestParams::new("audit.export").with_arguments(args);
    let told = client.call_tool(export).await.unwrap();
    assert!(text(&told).starts_with("approval_required"), "{}", text(&told));
    let shown = call(&cx, "approvals.list", json!({ "state": "pending" })).await.unwrap();
    let span = |path: &str| {
        let spans = shown["items"][0]["tainted_spans"].as_array().unwrap();
        spans.iter().find(|span| span["path"] == path).cloned().unwrap_or_else(|| panic!("{path}: {spans:?}"))
    };
    assert_eq!((&span("limit")["text"], &span("limit")["taint"]), (&json!("7"), &json!("third_party_tool")));
    client.cancel().await.unwrap();
    server.await.unwrap().unwrap();
}

/// Two hubs: one serves, the other is linked to it.
async fn linked(shop: &Arc<Order>) -> (Scope, Scope, McpLink) {
    let theirs = hub(shop).await;
    let url = serve(&theirs).await;
    let secret = key(&theirs, &[Permission::ExecuteAgents]).await;
    let ours = hub(&Order::new("own.order")).await;
    let put = json!({ "name": "crm_key", "kind": "api_key", "value": secret });
    call(&ours, "vault.put", put).await.unwrap();
    let via = McpVia::Http { url, secret: Some("crm_key".into()) };
    let link = ours.call(ConnectMcp { name: "crm".into(), via: Some(via) }).await.unwrap();
    (theirs, ours, link)
}

#[tokio::test]
async fn tools_of_a_server_are_checked_and_called_like_ours() {
    let shop = Order::new("shop.order");
    let (theirs, ours, link) = linked(&shop).await;
    assert_eq!(link.state, McpState::Ready);
    assert_eq!(link.protocol.as_deref(), Some("2026-07-28"));
    assert!(link.tools.contains(&"crm.shop.order".to_owned()), "{:?}", link.tools);
    let who = CallTool { name: "crm.scope.whoami".into(), args: json!({}) };
    let who = ours.call(who).await.unwrap().output.unwrap();
    assert_eq!(who["principal"]["name"], "mcp", "there it is an agent");
    let bad = CallTool { name: "crm.shop.order".into(), args: json!({ "sku": 7 }) };
    assert_eq!(ours.call(bad).await.unwrap_err().kind(), crate::ErrorKind::InvalidInput);
    let told = CallTool { name: "crm.shop.order".into(), args: json!({ "sku": "T-1" }) };
    let told = ours.call(told).await.unwrap_err();
    assert_eq!(told.code(), "mcp_tool_error");
    assert!(told.message().contains("approval_required"), "their person was not asked: {told}");
    let made = json!({ "name": "Other", "slug": "other" });
    call(&ours, "workspaces.create", made).await.unwrap();
    let neighbour = ours.hub().workspace("other").await.unwrap();
    let none = CallTool { name: "crm.scope.whoami".into(), args: json!({}) };
    assert_eq!(neighbour.call(none).await.unwrap_err().code(), "unknown_tool", "links belong to a workspace");
    let agent = ours.for_agent("helper", "run_1", PermissionSet::all());
    let act = CallTool { name: "crm.scope.whoami".into(), args: json!({}) };
    let asked = agent.call(act).await.unwrap_err();
    assert_eq!(asked.code(), "approval_required", "what a foreign tool does is not known");
    ours.call(DisconnectMcp { name: "crm".into() }).await.unwrap();
    let gone = CallTool { name: "crm.scope.whoami".into(), args: json!({}) };
    assert_eq!(ours.call(gone).await.unwrap_err().code(), "unknown_tool");
    assert!(ours.call(ListMcp {}).await.unwrap().is_empty());
    theirs.hub().close().await.unwrap();
}

#[tokio::test]
async fn a_list_that_changed_is_used_by_nobody_until_it_is_accepted() {
    let (theirs, ours, link) = linked(&Order::new("shop.order")).await;
    theirs.hub().add_tool(Order::new("shop.steal") as Arc<dyn Tool>).unwrap();
    let now = ours.call(RefreshMcp { name: "crm".into(), accept: None }).await.unwrap();
    assert_eq!(now.state, McpState::Changed);
    assert!(now.tools.is_empty());
    assert_eq!((now.changes[0].name.as_str(), now.changes[0].change), ("shop.steal", ToolChange::Added));
    let use_it = || CallTool { name: "crm.scope.whoami".into(), args: json!({}) };
    assert_eq!(ours.call(use_it()).await.unwrap_err().code(), "unknown_tool");
    assert_eq!(ours.call(ListMcp {}).await.unwrap()[0].state, McpState::Changed);
    let stale = RefreshMcp { name: "crm".into(), accept: Some(link.tools_hash) };
    assert_eq!(ours.call(stale).await.unwrap_err().code(), "mcp_tools_changed");
    let accepted = RefreshMcp { name: "crm".into(), accept: Some(now.tools_hash.clone()) };
    assert_eq!(ours.call(accepted).await.unwrap().state, McpState::Ready);
    ours.call(use_it()).await.unwrap();
    // The next process finds what was accepted, and what it differs from.
    theirs.hub().remove_tool("shop.order");
    let again = ours.call(ConnectMcp { name: "crm".into(), via: None }).await.unwrap();
    assert_eq!(again.state, McpState::Changed);
    assert_eq!(again.changes[0].change, ToolChange::Removed);
}

#[tokio::test]
async fn what_cannot_be_reached_is_said() {
    let cx = hub(&Order::new("shop.order")).await;
    let connect = |name: &str, via: Value| json!({ "name": name, "via": via });
    let away = connect("crm", json!({ "kind": "http", "url": "http://127.0.0.1:9/mcp" }));
    assert_eq!(call(&cx, "mcp.connect", away).await.unwrap_err().code(), "mcp_unreachable");
    let none = connect("crm", json!({ "kind": "stdio", "command": "no-such-program" }));
    assert_eq!(call(&cx, "mcp.connect", none).await.unwrap_err().code(), "mcp_unreachable");
    let bad = connect("CRM!", json!({ "kind": "http", "url": "ftp://crm.example" }));
    let fields: Vec<_> = call(&cx, "mcp.connect", bad).await.unwrap_err().field_faults().to_vec();
    assert_eq!(fields.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["name", "via.url"]);
    assert_eq!(
        cx.call(ConnectMcp { name: "crm".into(), via: None }).await.unwrap_err().field_faults()[0].field,
        "via"
    );
    assert!(cx.call(ListMcp {}).await.unwrap().is_empty(), "nothing was kept of what failed");
    let agent = cx.for_agent("helper", "run_1", PermissionSet::all());
    assert_eq!(agent.call(ServeMcp::default()).await.unwrap_err().kind(), crate::ErrorKind::PermissionDenied);
    let taken = serve(&cx).await;
    let address = taken.trim_start_matches("http://").trim_end_matches("/mcp").to_owned();
    let again = ServeMcp { address, hosts: Vec::new() };
    assert_eq!(cx.call(again).await.unwrap_err().code(), "address_in_use");
    let _shut = crate::network::forbid();
    assert_eq!(cx.call(ServeMcp::default()).await.unwrap_err().code(), "network_forbidden");
}
