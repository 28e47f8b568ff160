//! How a run begins that nobody else may ask for.

use super::*;
use crate::op::Operation as _;
use crate::store::{Kind, canonical_json};

/// Prepares a run: nothing for `bad`, and not soon for `slow`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Prepare {
    text: String,
}

impl crate::op::Operation for Prepare {
    type Output = String;
    const NAME: &'static str = "notes.prepare";
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;
    const INTERNAL: bool = true;
    async fn run(self, _cx: &Scope) -> Result<String> {
        match self.text.as_str() {
            "bad" => Err(Error::new(ErrorKind::Blocked, Self::NAME, "nothing is prepared")),
            "slow" => {
                tokio::time::sleep(Duration::from_secs(20)).await;
                Ok(self.text)
            }
            _ => Ok(self.text),
        }
    }
}

fn prepare(text: &str) -> Command {
    Command::tool("prepare", Prepare::NAME, json!({ "text": text }))
}

async fn runs(cx: &Scope) -> Vec<AgentRun> {
    cx.call(ListRuns::default()).await.unwrap().items
}

#[tokio::test]
async fn a_run_is_in_the_commit_of_what_prepared_it() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let commits = async |new: NewRun| {
        let view = driver.execute(&cx, new).await.unwrap();
        assert_eq!(view.run.status, RunStatus::Completed);
        let log = cx.call(GetRun { id: view.run.id.clone(), with_log: true }).await.unwrap().log;
        let kinds: Vec<_> = log.iter().map(|line| line.kind.as_str()).collect();
        let steps = ["started", "tool_planned", "tool_done", "tool_planned", "tool_done", "finished"];
        assert_eq!(kinds, steps);
        cx.need::<AgentRun>(&view.run.id).await.unwrap().rev
    };
    for first in ["good", "bad"] {
        let steps = || new(&[prepare(first), note("a", "one")]);
        assert_eq!(commits(steps()).await, 2, "{first}");
        assert_eq!(commits(steps().key(first)).await, 3, "a key finds it from its beginning on");
        assert_eq!(commits(steps().person("per_1")).await, 3);
        assert_eq!(commits(steps().per_day(9)).await, 3);
    }
    // What others may see of a call, or wait for, is written before it.
    assert_eq!(commits(new(&[note("a", "one"), note("b", "two")])).await, 3);
    let words = cx.query::<crate::bus::Event>(&Query::by_id().limit(500)).await.unwrap();
    let began = words.iter().filter(|event| event.kind == "agent_run.started").count();
    assert_eq!(began, runs(&cx).await.len());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_given_up_while_it_was_prepared_never_began() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let given_up = async |new: NewRun| {
        let gone = tokio::time::timeout(Duration::from_secs(1), driver.execute(&cx, new)).await;
        assert!(gone.is_err());
        runs(&cx).await.len()
    };
    let slow = || new(&[prepare("slow")]);
    assert_eq!(given_up(slow()).await, 0);
    assert_eq!(given_up(slow().key("k")).await, 1);
    // It holds on for longer than a lease is renewed, and writes nothing meanwhile.
    let view = driver.execute(&cx, slow()).await.unwrap();
    assert_eq!((view.run.status, view.output), (RunStatus::Completed, json!(["slow"])));
    assert_eq!(runs(&cx).await.len(), 2);
}

/// An entry without large texts is written by a shorter way, as the same bytes.
#[tokio::test]
async fn entries_are_written_as_their_records_are() {
    let (_hub, cx, _) = open().await;
    let large = "large ".repeat(400);
    let steps = [prepare("good"), note("a", &large), note("b", "\"said\" \\ $blob"), note("c", "$raw")];
    let run = Driver::new(Steps::default()).execute(&cx, new(&steps)).await.unwrap().run;
    let mut blobs = 0;
    for seq in 0..run.used.steps {
        let id = LogEntry::id_of(&run.id, seq);
        let row = cx.store().get(Kind::of::<LogEntry>(), cx.workspace(), &id).await.unwrap().unwrap();
        let entry = cx.need::<LogEntry>(&id).await.unwrap();
        assert_eq!(row.body, canonical_json(&entry.body).unwrap());
        assert_eq!(row.keys, entry.keys());
        blobs += entry.hashes.len();
    }
    assert!(blobs > 0);
}
