//! What was measured of the clients of a part: a table of all of them, and rows of ours beside one of them.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::{Client, Found, Line, Outcome};
use crate::load::Kind;
use crate::medians::Medians;
use crate::report::aligned;
use crate::row::rounded;
use crate::{Goal, Result, Row, Runs};

/// Runs at once.
pub(super) const AT_ONCE: [usize; 3] = [1, 10, 100];
/// The number at once at which the processor time of a run is read.
const CPU_AT: usize = 10;
/// Runs of the process whose memory is read: the same number for all, since some keep every run.
const MEMORY_RUNS: usize = 1_000;
/// Seconds of a measurement.
const SECONDS: f64 = 1.5;
/// Imports of a round.
const IMPORTS: usize = 5;

/// The figure of a load that a client does not bear: no number reaches a goal with it.
const NONE: f64 = f64::NAN;

/// A figure of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Figure {
    /// Runs per second.
    Rate(Kind, usize),
    /// Processor milliseconds of a run.
    Cpu(Kind),
    /// The most memory at 100 at once, with tools, in MiB.
    Peak,
    /// Cold import in milliseconds.
    Import,
}

impl Figure {
    fn name(self) -> String {
        match self {
            Figure::Rate(kind, at) => format!("{}, {at} at once", words(kind)),
            Figure::Cpu(kind) => format!("{}, processor time of a run", words(kind)),
            Figure::Peak => format!("peak memory, {MEMORY_RUNS} runs with a tool, 100 at once"),
            Figure::Import => "cold import".to_owned(),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Figure::Rate(..) => "runs/s",
            Figure::Cpu(_) | Figure::Import => "ms",
            Figure::Peak => "MiB",
        }
    }

    /// Every figure, in the order of the table of clients.
    fn all() -> Vec<Figure> {
        let kinds = [Kind::Call, Kind::Tool];
        let rates = kinds.iter().flat_map(|kind| AT_ONCE.map(|at| Figure::Rate(*kind, at)));
        rates.chain(kinds.map(Figure::Cpu)).chain([Figure::Peak, Figure::Import]).collect()
    }
}

/// What a run does, in words.
pub(super) fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "one call",
        Kind::Tool => "one tool",
    }
}

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Taken {
    medians: Medians,
    /// Names with versions, by id.
    labels: BTreeMap<String, String>,
    /// Who was left out or failed, and why.
    notes: BTreeSet<String>,
}

impl Taken {
    /// Measures clients by turns.
    ///
    /// # Errors
    /// When a client fails, or one of ours is not there.
    pub(super) fn measure(clients: &[Client], url: &str, runs: Runs) -> Result<Self> {
        let mut taken = Self::default();
        for _ in 0..runs.count() {
            for (kind, word) in [(Kind::Call, "call"), (Kind::Tool, "tool")] {
                for client in clients {
                    taken.rates(client, (kind, word), url, runs)?;
                }
            }
            for client in clients {
                taken.footprint(client, url, runs)?;
            }
        }
        Ok(taken)
    }

    fn rates(&mut self, client: &Client, (kind, word): (Kind, &str), url: &str, runs: Runs) -> Result<()> {
        let seconds = match runs {
            Runs::Full => SECONDS,
            Runs::Quick => SECONDS / 10.0,
        };
        let (at, amount) = (AT_ONCE.map(|at| at.to_string()).join(","), format!("{seconds}s"));
        self.take(client, kind, client.measure([word, url, &at, &amount])?);
        Ok(())
    }

    /// Takes the rates of a kind of runs.
    fn take(&mut self, client: &Client, kind: Kind, outcome: Outcome) {
        for line in self.lines(client, outcome) {
            match line.found {
                Found::Figures { rate, cpu_ms, .. } => {
                    self.add(client, Figure::Rate(kind, line.at), rate);
                    if line.at == CPU_AT {
                        self.add(client, Figure::Cpu(kind), cpu_ms);
                    }
                }
                Found::Failure { failed } => {
                    self.add(client, Figure::Rate(kind, line.at), NONE);
                    if line.at == CPU_AT {
                        self.add(client, Figure::Cpu(kind), NONE);
                    }
                    self.fails(client, kind, line.at, &failed);
                }
            }
        }
    }

    fn footprint(&mut self, client: &Client, url: &str, runs: Runs) -> Result<()> {
        let amount = runs.size(MEMORY_RUNS).to_string();
        let lines = self.lines(client, client.measure(["tool", url, "100", &amount])?);
        for line in lines {
            match line.found {
                Found::Figures { peak_mib, .. } => self.add(client, Figure::Peak, peak_mib),
                Found::Failure { failed } => {
                    self.add(client, Figure::Peak, NONE);
                    self.fails(client, Kind::Tool, line.at, &failed);
                }
            }
        }
        if let Some(ms) = client.cold_import(runs.size(IMPORTS))? {
            self.add(client, Figure::Import, ms);
        }
        Ok(())
    }

    /// The lines of a client; its name and its absence are noted.
    fn lines(&mut self, client: &Client, outcome: Outcome) -> Vec<Line> {
        match outcome {
            Outcome::Lines(lines) => {
                if let Some(line) = lines.first() {
                    self.labels.insert(client.id(), line.name.clone());
                }
                lines
            }
            Outcome::LeftOut(why) => {
                self.notes.insert(format!("{} is left out: {why}", client.id()));
                Vec::new()
            }
        }
    }

    fn fails(&mut self, client: &Client, kind: Kind, at: usize, why: &str) {
        let why = why.lines().next().unwrap_or_default();
        self.notes.insert(format!("{} fails with {}, {at} at once: {why}", client.id(), words(kind)));
    }

    fn add(&mut self, client: &Client, figure: Figure, value: f64) {
        self.medians.add(key(client, figure), value);
    }

    /// A figure of a client; `None` when it was not measured.
    pub(super) fn figure(&self, client: Client, figure: Figure) -> Option<f64> {
        self.medians.known(&key(&client, figure))
    }

    /// A figure of ours.
    ///
    /// # Errors
    /// When it was not measured.
    pub(super) fn ours(&self, ours: Client, figure: Figure) -> Result<f64> {
        self.medians.of(&key(&ours, figure))
    }

    /// A client's name with its version.
    pub(super) fn label(&self, client: Client) -> String {
        self.labels.get(&client.id()).cloned().unwrap_or_else(|| client.name.to_owned())
    }

    /// A row of ours beside a peer. Alone when the peer was not measured, and a goal on the ratio is then missed.
    ///
    /// # Errors
    /// When ours was not measured.
    pub(super) fn beside(&self, ours: Client, peer: Client, figure: Figure, goal: Goal) -> Result<Row> {
        let name = format!("{}: {}", self.title(ours), figure.name());
        let row = Row::new(name, self.ours(ours, figure)?, figure.unit(), goal);
        Ok(match self.figure(peer, figure) {
            Some(value) => row.against(self.label(peer), value),
            None => row,
        })
    }

    /// How ours is called in a row: `Python`, `Python, SQLite`.
    pub(super) fn title(&self, ours: Client) -> String {
        format!("{:?}{}", ours.language, ours.name.strip_prefix(super::clients::OURS).unwrap_or_default())
    }

    /// A row without a goal for every figure of every client.
    pub(super) fn shown(&self, clients: &[Client]) -> Vec<Row> {
        let each = clients.iter().flat_map(|client| Figure::all().into_iter().map(move |f| (*client, f)));
        each.filter_map(|(client, figure)| {
            let name = format!("{:?}, {}: {}", client.language, self.label(client), figure.name());
            Some(Row::new(name, self.figure(client, figure)?, figure.unit(), Goal::Shown))
        })
        .collect()
    }

    /// One line for each client, with the notes below.
    pub(super) fn table(&self, part: &str, clients: &[Client]) -> String {
        let head = [
            "client",
            "call, 1",
            "10",
            "100 at once",
            "tool, 1",
            "10",
            "100 at once",
            "ms of a call",
            "ms of a tool",
            "MiB",
            "import ms",
        ];
        let mut lines = vec![head.map(str::to_owned)];
        for client in clients.iter().filter(|client| self.labels.contains_key(&client.id())) {
            let mut cells = Figure::all()
                .into_iter()
                .map(|figure| self.figure(*client, figure).map_or_else(|| "-".to_owned(), rounded));
            let name = format!("{:?}, {}", client.language, self.label(*client));
            let line: [String; 11] = std::array::from_fn(|column| match column {
                0 => name.clone(),
                _ => cells.next().unwrap_or_default(),
            });
            lines.push(line);
        }
        let notes: String = self.notes.iter().map(|note| format!("{note}\n")).collect();
        format!("\nclients of {part}, runs/s unless said\n{}{notes}", aligned(&lines))
    }
}

fn key(client: &Client, figure: Figure) -> String {
    format!("{}: {}", client.id(), figure.name())
}

#[cfg(test)]
mod tests {
    use super::super::clients::{OURS, rust};
    use super::*;

    fn line(name: &str, rate: f64) -> Line {
        let found = Found::Figures { rate, cpu_ms: 0.5, peak_mib: 20.0 };
        Line { name: name.to_owned(), at: 10, found }
    }

    #[test]
    fn a_client_that_is_left_out_is_noted_and_its_goal_missed() {
        let (ours, peer, figure) = (rust(OURS), rust("rig"), Figure::Rate(Kind::Call, 10));
        let mut taken = Taken::default();
        taken.take(&ours, Kind::Call, Outcome::Lines(vec![line("neonhub 0.1.0", 30.0)]));
        taken.take(&peer, Kind::Call, Outcome::LeftOut("no program".into()));
        let row = taken.beside(ours, peer, figure, Goal::RatioAtLeast(1.5)).unwrap();
        assert!(!row.holds());
        let table = taken.table("rust", &[ours, peer]);
        assert!(table.contains("Rust, neonhub 0.1.0  -        30.0"), "{table}");
        assert!(table.ends_with("Rust/rig is left out: no program\n"), "{table}");
        assert!(taken.beside(peer, ours, figure, Goal::Shown).is_err());
    }

    #[test]
    fn a_load_that_fails_is_no_rate_and_a_note() {
        let (ours, mut taken) = (rust(OURS), Taken::default());
        let found = Found::Failure { failed: "too many calls\nat line 3".into() };
        taken.take(&ours, Kind::Tool, Outcome::Lines(vec![Line { name: "n".into(), at: 100, found }]));
        for goal in [Goal::RatioAtLeast(0.1), Goal::RatioAtMost(9.0), Goal::AtLeast(0.0), Goal::AtMost(9e9)] {
            let row = taken.beside(ours, rust("rig"), Figure::Rate(Kind::Tool, 100), goal).unwrap();
            assert!(!row.clone().against("rig", 1.0).holds(), "{goal:?}");
        }
        let table = taken.table("rust", &[ours]);
        assert!(
            table.ends_with("Rust/neonhub fails with one tool, 100 at once: too many calls\n"),
            "{table}"
        );
    }

    #[test]
    fn ours_stands_beside_the_median_of_a_peer() {
        let (ours, peer, figure) = (rust(OURS), rust("rig"), Figure::Rate(Kind::Tool, 1));
        let mut taken = Taken::default();
        for (mine, other) in [(30.0, 10.0), (32.0, 90.0), (31.0, 20.0)] {
            taken.add(&ours, figure, mine);
            taken.add(&peer, figure, other);
        }
        let row = taken.beside(ours, peer, figure, Goal::RatioAtLeast(1.5)).unwrap();
        assert_eq!((row.name(), row.ratio()), ("Rust: one tool, 1 at once", Some(1.55)));
        assert_eq!(taken.shown(&[ours, peer]).len(), 2);
    }
}
