//! Asking a person: the hook that [`crate::approval`] fills, or what a host installs in its place.

use std::fmt::Debug;

use async_trait::async_trait;
use serde_json::Value;

use crate::{Result, Scope};

/// A call that needs a person's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The operation, or the tool that is none.
    pub operation: String,
    /// Its input, with its defaults.
    pub args: Value,
    /// Why a person is asked.
    pub summary: String,
    /// SHA-256 over the operation's name and the canonical JSON of its input, hex: the yes is for exactly this call.
    pub args_hash: String,
    /// How many must agree.
    pub quorum: u8,
    /// Roles or users who may; empty: who holds `approve:effects`.
    pub approvers: Vec<String>,
    /// How long the question stands, in milliseconds.
    pub ttl_ms: u64,
    /// The policies that ask, `name@version`; empty: the default for acts of agents on the outside.
    pub policies: Vec<String>,
}

/// Keeps questions and answers. One implementation is installed when the hub is built.
#[async_trait]
pub trait Approvals: Debug + Send + Sync + 'static {
    /// The id of the approval that allows exactly this call, when there is one that was not used yet.
    ///
    /// # Errors
    /// What the store answers.
    async fn granted(&self, cx: &Scope, ask: &Ask) -> Result<Option<String>>;

    /// Puts the question, once per call, and gives its id.
    ///
    /// # Errors
    /// What the store answers.
    async fn ask(&self, cx: &Scope, ask: &Ask) -> Result<String>;

    /// Uses a granted approval up: with the commit of `cx` where it has one, else with one of its own.
    ///
    /// # Errors
    /// `Blocked`, code `approval_used`, when another call used it; what the store answers.
    async fn spend(&self, cx: &Scope, id: &str) -> Result<()>;
}
