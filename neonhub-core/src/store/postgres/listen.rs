//! News between processes: LISTEN/NOTIFY wakes, the feed is the truth; and who is at work.
//!
//! Notifications are sent after the commit by a connection of their own: inside the transaction they would make
//! all commits of the server take turns. One that is lost costs at most the pause of the poll.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::failed;
use crate::Result;

/// How often the feed is looked at when no news comes.
const POLL: Duration = Duration::from_secs(1);
/// Pause before a lost connection is made again.
const PAUSE: Duration = Duration::from_millis(500);
/// Looks in a row that must find a worker's lock free before it counts as gone: a worker whose connection was cut
/// takes its lock again in less.
const MISSES: u32 = 5;

/// Who is at work, as advisory locks of the server tell.
#[derive(Debug, Default)]
pub(super) struct Presence {
    ours: Mutex<BTreeSet<String>>,
    /// Other workers that somebody asked for, and how often in a row their lock was free.
    others: Mutex<HashMap<String, u32>>,
}

impl Presence {
    pub(super) fn register(&self, name: &str) {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    pub(super) fn is_alive(&self, name: &str) -> bool {
        if self.ours.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return true;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        *others.entry(name.to_owned()).or_default() < MISSES
    }
}

/// The connection that hears and tells.
pub(super) struct Listener {
    pub(super) server: Config,
    pub(super) tls: MakeRustlsConnect,
    pub(super) setup: String,
    pub(super) schema: String,
    pub(super) seq: Arc<watch::Sender<u64>>,
    /// Wakes for commits of other processes alone.
    pub(super) others: Arc<watch::Sender<u64>>,
    pub(super) wake: Arc<Notify>,
    pub(super) presence: Arc<Presence>,
}

impl Listener {
    pub(super) fn start(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                if let Err(error) = self.session().await {
                    tracing::debug!(%error, "the news of the database are interrupted");
                }
                tokio::time::sleep(PAUSE).await;
            }
        })
    }

    fn channel(&self) -> String {
        format!("neonhub_{}", self.schema)
    }

    /// Serves until the connection ends.
    async fn session(&self) -> Result<()> {
        let sql = |e| failed("store.watch", &e);
        let (client, mut connection) = self.server.connect(self.tls.clone()).await.map_err(sql)?;
        let (news, mut inbox) = mpsc::unbounded_channel();
        let driver = tokio::spawn(async move {
            while let Some(Ok(message)) = std::future::poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(note) = message
                    && news
                        .send((note.process_id(), note.payload().parse::<u64>().unwrap_or_default()))
                        .is_err()
                {
                    return;
                }
            }
        });
        let _driver = AbortOnDrop(driver);
        client.batch_execute(&self.setup).await.map_err(sql)?;
        client.batch_execute(&format!("LISTEN \"{}\"", self.channel())).await.map_err(sql)?;
        let own: i32 = client.query_one("SELECT pg_backend_pid()", &[]).await.map_err(sql)?.get(0);
        let tell = client.prepare("SELECT pg_notify($1, $2)").await.map_err(sql)?;
        // What was told while nobody listened.
        self.others.send_replace(*self.seq.borrow());
        let mut held = BTreeSet::new();
        // By the clock, not after a silence: with much news there is none, and dead workers would never be noticed.
        let mut poll = tokio::time::interval(POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        poll.reset();
        loop {
            self.hold(&client, &mut held).await?;
            tokio::select! {
                note = inbox.recv() => match note {
                    Some((from, seq)) if from != own => {
                        self.heard(seq);
                        self.others.send_replace(seq);
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                () = self.wake.notified() => {
                    let seq = *self.seq.borrow();
                    let payload = seq.to_string();
                    client.execute(&tell, &[&self.channel(), &payload]).await.map_err(sql)?;
                }
                _ = poll.tick() => {
                    let row = client.query_one("SELECT seq FROM _shard WHERE shard = 0", &[]).await.map_err(sql)?;
                    let seq = row.get::<_, i64>(0).cast_unsigned();
                    if seq > *self.seq.borrow() {
                        self.others.send_replace(seq);
                    }
                    self.heard(seq);
                    self.look_around(&client).await?;
                }
            }
        }
    }

    fn heard(&self, seq: u64) {
        self.seq.send_if_modified(|known| std::mem::replace(known, seq.max(*known)) < seq);
    }

    /// Holds the locks of our workers as long as this connection lives. One that is not free is asked for again at
    /// the next turn: another process just looks at it, or the server has not noticed yet that the last connection
    /// is gone.
    async fn hold(&self, client: &Client, held: &mut BTreeSet<String>) -> Result<()> {
        let new: Vec<String> = {
            let ours = self.presence.ours.lock().unwrap_or_else(PoisonError::into_inner);
            ours.difference(held).cloned().collect()
        };
        for name in new {
            let text =
                "SELECT pg_try_advisory_lock(hashtextextended('neonhub.worker.' || $1 || '.' || $2, 0))";
            let row = client
                .query_one(text, &[&self.schema, &name])
                .await
                .map_err(|e| failed("store.watch", &e))?;
            if row.get(0) {
                held.insert(name);
            }
        }
        Ok(())
    }

    /// Which of the workers that were asked for have let go of their lock.
    async fn look_around(&self, client: &Client) -> Result<()> {
        let names: Vec<String> = {
            let others = self.presence.others.lock().unwrap_or_else(PoisonError::into_inner);
            others.keys().cloned().collect()
        };
        if names.is_empty() {
            return Ok(());
        }
        let text = "SELECT n, pg_try_advisory_xact_lock_shared(hashtextextended('neonhub.worker.' || $1 || '.' || n, 0)) \
                    FROM unnest($2::text[]) AS n";
        let rows =
            client.query(text, &[&self.schema, &names]).await.map_err(|e| failed("store.watch", &e))?;
        let mut others = self.presence.others.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let (name, free): (String, bool) = (row.get(0), row.get(1));
            others.entry(name).and_modify(|misses| *misses = if free { misses.saturating_add(1) } else { 0 });
        }
        Ok(())
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
