//! Operations on approvals.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::decide::{Answer, check_note, decide, open};
use super::desk::tell;
use super::model::{Approval, ApprovalDecision, ApprovalId, ApprovalState, Vote};
use super::sticky::Always;
use crate::op::{Audit, Effect, Operation, Page};
use crate::permission::Permission;
use crate::store::{Key, Query, Stored};
use crate::{Error, Result, Scope};

const NEEDS: &[Permission] = &[Permission::ApproveEffects];
/// Questions that one call of `approvals.bulk` answers at most.
const MAX_MANY: usize = 100;

fn example_id() -> ApprovalId {
    match ApprovalId::try_from("apr_01kaf3w0000000000000000000".to_owned()) {
        Ok(id) => id,
        Err(error) => unreachable!("an example id is one: {error:?}"),
    }
}

fn hide(approval: &mut Approval) {
    approval.args = None;
    approval.tainted_spans.iter_mut().for_each(|span| span.text = None);
}

/// Lists questions, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ListApprovals {
    /// Only in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<ApprovalState>,
    /// Only of this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Most of the page, 1..=500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListApprovals {
    type Output = Page<Approval>;
    const NAME: &'static str = "approvals.list";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Read;
    const MASKS: &'static [&'static str] = &["items.args", "items.tainted_spans.text"];
    async fn run(self, cx: &Scope) -> Result<Page<Approval>> {
        let query = match (&self.run, self.state) {
            (Some(run), _) => Query::index("run").prefix(Key::text(run)),
            // An end that is not written down yet shows all the same.
            (None, None | Some(ApprovalState::Expired)) => Query::by_id(),
            (None, Some(state)) => Query::index("state").prefix(Key::text(state.word())),
        };
        let query = query.descending().limit(self.limit.unwrap_or(50).clamp(1, 500) as usize);
        let page = cx.page::<Approval>(query, self.cursor.as_deref()).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for row in page.items {
            let shown = row.body.shown(cx)?;
            if self.state.is_none_or(|state| shown.state == state) {
                items.push(shown);
            }
        }
        Ok(Page { items, next: page.next })
    }
    fn mask(output: &mut Page<Approval>) {
        output.items.iter_mut().for_each(hide);
    }
    fn examples() -> Vec<Self> {
        vec![ListApprovals { state: Some(ApprovalState::Pending), ..Self::default() }]
    }
}

/// Gives a question with its answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetApproval {
    /// Its id.
    pub id: ApprovalId,
}

impl Operation for GetApproval {
    type Output = Approval;
    const NAME: &'static str = "approvals.get";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Read;
    const MASKS: &'static [&'static str] = &["args", "tainted_spans.text"];
    async fn run(self, cx: &Scope) -> Result<Approval> {
        cx.need::<Approval>(self.id.as_str()).await?.body.shown(cx)
    }
    fn mask(output: &mut Approval) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![GetApproval { id: example_id() }]
    }
}

/// Says yes. Once as many have said it as are asked for, the call may be made, once, and a run that waits goes on.
/// With `always` the answer becomes a policy: then the agent need not ask again.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approve {
    /// Id of the question.
    pub id: ApprovalId,
    /// Why, up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Makes a policy of it. Needs `manage:policies` too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always: Option<Always>,
}

impl Operation for Approve {
    type Output = Approval;
    const NAME: &'static str = "approvals.approve";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 5;
    const MASKS: &'static [&'static str] = &["args", "tainted_spans.text"];
    const ERRORS: &'static [&'static str] =
        &["approval_ended", "already_decided", "not_an_approver", "own_request", "not_a_person"];
    async fn run(self, cx: &Scope) -> Result<Approval> {
        let answer = Answer { vote: Vote::Approve, note: self.note, edit: None };
        let mut approval = decide(cx, self.id.as_str(), answer).await?;
        if let Some(always) = self.always {
            approval.body.sticky_rule = Some(always.enact(cx, &approval).await?);
            cx.save(&approval)?;
        }
        approval.body.shown(cx)
    }
    fn mask(output: &mut Approval) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        let plain = Approve { id: example_id(), note: Some("checked with finance".into()), always: None };
        let when = "input.budget <= money(\"500\", \"EUR\")".to_owned();
        vec![Approve { always: Some(Always { days: 30, when }), ..plain.clone() }, plain]
    }
}

/// Says no. One no is enough: the call is refused until the question has expired, and a run that waits goes on with
/// the refusal.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// Id of the question.
    pub id: ApprovalId,
    /// Why, up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for Deny {
    type Output = Approval;
    const NAME: &'static str = "approvals.deny";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 5;
    const MASKS: &'static [&'static str] = &["args", "tainted_spans.text"];
    const ERRORS: &'static [&'static str] = &["approval_ended", "not_an_approver", "not_a_person"];
    async fn run(self, cx: &Scope) -> Result<Approval> {
        let answer = Answer { vote: Vote::Deny, note: self.note, edit: None };
        decide(cx, self.id.as_str(), answer).await?.body.shown(cx)
    }
    fn mask(output: &mut Approval) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![Deny { id: example_id(), note: Some("not before the launch".into()) }]
    }
}

/// Says yes to the same call with another input. What others said before was about the input before, so their yes
/// counts no more. A run makes the call with the new input; every other caller must give that input itself.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApproveEdited {
    /// Id of the question.
    pub id: ApprovalId,
    /// The whole new input.
    pub args: Value,
    /// Why, up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for ApproveEdited {
    type Output = Approval;
    const NAME: &'static str = "approvals.edit_and_approve";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 5;
    const MASKS: &'static [&'static str] = &["args", "tainted_spans.text"];
    const ERRORS: &'static [&'static str] =
        &["approval_ended", "not_an_approver", "own_request", "not_a_person"];
    async fn run(self, cx: &Scope) -> Result<Approval> {
        let asked = cx.need::<Approval>(self.id.as_str()).await?;
        let edit = match cx.hub().operation(&asked.operation) {
            Ok(line) => (line.normal)(self.args).map_err(|error| error.for_operation(Self::NAME))?,
            Err(_) => self.args,
        };
        let answer = Answer { vote: Vote::Approve, note: self.note, edit: Some(edit) };
        decide(cx, self.id.as_str(), answer).await?.body.shown(cx)
    }
    fn mask(output: &mut Approval) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        let args = json!({ "name": "Autumn" });
        vec![ApproveEdited { id: example_id(), args, note: Some("the shorter name".into()) }]
    }
}

/// Names who is to decide in the place of those who were asked.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DelegateApproval {
    /// Id of the question.
    pub id: ApprovalId,
    /// Roles or users, such as `admin` or `user:ada`, 1..=20.
    pub to: Vec<String>,
    /// Why, up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for DelegateApproval {
    type Output = Approval;
    const NAME: &'static str = "approvals.delegate";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 5;
    const MASKS: &'static [&'static str] = &["args", "tainted_spans.text"];
    const ERRORS: &'static [&'static str] = &["approval_ended", "not_an_approver", "not_a_person"];
    async fn run(self, cx: &Scope) -> Result<Approval> {
        check_note(Self::NAME, self.note.as_deref())?;
        let fits = |who: &String| !who.trim().is_empty() && who.len() <= 200;
        if self.to.is_empty() || self.to.len() > 20 || !self.to.iter().all(fits) {
            return Err(Error::invalid(
                Self::NAME,
                "to",
                "expected 1 to 20 roles or users, such as user:ada",
            ));
        }
        let (mut approval, by) = open(cx, self.id.as_str()).await?;
        let decision =
            ApprovalDecision { by, vote: Vote::Delegate, edited: false, note: self.note, at: cx.now() };
        approval.body.decisions.push(decision);
        approval.body.approvers = self.to;
        tell(cx, &approval, "approval.delegated", json!({ "to": approval.approvers }))?;
        cx.save(&approval)?;
        cx.concern("approval", self.id.as_str());
        approval.body.shown(cx)
    }
    fn mask(output: &mut Approval) {
        hide(output);
    }
    fn examples() -> Vec<Self> {
        vec![DelegateApproval { id: example_id(), to: vec!["user:ada".into()], note: None }]
    }
}

/// What became of one question of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decided {
    /// The question.
    pub id: ApprovalId,
    /// Where it stands, when the answer was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ApprovalState>,
    /// Why the answer was not taken: the code of the error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Answers many questions alike, in one commit. Those that cannot be answered say why and change nothing.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideMany {
    /// Ids of the questions, 1..=100.
    pub ids: Vec<ApprovalId>,
    /// True for yes, false for no.
    pub approve: bool,
    /// Why, up to 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Operation for DecideMany {
    type Output = Vec<Decided>;
    const NAME: &'static str = "approvals.bulk";
    const NEEDS: &'static [Permission] = NEEDS;
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const RERUNS: u8 = 5;
    async fn run(self, cx: &Scope) -> Result<Vec<Decided>> {
        check_note(Self::NAME, self.note.as_deref())?;
        let mut ids = self.ids.clone();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() || ids.len() > MAX_MANY || ids.len() != self.ids.len() {
            return Err(Error::invalid(Self::NAME, "ids", "expected 1 to 100 ids, each once"));
        }
        let vote = if self.approve { Vote::Approve } else { Vote::Deny };
        let mut lines = Vec::with_capacity(self.ids.len());
        for id in self.ids {
            let answer = Answer { vote, note: self.note.clone(), edit: None };
            let done: Result<Stored<Approval>> = decide(cx, id.as_str(), answer).await;
            let (state, refused) = match done {
                Ok(approval) => (Some(approval.state), None),
                Err(error) => (None, Some(error.code().to_owned())),
            };
            lines.push(Decided { id, state, refused });
        }
        Ok(lines)
    }
    fn examples() -> Vec<Self> {
        vec![DecideMany { ids: vec![example_id()], approve: false, note: Some("too late".into()) }]
    }
}
