//! What the gate answers: a decision with every reason, in words that stay stable.

use std::borrow::Cow;

use neonhub_core::connector::{Decision, Reason};
use neonhub_core::{Error, ErrorKind, Timestamp};
use serde_json::{Map, Value};

macro_rules! rules {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// The rules, in the order in which they run. The words are stable: reports count by them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RuleId { $($(#[$doc])* $name),+ }

        impl RuleId {
            /// Every rule, in running order.
            pub const ALL: &'static [RuleId] = &[$(RuleId::$name),+];

            /// The stable word of this rule.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(RuleId::$name => $word),+ }
            }
        }
    };
}

rules! {
    /// Workspace, organization and brand are active.
    Tenant = "G01.tenant",
    /// The campaign, bulk or sequence is running, has begun, and the person is still inside it; the send has not
    /// expired. A start after now defers here.
    Source = "G01.source",
    /// The approvals this version of the draft needs are there.
    Approval = "G02.approval",
    /// The rendered text has a moderation verdict and passed.
    Moderation = "G02.moderation",
    /// No offline-made text leaves a production workspace.
    Offline = "G02.offline",
    /// No blocking guardrail finding, no placeholder left.
    Guardrail = "G02.guardrail",
    /// Postal address, opt-out and sender are in the message.
    Footer = "G02.footer",
    /// No red preflight finding on bulk mail.
    Deliverability = "G02.deliverability",
    /// The person exists and may be written to.
    Person = "G03.person",
    /// The person has a usable identity for the channel.
    Identity = "G03.identity",
    /// The address, domain or person is not suppressed.
    Suppression = "G04.suppression",
    /// The person agreed.
    Consent = "G05.consent",
    /// Legal hours where the person is.
    Law = "G06.law",
    /// Quiet hours and pause of the person.
    PersonTime = "G06.person",
    /// Sending windows of the brand.
    BrandTime = "G06.brand",
    /// Session windows and templates of messaging platforms.
    Window = "G07.window",
    /// Text and media limits of the platform.
    Limits = "G07.limits",
    /// The same public text on the same account.
    Duplicate = "G07.duplicate",
    /// Frequency caps.
    Frequency = "G08.frequency",
    /// Money for the message.
    Budget = "G09.budget",
    /// Connection, circuit and throttle of the provider.
    Provider = "G10.provider",
}

impl std::fmt::Display for RuleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One rule's say while the rules run.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    rule: RuleId,
    decision: Decision,
    code: &'static str,
    message: &'static str,
    evidence: Map<String, Value>,
    until: Option<Timestamp>,
}

impl Finding {
    fn new(rule: RuleId, decision: Decision, code: &'static str, message: &'static str) -> Self {
        Finding { rule, decision, code, message, evidence: Map::new(), until: None }
    }

    /// Never as it stands.
    pub(crate) fn deny(rule: RuleId, code: &'static str, message: &'static str) -> Self {
        Finding::new(rule, Decision::Deny, code, message)
    }

    /// Not before `until`.
    pub(crate) fn defer(rule: RuleId, until: Timestamp, code: &'static str, message: &'static str) -> Self {
        Finding { until: Some(until), ..Finding::new(rule, Decision::Defer, code, message) }
    }

    /// A warning that stops nothing.
    pub(crate) fn warn(rule: RuleId, code: &'static str, message: &'static str) -> Self {
        Finding::new(rule, Decision::Allow, code, message)
    }

    /// Adds a record id, state or limit the rule looked at; never a personal value.
    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "takes numbers and words alike at many call sites")]
    pub(crate) fn with(mut self, key: &'static str, value: impl std::fmt::Display) -> Self {
        self.evidence.insert(key.to_owned(), Value::String(value.to_string()));
        self
    }
}

impl From<Finding> for Reason {
    fn from(f: Finding) -> Reason {
        Reason {
            rule: f.rule.as_str().to_owned(),
            decision: f.decision,
            code: f.code.to_owned(),
            message: f.message.to_owned(),
            evidence: Value::Object(f.evidence),
            until: f.until,
        }
    }
}

/// The answer of all rules together.
#[derive(Clone, Debug, PartialEq)]
pub struct Ruling {
    /// Deny if any rule denies, else Defer if any defers, else Allow.
    pub decision: Decision,
    /// For `defer`: the latest instant any rule asked for. The gate runs again then.
    pub until: Option<Timestamp>,
    /// Every reason, in rule order. Warnings have the decision `allow`.
    pub reasons: Vec<Reason>,
    /// The zones the hours were judged in.
    pub zones_used: Vec<String>,
}

impl Ruling {
    pub(crate) fn from_findings(findings: Vec<Finding>, zones_used: Vec<String>) -> Self {
        let has = |decision| findings.iter().any(|f| f.decision == decision);
        let decision = match () {
            () if has(Decision::Deny) => Decision::Deny,
            () if has(Decision::Defer) => Decision::Defer,
            () => Decision::Allow,
        };
        let until = match decision {
            Decision::Defer => findings.iter().filter_map(|f| f.until).max(),
            Decision::Allow | Decision::Deny => None,
        };
        let reasons = findings.into_iter().map(Reason::from).collect();
        Ruling { decision, until, reasons, zones_used }
    }
}

/// The reason that decided: the first one of the verdict's own direction. `None` for Allow.
#[must_use]
pub fn deciding(decision: Decision, reasons: &[Reason]) -> Option<&Reason> {
    reasons.iter().find(|r| r.decision == decision).filter(|_| decision != Decision::Allow)
}

/// The error a caller sees for a Deny: `ConsentRequired` (consent, not opted in), `NotFound` with code
/// `no_identity`, `BudgetExceeded` (budget) or `Blocked` with the rule id as code. `None` unless denied.
#[must_use]
pub fn denial(decision: Decision, reasons: &[Reason], operation: &'static str) -> Option<Error> {
    if decision != Decision::Deny {
        return None;
    }
    let reason = deciding(decision, reasons)?;
    let own = Cow::Owned(reason.code.clone());
    let (kind, code) = match (reason.rule.as_str(), reason.code.as_str()) {
        ("G05.consent", _) | (_, "not_opted_in") => (ErrorKind::ConsentRequired, own),
        (_, "no_identity") => (ErrorKind::NotFound, own),
        ("G09.budget", _) => (ErrorKind::BudgetExceeded, own),
        _ => (ErrorKind::Blocked, Cow::Owned(reason.rule.clone())),
    };
    let error = Error::new(kind, operation, reason.message.clone()).with_code(code);
    Some(error.with_context("rule", &reason.rule).with_context("reason", &reason.code))
}
