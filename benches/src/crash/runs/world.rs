//! The tools of the killed runs, one of each class of effect, and the world that they act on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use neonhub_core::connector::EffectId;
use neonhub_core::op::{Effect, Entry, Operation, entry};
use neonhub_core::run::{Command, Machine, Probe, ProbeAnswer, Program, RunEvent};
use neonhub_core::store::{Index, Key, Kind, Record};
use neonhub_core::{Error, ErrorKind, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a tool writes into the store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    id: String,
    pub(super) text: String,
}

impl Record for Mark {
    const KIND: &'static str = "crash_mark";
    const INDEXES: &'static [Index] = &[Index::on("text")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(&self.text))]
    }
}

/// What lies outside of the store: how often each thing was done to it.
#[derive(Debug, Default)]
pub(super) struct World(Mutex<BTreeMap<String, u32>>);

impl World {
    pub(super) fn done(&self) -> BTreeMap<String, u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn act(&self, text: &str) -> u32 {
        let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = done.entry(text.to_owned()).or_default();
        *count += 1;
        *count
    }
}

/// A tool of these runs. `text` tells the calls apart.
macro_rules! tool {
    ($(#[$doc:meta])* $type:ident, $name:literal, $effect:expr, |$tool:ident, $cx:ident| $body:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $type {
            /// Name of the call.
            text: String,
            /// True when the answer gets lost on its way.
            #[serde(default)]
            is_lost: bool,
        }

        impl Operation for $type {
            type Output = u32;
            const NAME: &'static str = $name;
            const NEEDS: &'static [Permission] = &[];
            const EFFECT: Effect = $effect;
            async fn run(self, $cx: &Scope) -> Result<u32> {
                let $tool = self;
                $body
            }
        }
    };
}

tool!(
    /// Looks.
    Look, "crash.look", Effect::Read, |_tool, _cx| Ok(1)
);
tool!(
    /// Notes the call.
    Jot, "crash.jot", Effect::Idempotent, |tool, cx| mark(cx, tool.text, 1)
);
tool!(
    /// Notes the call in a way that can be taken back.
    Reserve, "crash.reserve", Effect::Compensable("crash.release"), |tool, cx| mark(cx, tool.text, 1)
);
tool!(
    /// Takes a note back.
    Release, "crash.release", Effect::Idempotent, |_tool, _cx| Ok(1)
);
tool!(
    /// Acts on the part of the world that can be asked afterwards.
    Send, "crash.send", Effect::Write, |tool, cx| act(cx, tool.text, tool.is_lost)
);
tool!(
    /// Acts on the part of the world that nobody can ask.
    Post, "crash.post", Effect::Write, |tool, cx| act(cx, tool.text, tool.is_lost)
);

fn mark(cx: &Scope, text: String, answer: u32) -> Result<u32> {
    cx.create(&Mark { id: cx.new_id("mrk"), text })?;
    Ok(answer)
}

fn act(cx: &Scope, text: String, is_lost: bool) -> Result<u32> {
    let count = cx.service::<World>()?.act(&text);
    if is_lost && count == 1 {
        let lost = "the answer was lost after the world acted";
        return Err(Error::new(ErrorKind::OutcomeUnknown, "crash.act", lost));
    }
    mark(cx, text, count)
}

pub(super) static TOOLS: &[Entry] = &[
    entry::<Look>(),
    entry::<Jot>(),
    entry::<Reserve>(),
    entry::<Release>(),
    entry::<Send>(),
    entry::<Post>(),
];
pub(super) static KINDS: &[Kind] = &[Kind::of::<Mark>()];

/// Asks the world, where it can be asked.
#[derive(Debug)]
pub(super) struct Asker;

#[async_trait]
impl Probe for Asker {
    async fn landed(&self, cx: &Scope, tool: &str, args: &Value, _: &EffectId) -> Result<ProbeAnswer> {
        if tool != Send::NAME {
            return Ok(ProbeAnswer::Unknown);
        }
        let done = cx.service::<World>()?.done();
        let count = args.get("text").and_then(Value::as_str).and_then(|text| done.get(text));
        Ok(count.map_or(ProbeAnswer::NotLanded, |count| ProbeAnswer::Landed(json!(count))))
    }
}

/// Does the commands of its input one after the other, and answers with how many came back.
#[derive(Clone, Debug)]
pub(super) struct Planned;

/// What is left to do, last first, and how many answers came.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    left: Vec<Command>,
    answers: u32,
}

impl Machine for Planned {
    type State = Progress;
    type Event = RunEvent;
    type Command = Command;
    fn step(&self, mut state: Progress, event: &RunEvent) -> (Progress, Vec<Command>) {
        match event {
            RunEvent::Started { input, .. } => {
                state.left = serde_json::from_value(input.clone()).unwrap_or_default();
                state.left.reverse();
            }
            RunEvent::ToolDone { .. } | RunEvent::ModelDone { .. } => state.answers += 1,
            other => return (state, vec![Command::Fail { failure: other.failure() }]),
        }
        let next = state.left.pop().unwrap_or_else(|| Command::done(json!(state.answers)));
        (state, vec![next])
    }
}

impl Program for Planned {
    const AGENT: &'static str = "crashed";
    const VERSION: u32 = 1;
}
