//! Putting jobs into their queues, in the commit of the caller.

use super::spec::unknown_queue;
use super::{DedupeMode, Job, JobSpec, JobState, Queue};
use crate::scope::Writing;
use crate::store::{Expected, Key, Stored};
use crate::{Result, Scope};
use std::sync::Arc;

impl Scope {
    /// Stages a job; it exists when and only when the commit does. Gives its id. Without looking for a live job of
    /// the same dedupe key: [`submit`](Self::submit) does.
    ///
    /// # Errors
    /// `NotFound` for a queue without a handler; `InvalidInput` naming the field; at commit `AlreadyExists` when a
    /// live job holds the dedupe key.
    pub fn enqueue(&self, spec: JobSpec) -> Result<String> {
        let queue = self.queue_named(&spec.queue)?;
        let job = spec.make(self, &queue)?;
        self.stage_job(&job)?;
        Ok(job.id)
    }

    /// Stages a job, or changes the live one of the same dedupe key as the spec asks. Gives the job that stands
    /// in the queue now.
    ///
    /// # Errors
    /// As [`enqueue`](Self::enqueue).
    pub async fn submit(&self, spec: JobSpec) -> Result<Job> {
        let queue = self.queue_named(&spec.queue)?;
        let mode = spec.dedupe.as_ref().map(|d| d.mode);
        let job = spec.make(self, &queue)?;
        if let (Some(mode), Some(key)) = (mode, &job.dedupe_key) {
            let key = Key::text(queue.name()).and_text(key);
            if let Some(holder) = self.find::<Job>("dedupe", key).await?
                && let Some(standing) = self.meet(holder, &job, mode)?
            {
                return Ok(standing);
            }
        }
        self.stage_job(&job)?;
        Ok(job)
    }

    /// What becomes of the holder of a dedupe key; `None` when the new job takes the key over.
    fn meet(&self, mut holder: Stored<Job>, new: &Job, mode: DedupeMode) -> Result<Option<Job>> {
        if holder.state.is_ended() {
            if holder.key_until().is_some_and(|until| until > self.now()) {
                return Ok(Some(holder.body));
            }
            holder.body.keep_key_for_ms = None;
            self.save(&holder)?;
            return Ok(None);
        }
        let waits = holder.state.is_queued() || holder.state == JobState::Blocked;
        if mode == DedupeMode::Reject || !waits {
            return Ok(Some(holder.body));
        }
        holder.body.name.clone_from(&new.name);
        holder.body.payload = new.payload.clone();
        if mode == DedupeMode::Extend && holder.state.is_queued() {
            (holder.body.run_at, holder.body.clock_behind_ms) = (new.run_at, new.clock_behind_ms);
            holder.body.state = new.state;
        }
        self.save(&holder)?;
        self.ring(&holder.queue);
        Ok(Some(holder.body))
    }

    /// The declared queue of a name or short name.
    ///
    /// # Errors
    /// `NotFound` with the closest names.
    pub(crate) fn queue_named(&self, name: &str) -> Result<Arc<Queue>> {
        self.hub().queue(name).ok_or_else(|| unknown_queue(self, name).for_operation(self.operation()))
    }

    pub(super) fn stage_job(&self, job: &Job) -> Result<()> {
        self.put(job, Expected::Absent)?;
        self.ring(&job.queue);
        Ok(())
    }

    /// Has the workers of a queue look once this commit is through.
    pub(crate) fn ring(&self, queue: &str) {
        if let Writing::Operation(unit) | Writing::Job(unit) = &self.0.writing {
            let mut staged = unit.staged();
            if !staged.rings.iter().any(|q| q == queue) {
                staged.rings.push(queue.to_owned());
            }
        }
    }
}
