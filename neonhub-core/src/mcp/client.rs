//! Connections of this process to servers of tools.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmcp::model::{ClientCapabilities, ClientConfig, Implementation, ProtocolVersion, SubscriptionFilter};
use rmcp::service::{
    ClientCacheConfig, ClientInitializeError, ClientLifecycleMode, ClientServiceExt as _,
    NotificationContext, Peer, RoleClient, RunningService, ServiceError,
};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};

use super::model::{LeftOut, McpServer, McpServerId, McpTool, McpVia};
use super::ops::{McpLink, McpListener, McpState};
use super::remote::RemoteTool;
use super::{listen, pin};
use crate::store::Stored;
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Result, Retry, Scope, network};

/// Until a server has answered that it is there. A program may have to be fetched first.
const CONNECT: Duration = Duration::from_secs(60);
/// Until a server has listed its tools.
const LIST: Duration = Duration::from_secs(30);

/// Until a stream that broke is asked for again.
const LISTEN_AGAIN: Duration = Duration::from_secs(5);

/// A connected server.
pub(super) struct Link {
    pub(super) name: String,
    pub(super) running: RunningService<RoleClient, Watch>,
    changed: Arc<AtomicBool>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Link {
    /// Whether its tools are others than were accepted, by what is known.
    pub(super) fn has_changed(&self) -> bool {
        self.changed.load(Ordering::Acquire)
    }

    fn protocol(&self) -> Option<String> {
        self.running.peer().peer_info().map(|info| info.protocol_version.to_string())
    }

    async fn list(&self, cx: &Scope) -> Result<Vec<McpTool>> {
        let asked = tokio::time::timeout(LIST, self.running.list_all_tools()).await;
        let tools = asked.map_err(|_| unreachable_server(cx, &self.name, "it lists no tools in 30 s"))?;
        tools.map(pin::list).map_err(|error| match error {
            ServiceError::McpError(refusal) => protocol(cx, &self.name, &refusal.message),
            _ => unreachable_server(cx, &self.name, "the connection broke"),
        })
    }
}

/// Hears that a server has changed its tools.
pub(super) struct Watch(Arc<AtomicBool>);

impl rmcp::ClientHandler for Watch {
    fn get_info(&self) -> ClientConfig {
        let name = Implementation::new("neonhub", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(ClientCapabilities::default(), name)
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.store(true, Ordering::Release);
    }
}

/// The servers this process is connected to, by workspace and name.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<(WorkspaceId, String), Arc<Link>>>);

impl Links {
    pub(super) fn get(&self, cx: &Scope, name: &str) -> Option<Arc<Link>> {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.get(&(cx.workspace().clone(), name.to_owned())).map(Arc::clone)
    }

    fn put(&self, cx: &Scope, link: Arc<Link>) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.insert((cx.workspace().clone(), link.name.clone()), link);
    }

    fn remove(&self, cx: &Scope, name: &str) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.remove(&(cx.workspace().clone(), name.to_owned()));
    }

    /// Ends every connection: programs that were started are stopped.
    pub(crate) fn close(&self) {
        let links = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        // The tools of a link hold it as long as the hub is there.
        links.into_values().for_each(|link| link.running.cancellation_token().cancel());
    }
}

pub(super) async fn connect(
    cx: &Scope,
    name: String,
    via: McpVia,
    known: Option<Stored<McpServer>>,
) -> Result<McpLink> {
    let link = Arc::new(open(cx, name, &via).await?);
    let now = link.list(cx).await?;
    let tools_hash = pin::hash(&now)?;
    let server = match known {
        Some(mut known) => {
            if known.body.via != via {
                known.body.via = via;
                cx.save(&known)?;
            }
            known.body
        }
        None => {
            let server = McpServer {
                id: McpServerId::new(cx),
                name: link.name.clone(),
                via,
                tools: now.clone(),
                tools_hash,
                pinned_at: cx.now(),
                pinned_by: cx.label().to_owned(),
            };
            cx.create(&server)?;
            server
        }
    };
    cx.hub().links().put(cx, Arc::clone(&link));
    offer(cx, &link, server, &now)
}

pub(super) async fn refresh(
    cx: &Scope,
    mut known: Stored<McpServer>,
    accept: Option<String>,
) -> Result<McpLink> {
    let Some(link) = cx.hub().links().get(cx, &known.body.name) else {
        return Err(unreachable_server(
            cx,
            &known.body.name,
            "this process is not connected: call mcp.connect",
        ));
    };
    link.changed.store(false, Ordering::Release);
    let now = link.list(cx).await?;
    if let Some(accept) = accept {
        let tools_hash = pin::hash(&now)?;
        if accept != tools_hash {
            let message =
                "the server has changed its tools since: look at them again, then accept the new hash";
            return Err(Error::new(ErrorKind::Conflict, cx.operation(), message)
                .with_code("mcp_tools_changed")
                .with_context("tools_hash", tools_hash));
        }
        (known.body.tools, known.body.tools_hash) = (now.clone(), tools_hash);
        (known.body.pinned_at, known.body.pinned_by) = (cx.now(), cx.label().to_owned());
        cx.save(&known)?;
    }
    offer(cx, &link, known.body, &now)
}

/// Makes the tools of a server usable, if they are those that were accepted.
fn offer(cx: &Scope, link: &Arc<Link>, server: McpServer, now: &[McpTool]) -> Result<McpLink> {
    take_away(cx, &server.name);
    let tools_hash = pin::hash(now)?;
    let is_accepted = tools_hash == server.tools_hash;
    let (tools, mut left_out) = pin::tools(&server.name, now);
    let mut names = Vec::new();
    if is_accepted {
        for (info, theirs) in tools {
            let (name, tools_hash) = (info.name.clone(), tools_hash.clone());
            let tool = RemoteTool { info, theirs: theirs.clone(), tools_hash, link: Arc::clone(link) };
            match cx.hub().add_tool_for(Some(cx.workspace().clone()), Arc::new(tool)) {
                Ok(()) => names.push(name),
                Err(error) => left_out.push(LeftOut { name: theirs, reason: error.message().to_owned() }),
            }
        }
    } else {
        link.changed.store(true, Ordering::Release);
    }
    Ok(McpLink {
        state: if is_accepted { McpState::Ready } else { McpState::Changed },
        protocol: link.protocol(),
        tools: names,
        tools_hash,
        changes: pin::changes(&server.tools, now),
        left_out,
        name: server.name,
        via: server.via,
    })
}

/// What is known of a server without asking it.
pub(super) fn shown(cx: &Scope, server: McpServer) -> McpLink {
    let link = cx.hub().links().get(cx, &server.name).filter(|link| !link.running.is_closed());
    let state = match &link {
        None => McpState::Away,
        Some(link) if link.has_changed() => McpState::Changed,
        Some(_) => McpState::Ready,
    };
    let (tools, left_out) = pin::tools(&server.name, &server.tools);
    let is_ready = state == McpState::Ready;
    McpLink {
        tools: tools.into_iter().filter(|_| is_ready).map(|(info, _)| info.name).collect(),
        protocol: link.and_then(|link| link.protocol()),
        name: server.name,
        via: server.via,
        state,
        tools_hash: server.tools_hash,
        changes: Vec::new(),
        left_out,
    }
}

pub(super) fn disconnect(cx: &Scope, name: &str) {
    take_away(cx, name);
    cx.hub().links().remove(cx, name);
}

pub(super) async fn serve(cx: &Scope, address: SocketAddr, hosts: Vec<String>) -> Result<McpListener> {
    listen::listen(cx, address, hosts).await
}

fn take_away(cx: &Scope, server: &str) {
    let prefix = format!("{server}.");
    cx.hub().tools().remove_of(cx.workspace(), |name| name.starts_with(&prefix));
}

async fn open(cx: &Scope, name: String, via: &McpVia) -> Result<Link> {
    let changed = Arc::new(AtomicBool::new(false));
    let watch = Watch(Arc::clone(&changed));
    let mode = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: Some(ProtocolVersion::V_2025_11_25),
    };
    let opened = match via {
        McpVia::Stdio { command, args, env } => {
            let child = spawn(cx, command, args, env).await?;
            tokio::time::timeout(CONNECT, watch.serve_with_lifecycle(child, mode)).await
        }
        McpVia::Http { url, secret } => {
            network::check(cx.operation(), url)?;
            let mut config = StreamableHttpClientTransportConfig::with_uri(url.clone());
            if let Some(secret) = secret {
                config = config.auth_header(cx.secret(secret).await?.expose().to_owned());
            }
            let client = crate::http::HttpClient::new()?.into_inner();
            let transport = StreamableHttpClientTransport::with_client(client, config);
            tokio::time::timeout(CONNECT, watch.serve_with_lifecycle(transport, mode)).await
        }
    };
    let running = opened
        .map_err(|_| unreachable_server(cx, &name, "it does not answer in 60 s"))?
        .map_err(|error| refused(cx, &name, &error))?;
    // The hash is of what the server says now, not of what it said a while ago.
    running.peer().set_response_cache_config(ClientCacheConfig::disabled()).await;
    if tells_when_asked(&running) {
        tokio::spawn(hear_changes(running.peer().clone(), Arc::clone(&changed)));
    }
    Ok(Link { name, running, changed })
}

/// True for a server that tells of changes on a stream that it is asked for; older protocols tell them anyway.
fn tells_when_asked(running: &RunningService<RoleClient, Watch>) -> bool {
    running.peer().peer_info().is_some_and(|info| {
        info.protocol_version == ProtocolVersion::V_2026_07_28
            && info.capabilities.tools.as_ref().is_some_and(|tools| tools.list_changed == Some(true))
    })
}

/// Hears of changes until the link ends.
async fn hear_changes(peer: Peer<RoleClient>, changed: Arc<AtomicBool>) {
    loop {
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        if let Ok(mut heard) = peer.listen(filter).await {
            while let Ok(Some(_)) = heard.next().await {
                changed.store(true, Ordering::Release);
            }
        }
        if peer.is_transport_closed() {
            return;
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn spawn(
    cx: &Scope,
    command: &str,
    args: &[String],
    env: &BTreeMap<String, String>,
) -> Result<TokioChildProcess> {
    let mut program = tokio::process::Command::new(command);
    program.args(args).env_clear();
    for kept in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(kept) {
            program.env(kept, value);
        }
    }
    for (variable, secret) in env {
        program.env(variable, cx.secret(secret).await?.expose());
    }
    let spawned = TokioChildProcess::builder(program).stderr(Stdio::null()).spawn();
    spawned.map(|(child, _)| child).map_err(|cause| {
        Error::new(
            ErrorKind::NotFound,
            cx.operation(),
            "the program cannot be started: look at its name and rights",
        )
        .with_code("mcp_unreachable")
        .with_context("command", command)
        .with_source(cause)
    })
}

fn refused(cx: &Scope, name: &str, error: &ClientInitializeError) -> Error {
    if error.is_authorization_required() {
        let message = "the server wants a token: name its secret in `via.secret`";
        return Error::new(ErrorKind::Unauthenticated, cx.operation(), message).with_context("server", name);
    }
    match error {
        ClientInitializeError::JsonRpcError(refusal) => protocol(cx, name, &refusal.message),
        _ => unreachable_server(cx, name, "no connection came about: look at how it is reached"),
    }
}

fn unreachable_server(cx: &Scope, name: &str, why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, cx.operation(), format!("the server cannot be used: {why}"))
        .with_code("mcp_unreachable")
        .with_context("server", name)
        .with_retry(Retry::Backoff)
}

fn protocol(cx: &Scope, name: &str, told: &str) -> Error {
    Error::new(ErrorKind::Unsupported, cx.operation(), format!("the server refuses: {told}"))
        .with_code("mcp_protocol")
        .with_context("server", name)
}
