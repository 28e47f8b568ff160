//! The snapshot a verdict is computed from. It borrows, so that a batch of sends shares tenant, draft and policy.

use neonhub_core::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cap, Category, Channel, ContentFacts, HoursRow, Place, Week};
use crate::consent::Status;
use crate::consent::suppression::SuppressionReason;
use crate::people::model::PersonStatus;
use crate::people::normalise::Quality;
use jiff::tz::TimeZone;

/// Everything the rules look at.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Workspace, organization and brand.
    pub tenant: &'a TenantFacts,
    /// The campaign, bulk, journey or sequence the send belongs to; `None` for a single send.
    pub source: Option<&'a SourceFacts>,
    /// The draft and what was found in its rendered text.
    pub draft: &'a DraftFacts,
    /// The recipient; `None` when no such person exists. Ignored for public posts.
    pub person: Option<&'a PersonFacts>,
    /// Caps and laws in force.
    pub policy: &'a Policy<'a>,
    /// The send itself.
    pub send: SendFacts,
}

/// State of a workspace, as the gate sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ActiveState {
    /// Working.
    #[default]
    Active,
    /// Stopped by its owner for a while.
    Paused,
    /// Stopped by an operator.
    Suspended,
    /// Ended, or archived.
    Closed,
}

/// Who sends.
#[derive(Clone, Debug)]
pub struct TenantFacts {
    /// The workspace.
    pub workspace: ActiveState,
    /// The organization above it; active when there is none.
    pub organization: ActiveState,
    /// The brand.
    pub brand: ActiveState,
    /// Id of the brand, to match rows that name one.
    pub brand_id: Option<String>,
    /// End of the plan or contract, if there is one.
    pub expires_at: Option<Timestamp>,
    /// True in a production workspace; false in a sandbox.
    pub is_production: bool,
    /// The setting `allow_offline_output`.
    pub allow_offline_output: bool,
    /// Zone of the workspace, used when nothing is known about the recipient.
    pub zone: TimeZone,
    /// Weekly sending window of the brand, on the recipient's clock. `None` is always open.
    pub brand_window: Option<Week>,
}

/// State of what the send comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceState {
    /// Going on (or scheduled: then `start` is after now).
    #[default]
    Running,
    /// Paused; a send waits and asks again.
    Paused,
    /// Cancelled, failed or archived.
    Cancelled,
    /// Done.
    Finished,
}

/// What the send comes from.
#[derive(Clone, Debug, Default)]
pub struct SourceFacts {
    /// Id of the campaign, bulk or journey run.
    pub id: String,
    /// Its state.
    pub state: SourceState,
    /// Nothing goes before this instant.
    pub start: Option<Timestamp>,
    /// Nothing goes from this instant on.
    pub end: Option<Timestamp>,
    /// The person left it, or an exit condition holds now: the word says which.
    pub person_exit: Option<String>,
    /// The person replied since it began and it stops on a reply.
    pub has_reply: bool,
}

/// Where a text came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Written or edited by a person.
    #[default]
    Human,
    /// Written by a model of a provider.
    Model,
    /// Written by the offline rules; never passed off as a model's.
    Offline,
}

/// State of a draft.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DraftStatus {
    /// Being written.
    #[default]
    Draft,
    /// Waiting for approval.
    InReview,
    /// May be sent.
    Approved,
    /// Refused by a reviewer.
    Rejected,
    /// Put away.
    Archived,
}

/// The draft, and what was found in its rendered text.
#[derive(Clone, Debug)]
pub struct DraftFacts {
    /// Id of the draft.
    pub id: String,
    /// Where it goes.
    pub channel: Channel,
    /// What kind of message it is.
    pub category: Category,
    /// State of this version.
    pub status: DraftStatus,
    /// True when this version needs an approval before it goes out.
    pub needs_approval: bool,
    /// Where the text came from.
    pub origin: Origin,
    /// Findings in the rendered text.
    pub content: ContentFacts,
    /// True when part of a bulk, so that red preflight findings stop it.
    pub is_bulk: bool,
    /// Red preflight findings, by id.
    pub preflight_red: Vec<String>,
    /// WhatsApp: an approved template with all its parameters.
    pub has_platform_template: bool,
}

/// The identity a message would go to.
#[derive(Clone, Debug, Default)]
pub struct IdentityFact {
    /// Id of the identity.
    pub id: String,
    /// The person proved to hold it.
    pub is_verified: bool,
    /// How good the address is.
    pub quality: Quality,
}

/// One suppression that covers the address, its domain or the person.
#[derive(Clone, Debug)]
pub struct SuppressionFact {
    /// Id of the row.
    pub id: String,
    /// Why.
    pub reason: SuppressionReason,
    /// The channel it covers; `None` covers all.
    pub channel: Option<Channel>,
    /// The brand it covers; `None` covers all.
    pub brand: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// The consent that decides now.
#[derive(Clone, Debug, Default)]
pub struct ConsentFact {
    /// The answer of the ledger for (channel, scope of the category, brand), expiry already applied; `None` when
    /// nothing is on record.
    pub state: Option<Status>,
    /// The row that decided.
    pub row: Option<String>,
    /// The identity the grant names; `None` covers every address of the person.
    pub identity: Option<String>,
    /// Scope that was asked.
    pub scope: String,
}

/// What the person wants.
#[derive(Clone, Debug, Default)]
pub struct PreferenceFacts {
    /// The person switched this channel off.
    pub is_channel_off: bool,
    /// Marketing waits until then.
    pub pause_until: Option<Timestamp>,
    /// No message between these minutes of the local day; may cross midnight.
    pub quiet_minutes: Option<(u16, u16)>,
    /// Most marketing messages per window, if the person set one; the smaller of this and the caps holds.
    pub cap: Option<Cap>,
}

/// The recipient.
#[derive(Clone, Debug, Default)]
pub struct PersonFacts {
    /// Id of the person.
    pub id: String,
    /// State of the person.
    pub state: PersonStatus,
    /// The identity for the channel, if there is an active one.
    pub identity: Option<IdentityFact>,
    /// Suppressions that cover the address, its domain or the person, on any channel and brand.
    pub suppressions: Vec<SuppressionFact>,
    /// The consent that decides.
    pub consent: ConsentFact,
    /// Where the person is.
    pub place: Place,
    /// What the person wants.
    pub preferences: PreferenceFacts,
    /// Last message from the person on this channel.
    pub last_inbound_at: Option<Timestamp>,
    /// The person's own opt-in request, if it is what is being answered.
    pub opt_in_requested_at: Option<Timestamp>,
    /// Accepted and dispatching sends to this person, any order.
    pub recent: Vec<RecentSend>,
    /// Last message on this channel that carried the opt-out text.
    pub opt_out_shown_at: Option<Timestamp>,
}

/// A message that counts against the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecentSend {
    /// When it was accepted or dispatched.
    pub at: Timestamp,
    /// Where it went.
    pub channel: Channel,
    /// What it was.
    pub category: Category,
}

/// Caps and laws in force.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Frequency caps.
    pub caps: &'a [Cap],
    /// Legal hours.
    pub hours: &'a [HoursRow],
}

impl Default for Policy<'_> {
    fn default() -> Self {
        Policy { caps: super::DEFAULT_CAPS, hours: super::default_hours() }
    }
}

/// The send itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct SendFacts {
    /// When it stops being wanted.
    pub expires_at: Option<Timestamp>,
    /// A test send: frequency is skipped, the recipient must be on the test list.
    pub is_test: bool,
    /// The recipient is on the workspace's test list.
    pub is_on_test_list: bool,
    /// Last time the same public text went out on the same account.
    pub same_text_at: Option<Timestamp>,
}
