//! Callers apart from each other, and what a process does beside others and at its end.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;
use crate::resilience::{Counted, LimitProfile, Rate};

/// Reads slowly.
#[derive(Debug)]
struct Slow {
    info: ToolInfo,
    begun: tokio::sync::Notify,
}

impl Slow {
    fn new() -> Arc<Self> {
        let mut info = ToolInfo::new("shop.stock", "Counts what is in stock.");
        info.effect = crate::run::EffectClass::Read;
        info.input_schema = json!({ "type": "object", "additionalProperties": false });
        Arc::new(Slow { info, begun: tokio::sync::Notify::new() })
    }
}

#[async_trait]
impl Tool for Slow {
    fn info(&self) -> &ToolInfo {
        &self.info
    }
    async fn call(&self, _cx: &Scope, _args: Value) -> Result<Value> {
        self.begun.notify_one();
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(json!({ "stock": 7 }))
    }
}

#[tokio::test]
async fn a_call_under_way_reaches_its_end_when_the_hub_closes() {
    let cx = hub(&Order::new("shop.order")).await;
    let slow = Slow::new();
    cx.hub().add_tool(Arc::clone(&slow) as Arc<dyn Tool>).unwrap();
    let url = serve(&cx).await;
    let secret = key(&cx, &[Permission::ExecuteAgents]).await;
    let person = Person { owner: cx.clone(), goes_on: false };
    let client = over_http(&url, &secret, newest(), person).await.unwrap();
    let asked = client.call_tool(CallToolRequestParams::new("shop.stock"));
    let close = async {
        slow.begun.notified().await;
        cx.hub().close().await.unwrap();
    };
    let (answer, ()) = tokio::join!(asked, close);
    assert_eq!(answer.unwrap().structured_content, Some(json!({ "stock": 7 })));
}

#[tokio::test]
async fn a_yes_for_one_key_is_none_for_another() {
    let shop = Order::new("shop.order");
    let cx = hub(&shop).await;
    let url = serve(&cx).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let secret = key(&cx, &[Permission::ExecuteAgents]).await;
        let person = Person { owner: cx.clone(), goes_on: false };
        clients.push(over_http(&url, &secret, ClientLifecycleMode::Initialize, person).await.unwrap());
    }
    let told = clients[0].call_tool(order("T-1")).await.unwrap();
    assert!(text(&told).starts_with("approval_required"));
    let asked = call(&cx, "approvals.list", json!({ "state": "pending" })).await.unwrap();
    call(&cx, "approvals.approve", json!({ "id": asked["items"][0]["id"] })).await.unwrap();
    let told = clients[1].call_tool(order("T-1")).await.unwrap();
    assert!(text(&told).starts_with("approval_required"), "{}", text(&told));
    assert_eq!(shop.done.load(Ordering::SeqCst), 0);
    let done = clients[0].call_tool(order("T-1")).await.unwrap();
    assert_eq!(done.structured_content, Some(json!({ "order": 1, "sku": "T-1" })));
}

#[tokio::test]
async fn calls_count_for_their_key_and_wrong_keys_for_their_address() {
    let minute = Duration::from_secs(60);
    let profile = LimitProfile::embedded()
        .with(Counted::Principal, Rate::new(6, minute))
        .with(Counted::Source, Rate::new(2, minute));
    let hub = Hub::builder().limits(profile).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let url = serve(&cx).await;
    let secret = key(&cx, &[Permission::ExecuteAgents]).await;
    let client = crate::http::HttpClient::new().unwrap().into_inner();
    let post = async |key: &str| {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }).to_string();
        let asked = client.post(&url).bearer_auth(key).header("content-type", "application/json").body(body);
        asked.send().await.unwrap()
    };
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(post("nope").await.status().as_u16());
    }
    assert_eq!(told, [401, 401, 429]);
    for _ in 0..6 {
        assert!(!matches!(post(&secret).await.status().as_u16(), 401 | 429));
    }
    let answer = post(&secret).await;
    assert_eq!(answer.status().as_u16(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
}

#[tokio::test]
async fn a_connection_outlives_a_refused_request_that_comes_in_pieces() {
    let cx = hub(&Order::new("shop.order")).await;
    let url = serve(&cx).await;
    let host = url.trim_start_matches("http://").trim_end_matches("/mcp");
    let mut stream = TcpStream::connect(host).await.unwrap();
    for _ in 0..2 {
        let head = format!("POST /mcp HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"{}").await.unwrap();
        let mut told = String::new();
        while !told.contains("bearer token") {
            let mut piece = [0; 1024];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0, "the connection is gone after {told:?}");
            told.push_str(std::str::from_utf8(&piece[..read]).unwrap());
        }
        assert!(told.starts_with("HTTP/1.1 401"), "{told}");
    }
}

#[tokio::test]
async fn a_server_that_another_process_let_go_is_used_by_none() {
    let theirs = hub(&Order::new("shop.order")).await;
    let url = serve(&theirs).await;
    let secret = key(&theirs, &[Permission::ExecuteAgents]).await;
    let store = Arc::new(crate::store::MemoryStore::new());
    let mut ours = Vec::new();
    for _ in 0..2 {
        let key = crate::seal::RootKey::from_bytes([7; 32], "test");
        let hub = Hub::builder().root_key(key).store_backend(Arc::clone(&store) as _).build().await.unwrap();
        ours.push(hub.workspace("default").await.unwrap());
    }
    let put = json!({ "name": "crm_key", "kind": "api_key", "value": secret });
    call(&ours[0], "vault.put", put).await.unwrap();
    let via = McpVia::Http { url, secret: Some("crm_key".into()) };
    for cx in &ours {
        cx.call(ConnectMcp { name: "crm".into(), via: Some(via.clone()) }).await.unwrap();
    }
    let use_it = || CallTool { name: "crm.scope.whoami".into(), args: json!({}) };
    ours[0].call(use_it()).await.unwrap();
    ours[1].call(DisconnectMcp { name: "crm".into() }).await.unwrap();
    assert_eq!(ours[0].call(use_it()).await.unwrap_err().code(), "mcp_tools_changed");
    theirs.hub().close().await.unwrap();
}

#[tokio::test]
async fn a_closed_hub_holds_no_link() {
    let (theirs, ours, _) = linked(&Order::new("shop.order")).await;
    let link = ours.hub().links().get(&ours, "crm").unwrap();
    assert!(!link.running.is_closed());
    ours.hub().close().await.unwrap();
    assert!(link.running.is_closed());
    theirs.hub().close().await.unwrap();
}
