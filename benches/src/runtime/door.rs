//! What the door costs: a call of an operation that does nothing, the policies asked at it, and the catalogue.

use std::time::Instant;

use neonhub_core::op::{CallOptions, Effect, Entry, Operation, entry};
use neonhub_core::{Hub, Permission, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Goal, Result, Row, Runs};

/// Calls of one run.
const CALLS: usize = 20_000;
/// Policies in force.
const POLICIES: usize = 200;
/// Operations of the catalogue that is loaded.
const OPERATIONS: usize = 500;

/// Adds two numbers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Add {
    /// First number.
    a: i64,
    /// Second number.
    b: i64,
}

impl Operation for Add {
    type Output = i64;
    const NAME: &'static str = "bench.add";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Pure;
    async fn run(self, _cx: &Scope) -> neonhub_core::Result<i64> {
        Ok(self.a + self.b)
    }
}

static CATALOGUE: &[Entry] = &[entry::<Add>()];

/// The rows.
pub(super) fn rows(runs: Runs) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let calls = runs.size(CALLS);
    let plain = runs.median_of(|| runtime.block_on(typed(calls)))?;
    let named = runs.median_of(|| runtime.block_on(by_name(calls)))?;
    let bare = runs.median_of(|| bare(calls))?;
    let judged = runs.median_of(|| runtime.block_on(policies(calls / 10)))?;
    let loaded = runs.median_of(|| runtime.block_on(catalogue()))?;
    Ok(vec![
        Row::new("door, pure operation, typed, p99", plain, "us", Goal::AtMost(20.0))
            .against("the same as JSON without a door", bare),
        Row::new("door, pure operation, by name, p99", named, "us", Goal::AtMost(20.0))
            .against("the same as JSON without a door", bare),
        Row::new("pure operation under 200 policies, p99", judged, "us", Goal::AtMost(50.0)),
        Row::new("catalogue of 500 operations", loaded, "ms", Goal::AtMost(2.0)),
    ])
}

/// The 99th percentile of what a closure answers, in microseconds.
fn p99(mut times: Vec<f64>) -> Result<f64> {
    times.sort_by(f64::total_cmp);
    let place = (times.len() * 99 / 100).min(times.len().saturating_sub(1));
    times.get(place).map(|seconds| seconds * 1e6).ok_or_else(|| "no call was made".into())
}

async fn open() -> Result<Scope> {
    let hub = Hub::builder().operations(CATALOGUE).build().await?;
    Ok(hub.workspace("default").await?)
}

async fn typed(calls: usize) -> Result<f64> {
    let cx = open().await?;
    let mut times = Vec::with_capacity(calls);
    for n in 0..calls as i64 {
        let start = Instant::now();
        cx.call(Add { a: n, b: 1 }).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    p99(times)
}

async fn by_name(calls: usize) -> Result<f64> {
    let cx = open().await?;
    let mut times = Vec::with_capacity(calls);
    for n in 0..calls {
        let input = json!({ "a": n, "b": 1 });
        let start = Instant::now();
        cx.call_by_name("bench.add", input, CallOptions::new()).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    p99(times)
}

/// What is left without a door: reading the input, adding, writing the answer.
fn bare(calls: usize) -> Result<f64> {
    let mut times = Vec::with_capacity(calls);
    for n in 0..calls {
        let input = json!({ "a": n, "b": 1 });
        let start = Instant::now();
        let add: Add = serde_json::from_value(input)?;
        let answer = Value::from(add.a + add.b);
        times.push(start.elapsed().as_secs_f64());
        std::hint::black_box(answer);
    }
    p99(times)
}

/// The time of a call under 200 policies that all fit it. The door is in it, so it is more than judging alone.
async fn policies(calls: usize) -> Result<f64> {
    let cx = open().await?;
    for n in 0..POLICIES {
        let policy = json!({
            "name": format!("rule-{n}"), "reason": "a bench", "priority": n,
            "scope": { "operations": ["bench.*"], "roles": ["owner", "admin"] },
            "when": format!("input.a > {n} and input.b in [1, 2, {n}] and not (\"viewer\" in roles)"),
            "effect": { "do": "allow" },
        });
        let put = cx.call_by_name("policies.put", json!({ "policy": policy }), CallOptions::new()).await?;
        let id = json!({ "id": put.get("id") });
        cx.call_by_name("policies.activate", id, CallOptions::new()).await?;
    }
    let mut times = Vec::with_capacity(calls);
    for n in 0..calls.max(100) as i64 {
        let start = Instant::now();
        cx.call(Add { a: n, b: 1 }).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    p99(times)
}

/// What 500 operations more add to opening a hub: they are sorted by name; schemas are made when asked for.
async fn catalogue() -> Result<f64> {
    let line =
        |n: usize| Entry { name: Box::leak(format!("bench.op_{n}").into_boxed_str()), ..entry::<Add>() };
    let large: &'static [Entry] = Vec::leak((0..OPERATIONS).map(line).collect());
    let mut seconds = [0.0; 2];
    for (slot, entries) in seconds.iter_mut().zip([CATALOGUE, large]) {
        let builder = Hub::builder().operations(entries);
        let start = Instant::now();
        let hub = builder.build().await?;
        *slot = start.elapsed().as_secs_f64();
        hub.close().await?;
    }
    let [without, with] = seconds;
    Ok((with - without).max(0.0) * 1e3)
}
