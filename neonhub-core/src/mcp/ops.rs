//! Operations on servers of tools, and the one that makes the catalogue a server itself.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{LeftOut, McpServer, McpVia, check};
use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::store::{Key, Query};
use crate::{Error, Faults, Result, Scope};

const NEEDS: &[Permission] = &[Permission::ManageConnections];
/// A server may have to be started, and may be one that answers the first question of the new protocol not at all.
const DEADLINE: Duration = Duration::from_secs(90);
/// Where the catalogue is shown unless the call says otherwise: to this machine, on a free port.
const LOOPBACK: &str = "127.0.0.1:0";

/// Whether the tools of a server can be used in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum McpState {
    /// They can.
    Ready,
    /// The server has other tools than were accepted: none can be used until `mcp.refresh` accepts them.
    Changed,
    /// This process is not connected to it: `mcp.connect` does it.
    Away,
}

/// What became of a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolChange {
    /// It was not there when the list was accepted.
    Added,
    /// It is described otherwise.
    Changed,
    /// It is gone.
    Removed,
}

/// How a tool differs from what was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ToolChanges {
    /// What its server calls it.
    pub name: String,
    /// What became of it.
    pub change: ToolChange,
    /// What its server says of it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// How it stands with a server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpLink {
    /// Its name.
    pub name: String,
    /// How it is reached.
    pub via: McpVia,
    /// Whether its tools can be used.
    pub state: McpState,
    /// The protocol that is spoken with it, such as `2026-07-28`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Names of its tools as agents know them; empty unless they can be used.
    pub tools: Vec<String>,
    /// SHA-256 over the tools it has now, hex: what `accept` of `mcp.refresh` takes. In `mcp.list`, which asks no server:
    /// over those that were accepted.
    pub tools_hash: String,
    /// How they differ from what was accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ToolChanges>,
    /// Tools that cannot be used here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

/// Links the workspace to a server of tools and connects this process to it. The first time, what the server says of its
/// tools is accepted and pinned; each process that is to use them connects for itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectMcp {
    /// Name of the server here, 1..24 characters of a-z, 0-9 and underscore.
    pub name: String,
    /// How it is reached; may be left out for a server that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<McpVia>,
}

impl Operation for ConnectMcp {
    type Output = McpLink;
    const NAME: &'static str = "mcp.connect";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
    const DEADLINE: Duration = DEADLINE;
    const ERRORS: &'static [&'static str] = &["mcp_unreachable", "mcp_protocol"];

    async fn run(self, cx: &Scope) -> Result<McpLink> {
        let known = cx.find::<McpServer>("name", Key::text(&self.name)).await?;
        let via =
            self.via.or_else(|| known.as_ref().map(|known| known.body.via.clone())).ok_or_else(|| {
                Error::invalid(Self::NAME, "via", "no server of this name is known: say how it is reached")
            })?;
        let mut faults = Faults::new();
        check(&mut faults, &self.name, &via);
        faults.into_result(Self::NAME)?;
        wire::connect(cx, self.name, via, known).await
    }

    fn examples() -> Vec<Self> {
        let via = McpVia::Http { url: "https://crm.example/mcp".into(), secret: Some("crm_token".into()) };
        vec![ConnectMcp { name: "crm".into(), via: Some(via) }]
    }
}

/// Asks a connected server for its tools again. With `accept` what it says now is pinned and can be used.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshMcp {
    /// Name of the server.
    pub name: String,
    /// The `tools_hash` of the list that is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<String>,
}

impl Operation for RefreshMcp {
    type Output = McpLink;
    const NAME: &'static str = "mcp.refresh";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const DEADLINE: Duration = DEADLINE;
    const ERRORS: &'static [&'static str] = &["mcp_unreachable", "mcp_protocol", "mcp_tools_changed"];

    async fn run(self, cx: &Scope) -> Result<McpLink> {
        let known = known(cx, &self.name).await?;
        wire::refresh(cx, known, self.accept).await
    }

    fn examples() -> Vec<Self> {
        vec![RefreshMcp { name: "crm".into(), accept: None }]
    }
}

/// Lists the servers the workspace is linked to, and whether this process can use their tools.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListMcp {}

impl Operation for ListMcp {
    type Output = Vec<McpLink>;
    const NAME: &'static str = "mcp.list";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Vec<McpLink>> {
        let servers = cx.page::<McpServer>(Query::index("name").limit(500), None).await?;
        Ok(servers.items.into_iter().map(|known| wire::shown(cx, known.body)).collect())
    }

    fn examples() -> Vec<Self> {
        vec![ListMcp {}]
    }
}

/// Ends the link with a server: its tools are gone from this process, and its pinned list from the workspace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisconnectMcp {
    /// Name of the server.
    pub name: String,
}

impl Operation for DisconnectMcp {
    type Output = ();
    const NAME: &'static str = "mcp.disconnect";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;

    async fn run(self, cx: &Scope) -> Result<()> {
        let known = known(cx, &self.name).await?;
        cx.delete::<McpServer>(known.body.id.as_str(), crate::store::Expected::Rev(known.rev))?;
        wire::disconnect(cx, &self.name);
        Ok(())
    }

    fn examples() -> Vec<Self> {
        vec![DisconnectMcp { name: "crm".into() }]
    }
}

/// Shows the catalogue to programs that speak the Model Context Protocol, over streamable HTTP, until the hub closes.
/// Callers prove themselves by an API key as bearer token, and see and do what it allows, as an agent.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServeMcp {
    /// Address and port. Default: `127.0.0.1:0`, a free port of this machine.
    pub address: String,
    /// Names under which the server may be asked for, beside those of this machine: others are refused, so that no page
    /// of the web can reach it through a name of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

impl Default for ServeMcp {
    fn default() -> Self {
        ServeMcp { address: LOOPBACK.to_owned(), hosts: Vec::new() }
    }
}

/// Where the catalogue is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct McpListener {
    /// The whole address, such as `http://127.0.0.1:41234/mcp`.
    pub url: String,
}

impl Operation for ServeMcp {
    type Output = McpListener;
    const NAME: &'static str = "mcp.serve";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const HOST_ONLY: bool = true;
    const ERRORS: &'static [&'static str] = &["address_in_use"];

    async fn run(self, cx: &Scope) -> Result<McpListener> {
        let address = self.address.parse::<std::net::SocketAddr>().map_err(|_| {
            Error::invalid(Self::NAME, "address", "expected an address and a port, such as 127.0.0.1:8080")
        })?;
        wire::serve(cx, address, self.hosts).await
    }

    fn examples() -> Vec<Self> {
        vec![ServeMcp::default()]
    }
}

async fn known(cx: &Scope, name: &str) -> Result<crate::store::Stored<McpServer>> {
    let found = cx.find::<McpServer>("name", Key::text(name)).await?;
    found.ok_or_else(|| cx.missing("mcp_server").with_context("name", name))
}

#[cfg(feature = "mcp")]
use super::client as wire;

/// What is left without the wire.
#[cfg(not(feature = "mcp"))]
mod wire {
    use std::net::SocketAddr;

    use super::{McpLink, McpListener, McpServer, McpState, McpVia};
    use crate::store::Stored;
    use crate::{Error, ErrorKind, Result, Scope};

    fn unsupported<T>(cx: &Scope) -> Result<T> {
        let message = "this build does not speak the Model Context Protocol: build it with the feature `mcp`";
        Err(Error::new(ErrorKind::Unsupported, cx.operation(), message).with_context("feature", "mcp"))
    }

    pub(super) async fn connect(
        cx: &Scope,
        _name: String,
        _via: McpVia,
        _known: Option<Stored<McpServer>>,
    ) -> Result<McpLink> {
        unsupported(cx)
    }

    pub(super) async fn refresh(
        cx: &Scope,
        _known: Stored<McpServer>,
        _accept: Option<String>,
    ) -> Result<McpLink> {
        unsupported(cx)
    }

    pub(super) async fn serve(cx: &Scope, _address: SocketAddr, _hosts: Vec<String>) -> Result<McpListener> {
        unsupported(cx)
    }

    pub(super) fn shown(_cx: &Scope, known: McpServer) -> McpLink {
        McpLink {
            name: known.name,
            via: known.via,
            state: McpState::Away,
            protocol: None,
            tools: Vec::new(),
            tools_hash: known.tools_hash,
            changes: Vec::new(),
            left_out: Vec::new(),
        }
    }

    pub(super) fn disconnect(_cx: &Scope, _name: &str) {}
}
