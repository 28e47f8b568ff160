//! The one thread that writes: it groups the commits that wait into one transaction and one sync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::log::Log;
use super::shape::Shape;
use super::{closed, failed, read, schema, write};
use crate::store::{Batch, Committed, Family, Kind};
use crate::{Error, Result};

/// Most commits of one transaction.
const GROUP: usize = 256;
/// How often an idle committer looks for commits of other processes.
// Our choice: the bound that the runtime rules allow where file changes are not reported.
const POLL: Duration = Duration::from_millis(250);
/// Time without a commit after which the pages that were written are not kept in memory any more: up to 16 MiB, which the
/// system's cache of the file holds as well.
const IDLE: Duration = Duration::from_secs(1);
/// How often a busy committer does.
const BUSY_LOOK: Duration = Duration::from_millis(10);

type Answer<T> = oneshot::Sender<Result<T>>;

type Upkeep = Box<dyn FnOnce(&mut Connection) + Send>;

enum Order {
    Commit(Box<Batch>, Answer<Committed>),
    Declare(Vec<Kind>, Answer<()>),
    /// Gives whether all that was committed is safe.
    #[cfg(test)]
    IsSafe(Answer<bool>),
    /// Gives how many transactions left their sync to the log.
    #[cfg(test)]
    Unsynced(Answer<u32>),
    /// The file changed: perhaps another process committed.
    Look,
    /// Upkeep between two groups: it has the connection to itself.
    Run(Upkeep),
    Stop(Answer<()>),
}

#[derive(Debug)]
pub(super) struct Committer {
    orders: mpsc::Sender<Order>,
    seq: watch::Receiver<u64>,
    others: watch::Receiver<u64>,
    is_look_due: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Committer {
    pub(super) fn start(connection: Connection) -> Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let first = read::seq(&connection)?;
        let (seq_out, seq) = watch::channel(first);
        let (others_out, others) = watch::channel(first);
        let is_look_due = Arc::new(AtomicBool::new(false));
        let desk = Desk {
            log: Log::beside(&connection),
            connection,
            syncs: true,
            seq: seq_out,
            others: others_out,
            version: 0,
            family: Family::default(),
            shape: Shape::default(),
            looked: Instant::now(),
            wrote: None,
            is_look_due: Arc::clone(&is_look_due),
        };
        let thread = std::thread::Builder::new()
            .name("neonhub-commit".into())
            .spawn(move || desk.run(&inbox))
            .map_err(|cause| Error::internal("hub.open", cause))?;
        Ok(Committer { orders, seq, others, is_look_due, thread: Mutex::new(Some(thread)) })
    }

    async fn ask<T>(&self, make: impl FnOnce(Answer<T>) -> Order) -> Result<T> {
        let (answer, wait) = oneshot::channel();
        self.orders.send(make(answer)).map_err(|_| closed())?;
        wait.await.map_err(|_| closed())?
    }

    pub(super) async fn commit(&self, batch: Batch) -> Result<Committed> {
        self.ask(|answer| Order::Commit(Box::new(batch), answer)).await
    }

    #[cfg(test)]
    pub(super) async fn is_safe(&self) -> Result<bool> {
        self.ask(Order::IsSafe).await
    }

    #[cfg(test)]
    pub(super) async fn unsynced(&self) -> Result<u32> {
        self.ask(Order::Unsynced).await
    }

    pub(super) async fn declare(&self, kinds: Vec<Kind>) -> Result<()> {
        self.ask(|answer| Order::Declare(kinds, answer)).await
    }

    /// Runs upkeep on the writing connection.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.ask(|answer| {
            Order::Run(Box::new(move |connection| {
                let _ = answer.send(work(connection));
            }))
        })
        .await
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.seq.clone()
    }

    pub(super) fn watch_others(&self) -> watch::Receiver<u64> {
        self.others.clone()
    }

    /// Has the thread look for commits of other processes; what is asked while a look is due is that look.
    pub(super) fn looker(&self) -> impl Fn() -> bool + Send + 'static {
        let (orders, is_due) = (self.orders.clone(), Arc::clone(&self.is_look_due));
        move || is_due.swap(true, Ordering::SeqCst) || orders.send(Order::Look).is_ok()
    }

    /// Writes out and ends the thread; what was asked before is done first.
    pub(super) async fn stop(&self) -> Result<()> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        let stopped = self.ask(Order::Stop).await;
        // The thread ends right after its answer.
        let _ = thread.join();
        stopped
    }
}

/// The state of the committing thread.
struct Desk {
    connection: Connection,
    /// Whether a commit is synced by itself; the engine was set up so.
    syncs: bool,
    log: Log,
    seq: watch::Sender<u64>,
    others: watch::Sender<u64>,
    version: i64,
    family: Family,
    shape: Shape,
    looked: Instant,
    /// The last commit whose pages are still in memory.
    wrote: Option<Instant>,
    is_look_due: Arc<AtomicBool>,
}

impl Desk {
    fn run(mut self, inbox: &mpsc::Receiver<Order>) {
        loop {
            let first = match inbox.recv_timeout(self.log.rest(Instant::now()).min(POLL)) {
                Ok(order) => order,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.log.sync_if_due(Instant::now());
                    self.look_around();
                    self.forget_pages();
                    continue;
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            let mut group = Vec::new();
            let mut next = Some(first);
            while let Some(order) = next.take() {
                match order {
                    Order::Commit(batch, answer) => group.push((batch, answer)),
                    other => {
                        self.commit(std::mem::take(&mut group));
                        if self.serve(other) {
                            return;
                        }
                    }
                }
                if group.len() < GROUP {
                    next = inbox.try_recv().ok();
                }
            }
            self.commit(group);
            self.log.sync_if_due(Instant::now());
            if self.looked.elapsed() >= BUSY_LOOK {
                self.look_around();
            }
        }
    }

    /// Everything but commits; true when it was the last order.
    fn serve(&mut self, order: Order) -> bool {
        let is_last = matches!(order, Order::Stop(_));
        if let Err(cause) = self.sync_commits(true)
            && !is_last
        {
            // Who asked is told that nothing was done.
            tracing::warn!(%cause, "the engine does not sync as it was told");
            return false;
        }
        match order {
            Order::Commit(..) => {}
            #[cfg(test)]
            Order::IsSafe(answer) => {
                let _ = answer.send(Ok(self.log.due.is_none()));
            }
            #[cfg(test)]
            Order::Unsynced(answer) => {
                let _ = answer.send(Ok(self.log.unsynced));
            }
            Order::Look => {
                self.is_look_due.store(false, Ordering::SeqCst);
                self.look_around();
            }
            Order::Declare(kinds, answer) => {
                let done = schema::declare(&mut self.connection, &kinds);
                if done.is_ok() {
                    self.family.learn(&kinds);
                }
                let _ = answer.send(done);
            }
            Order::Run(work) => {
                work(&mut self.connection);
                // What was loaded moved the feed.
                self.version = 0;
                self.look_around();
            }
            Order::Stop(answer) => {
                // Folding the log back is a courtesy to the next open: a failure loses nothing.
                let _ = self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
                let _ = answer.send(Ok(()));
                return true;
            }
        }
        false
    }

    /// One transaction for the group. A refused batch takes back itself alone; a failed sync fails them all.
    fn commit(&mut self, group: Vec<(Box<Batch>, Answer<Committed>)>) {
        if group.is_empty() {
            return;
        }
        self.wrote = Some(Instant::now());
        let (batches, answers): (Vec<_>, Vec<_>) = group.into_iter().map(|(b, a)| (*b, a)).unzip();
        match self.transaction(batches) {
            Ok(results) => {
                let last = results.iter().filter_map(|r| r.as_ref().ok()).map(|c| c.seq).max().unwrap_or(0);
                if last > 0 {
                    self.seq.send_replace(last);
                }
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(result);
                }
            }
            Err(cause) => {
                // Dropping the transaction rolled it back: nothing of the group is seen.
                let text = cause.to_string();
                let mut cause = Some(cause);
                for answer in answers {
                    let copy = || {
                        failed(
                            "store.commit",
                            rusqlite::Error::SqliteFailure(code_of(&cause), Some(text.clone())),
                        )
                    };
                    let _ = answer.send(Err(copy()));
                }
                drop(cause.take());
            }
        }
    }

    /// Gives back what is kept of the file, once nobody has written for a while.
    fn forget_pages(&mut self) {
        if self.wrote.is_some_and(|at| at.elapsed() >= IDLE) {
            self.wrote = None;
            // What is not given back now is after the next commit.
            let _ = self.connection.execute_batch("PRAGMA shrink_memory");
        }
    }

    /// Leaves the sync to the log when nothing of the group must be safe at once.
    fn transaction(&mut self, batches: Vec<Batch>) -> rusqlite::Result<Vec<Result<Committed>>> {
        let windows: Option<Vec<u32>> = batches.iter().map(Batch::window).collect();
        let window = windows.and_then(|all| all.into_iter().min());
        self.sync_commits(window.is_none())?;
        let done = self.apply(batches)?;
        match window {
            Some(window) => self.log.wants(Instant::now() + Duration::from_millis(u64::from(window))),
            // The sync of this one took everything before it along.
            None => self.log.due = None,
        }
        Ok(done)
    }

    /// In a write-ahead log, NORMAL commits without a sync and keeps the order of the log.
    fn sync_commits(&mut self, wanted: bool) -> rusqlite::Result<()> {
        if self.syncs != wanted {
            let level = if wanted { "FULL" } else { "NORMAL" };
            self.connection.execute_batch(&format!("PRAGMA synchronous = {level}"))?;
            self.syncs = wanted;
        }
        Ok(())
    }

    fn apply(&mut self, batches: Vec<Batch>) -> rusqlite::Result<Vec<Result<Committed>>> {
        let mut tx = self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        self.shape.refresh(&tx)?;
        let mut results = Vec::with_capacity(batches.len());
        for mut batch in batches {
            let point = tx.savepoint()?;
            let ws = batch.workspace.clone();
            let completed =
                self.family.complete(&mut batch, |kind, query| read::query(&point, kind, &ws, query));
            let fits = completed.and_then(|()| self.shape.check(&batch));
            let result = fits.and_then(|()| write::apply(&point, batch));
            if let Err(error) = &result
                && point.is_autocommit()
            {
                // A full disk makes SQLite take the whole transaction back: none of the group is written.
                return Err(rusqlite::Error::SqliteFailure(cause_of(error), None));
            }
            if result.is_ok() {
                point.commit()?;
            } else {
                point.finish()?;
            }
            results.push(result);
        }
        tx.commit()?;
        Ok(results)
    }

    /// Tells watchers of this process what another process committed.
    fn look_around(&mut self) {
        self.looked = Instant::now();
        // Changes with commits of other connections alone, never with our own.
        let version = self.connection.query_row("PRAGMA data_version", [], |r| r.get(0));
        let Ok(version) = version else { return };
        if version != self.version
            && let Ok(seq) = read::seq(&self.connection)
        {
            self.version = version;
            self.seq.send_if_modified(|known| std::mem::replace(known, seq) != seq);
            self.others.send_replace(seq);
        }
    }
}

/// The answer of SQLite that stands behind an error of ours.
fn cause_of(error: &Error) -> rusqlite::ffi::Error {
    let source = std::error::Error::source(error).and_then(|s| s.downcast_ref::<rusqlite::Error>());
    match source.and_then(rusqlite::Error::sqlite_error) {
        Some(cause) => *cause,
        None => rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR),
    }
}

fn code_of(cause: &Option<rusqlite::Error>) -> rusqlite::ffi::Error {
    match cause.as_ref().and_then(rusqlite::Error::sqlite_error) {
        Some(error) => *error,
        None => rusqlite::ffi::Error::new(1),
    }
}
