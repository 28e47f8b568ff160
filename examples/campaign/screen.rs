//! What the user sees while it runs and at the end.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use neonhub::bus::Item;
use neonhub::campaign::Report;
use neonhub::{Error, Result, Scope};

use crate::folder::OutFolder;

/// Progress bars that follow the hub, and the time each part took. Silent when nobody looks.
pub(crate) struct Screen {
    bars: MultiProgress,
    timings_ms: BTreeMap<String, u64>,
}

impl Screen {
    /// Follows the progress of a workspace until the returned screen is closed.
    pub(crate) async fn follow(cx: &Scope) -> Result<Self> {
        let bars = MultiProgress::new();
        if std::io::stderr().is_terminal() {
            let mut feed = cx.subscribe(cx.store().seq().await?, None)?;
            let shown = bars.clone();
            tokio::spawn(async move {
                let mut by_task: BTreeMap<String, ProgressBar> = BTreeMap::new();
                while let Ok(Some(item)) = feed.next().await {
                    let Item::Progress(step) = item else { continue };
                    let bar = by_task.entry(step.task.clone()).or_insert_with(|| shown.add(bar(&step.task)));
                    // The length of a stream is not known before its end.
                    bar.set_length(step.total.max(step.done));
                    bar.set_position(step.done);
                    bar.set_message(step.note);
                    if step.total > 0 && step.done >= step.total {
                        bar.finish();
                    }
                }
            });
        }
        Ok(Screen { bars, timings_ms: BTreeMap::new() })
    }

    /// Runs one part and remembers how long it took.
    pub(crate) async fn timed<T>(&mut self, part: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let done = work.await;
        let took = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        *self.timings_ms.entry(part.to_owned()).or_default() += took;
        done
    }

    /// Takes the bars down and gives the times.
    pub(crate) fn close(self) -> BTreeMap<String, u64> {
        // The follower may still draw what it was told last.
        let _ = self.bars.clear();
        self.timings_ms
    }
}

fn bar(task: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template("  {prefix:<18} {bar:32.cyan/black} {pos:>6}/{len:<6} {wide_msg:.dim}");
    let bar = ProgressBar::new(0).with_prefix(task.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    match style {
        Ok(style) => bar.with_style(style.progress_chars("━╸─")),
        Err(_) => bar,
    }
}

/// The last words: what happened and where everything is.
pub(crate) fn summary(report: &Report, out: &OutFolder) -> String {
    let (contacts, sends) = (&report.contacts, &report.sends);
    let mut text =
        format!("\n{}\n{}\n\n", report.campaign.name, "=".repeat(report.campaign.name.chars().count()));
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<12}{value}\n"));
    line(
        "knowledge",
        format!("{} documents, {} chunks", report.knowledge.documents, report.knowledge.chunks),
    );
    for failed in &report.knowledge.failed {
        line("", format!("not read: {}: {}", failed.file, failed.reason));
    }
    line(
        "contacts",
        format!(
            "{} rows, {} imported, {} rejected, {} people",
            contacts.rows, contacts.imported, contacts.rejected, contacts.people
        ),
    );
    line("assets", format!("{} on {} channels", report.assets.values().sum::<u64>(), report.assets.len()));
    line("gate", format!("{} allowed, {} deferred, {} denied", sends.allowed, sends.deferred, sends.denied));
    for (rule, count) in &report.reasons {
        line("", format!("{count:>5}  {rule}"));
    }
    line(
        "sent",
        format!("{} now, {} in all, {} later steps scheduled", sends.sent_now, sends.sent, sends.scheduled),
    );
    line("posts", report.posts.to_string());
    let mut place = |name: &str, file: &str| line(name, out.path(file).display().to_string());
    place("report", "report.html");
    place("messages", "outbox");
    place("texts", "assets");
    place("plan", "plan.json");
    if contacts.rejected > 0 {
        place("rejected", "rejected-contacts.csv");
    }
    for fault in report.inconsistencies() {
        line("attention", fault);
    }
    if report.is_offline {
        text.push_str("\n  Offline: texts come from the offline model, and nothing left this computer.\n");
    }
    text
}

/// An error as a user can act on it: every fault on its own line, then what is known about it.
pub(crate) fn explain(error: &Error) -> String {
    let faults = error.field_faults();
    let mut text = if faults.len() > 1 {
        let list: String = faults.iter().map(|f| format!("\n  {}: {}", f.field, f.message)).collect();
        format!("{} faults:{list}", faults.len())
    } else {
        error.message().to_owned()
    };
    for (name, value) in error.context() {
        text.push_str(&format!("\n  {name} = {value}"));
    }
    if let Some(cause) = std::error::Error::source(error) {
        text.push_str(&format!("\n  cause: {cause}"));
    }
    format!("campaign: {text}")
}
