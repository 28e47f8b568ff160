//! Asking the gate without sending.

use neonhub_core::connector::{Gate as _, Proposal};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::{Error, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ask, GATE_VERSION, MarketingGate, deciding};
use crate::people::PersonId;
use crate::send::{Draft, DraftId, Verdict, core_channel};

/// Asks the gate whether a draft may go to a person. Nothing is stored or sent.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckGate {
    /// The draft.
    pub draft: DraftId,
    /// The recipient; none for a public post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// The instant, UTC milliseconds. Default: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

impl Operation for CheckGate {
    type Output = Verdict;
    const NAME: &'static str = "gate.check";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Verdict> {
        let draft = cx.need::<Draft>(self.draft.as_str()).await?.body;
        let at = self.at.unwrap_or_else(|| cx.now());
        let ask = Ask { draft: draft.id.to_string(), source: draft.campaign.clone(), ..Ask::default() };
        let proposal = Proposal {
            send: String::new(),
            person: self.person.map(|p| p.to_string()),
            channel: core_channel(draft.channel)?,
            at,
            facts: ask.to_value(),
        };
        let judged = MarketingGate.judge(cx, &[proposal]).await?.pop();
        let judged = judged.ok_or_else(|| Error::internal(Self::NAME, "the gate gave no answer"))?;
        Ok(Verdict {
            decision: judged.decision,
            at,
            until: judged.until,
            rule: deciding(judged.decision, &judged.reasons).map(|r| r.rule.clone()),
            reasons: judged.reasons,
            gate: GATE_VERSION.to_owned(),
            draft_hash: draft.hash,
        })
    }
    fn examples() -> Vec<Self> {
        let draft: Option<DraftId> = "dft_00000000000000000000000001".parse().ok();
        draft.into_iter().map(|draft| CheckGate { draft, person: None, at: None }).collect()
    }
}
