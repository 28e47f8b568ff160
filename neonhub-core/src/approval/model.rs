//! A question to a person, and the answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::taint::TaintedSpan;
use crate::seal::Sealed;
use crate::store::{Index, Key, Record};
use crate::{Error, Result, Scope, Timestamp, id_type};

id_type!(ApprovalId, "apr", "A question to a person.");

/// Where a question stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody has answered, or not enough have.
    #[default]
    Pending,
    /// The call may be made, once, until the question expires.
    Approved,
    /// The call may not be made.
    Denied,
    /// Its time was over before the call was made.
    Expired,
    /// What is asked for has changed, and a newer question stands in its place.
    Superseded,
}

impl ApprovalState {
    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ApprovalState::Pending => "pending",
            ApprovalState::Approved => "approved",
            ApprovalState::Denied => "denied",
            ApprovalState::Expired => "expired",
            ApprovalState::Superseded => "superseded",
        }
    }
}

/// What somebody did with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Vote {
    /// Said yes.
    Approve,
    /// Said no. One no is enough.
    Deny,
    /// Named others to decide.
    Delegate,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalDecision {
    /// Who: `user:ada`. For an API key the user it acts for, when the host names one.
    pub by: String,
    /// What.
    pub vote: Vote,
    /// True when the yes is for another input than was asked for.
    #[serde(default)]
    pub edited: bool,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A call that needs a person's yes. Unique while it stands: the same call of the same caller asks once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The operation or tool.
    pub operation: String,
    /// Its input. Hidden without `read:pii`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
    /// What of the input came from outside, and what else from outside the run had read before it asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tainted_spans: Vec<TaintedSpan>,
    /// SHA-256 over the name and the canonical JSON of the input, hex: the yes is for exactly this call.
    pub args_hash: String,
    /// Why a person is asked.
    pub summary: String,
    /// Who asks: `agent:campaign`, `user:ada`.
    pub requested_by: String,
    /// Whom an agent or key acts for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The run that waits for the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The policies that ask, `name@version`; empty: the default for acts of agents on the outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// Roles or users who may decide, such as `admin` or `user:ada`; empty: who holds `approve:effects`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// How many must agree.
    pub quorum: u8,
    /// The answers so far, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<ApprovalDecision>,
    /// Where it stands.
    pub state: ApprovalState,
    /// The policy that was made of the answer, `name@version`: the same call asks nobody while that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_rule: Option<String>,
    /// When it was asked.
    pub created_at: Timestamp,
    /// Until when it can be answered, and until when a yes can be used.
    pub expires_at: Timestamp,
    /// True while it stands: the same call of the same caller asks nothing new. A no stands until its time is over.
    pub live: bool,
    /// When the call was made that the yes was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
    /// The input as the store keeps it; not part of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) sealed_args: Option<Sealed>,
    /// The spans as the store keeps them; not part of answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(super) sealed_spans: Option<Sealed>,
}

impl Record for Approval {
    const KIND: &'static str = "approval";
    const INDEXES: &'static [Index] = &[Index::on("state"), Index::on("run"), Index::unique("live")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![
            Some(Key::text(self.state.word()).and_time(self.created_at)),
            self.run_id.as_ref().map(|run| Key::text(run).and_time(self.created_at)),
            self.live.then(|| live_key(&self.args_hash, &self.requested_by, self.run_id.as_deref())),
        ]
    }
}

/// The key of the question that stands for a call of a caller.
pub(super) fn live_key(args_hash: &str, by: &str, run: Option<&str>) -> Key {
    Key::text(args_hash).and_text(by).and_text(run.unwrap_or_default())
}

/// Begins the name under which a run finds the answer to a question among its signals.
pub(crate) const QUESTION: &str = "?approval/";

/// The name under which a run finds the answer among its signals.
pub(crate) fn signal_of(approval: &str) -> String {
    format!("{QUESTION}{approval}")
}

impl Approval {
    /// Where it stands at an instant, whether or not its end was written down.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> ApprovalState {
        match self.state {
            ApprovalState::Pending if now >= self.expires_at => ApprovalState::Expired,
            ApprovalState::Approved if self.used_at.is_none() && now >= self.expires_at => {
                ApprovalState::Expired
            }
            state => state,
        }
    }

    /// Who has said yes to the call as it is now. An edit makes another call of it: what was said before is about the
    /// one before.
    pub(super) fn agreed(&self) -> impl Iterator<Item = &str> {
        let from = self.decisions.iter().rposition(|d| d.edited).unwrap_or(0);
        let now = self.decisions.iter().skip(from).filter(|d| d.vote == Vote::Approve);
        now.map(|d| d.by.as_str())
    }

    /// Keeps an input and what of it came from outside, sealed.
    pub(super) fn seal(&mut self, cx: &Scope, args: &Value, spans: &[TaintedSpan]) -> Result<()> {
        let spans = if spans.is_empty() { None } else { Some(json!(spans).to_string()) };
        self.sealed_spans = spans.map(|text| cx.sealer().seal(Self::KIND, "spans", &text)).transpose()?;
        self.sealed_args = Some(cx.sealer().seal(Self::KIND, "args", &args.to_string())?);
        Ok(())
    }

    /// The input.
    pub(super) fn unseal(&self, cx: &Scope) -> Result<Value> {
        let Some(sealed) = &self.sealed_args else { return Ok(Value::Null) };
        let text = cx.sealer().open(Self::KIND, "args", sealed)?;
        serde_json::from_str(text.expose()).map_err(|cause| Error::internal(cx.operation(), cause))
    }

    /// As it is shown: open, and with the state of this instant.
    pub(super) fn shown(mut self, cx: &Scope) -> Result<Self> {
        self.args = Some(self.unseal(cx)?);
        if let Some(sealed) = self.sealed_spans.take() {
            let text = cx.sealer().open(Self::KIND, "spans", &sealed)?;
            self.tainted_spans = serde_json::from_str(text.expose())
                .map_err(|cause| Error::internal(cx.operation(), cause))?;
        }
        self.sealed_args = None;
        self.state = self.state_at(cx.now());
        Ok(self)
    }
}
