//! The words of a consent row: status, legal basis, method of proof.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a consent row says.
// The order is the restrictiveness of people.md 3 rule 5: the smallest is the most restrictive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Taken back.
    Revoked,
    /// Asked and refused.
    Denied,
    /// Asked, not yet confirmed. Not a consent.
    Pending,
    /// Given.
    Granted,
}

impl Status {
    /// The word of this status.
    #[must_use]
    pub const fn as_word(self) -> &'static str {
        match self {
            Status::Revoked => "revoked",
            Status::Denied => "denied",
            Status::Pending => "pending",
            Status::Granted => "granted",
        }
    }
}

/// Why the processing is lawful.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The person agreed (GDPR Art. 6(1)(a)).
    #[default]
    Consent,
    /// A contract needs it (GDPR Art. 6(1)(b)).
    Contract,
    /// A legitimate interest (GDPR Art. 6(1)(f)).
    LegitimateInterest,
    /// A law demands it (GDPR Art. 6(1)(c)).
    LegalObligation,
    /// Implied by a purchase (CASL); lapses.
    ImpliedPurchase,
    /// Implied by an inquiry (CASL); lapses.
    ImpliedInquiry,
}

impl Basis {
    /// Months after which an implied basis lapses; `None` for the others.
    // CRTC, "Canada's anti-spam legislation: implied consent": purchase 2 years, inquiry 6 months.
    #[must_use]
    pub const fn lapses_after_months(self) -> Option<i32> {
        match self {
            Basis::ImpliedPurchase => Some(24),
            Basis::ImpliedInquiry => Some(6),
            _ => None,
        }
    }
}

/// How a consent was given or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProofMethod {
    /// A form on a page.
    Form,
    /// A call of the host's program.
    Api,
    /// Attested by the host in an imported file.
    Import,
    /// An answer of the person, such as STOP.
    Reply,
    /// A signed link, such as an unsubscribe link.
    Link,
    /// Said by the person and written down.
    Verbal,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revoked_is_most_restrictive_and_granted_least() {
        assert!(Status::Revoked < Status::Denied);
        assert!(Status::Denied < Status::Pending);
        assert!(Status::Pending < Status::Granted);
    }
}
