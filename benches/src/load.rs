//! The load that a client of a model is put under: so many runs at once, for a time or a number of runs. The program of
//! the Rust peers (`benches/rig`) holds this very file, so that both sides are driven and counted by the same lines.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;

use crate::{Result, process};

/// Least runs before the clock starts, and at least two of each task: connections are open and code is warm then.
const WARM: usize = 50;

/// What one run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One call of the model.
    Call,
    /// A call that asks for the tool, the tool, and a call that answers.
    Tool,
}

impl Kind {
    /// What the model is asked.
    pub(crate) fn question(self) -> &'static str {
        match self {
            Kind::Call => "Say that you are ready.",
            Kind::Tool => "What is 2 and 3? Use the tool.",
        }
    }

    /// What it answers at last; a run that gave anything else has failed.
    pub(crate) fn answer(self) -> &'static str {
        match self {
            Kind::Call => "I am ready.",
            Kind::Tool => "It is 5.",
        }
    }
}

/// How much is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    /// Runs that begin within this time.
    Time(Duration),
    /// So many runs.
    Runs(usize),
}

/// What a client is told to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    pub(crate) kind: Kind,
    /// The address of the model up to the version: `http://127.0.0.1:1/v1`.
    pub(crate) url: String,
    /// Runs at once, one measurement each.
    at_once: Vec<usize>,
    amount: Amount,
}

impl Order {
    /// Reads `call|tool URL AT,AT,... SECONDSs|RUNS`, such as `tool http://127.0.0.1:1/v1 1,10 1.5s`.
    ///
    /// # Errors
    /// When they are not these four words.
    pub(crate) fn read(words: &[String]) -> Result<Self> {
        let [kind, url, at_once, amount] = words else {
            return Err("expected KIND URL AT AMOUNT".into());
        };
        let kind = match kind.as_str() {
            "call" => Kind::Call,
            "tool" => Kind::Tool,
            other => return Err(format!("there is no kind {other:?}: choose call or tool").into()),
        };
        let at_once = at_once.split(',').map(str::parse).collect::<std::result::Result<_, _>>()?;
        let amount = match amount.strip_suffix('s') {
            Some(seconds) => Amount::Time(Duration::try_from_secs_f64(seconds.parse()?)?),
            None => Amount::Runs(amount.parse()?),
        };
        Ok(Self { kind, url: url.clone(), at_once, amount })
    }

    /// Measures runs of `name` and prints a line of JSON for each number of runs at once: runs per second, processor
    /// milliseconds of a run, and the most memory so far in MiB; or why runs failed, by the first that did, which an
    /// answer other than the expected one does as well.
    pub(crate) async fn measure<F, T>(&self, name: &str, run: F)
    where
        F: Fn() -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<String>> + Send,
    {
        for at_once in self.at_once.iter().copied() {
            let line = match self.at(at_once, run.clone()).await {
                Ok(figures) => json!({
                    "name": name, "at": at_once,
                    "rate": figures.rate, "cpu_ms": figures.cpu_ms, "peak_mib": figures.peak_mib
                }),
                Err(error) => json!({ "name": name, "at": at_once, "failed": error.to_string() }),
            };
            println!("{line}");
        }
    }

    async fn at<F, T>(&self, at_once: usize, run: F) -> Result<Figures>
    where
        F: Fn() -> T + Clone + Send + Sync + 'static,
        T: Future<Output = Result<String>> + Send,
    {
        load(at_once, self.kind, Amount::Runs(WARM.max(2 * at_once)), run.clone()).await?;
        let (cpu, start) = (process::cpu()?, Instant::now());
        let runs = load(at_once, self.kind, self.amount, run).await? as f64;
        let (seconds, cpu) = (start.elapsed().as_secs_f64(), process::cpu()? - cpu);
        Ok(Figures { rate: runs / seconds, cpu_ms: cpu * 1e3 / runs, peak_mib: process::peak()? })
    }
}

/// What was measured at one number of runs at once.
#[derive(Clone, Copy, Debug)]
struct Figures {
    /// Runs per second.
    rate: f64,
    /// Processor milliseconds of a run.
    cpu_ms: f64,
    /// The most memory so far, in MiB.
    peak_mib: f64,
}

/// Does the amount with so many tasks; gives the number of runs.
async fn load<F, T>(at_once: usize, kind: Kind, amount: Amount, run: F) -> Result<usize>
where
    F: Fn() -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Result<String>> + Send,
{
    let start = Instant::now();
    let begun = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..at_once {
        let (begun, run) = (Arc::clone(&begun), run.clone());
        tasks.spawn(async move {
            let mut done = 0;
            while match amount {
                Amount::Time(time) => start.elapsed() < time,
                Amount::Runs(runs) => begun.fetch_add(1, Ordering::Relaxed) < runs,
            } {
                let answer = run().await?;
                if answer != kind.answer() {
                    return Err(format!("expected {:?}, the run answered {answer:?}", kind.answer()).into());
                }
                done += 1;
            }
            Result::Ok(done)
        });
    }
    let mut done = 0;
    while let Some(task) = tasks.join_next().await {
        done += task??;
    }
    if done == 0 { Err("the time was too short for a run".into()) } else { Ok(done) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn an_order_is_four_words() {
        let order = Order::read(&words("tool http://h/v1 1,10 1.5s")).unwrap();
        assert_eq!((order.kind, order.at_once), (Kind::Tool, vec![1, 10]));
        assert_eq!(order.amount, Amount::Time(Duration::from_millis(1_500)));
        assert_eq!(Order::read(&words("call http://h/v1 100 1000")).unwrap().amount, Amount::Runs(1_000));
        for wrong in ["tool http://h/v1 1", "both http://h/v1 1 1s", "call u x 1s", "call u 1 -1s"] {
            assert!(Order::read(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn runs_are_counted_and_a_wrong_answer_ends_all() {
        let right = || async { Ok(Kind::Call.answer().to_owned()) };
        assert_eq!(load(10, Kind::Call, Amount::Runs(55), right).await.unwrap(), 55);
        assert!(load(2, Kind::Call, Amount::Time(Duration::from_millis(20)), right).await.unwrap() >= 2);
        let wrong = load(10, Kind::Tool, Amount::Runs(55), right).await.unwrap_err();
        assert!(wrong.to_string().contains("It is 5."), "{wrong}");
    }
}
