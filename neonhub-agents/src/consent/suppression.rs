//! Addresses, domains and people that must not be reached, whatever the ledger says (people.md 4, rule 10).

use neonhub_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Channel;

/// What a suppression names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionKind {
    /// One normalised address or number.
    Address,
    /// Every address of a mail domain (not of its subdomains).
    Domain,
    /// A person, on all their addresses.
    Person,
}

/// Why something is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// The mailbox does not exist.
    HardBounce,
    /// The recipient reported spam.
    Complaint,
    /// The recipient left.
    UnsubscribeAll,
    /// Someone of the workspace did it.
    Manual,
    /// The person was erased.
    Erased,
    /// A law or a court demands it.
    Legal,
    /// Came with an imported list.
    Import,
    /// An address of a role, such as `postmaster`.
    RoleAddress,
}

impl SuppressionReason {
    /// The word.
    #[must_use]
    pub const fn as_word(self) -> &'static str {
        match self {
            SuppressionReason::HardBounce => "hard_bounce",
            SuppressionReason::Complaint => "complaint",
            SuppressionReason::UnsubscribeAll => "unsubscribe_all",
            SuppressionReason::Manual => "manual",
            SuppressionReason::Erased => "erased",
            SuppressionReason::Legal => "legal",
            SuppressionReason::Import => "import",
            SuppressionReason::RoleAddress => "role_address",
        }
    }

    /// True when it holds for all brands of the workspace, whichever brand it came from.
    #[must_use]
    pub const fn is_for_all_brands(self) -> bool {
        matches!(
            self,
            SuppressionReason::HardBounce | SuppressionReason::Complaint | SuppressionReason::Erased
        )
    }

    /// True when lifting it needs a newer confirmed double opt-in of the person.
    #[must_use]
    pub const fn needs_opt_in_to_lift(self) -> bool {
        matches!(self, SuppressionReason::Complaint | SuppressionReason::Erased)
    }
}

/// The mail domain of a normalised address.
#[must_use]
pub fn domain_of(key: &str) -> Option<&str> {
    key.rsplit_once('@').map(|(_, domain)| domain)
}

/// What matching reads of a suppression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SuppressionFact {
    /// The suppression record.
    pub suppression: super::SuppressionId,
    /// What it names.
    pub kind: SuppressionKind,
    /// The address of the person it names, for `address` and `domain`; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<crate::people::IdentityId>,
    /// The channel it is limited to; none: every channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// The brand it is limited to; none: every brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<String>,
    /// Why.
    pub reason: SuppressionReason,
    /// When it ends by itself; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// What is about to be used.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// The brand that would speak.
    pub brand: Option<&'a str>,
    /// The address that would be used.
    pub identity: Option<&'a crate::people::IdentityId>,
    /// The instant.
    pub at: Timestamp,
}

impl SuppressionFact {
    /// True when this suppression forbids the target.
    #[must_use]
    pub fn covers(&self, target: &Target<'_>) -> bool {
        let address = self.identity.is_none() || self.identity.as_ref() == target.identity;
        let channel = self.channel.is_none() || self.channel.as_ref() == Some(target.channel);
        let brand =
            self.brand.is_none() || self.reason.is_for_all_brands() || self.brand.as_deref() == target.brand;
        let live = self.expires_at.is_none_or(|end| end > target.at);
        address && channel && brand && live
    }
}

/// Every suppression that forbids the target, in the order given.
pub fn matching<'a>(
    facts: &'a [SuppressionFact],
    target: Target<'a>,
) -> impl Iterator<Item = &'a SuppressionFact> + 'a {
    facts.iter().filter(move |f| f.covers(&target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::SuppressionId;
    use crate::people::IdentityId;

    fn id(n: u8) -> IdentityId {
        format!("idn_{n:026}").try_into().unwrap()
    }

    fn fact() -> SuppressionFact {
        SuppressionFact {
            suppression: SuppressionId::try_from(format!("sup_{:026}", 1)).unwrap(),
            kind: SuppressionKind::Address,
            identity: Some(id(1)),
            channel: Some(Channel::Email),
            brand: None,
            reason: SuppressionReason::UnsubscribeAll,
            expires_at: None,
        }
    }

    #[test]
    fn rule_10_address_channel_brand_and_end_all_narrow() {
        let (one, two) = (id(1), id(2));
        let base = Target {
            channel: &Channel::Email,
            brand: Some("acme"),
            identity: Some(&one),
            at: Timestamp::from_millis(100),
        };
        assert!(fact().covers(&base));
        assert!(!fact().covers(&Target { identity: Some(&two), ..base }));
        assert!(!fact().covers(&Target { channel: &Channel::Sms, ..base }));
        assert!(!SuppressionFact { brand: Some("other".into()), ..fact() }.covers(&base));
        assert!(!SuppressionFact { expires_at: Some(Timestamp::from_millis(100)), ..fact() }.covers(&base));
        assert!(SuppressionFact { expires_at: Some(Timestamp::from_millis(101)), ..fact() }.covers(&base));
        assert!(SuppressionFact { identity: None, channel: None, ..fact() }.covers(&base));
    }

    #[test]
    fn rule_10_hard_bounce_complaint_and_erase_hold_for_all_brands() {
        let one = id(1);
        let target = Target {
            channel: &Channel::Email,
            brand: Some("acme"),
            identity: Some(&one),
            at: Timestamp::EPOCH,
        };
        for reason in [SuppressionReason::HardBounce, SuppressionReason::Complaint, SuppressionReason::Erased]
        {
            assert!(SuppressionFact { brand: Some("other".into()), reason, ..fact() }.covers(&target));
        }
    }

    #[test]
    fn domain_is_after_the_last_at() {
        assert_eq!(domain_of("a@b@c.example"), Some("c.example"));
        assert_eq!(domain_of("+12025550100"), None);
    }
}
