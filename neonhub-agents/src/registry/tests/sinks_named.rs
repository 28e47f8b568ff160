//! Every operation that lets words out, or keeps them for later runs, says so. Who takes a sink away, or adds an operation of
//! that kind without one, is told here.

use std::collections::{BTreeMap, BTreeSet};

use neonhub_core::PermissionSet;
use neonhub_core::op::{Effect, Entry, Sink};
use neonhub_core::tool::visible_names;

use super::*;

const EXPORT: &[Sink] = &[Sink::Export];
const KEEP: &[Sink] = &[Sink::MemoryWrite];
const POST: &[Sink] = &[Sink::Send, Sink::Publish];
const SPEND: &[Sink] = &[Sink::Spend];

/// What each operation lets out or keeps.
const NAMED: &[(&str, &[Sink])] = &[
    ("audit.export", EXPORT),
    ("campaign.resume", POST),
    ("campaign.start", POST),
    ("economy.allow_more", SPEND),
    ("economy.put_quota", SPEND),
    ("jobs.enqueue", KEEP),
    ("jobs.enqueue_many", KEEP),
    ("jobs.flow", KEEP),
    ("knowledge.ingest_url", EXPORT),
    ("memory.add", KEEP),
    ("memory.confirm", KEEP),
    ("prompts.export", EXPORT),
    ("prompts.import", KEEP),
    ("prompts.label", KEEP),
    ("prompts.publish", KEEP),
    ("runs.export", EXPORT),
    ("schedules.create", KEEP),
    ("schedules.resume", KEEP),
    ("schedules.trigger_now", KEEP),
    ("schedules.update", KEEP),
    ("sends.create", POST),
    ("store.export", EXPORT),
];

/// Words of names that speak of a sink.
const TELLING: &[&str] = &[
    "budget", "export", "fetch", "launch", "memory", "post", "publish", "quota", "schedule", "send", "url",
    "wallet",
];

/// Operations whose names speak of a sink, and that are none: they take back or stop, or what they say stays in the workspace and
/// is foreign to who reads it.
const HARMLESS: &[&str] = &[
    "bus.publish",
    "bus.send",
    "memory.forget",
    "memory.retract",
    "schedules.delete",
    "schedules.pause",
    "sends.cancel",
    "sends.resolve_unknown",
];

fn words(sinks: &[Sink]) -> BTreeSet<&'static str> {
    sinks.iter().map(|sink| sink.word()).collect()
}

#[tokio::test]
async fn every_operation_with_a_sink_is_named_with_it() {
    let cx = scope().await;
    let named: BTreeMap<&str, BTreeSet<&str>> =
        NAMED.iter().map(|(name, sinks)| (*name, words(sinks))).collect();
    let declared: BTreeMap<&str, BTreeSet<&str>> = cx
        .hub()
        .operations()
        .filter(|line| !line.sinks.is_empty())
        .map(|line| (line.name, words(line.sinks)))
        .collect();
    assert_eq!(declared, named);
}

#[tokio::test]
async fn what_speaks_of_a_sink_and_changes_something_has_it() {
    let cx = scope().await;
    let agent = cx.for_agent("clerk", "run_1", PermissionSet::all());
    let tools = visible_names(&agent);
    let lacks = |line: &&Entry| {
        let speaks = line.name.split(['.', '_']).any(|part| TELLING.contains(&part.trim_end_matches('s')));
        let reads = line.effect.is_read_only() && !line.name.ends_with(".export");
        speaks && !reads && line.sinks.is_empty()
    };
    let missing: BTreeSet<&str> = cx
        .hub()
        .operations()
        .filter(|line| tools.iter().any(|tool| tool == line.name))
        .filter(lacks)
        .map(|line| line.name)
        .collect();
    let harmless: BTreeSet<&str> = HARMLESS.iter().copied().collect();
    assert_eq!(missing, harmless, "an operation that speaks of a sink declares it, or is named as harmless");
}

#[tokio::test]
async fn what_acts_on_the_world_asks_whether_or_not_it_names_a_sink() {
    let cx = scope().await;
    let agent = cx.for_agent("clerk", "run_1", PermissionSet::all());
    let tools = visible_names(&agent);
    let acts = cx.hub().operations().filter(|line| line.effect == Effect::Write && !line.forwards);
    for line in acts.filter(|line| tools.iter().any(|tool| tool == line.name)) {
        let can = serde_json::json!({ "operation": line.name });
        let said = agent.call_by_name("scope.can", can, neonhub_core::op::CallOptions::new()).await.unwrap();
        assert_ne!(said["verdict"], "allow", "{}", line.name);
    }
}
