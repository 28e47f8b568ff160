//! `email.unsubscribe`: a signed link is followed.

use neonhub_core::op::{Audit, Effect, Operation};
use neonhub_core::{Error, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::keys::signing_keys;
use super::record::append;
use super::suppress::{Suppress, suppress};
use crate::consent::model::{Consent, Proof};
use crate::consent::suppression::SuppressionReason;
use crate::consent::token::{self, UnsubscribeClaim};
use crate::consent::{Basis, Channel, ConsentScope, ProofMethod, Status};
use crate::people::engine::{ConsentIntent, consent_id};
use crate::people::facts::facts_of;
use crate::people::model::Identity;
use crate::people::{IdentityId, PersonId};

/// Ends a subscription by the token of a mail: a revoke and, for a whole list, a suppression of the address, in one
/// commit and at once. Needs no login. Twice is the same as once. Call it for a POST whose body is
/// `List-Unsubscribe=One-Click` (RFC 8058), never for a GET.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsubscribe {
    /// The token of the link.
    pub token: String,
}

/// What an unsubscribe did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unsubscribed {
    /// The list that was left: `marketing` or one topic.
    pub list: ConsentScope,
    /// The channel of the list.
    pub channel: Channel,
    /// True when the recipient had left before, so that nothing was changed.
    pub was_done: bool,
}

impl Operation for Unsubscribe {
    type Output = Unsubscribed;
    const NAME: &'static str = "email.unsubscribe";
    // The token itself is the right.
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Business;
    const RERUNS: u8 = 8;
    const ERRORS: &'static [&'static str] = &["bad_token"];

    async fn run(self, cx: &Scope) -> Result<Unsubscribed> {
        let claim = token::verify(&signing_keys(cx).await?, &self.token)?;
        if claim.workspace != cx.workspace().as_str() {
            return Err(Error::invalid(
                Self::NAME,
                "token",
                "expected the unsubscribe token of a mail, complete and unchanged",
            )
            .with_code("bad_token"));
        }
        let identity = cx.need::<Identity>(claim.identity.as_str()).await?;
        let mut facts = facts_of(cx, &identity.person).await?;
        let now = cx.now();
        let answer =
            facts.consent(&claim.channel, &claim.list, claim.brand.as_deref(), Some(&claim.identity), now);
        let mut was_done = answer.status == Some(Status::Revoked);
        if !was_done {
            let row = revoke(cx, &claim, &identity.person)?;
            append(cx, &mut facts, &row).await?;
        }
        // A topic is left by its row alone: suppression knows addresses, not topics, and would end the others too.
        if matches!(claim.list, ConsentScope::Marketing | ConsentScope::All) {
            let what = Suppress {
                identity: &claim.identity,
                channel: Some(&claim.channel),
                brand: claim.brand.as_deref(),
                reason: SuppressionReason::UnsubscribeAll,
                source: "unsubscribe link",
                evidence: None,
            };
            let (_, is_new) = suppress(cx, &mut facts, &what).await?;
            was_done &= !is_new;
        }
        if !was_done {
            cx.save(&facts)?;
        }
        Ok(Unsubscribed { list: claim.list, channel: claim.channel, was_done })
    }

    fn examples() -> Vec<Self> {
        vec![Unsubscribe { token: "AQAAAAE".into() }]
    }
}

fn revoke(cx: &Scope, claim: &UnsubscribeClaim, person: &PersonId) -> Result<Consent> {
    let now = cx.now();
    let said = ConsentIntent {
        channel: claim.channel.clone(),
        scope: claim.list.clone(),
        brand: claim.brand.clone(),
        status: Status::Revoked,
        basis: Basis::Consent,
        source: "unsubscribe link".into(),
        at: Some(now),
        text: None,
        method: ProofMethod::Link,
    };
    Ok(Consent {
        id: consent_id(person, Some(&claim.identity), &said)?,
        person: person.clone(),
        identity: Some(claim.identity.clone()),
        channel: said.channel,
        scope: said.scope,
        brand: said.brand,
        status: Status::Revoked,
        basis: said.basis,
        source: said.source,
        jurisdiction: None,
        effective_at: now,
        recorded_at: now,
        sequence: 0,
        expires_at: None,
        proof: Some(Proof {
            text_hash: None,
            text_version: None,
            locale: None,
            method: ProofMethod::Link,
            url: None,
            user_agent: None,
            actor: cx.label().to_owned(),
        }),
    })
}

/// The unsubscribe token of a recipient, for the mails that a send makes.
///
/// # Errors
/// What reading the workspace's keys answers.
pub async fn unsubscribe_token(
    cx: &Scope,
    person: &PersonId,
    identity: &IdentityId,
    channel: Channel,
    list: ConsentScope,
    brand: Option<&str>,
) -> Result<String> {
    let keys = signing_keys(cx).await?;
    let key = keys.last().ok_or_else(|| cx.missing("signing_key"))?;
    let claim = UnsubscribeClaim {
        workspace: cx.workspace().as_str().to_owned(),
        person: person.clone(),
        identity: identity.clone(),
        channel,
        list,
        brand: brand.map(str::to_owned),
    };
    token::sign(key, &claim)
}
