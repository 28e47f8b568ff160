//! Requests that nobody answers.

use async_trait::async_trait;
use neonhub_core::job::{Handler, Job, JobSpec, JobType, Outcome, job_type};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::run::Failure;
use neonhub_core::store::Key;
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::model::{AgentMessage, answer_signal};
use super::{post, send::SendMessage};

/// The queue that watches deadlines.
pub(super) const QUEUE: &str = "agents.message";
const DEADLINE: &str = "deadline";

/// Has the queue look at a request at its deadline.
pub(super) async fn watch(cx: &Scope, message: &str, until: Timestamp) -> Result<()> {
    let spec = JobSpec::new(QUEUE, DEADLINE, json!({ "message": message })).run_at(until).dedupe(message);
    cx.submit(spec).await.map(drop)
}

/// The error of a request that nobody answered.
pub(super) fn timeout(request: &AgentMessage) -> Error {
    Error::new(ErrorKind::Timeout, SendMessage::NAME, "nobody has answered the request by its deadline")
        .with_code("reply_timeout")
        .with_context("message", &request.id)
}

/// Payload of a job of the queue.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Watched {
    message: String,
}

/// Closes a request whose deadline has passed without an answer, and tells the run that waits for it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpireMessage {
    /// The request.
    pub message: String,
}

impl Operation for ExpireMessage {
    type Output = ();
    const NAME: &'static str = "bus.expire";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Idempotent;
    const INTERNAL: bool = true;
    const RERUNS: u8 = 5;

    async fn run(self, cx: &Scope) -> Result<()> {
        let mut request = cx.need::<AgentMessage>(&self.message).await?;
        let is_due = request.deadline.is_some_and(|until| until <= cx.now());
        let is_open = request.failure.is_none()
            && cx.find::<AgentMessage>("reply", Key::text(&self.message)).await?.is_none();
        if !is_due || !is_open {
            return Ok(());
        }
        let failure = Failure::from(timeout(&request));
        request.body.failure = Some(failure.clone());
        cx.save(&request)?;
        post::tell(cx, "agent.message.expired", &request)?;
        if let Some(run) = &request.from.run {
            let told = (answer_signal(&request.id), json!({ "failure": failure }));
            post::deliver(cx, run, &request, Some(told)).await?;
        }
        Ok(())
    }
}

/// Works the queue.
#[derive(Debug)]
pub(super) struct DeadlineHandler;

static JOBS: &[JobType] = &[job_type::<Watched>(DEADLINE)];

#[async_trait]
impl Handler for DeadlineHandler {
    fn queue(&self) -> &'static str {
        QUEUE
    }

    fn jobs(&self) -> &'static [JobType] {
        JOBS
    }

    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(close(cx, job).await);
        }
        Ok(outcomes)
    }
}

async fn close(cx: &Scope, job: &Job) -> Outcome {
    let watched = serde_json::from_value::<Watched>(job.payload.clone());
    let Ok(Watched { message }) = watched else {
        return Outcome::Failed(Error::invalid(QUEUE, "payload", "expected the id of a message"));
    };
    match cx.outside().call(ExpireMessage { message }).await {
        Ok(()) => Outcome::Done,
        // The request was erased.
        Err(error) if error.kind() == ErrorKind::NotFound => Outcome::Done,
        Err(error) => Outcome::Failed(error),
    }
}
