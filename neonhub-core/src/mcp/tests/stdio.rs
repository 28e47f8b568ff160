//! The catalogue over the standard streams of a process of its own, line by line.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::*;

/// Set in the process that serves.
const SERVES: &str = "NEONHUB_TEST_MCP_STDIO";

struct Other {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    asked: u32,
}

impl Other {
    fn begin() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["mcp::tests::stdio::serves", "--exact", "--ignored", "--nocapture", "--test-threads=2"])
            .env(SERVES, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Other { child, to, from: BufReader::new(from).lines(), asked: 0 }
    }

    async fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        self.to.flush().await.unwrap();
    }

    /// Asks, and gives what is answered under the same number.
    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).await;
        loop {
            let line = self.from.next_line().await.unwrap().expect("the other side is gone");
            // The harness of the tests says its own first.
            let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
            if answer["id"] == id {
                assert_eq!(answer["jsonrpc"], "2.0");
                return answer;
            }
        }
    }
}

#[tokio::test]
#[ignore = "is the other side of the test below, in a process that it starts"]
async fn serves() {
    if std::env::var_os(SERVES).is_some() {
        let tool = Order::new("a.shop.order");
        serve_stdio(&hub(&tool).await).await.unwrap();
        assert_eq!(tool.done.load(Ordering::SeqCst), 0, "nobody has said yes");
    }
}

#[tokio::test]
async fn a_process_serves_its_catalogue_over_its_standard_streams_until_they_are_closed() {
    let mut other = Other::begin();
    let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": { "name": "desk", "version": "1" } });
    let told = other.ask("initialize", hello).await;
    assert_eq!(told["result"]["serverInfo"]["name"], "neonhub", "{told}");
    assert_eq!(told["result"]["protocolVersion"], "2025-11-25");
    other.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    let tools = other.ask("tools/list", json!({})).await;
    let tools = tools["result"]["tools"].as_array().unwrap().clone();
    let named = |name: &str| tools.iter().find(|tool| tool["name"] == name);
    assert_eq!(named("a.shop.order").unwrap()["inputSchema"]["required"], json!(["sku"]));
    assert!(named("tools.call").is_none() && named("economy.allow_more").is_none());
    let who = other.ask("tools/call", json!({ "name": "scope.whoami", "arguments": {} })).await;
    assert_eq!(who["result"]["structuredContent"]["principal"]["kind"], "agent", "{who}");
    // What acts on the outside waits for a person, and a name that nobody has is refused.
    let held =
        other.ask("tools/call", json!({ "name": "a.shop.order", "arguments": { "sku": "T-1" } })).await;
    assert_eq!(held["result"]["isError"], true, "{held}");
    assert!(held["result"].to_string().contains("approval_required"), "{held}");
    let lost = other.ask("tools/call", json!({ "name": "shop.none", "arguments": {} })).await;
    assert!(lost["error"].is_object() || lost["result"]["isError"] == true, "{lost}");
    drop(other.to);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), other.child.wait()).await;
    assert!(ended.expect("it goes on without a reader").unwrap().success());
}
