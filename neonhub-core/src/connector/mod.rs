//! Connectors: the outside world, reached only with a [`Cleared`] message.

mod guarded;
mod manifest;
mod message;
mod seal;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use std::fmt::Debug;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use guarded::RECIPIENT_DEFERRED;
pub(crate) use guarded::connection_of;
pub use manifest::{Action, Manifest};
pub use message::{Channel, EffectId, Outbound, Payload};
pub use seal::{Clearance, Cleared, Decision, Gate, Guard, Judgement, Proposal, Reason};

use crate::Result;

/// What a service answered to a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// The service's own id of the message.
    pub provider_id: String,
    /// The service's own word for its state, kept raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_status: Option<String>,
}

/// What a probe found after a crash or a lost answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The effect happened.
    Landed(Receipt),
    /// It did not happen.
    NotLanded,
    /// The service cannot tell: a person decides.
    Unknown,
}

/// A service that takes messages. Adapters classify errors and never sleep or retry.
///
/// A delivery that may have acted without a clear answer fails with `OutcomeUnknown`; only what provably did
/// not happen fails with another kind. A passing refusal of one recipient alone has the code [`RECIPIENT_DEFERRED`].
#[async_trait]
pub trait Connector: Debug + Send + Sync + 'static {
    /// What it is.
    fn manifest(&self) -> &'static Manifest;

    /// The channels this instance delivers for.
    fn channels(&self) -> Vec<Channel>;

    /// Where the service keeps what it gets, such as `eu`; `local` for what stays on this machine. Default: unknown,
    /// which a workspace with a region refuses.
    fn region(&self) -> Option<&str> {
        None
    }

    /// Hands a message to the service. The only way out of the hub; it takes nothing but a cleared message.
    async fn deliver(&self, cleared: Cleared) -> Result<Receipt>;

    /// Whether an effect landed. Default: cannot tell.
    async fn probe(&self, _effect: &EffectId, _channel: &Channel) -> Result<Probe> {
        Ok(Probe::Unknown)
    }

    /// Makes everything delivered so far durable. Called once per batch, before its outcomes are stored.
    async fn settle(&self) -> Result<()> {
        Ok(())
    }

    /// Gives up what is kept of a connection (sockets, tokens that can be fetched anew) and connects again. Default:
    /// nothing is kept.
    async fn reconnect(&self) -> Result<()> {
        Ok(())
    }

    /// Whether the service can be reached.
    async fn health(&self) -> Result<()> {
        Ok(())
    }
}
