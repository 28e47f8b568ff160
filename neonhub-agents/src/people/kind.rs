//! The kinds of identity.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// The host's own id of a user, in a namespace.
    UserId,
    /// An e-mail address.
    Email,
    /// A cookie or installation that has no name yet.
    AnonymousId,
    /// An id in another system: crm, shop, payment.
    External,
    /// A public name on a platform.
    Handle,
    /// A phone number.
    Phone,
    /// An opaque id on an account of a platform: page-scoped ids, `wa_id`, chat ids.
    PlatformId,
    /// A device. Never used to look a person up.
    DeviceId,
    /// Where push messages go. Never used to look a person up.
    PushToken,
}

impl IdentityKind {
    /// Every kind, in order of priority.
    pub const ALL: [IdentityKind; 9] = [
        IdentityKind::UserId,
        IdentityKind::Email,
        IdentityKind::AnonymousId,
        IdentityKind::External,
        IdentityKind::Handle,
        IdentityKind::Phone,
        IdentityKind::PlatformId,
        IdentityKind::DeviceId,
        IdentityKind::PushToken,
    ];

    /// The word of this kind.
    #[must_use]
    pub const fn as_word(self) -> &'static str {
        match self {
            IdentityKind::UserId => "user_id",
            IdentityKind::Email => "email",
            IdentityKind::AnonymousId => "anonymous_id",
            IdentityKind::External => "external",
            IdentityKind::Handle => "handle",
            IdentityKind::Phone => "phone",
            IdentityKind::PlatformId => "platform_id",
            IdentityKind::DeviceId => "device_id",
            IdentityKind::PushToken => "push_token",
        }
    }

    /// Place in the order of priority; 1 is highest. User id, then e-mail, then by alphabet.
    // people.md 2; Segment, "Identity Resolution Settings" (user_id, email, then alphabetical).
    #[must_use]
    pub const fn priority(self) -> u8 {
        self as u8 + 1
    }

    /// False for the kinds that never find or join people.
    #[must_use]
    pub const fn finds_people(self) -> bool {
        !matches!(self, IdentityKind::DeviceId | IdentityKind::PushToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priority_is_user_id_email_then_alphabetical() {
        let finding: Vec<_> = IdentityKind::ALL.into_iter().filter(|k| k.finds_people()).collect();
        assert_eq!(finding[..2], [IdentityKind::UserId, IdentityKind::Email]);
        assert!(finding[2..].is_sorted_by_key(|k| k.as_word()));
        assert!(IdentityKind::ALL.is_sorted_by_key(|k| k.priority()));
    }
}
