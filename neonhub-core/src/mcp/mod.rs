//! The Model Context Protocol: tools of other programs for our agents, and our catalogue for the agents of others.
//!
//! [`ConnectMcp`] links a workspace to a server. Its tools are named after the server, `crm.find_account`, and are
//! called like any other: checked, bounded, and asked for at the policies. What the server says of its tools is pinned
//! when it is linked. A list that is seen or said to have changed (by the server, at [`ConnectMcp`] or [`RefreshMcp`], or
//! accepted by another process) is used by nobody until a person has accepted it.
//!
//! [`ServeMcp`] shows the catalogue over streamable HTTP, and [`serve_stdio`] over the standard streams of this process.
//! Each caller sees what its rights allow, as an agent that acts for it: policies, quotas, approvals and the audit log
//! hold as they do for our own agents.
//!
//! Protocol 2026-07-28 is spoken first, and 2025-11-25 with who knows no other. The feature `mcp` has the wire; without it
//! the operations answer `Unsupported`.

#[cfg(feature = "mcp")]
mod answer;
#[cfg(feature = "mcp")]
mod client;
#[cfg(feature = "mcp")]
mod listen;
mod model;
mod ops;
#[cfg(feature = "mcp")]
mod pin;
#[cfg(feature = "mcp")]
mod remote;
#[cfg(feature = "mcp")]
mod serve;
#[cfg(feature = "mcp")]
#[cfg(test)]
mod tests;

#[cfg(feature = "mcp")]
pub(crate) use client::Links;
pub use model::{LeftOut, McpServer, McpServerId, McpTool, McpVia};
pub use ops::{
    ConnectMcp, DisconnectMcp, ListMcp, McpLink, McpListener, McpState, RefreshMcp, ServeMcp, ToolChange,
    ToolChanges,
};
#[cfg(feature = "mcp")]
pub use serve::serve_stdio;

use crate::op::{Entry, entry};
use crate::store::Kind;

/// Operations of this room.
pub static CATALOGUE: &[Entry] = &[
    entry::<ConnectMcp>(),
    entry::<RefreshMcp>(),
    entry::<ListMcp>(),
    entry::<DisconnectMcp>(),
    entry::<ServeMcp>(),
];

/// Records of this room.
pub static KINDS: &[Kind] = &[Kind::of::<McpServer>()];
