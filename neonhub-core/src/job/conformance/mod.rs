//! One suite for the queue on every store. A backend invokes `job_conformance!` with a function that opens a
//! fresh store.

mod control;
mod failing;
mod flows;
mod leases;
mod queueing;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub use control::*;
pub use failing::*;
pub use flows::*;
pub use leases::*;
pub use queueing::*;

use super::ops::{Enqueue, GetJob, NewJob};
use super::{Drained, Handler, Job, JobType, Outcome, Queue, job_type};
use crate::store::{Query, SharedStore};
use crate::{Error, ErrorKind, Hub, ManualClock, Result, Retry, Scope, Timestamp};

/// These files, from which a test reads the names of all cases.
pub const SOURCES: [&str; 5] = [
    include_str!("control.rs"),
    include_str!("failing.rs"),
    include_str!("flows.rs"),
    include_str!("leases.rs"),
    include_str!("queueing.rs"),
];

const QUEUE: &str = "suite.work";
const SINGLE: &str = "suite.single";

/// What a job of the suite does.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Play {
    /// Its word in the list of what was worked.
    word: String,
    /// What becomes of it.
    #[serde(default)]
    how: String,
}

static TYPES: &[JobType] = &[job_type::<Play>("play")];

/// Plays what the payloads say, and keeps a list of it.
#[derive(Debug)]
struct Player {
    queue: &'static str,
    batch: usize,
    played: Mutex<Vec<String>>,
    begun: Notify,
    go_on: Notify,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Player {
    fn new(queue: &'static str, batch: usize) -> Arc<Self> {
        let (begun, go_on) = (Notify::new(), Notify::new());
        let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Player { queue, batch, played: Mutex::default(), begun, go_on, inside, most })
    }

    fn played(&self) -> Vec<String> {
        std::mem::take(&mut *self.played.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn one(&self, cx: &Scope, job: &Job) -> Outcome {
        let play: Play = serde_json::from_value(job.payload.clone()).unwrap_or_default();
        self.played.lock().unwrap_or_else(PoisonError::into_inner).push(play.word.clone());
        let failed = |kind, retry| Outcome::Failed(Error::new(kind, "suite", "as asked").with_retry(retry));
        match play.how.as_str() {
            "flaky" => failed(ErrorKind::Unavailable, Retry::Backoff),
            "told" => failed(ErrorKind::RateLimited, Retry::After(Duration::from_secs(60))),
            "unknown" => failed(ErrorKind::OutcomeUnknown, Retry::Backoff),
            "probe" => failed(ErrorKind::OutcomeUnknown, Retry::After(Duration::from_secs(60))),
            "blocked" => failed(ErrorKind::Blocked, Retry::Backoff),
            "later" if job.run_at > job_birth(job) => Outcome::Done,
            "later" => Outcome::Later(cx.now().plus(Duration::from_secs(60))),
            "answer" => Outcome::DoneWith(json!({ "word": play.word })),
            "hold" => {
                self.begun.notify_one();
                self.go_on.notified().await;
                Outcome::Done
            }
            "stage" => {
                self.begun.notify_one();
                self.go_on.notified().await;
                let note =
                    super::JobNote { id: format!("staged-{}", play.word), ..super::JobNote::default() };
                match cx.put(&note, crate::store::Expected::Any) {
                    Ok(()) => Outcome::Done,
                    Err(error) => Outcome::Failed(error),
                }
            }
            "linger" => {
                self.most.fetch_max(self.inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..8 {
                    tokio::task::yield_now().await;
                }
                self.inside.fetch_sub(1, Ordering::SeqCst);
                Outcome::Done
            }
            "sleep" => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                Outcome::Done
            }
            "report" => {
                let told = cx.job_progress(job, 40, Some("almost half")).await;
                told.map_or_else(Outcome::Failed, |()| Outcome::Done)
            }
            _ => Outcome::Done,
        }
    }
}

/// The instant in the id of a job: when it was made.
fn job_birth(job: &Job) -> Timestamp {
    job.started_at.unwrap_or(job.run_at)
}

#[async_trait]
impl Handler for Player {
    fn queue(&self) -> &'static str {
        self.queue
    }
    fn batch(&self) -> usize {
        self.batch
    }
    fn jobs(&self) -> &'static [JobType] {
        TYPES
    }
    async fn too_late(&self, _cx: &Scope, job: &Job) -> Result<Option<String>> {
        let is_out = job.payload.get("how").and_then(Value::as_str) == Some("stage");
        Ok(is_out.then(|| "dispatching".to_owned()))
    }
    async fn work(&self, cx: &Scope, jobs: &[Job]) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            outcomes.push(self.one(cx, job).await);
        }
        Ok(outcomes)
    }
}

/// A hub over the store of a case, with a clock that moves by hand.
pub(crate) struct World {
    pub(crate) cx: Scope,
    clock: Arc<ManualClock>,
    player: Arc<Player>,
    single: Arc<Player>,
}

const START: Timestamp = Timestamp::from_millis(1_795_251_600_000);

async fn world(store: &SharedStore) -> Result<World> {
    world_with(store, |queue| queue).await
}

/// A hub whose single-job queue is declared with more.
async fn world_with(
    store: &SharedStore,
    more: impl FnOnce(super::Declaration<Arc<dyn Handler>>) -> super::Declaration<Arc<dyn Handler>>,
) -> Result<World> {
    let clock = Arc::new(ManualClock::at(START));
    let (player, single) = (Player::new(QUEUE, 4), Player::new(SINGLE, 1));
    let declared = Queue::declare(SINGLE).concurrency(4).handler(Arc::clone(&single) as _);
    let hub = Hub::builder()
        .store_backend(Arc::clone(store))
        .clock(Arc::clone(&clock) as _)
        .seed(1)
        .handler(Arc::clone(&player) as _)
        .queue(more(declared).build())
        .build()
        .await?;
    Ok(World { cx: hub.workspace("default").await?, clock, player, single })
}

fn job(word: &str, how: &str) -> NewJob {
    let payload = json!({ "word": word, "how": how });
    NewJob { queue: QUEUE.into(), name: "play".into(), payload, ..NewJob::default() }
}

fn single(word: &str, how: &str) -> NewJob {
    NewJob { queue: SINGLE.into(), ..job(word, how) }
}

/// The hub of the suite, for suites of what builds on the queue.
#[cfg(test)]
pub(crate) type Lab = World;

/// Opens the hub of the suite.
#[cfg(test)]
pub(crate) async fn lab(store: &SharedStore) -> Result<Lab> {
    world(store).await
}

impl World {
    async fn put(&self, job: NewJob) -> Result<Job> {
        self.cx.call(Enqueue { job }).await
    }
    pub(crate) async fn work(&self) -> Result<Drained> {
        self.cx.work_until_idle().await
    }
    async fn get(&self, job: &Job) -> Result<Job> {
        self.cx.call(GetJob { id: job.id.clone() }).await
    }
    pub(crate) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
    /// Works in a task of its own until the handler of a holding job was begun.
    async fn work_until_held(&self) -> tokio::task::JoinHandle<Result<Drained>> {
        let cx = self.cx.clone();
        let (player, single) = (Arc::clone(&self.player), Arc::clone(&self.single));
        let task = tokio::spawn(async move { cx.work_until_idle().await });
        tokio::select! { () = player.begun.notified() => {}, () = single.begun.notified() => {} }
        task
    }
    async fn count(&self) -> Result<u64> {
        self.cx.count::<Job>(&Query::by_id()).await
    }
}

/// Runs the whole suite: one test per case. The argument is an async function that opens a fresh
/// [`SharedStore`]; with `ignore = "why"` before it the tests are shown as ignored.
#[macro_export]
macro_rules! job_conformance {
    (ignore = $why:literal, $open:expr) => { $crate::job_conformance!(@all [#[ignore = $why]] $open); };
    ($open:expr) => { $crate::job_conformance!(@all [] $open); };
    (@all $attr:tt $open:expr) => {
        $crate::job_conformance!(@each $attr $open;
            higher_priority_goes_first_and_later_jobs_wait,
            a_job_that_waits_long_overtakes_higher_priorities,
            a_long_wait_gains_ten_steps_and_no_more,
            a_live_job_of_the_same_key_is_the_answer,
            an_active_job_of_the_same_key_stays_as_it_is,
            a_waiting_job_of_the_same_key_is_replaced_or_put_off,
            a_key_may_be_held_after_the_end,
            a_group_is_worked_one_after_the_other,
            a_group_keeps_the_order_of_enqueueing,
            a_payload_that_does_not_fit_is_refused_by_field,
            a_payload_that_fits_no_more_after_an_upgrade_is_dead_at_once,
            many_jobs_are_all_or_none,
            enqueueing_needs_the_right_of_the_queue,
            pauses_grow_under_their_cap_and_are_the_same_for_one_seed,
            advice_is_kept_and_final_errors_are_final,
            an_unknown_outcome_is_not_repeated_unless_its_handler_probes,
            a_deferral_costs_no_try,
            tries_end_as_dead_and_may_be_begun_again,
            a_handler_that_takes_too_long_has_failed,
            a_lost_race_of_the_handler_is_tried_again,
            a_parent_starts_after_its_children_and_reads_their_results,
            a_failed_child_fails_is_ignored_or_continued,
            an_ignored_failure_is_readable_by_its_parent,
            a_failure_reaches_every_level_at_once,
            a_child_that_is_tried_again_is_waited_for,
            a_flow_with_a_cycle_is_refused_by_name,
            a_diamond_is_worked_from_the_bottom,
            a_lease_that_ended_is_redelivered_and_the_late_worker_is_fenced,
            the_second_stall_is_the_last,
            what_a_worker_lost_track_of_is_soon_free, a_report_keeps_a_lease,
            a_waiting_job_is_cancelled_at_once,
            an_active_job_is_told_to_stop,
            past_the_point_of_no_return_it_is_too_late,
            a_paused_queue_gives_nothing_until_it_is_resumed,
            a_drained_queue_may_be_obliterated,
            limits_of_workspace_and_rate_hold,
            progress_log_and_history_are_kept,
            ended_jobs_beyond_the_kept_ones_are_dropped,
            promoted_and_reprioritised_jobs_go_earlier,
            figures_of_a_queue_count_every_state,
            lists_take_filters_in_any_combination,
            no_page_of_a_list_is_short_while_jobs_come_and_go
        );
    };
    (@each $attr:tt $open:expr; $($case:ident),+) => {
        $( $crate::job_conformance!(@one $attr $open; $case); )+
        #[test]
        fn every_case_is_in_the_list() {
            let listed = [$(stringify!($case)),+];
            for source in $crate::job::conformance::SOURCES {
                for line in source.lines().filter_map(|l| l.strip_prefix("pub async fn ")) {
                    let name = line.split('(').next().unwrap_or_default();
                    assert!(listed.contains(&name), "{name} is not in the list");
                }
            }
        }
    };
    (@one [$($attr:tt)*] $open:expr; $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        $($attr)*
        async fn $case() -> $crate::Result<()> {
            $crate::job::conformance::$case($open().await?).await
        }
    };
}
