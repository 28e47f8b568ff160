//! What a delivery came to, as states of sends and outcomes of jobs.

use std::time::Duration;

use neonhub_core::bus::Event;
use neonhub_core::connector::Receipt;
use neonhub_core::job::Outcome;
use neonhub_core::resilience::is_untried;
use neonhub_core::store::Stored;
use neonhub_core::{Error, ErrorKind, Result, Retry, Scope, Timestamp};
use serde_json::json;

use super::dispatch::accept;
use super::{ReleaseSlot, Send, SendState};
use crate::people::PersonId;

/// The longest wait for a connection whose breaker is open: that long it stays so (runtime rule 9.4).
const BREAKER: Duration = Duration::from_secs(10);
/// The wait for a place at a connection.
const SOON: Duration = Duration::from_secs(1);

/// One item of a batch after the deliveries.
pub(super) enum Delivered {
    /// It was decided before.
    Ended(Outcome),
    /// A connector answered.
    Answered { send: Box<Stored<Send>>, reach: Option<PersonId>, answer: Result<Receipt> },
}

/// Stages the new states; what did not go out gives its frequency slot back.
pub(super) async fn stage(cx: &Scope, handed: Vec<Delivered>, probe_again: Duration) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(handed.len());
    let mut tally = Tally::default();
    for item in handed {
        let (mut send, reach, answer) = match item {
            Delivered::Ended(outcome) => {
                outcomes.push(outcome);
                continue;
            }
            Delivered::Answered { send, reach, answer } => (*send, reach, answer),
        };
        let outcome = apply(cx, &mut send.body, answer, probe_again);
        tally.add(&send);
        cx.save(&send)?;
        let is_out = matches!(send.state, SendState::Accepted | SendState::Unknown);
        if let Some(person) = reach.filter(|_| !is_out) {
            cx.outside().call(ReleaseSlot { person, send: send.id.clone() }).await?;
        }
        outcomes.push(outcome);
    }
    tally.emit(cx)?;
    Ok(outcomes)
}

fn apply(cx: &Scope, send: &mut Send, answer: Result<Receipt>, probe_again: Duration) -> Outcome {
    let now = cx.now();
    let error = match answer {
        Ok(receipt) => {
            accept(send, receipt, now);
            return Outcome::Done;
        }
        Err(error) => error,
    };
    send.error = Some(error.code().to_owned());
    if error.kind() == ErrorKind::OutcomeUnknown {
        // Bytes were sent and no answer came: the probe decides, never a second try.
        send.enter(SendState::Unknown, now);
        let again =
            Error::new(error.kind(), "sends.deliver", "the answer was lost: the provider is asked again");
        return Outcome::Failed(again.with_retry(Retry::After(probe_again)));
    }
    if is_untried(&error) {
        // The connection is left alone for a while: nothing was tried, so no try is used.
        send.enter(SendState::Queued, now);
        return Outcome::Later(again_at(&error, now));
    }
    if error.is_retryable() {
        send.enter(SendState::Queued, now);
        return Outcome::Failed(error);
    }
    send.enter(SendState::Failed, now);
    Outcome::Done
}

/// When a connection that was not touched is to be asked again.
pub(super) fn again_at(error: &Error, now: Timestamp) -> Timestamp {
    let wait = match error.retry() {
        // While one call tries it out, nobody knows when that ends.
        Retry::After(wait) if error.code() == "breaker_open" => wait.min(BREAKER),
        Retry::After(wait) => wait,
        _ => SOON,
    };
    now.plus(wait)
}

/// Counts of a batch, for one event.
#[derive(Default)]
struct Tally {
    first: Option<Send>,
    accepted: u32,
    failed: u32,
    unknown: u32,
}

impl Tally {
    fn add(&mut self, send: &Send) {
        match send.state {
            SendState::Accepted => self.accepted += 1,
            SendState::Unknown => self.unknown += 1,
            _ => self.failed += 1,
        }
        if self.first.is_none() {
            self.first = Some(send.clone());
        }
    }

    fn emit(self, cx: &Scope) -> Result<()> {
        let Some(first) = self.first else { return Ok(()) };
        let kind = format!("{}.sent", first.channel);
        let counts = json!({
            "campaign": first.campaign, "accepted": self.accepted, "failed": self.failed, "unknown": self.unknown,
        });
        cx.emit(Event::new(cx, &kind, "send", first.id.as_str(), counts))
    }
}
