//! Agents: runs of one call of a model, and of a call, a tool and a call, beside what a program in Rust, Python or Node
//! would pick instead. The model is one server on loopback that answers at once, the same for all clients of a run, so
//! what is measured is the client alone.
//!
//! Every client is a process of its own. Ours in Rust drives a program of its own over the core; in Python and Node an
//! agent is kept as data and asked by its name, as a host does it, with a tool of the host's language.

mod clients;
mod ours;
mod server;
mod taken;

use std::sync::OnceLock;

use clients::{Client, DURABLE, OURS, node, python, rust};
use server::Server;
use taken::{AT_ONCE, Figure, Taken, words};

use crate::load::Kind;
use crate::{Goal, Part, Result, Row, Runs};

/// The parts of the group.
pub(crate) const PARTS: &[Part] =
    &[("rust", rust_rows), ("python", python_rows), ("node", node_rows), ("persisted", persisted_rows)];

const KINDS: [Kind; 2] = [Kind::Call, Kind::Tool];

const REQWEST: Client = rust("reqwest");
const RIG: Client = rust("rig");
const PYTHON: Client = python(OURS, Some("neonhub"));
const HTTPX: Client = python("httpx", Some("httpx"));
const OPENAI_AGENTS: Client = python("openai-agents", Some("agents"));
const LANGGRAPH: Client = python("langgraph, SQLite", Some("langgraph.graph"));
const NODE: Client = node(OURS, Some("neonhub"));
const NODE_OPENAI: Client = node("openai", Some("openai"));
const LANGCHAIN: Client = node("@langchain/openai", Some("@langchain/openai"));

/// Most memory of ours in Python over bare httpx, in MiB.
const OVER_HTTPX: f64 = 20.0;

/// Plays a child process of one of the parts.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    match arguments {
        [part] if part == server::CHILD => server::play(),
        [part, rest @ ..] if part == ours::CHILD => ours::play(rest),
        _ => Err("no such child".into()),
    }
}

/// Measures the clients of a part against the server of this process, and prints the table of them.
fn measure(part: &str, clients: &[Client], runs: Runs) -> Result<(Taken, Vec<Row>)> {
    // It ends with this process: its input is closed then.
    static SERVER: OnceLock<Server> = OnceLock::new();
    if SERVER.get().is_none() {
        let _ = SERVER.set(Server::start()?);
    }
    let url = SERVER.get().ok_or("the server is gone")?.url();
    let taken = Taken::measure(clients, url, runs)?;
    print!("{}", taken.table(part, clients));
    let shown = taken.shown(clients);
    Ok((taken, shown))
}

fn rust_rows(runs: Runs) -> Result<Vec<Row>> {
    let ours = rust(OURS);
    let (taken, mut rows) = measure("rust", &[ours, rust(DURABLE), REQWEST, RIG], runs)?;
    for kind in KINDS {
        rows.push(added(&taken, ours, kind)?);
    }
    for figure in rates(&AT_ONCE) {
        rows.push(taken.beside(ours, RIG, figure, Goal::RatioAtLeast(1.5))?);
    }
    rows.push(taken.beside(ours, RIG, Figure::Peak, Goal::RatioAtMost(1.2))?);
    Ok(rows)
}

/// What a run takes over the request by hand, one at a time, beside what it takes with rig.
fn added(taken: &Taken, ours: Client, kind: Kind) -> Result<Row> {
    let over = |rate: f64, floor: f64| 1e6 / rate - 1e6 / floor;
    let figure = Figure::Rate(kind, 1);
    let floor = taken.figure(REQWEST, figure).ok_or("bare reqwest was not measured: build benches/rig")?;
    let name = format!("Rust: {}, 1 at once, time over bare reqwest", words(kind));
    let row = Row::new(name, over(taken.ours(ours, figure)?, floor), "us", Goal::RatioAtMost(0.5));
    Ok(match taken.figure(RIG, figure) {
        Some(rate) => row.against(taken.label(RIG), over(rate, floor)),
        None => row,
    })
}

fn python_rows(runs: Runs) -> Result<Vec<Row>> {
    let clients = [
        PYTHON,
        HTTPX,
        python("openai", Some("openai")),
        python("langchain-openai", Some("langchain_openai")),
        OPENAI_AGENTS,
        python("pydantic-ai", Some("pydantic_ai")),
    ];
    let (taken, mut rows) = measure("python", &clients, runs)?;
    for (at, bound) in [(1, 4.0), (100, 10.0)] {
        for figure in rates(&[at]) {
            rows.push(taken.beside(PYTHON, OPENAI_AGENTS, figure, Goal::RatioAtLeast(bound))?);
        }
    }
    for figure in rates(&AT_ONCE) {
        rows.push(taken.beside(PYTHON, HTTPX, figure, Goal::RatioAtLeast(1.0))?);
    }
    // Without httpx there is nothing to be near to, and the goal is missed.
    let most = taken.figure(HTTPX, Figure::Peak).map_or(0.0, |peak| peak + OVER_HTTPX);
    rows.push(taken.beside(PYTHON, HTTPX, Figure::Peak, Goal::AtMost(most.round()))?);
    rows.push(taken.beside(PYTHON, OPENAI_AGENTS, Figure::Import, Goal::AtMost(60.0))?);
    Ok(rows)
}

fn node_rows(runs: Runs) -> Result<Vec<Row>> {
    let clients = [NODE, node("undici", Some("undici")), NODE_OPENAI, LANGCHAIN, node("ai", Some("ai"))];
    let (taken, mut rows) = measure("node", &clients, runs)?;
    for peer in [LANGCHAIN, NODE_OPENAI] {
        for figure in rates(&AT_ONCE) {
            rows.push(taken.beside(NODE, peer, figure, Goal::RatioAtLeast(3.0))?);
        }
        for kind in KINDS {
            rows.push(taken.beside(NODE, peer, Figure::Cpu(kind), Goal::RatioAtMost(0.3))?);
        }
    }
    rows.push(taken.beside(NODE, NODE_OPENAI, Figure::Import, Goal::AtMost(40.0))?);
    Ok(rows)
}

/// Runs whose start, effects and end are in a file, synced, before the next step.
fn persisted_rows(runs: Runs) -> Result<Vec<Row>> {
    let ours = [rust(DURABLE), python(DURABLE, None)];
    let (taken, mut rows) = measure("persisted", &[ours[0], ours[1], LANGGRAPH], runs)?;
    for client in ours {
        for (at, bound) in [(1, 20.0), (100, 50.0)] {
            for figure in rates(&[at]) {
                rows.push(taken.beside(client, LANGGRAPH, figure, Goal::RatioAtLeast(bound))?);
            }
        }
    }
    Ok(rows)
}

/// The rates of both kinds of runs.
fn rates(at_once: &[usize]) -> Vec<Figure> {
    KINDS.iter().flat_map(|kind| at_once.iter().map(|at| Figure::Rate(*kind, *at))).collect()
}
