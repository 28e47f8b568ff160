//! Asking the gate again before a deferral ends.

use neonhub_core::job::{Job, JobState};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Key, Query, Record as _};
use neonhub_core::{Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::create::{enqueue, queue_of};
use super::{Send, SendId, SendState};

/// Sends of one page.
const PAGE: usize = 500;

/// Has the gate asked again about deferred sends of a campaign step, one page a call: after a resume, an approval or
/// an earlier start. Sends deferred for another reason are judged again too and wait on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WakeSends {
    /// Id of the campaign, bulk or journey.
    pub campaign: String,
    /// Step of the campaign.
    pub step: String,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SendId>,
}

/// What a page of waking did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Woken {
    /// Sends that are asked about again.
    pub woken: u32,
    /// Where the next page starts; absent after the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<SendId>,
}

impl Operation for WakeSends {
    type Output = Woken;
    const NAME: &'static str = "sends.wake";
    const NEEDS: &'static [Permission] = &[Permission::SendMessages];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 5;
    const INTERNAL: bool = true;
    async fn run(self, cx: &Scope) -> Result<Woken> {
        let key = Key::text(&self.campaign).and_text(&self.step).and_text(SendState::Deferred.word());
        let mut query = Query::index("campaign").prefix(key.clone()).limit(PAGE);
        if let Some(after) = &self.after {
            query = query.after(key, after.to_string());
        }
        let sends = cx.query::<Send>(&query).await?;
        let next = sends.last().filter(|_| sends.len() == PAGE).map(|s| s.id.clone());
        let keys: Vec<Key> =
            sends.iter().map(|s| Key::text(queue_of(s.channel).0).and_text(s.id())).collect();
        let now = cx.now();
        let mut woken = 0;
        for (send, job) in sends.iter().zip(cx.find_many::<Job>("dedupe", &keys).await?) {
            match job {
                Some(mut job) if job.state.is_queued() && job.run_at > now => {
                    job.body.run_at = now;
                    job.body.state = JobState::Waiting;
                    cx.save(&job)?;
                }
                Some(_) => continue,
                // Its job was given up: the send gets a new one.
                None => enqueue(cx, send, now)?,
            }
            woken += 1;
        }
        Ok(Woken { woken, next })
    }
    fn examples() -> Vec<Self> {
        let campaign = "cmp_00000000000000000000000001".into();
        vec![WakeSends { campaign, step: "send.email.1".into(), after: None }]
    }
}
