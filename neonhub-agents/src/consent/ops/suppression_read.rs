//! `suppression.check` and `suppression.list`.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SuppressionView, address, workspace_region};
use crate::consent::Channel;
use crate::consent::model::{SuppressedValue, Suppression};
use crate::consent::suppression::{SuppressionFact, SuppressionKind, SuppressionReason, domain_of};
use crate::people::facts::facts_of;
use crate::people::model::Identity;
use crate::people::normalise::Identifier;
use crate::people::{IdentityKind, hash};

/// Asks whether an address is suppressed, by itself or by its domain.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSuppression {
    /// The address or number.
    pub identifier: Identifier,
    /// The channel that would be used. Default: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The brand that would speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
}

/// Whether an address is suppressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressionCheck {
    /// True when nothing may be sent there.
    pub is_suppressed: bool,
    /// What forbids it.
    pub suppressions: Vec<SuppressionFact>,
}

impl Operation for CheckSuppression {
    type Output = SuppressionCheck;
    const NAME: &'static str = "suppression.check";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<SuppressionCheck> {
        let region = workspace_region(cx).await?;
        let address = address(cx, "identifier", &self.identifier, region.as_deref())?;
        let mut ids = vec![address.hash.clone()];
        if address.kind == IdentityKind::Email {
            ids.extend(domain_of(&address.key).map(|d| hash::domain(cx.sealer(), d)));
        }
        let values = cx.get_many::<SuppressedValue>(&ids).await?;
        let mut found: Vec<SuppressionFact> =
            values.into_iter().flatten().flat_map(|v| v.body.suppressions).collect();
        if let Some(held) = cx.find::<Identity>("hash", Key::text(&address.hash)).await? {
            let facts = facts_of(cx, &held.person).await?;
            found.extend(facts.body.suppressions.into_iter().filter(|s| s.kind == SuppressionKind::Person));
        }
        found.retain(|s| self.covers(s, cx.now()));
        Ok(SuppressionCheck { is_suppressed: !found.is_empty(), suppressions: found })
    }

    fn examples() -> Vec<Self> {
        vec![CheckSuppression {
            identifier: Identifier::email("left@shop.example"),
            channel: None,
            brand: None,
        }]
    }
}

impl CheckSuppression {
    fn covers(&self, s: &SuppressionFact, now: Timestamp) -> bool {
        let channel = s.channel.is_none() || self.channel.is_none() || s.channel == self.channel;
        let brand = s.brand.is_none() || s.reason.is_for_all_brands() || s.brand == self.brand;
        channel && brand && s.expires_at.is_none_or(|end| end > now)
    }
}

/// Lists suppressions, oldest first; lifted ones too.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSuppressions {
    /// Only those for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SuppressionReason>,
    /// At most this many, 1 to 500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// Where the page before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListSuppressions {
    type Output = Page<SuppressionView>;
    const NAME: &'static str = "suppression.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadPeople];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<SuppressionView>> {
        let query = match self.reason {
            Some(reason) => Query::index("reason").prefix(Key::text(reason.as_word())),
            None => Query::by_id(),
        };
        let query = query.limit(usize::from(self.limit.unwrap_or(50)));
        let page = cx.page::<Suppression>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|s| s.body.into()).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListSuppressions::default()]
    }
}
