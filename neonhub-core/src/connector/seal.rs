//! The seal: the one place that makes a [`Cleared`] message, and only from an Allow of the installed gate.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Channel, Connector, Outbound, Payload, Receipt};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// How long a clearance holds before the gate must be asked again.
// Our choice (sending rules, section 3): long enough for one delivery, short against a revoke.
const VALID_FOR: Duration = Duration::from_secs(60);

/// What the gate is asked about: a message to be sent.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Record the message belongs to (a Send).
    pub send: String,
    /// The person, unless it is public.
    pub person: Option<String>,
    /// Channel.
    pub channel: Channel,
    /// Instant the verdict is for.
    pub at: Timestamp,
    /// What the gate's owner needs besides: it put it there and reads it back.
    pub facts: Value,
}

/// A verdict's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// May go out now.
    Allow,
    /// Not before an instant; then it is judged again.
    Defer,
    /// Not at all.
    Deny,
}

/// One rule's say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// Stable rule id, such as `G05.consent`.
    pub rule: String,
    /// Its direction.
    pub decision: Decision,
    /// Stable word for the cause, such as `no_grant`.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Ids of records and values used; no contact values.
    #[serde(default)]
    pub evidence: Value,
    /// For a deferral: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A record the verdict was computed from: the dispatch commit fails when it changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Kind of the record.
    pub kind: crate::store::Kind,
    /// Its id.
    pub id: String,
    /// The revision that was read; 0 when it was absent.
    pub rev: u64,
}

/// The gate's answer, kept as data.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Its direction.
    pub decision: Decision,
    /// For a deferral: the latest `until` of all rules.
    pub until: Option<Timestamp>,
    /// Every rule that did not allow, in the order of the rules.
    pub reasons: Vec<Reason>,
    /// What the verdict was computed from.
    pub guards: Vec<Guard>,
}

impl Judgement {
    /// The rule that decided: the first one of the verdict's own direction.
    #[must_use]
    pub fn deciding(&self) -> Option<&Reason> {
        self.reasons.iter().find(|r| r.decision == self.decision)
    }
}

/// The rules a message must pass. Installed once, when the hub is built.
#[async_trait]
pub trait Gate: Debug + Send + Sync + 'static {
    /// Name, kept in every verdict.
    fn name(&self) -> &'static str;
    /// Version of the rules, kept in every verdict.
    fn version(&self) -> &'static str;
    /// Judges proposals, in the order asked. Pure over what it loads: same records and instants, same verdicts.
    async fn judge(&self, cx: &Scope, proposals: &[Proposal]) -> Result<Vec<Judgement>>;
}

/// A message the gate allowed. It cannot be made, copied or stored outside the seal:
///
/// ```compile_fail
/// use neonhub_core::connector::{Cleared, Outbound};
/// fn forge(outbound: Outbound) -> Cleared {
///     Cleared { outbound, hub: [0; 16], until: Default::default() }
/// }
/// ```
///
/// ```compile_fail
/// use neonhub_core::connector::Cleared;
/// fn copy(cleared: &Cleared) -> Cleared {
///     cleared.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Cleared {
    outbound: Outbound,
    hub: [u8; 16],
    until: Timestamp,
    fingerprint: [u8; 32],
}

impl Cleared {
    /// The same clearance for another try of one delivery. Inside the seal alone.
    pub(super) fn again(&self) -> Cleared {
        Cleared { outbound: self.outbound.clone(), ..*self }
    }

    /// Until when it holds.
    pub(super) fn until(&self) -> Timestamp {
        self.until
    }

    /// The message, for reading.
    #[must_use]
    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// The message, consumed: what a connector sends.
    #[must_use]
    pub fn into_outbound(self) -> Outbound {
        self.outbound
    }
}

/// What came of asking for clearance.
#[derive(Debug)]
pub enum Clearance {
    /// It may go out, within a minute.
    Cleared {
        /// The message for the connector.
        cleared: Box<Cleared>,
        /// The verdict to store.
        judgement: Judgement,
    },
    /// It may not.
    Refused(Judgement),
}

impl Scope {
    /// Asks the installed gate about messages and seals those it allows.
    ///
    /// # Errors
    /// `Config` when no gate is installed; what the gate answers.
    pub async fn clear(&self, asked: Vec<(Proposal, Outbound)>) -> Result<Vec<Clearance>> {
        let gate = self.hub().gate()?;
        let (proposals, outbounds): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let judgements = gate.judge(self, &proposals).await?;
        if judgements.len() != outbounds.len() {
            return Err(Error::new(ErrorKind::Internal, "gate", "the gate must answer each proposal"));
        }
        let until = self.now().plus(VALID_FOR);
        let sealed = judgements.into_iter().zip(outbounds).map(|(judgement, outbound)| {
            count(self, &outbound, &judgement);
            if judgement.decision != Decision::Allow {
                return Clearance::Refused(judgement);
            }
            let fingerprint = fingerprint(&outbound);
            let cleared = Cleared { outbound, hub: self.hub().token(), until, fingerprint };
            Clearance::Cleared { cleared: Box::new(cleared), judgement }
        });
        Ok(sealed.collect())
    }

    /// Delivers a cleared message through a connector of this hub: at most four at a time for a connection, with the
    /// tries and the breaker of [`crate::resilience`]. Never again after an unknown outcome.
    ///
    /// # Errors
    /// `Blocked` for a clearance of another hub or older than a minute, for a connector in another region than the
    /// workspace's, and when a policy refuses; `Unavailable` or `RateLimited` with [`is_untried`] while the connection
    /// is left alone; what the connector answers.
    ///
    /// [`is_untried`]: crate::resilience::is_untried
    pub async fn deliver(&self, connector: &dyn Connector, cleared: Cleared) -> Result<Receipt> {
        let refuse = |message| Err(Error::new(ErrorKind::Blocked, "connector.deliver", message));
        if cleared.hub != self.hub().token() || cleared.fingerprint != fingerprint(&cleared.outbound) {
            return refuse("the clearance was not made by this hub for this message");
        }
        if self.now() > cleared.until {
            return refuse("the clearance is older than a minute: ask the gate again");
        }
        let channel = cleared.outbound.channel.clone();
        self.check_residency(connector.manifest().id, connector.region()).await?;
        // Again at the last moment: a policy that was put in force since the launch holds for what is left of it.
        crate::policy::rule_effect("connector.deliver", channel.as_str(), self).await?;
        super::guarded::deliver(self, connector, cleared).await
    }
}

fn count(cx: &Scope, outbound: &Outbound, judgement: &Judgement) {
    let verdict = match judgement.decision {
        Decision::Allow => "allow",
        Decision::Defer => "defer",
        Decision::Deny => "deny",
    };
    let rule = judgement.deciding().map_or("", |r| r.rule.as_str());
    cx.hub().telemetry().judged(outbound.channel.as_str(), verdict, rule);
}

fn fingerprint(outbound: &Outbound) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(outbound.channel.as_str().as_bytes());
    add(outbound.effect.as_str().as_bytes());
    match &outbound.payload {
        Payload::Email { from, to, message } => {
            add(from.as_bytes());
            add(to.expose().as_bytes());
            add(message);
        }
        Payload::Text { from, to, body } => {
            add(from.as_bytes());
            add(to.expose().as_bytes());
            add(body.as_bytes());
        }
        Payload::Post { account, text, link, .. } => {
            add(account.as_bytes());
            add(text.as_bytes());
            add(link.as_deref().unwrap_or_default().as_bytes());
        }
    }
    hash.finalize().into()
}
