//! Answers of a model on tape: recorded once, played without a network from then on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Delta, DeltaStream, Llm, LlmRequest, ModelCaps};
use crate::telemetry::redact;
use crate::{Error, ErrorKind, Result};

const OPERATION: &str = "llm.cassette";
/// The label of a request that names the person it is about.
pub(crate) const PERSON: &str = "person";
/// The form of the file.
const FORM: u32 = 1;

/// What a cassette does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CassetteMode {
    /// Asks the model and writes down what it answers, in place of what was there.
    Record,
    /// Plays what was written down; anything else is an error.
    Replay,
    /// Plays what is there and records what is missing.
    Auto,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// SHA-256 of the canonical request.
    key: String,
    /// The request, redacted, for a reader.
    request: Value,
    /// The person it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// The answer, redacted.
    deltas: Vec<Delta>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tape {
    form: u32,
    provider: String,
    caps: ModelCaps,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Deck {
    path: PathBuf,
    tape: Tape,
    /// How often each key was played in this process.
    played: BTreeMap<String, usize>,
    /// Keys that were recorded in this process: what stood there before is gone.
    fresh: Vec<String>,
}

/// A model whose answers are on tape.
///
/// An answer is found by the SHA-256 of the canonical request; labels, deadline and seed do not count: a call that names no
/// seed draws one. The same request asked again gets the answers in their order, and the last one from then on. Only whole answers are recorded; what
/// looks like a secret or a way to reach a person is redacted before it is written, in questions and in answers.
/// Requests that carry the label `person` can be erased by it.
///
/// ```
/// use std::sync::Arc;
/// use neonhub_core::llm::{Cassette, CassetteMode, Llm, LlmRequest, Offline, OfflineTemplate};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("answers.json");
/// let request = || LlmRequest::new().user("x").seed(1).offline(OfflineTemplate::new("hello", ().into()));
/// let recorder = Cassette::open(&path, CassetteMode::Auto, Some(Arc::new(Offline::new())))?;
/// let first = recorder.complete(request()).await?;
/// let player = Cassette::open(&path, CassetteMode::Replay, None)?;
/// assert_eq!(player.complete(request()).await?, first);
/// # Ok::<(), neonhub_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Cassette {
    mode: CassetteMode,
    provider: String,
    model: Option<Arc<dyn Llm>>,
    deck: Arc<Mutex<Deck>>,
}

impl Cassette {
    /// Opens a cassette; the file is made with the first recording.
    ///
    /// # Errors
    /// `Config` when there is nothing to replay, or no model to record; `Corrupted` for a file that is no cassette.
    pub fn open(path: impl Into<PathBuf>, mode: CassetteMode, model: Option<Arc<dyn Llm>>) -> Result<Self> {
        let path = path.into();
        if model.is_none() && mode != CassetteMode::Replay {
            let why = "expected a model to record: give one, or replay";
            return Err(Error::new(ErrorKind::Config, OPERATION, why).with_context("path", path.display()));
        }
        let blank = Cassette::for_hub(path, mode)?;
        Ok(match model {
            Some(model) => blank.around(model),
            None => blank,
        })
    }

    /// Opens a cassette for [`Hub::insert_cassette`](crate::Hub::insert_cassette): it records what the models of the hub
    /// answer.
    ///
    /// # Errors
    /// `Config` when there is nothing to replay; `Corrupted` for a file that is no cassette.
    pub fn for_hub(path: impl Into<PathBuf>, mode: CassetteMode) -> Result<Self> {
        let path = path.into();
        let tape = match read(&path)? {
            Some(tape) => tape,
            None if mode == CassetteMode::Replay => {
                let why = "no recording here: record it first";
                return Err(
                    Error::new(ErrorKind::Config, OPERATION, why).with_context("path", path.display())
                );
            }
            None => {
                Tape { form: FORM, provider: String::new(), caps: ModelCaps::default(), entries: Vec::new() }
            }
        };
        let provider = tape.provider.clone();
        let deck = Deck { path, tape, played: BTreeMap::new(), fresh: Vec::new() };
        Ok(Cassette { mode, provider, model: None, deck: Arc::new(Mutex::new(deck)) })
    }

    /// The same cassette, recording `model`. One that only replays asks no model.
    pub(crate) fn around(&self, model: Arc<dyn Llm>) -> Self {
        if self.mode == CassetteMode::Replay {
            return self.clone();
        }
        Cassette { provider: model.provider().to_owned(), model: Some(model), ..self.clone() }
    }

    /// Erases every answer about a person; says how many there were.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be written.
    pub fn erase_person(&self, person: &str) -> Result<usize> {
        let mut deck = self.deck();
        let before = deck.tape.entries.len();
        deck.tape.entries.retain(|entry| entry.person.as_deref() != Some(person));
        let erased = before - deck.tape.entries.len();
        if erased > 0 {
            deck.write()?;
        }
        Ok(erased)
    }

    fn deck(&self) -> std::sync::MutexGuard<'_, Deck> {
        self.deck.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn record(&self, request: LlmRequest, key: String) -> Result<DeltaStream> {
        let Some(model) = &self.model else {
            return Err(miss(&key));
        };
        let person = request.labels.get(PERSON).cloned();
        let shown = clean(serde_json::to_value(&request).map_err(|cause| Error::internal(OPERATION, cause))?);
        let inner = model.call(request).await?;
        let entry = Entry { key, request: shown, person, deltas: Vec::new() };
        self.deck().is_of(model.as_ref());
        let state = (inner, entry, Arc::clone(&self.deck));
        Ok(Box::pin(stream::unfold(state, |(mut inner, mut entry, deck)| async move {
            let mut item = inner.next().await?;
            if let Ok(delta) = &item {
                entry.deltas.push(delta.clone());
                // On tape before it is said to be whole.
                if matches!(delta, Delta::Done(_)) {
                    let kept = deck.lock().unwrap_or_else(PoisonError::into_inner).keep(&entry);
                    if let Err(error) = kept {
                        item = Err(error);
                    }
                }
            }
            Some((item, (inner, entry, deck)))
        })))
    }
}

impl Deck {
    fn next(&mut self, key: &str) -> Option<Vec<Delta>> {
        let found: Vec<&Entry> = self.tape.entries.iter().filter(|entry| entry.key == key).collect();
        let last = found.len().checked_sub(1)?;
        let played = self.played.entry(key.to_owned()).or_default();
        let deltas = found.get((*played).min(last)).map(|entry| entry.deltas.clone());
        *played += 1;
        deltas
    }

    /// Notes whose answers these are, on a tape without any.
    fn is_of(&mut self, model: &dyn Llm) {
        if self.tape.entries.is_empty() {
            self.tape.provider = model.provider().to_owned();
            self.tape.caps = model.caps(None);
        }
    }

    fn keep(&mut self, entry: &Entry) -> Result<()> {
        if !self.fresh.contains(&entry.key) {
            self.tape.entries.retain(|old| old.key != entry.key);
            self.fresh.push(entry.key.clone());
        }
        self.tape.entries.push(Entry { deltas: clean_deltas(&entry.deltas), ..entry.clone() });
        self.write()
    }

    /// Whole and at once: beside the file first, then in its place.
    fn write(&self) -> Result<()> {
        let fail = |cause: std::io::Error| {
            Error::new(ErrorKind::Unavailable, OPERATION, "the recording cannot be written")
                .with_context("path", self.path.display())
                .with_source(cause)
        };
        let text =
            serde_json::to_string_pretty(&self.tape).map_err(|cause| Error::internal(OPERATION, cause))?;
        let beside = self.path.with_extension("tmp");
        std::fs::write(&beside, text + "\n").map_err(fail)?;
        std::fs::rename(&beside, &self.path).map_err(fail)
    }
}

fn read(path: &Path) -> Result<Option<Tape>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => {
            return Err(Error::new(ErrorKind::Config, OPERATION, "the recording cannot be read")
                .with_context("path", path.display())
                .with_source(cause));
        }
    };
    let bad = |message: &'static str| {
        Error::new(ErrorKind::Corrupted, OPERATION, message).with_context("path", path.display())
    };
    let tape: Tape = serde_json::from_str(&text)
        .map_err(|cause| bad("expected a recording of a model: record it again").with_source(cause))?;
    if tape.form != FORM {
        return Err(bad("this recording has a form that this build does not know: record it again"));
    }
    Ok(Some(tape))
}

fn miss(key: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        OPERATION,
        "this request is not on the recording: record it, or ask as before",
    )
    .with_code("cassette_miss")
    .with_context("key", key)
}

/// Every text in a value, redacted.
fn clean(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact(&text).into_owned()),
        Value::Array(items) => items.into_iter().map(clean).collect(),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, inner)| (name, clean(inner))).collect())
        }
        other => other,
    }
}

/// The words of a delta that belong together with those of its neighbours.
fn words(delta: &mut Delta) -> Option<(&'static str, u32, &mut String)> {
    match delta {
        Delta::Text { choice, text } => Some(("text", *choice, text)),
        Delta::Reasoning { text } => Some(("reasoning", 0, text)),
        Delta::ToolCallArgs { json, .. } => Some(("args", 0, json)),
        _ => None,
    }
}

/// An answer, redacted. A secret may be cut over several pieces: neighbours are looked at together, and become one
/// piece when something was found.
fn clean_deltas(deltas: &[Delta]) -> Vec<Delta> {
    let mut out: Vec<Delta> = Vec::new();
    let mut rest = deltas.iter().cloned().peekable();
    while let Some(mut first) = rest.next() {
        let Some((kind, choice, text)) = words(&mut first) else {
            let value = serde_json::to_value(&first).map(clean);
            out.push(value.and_then(serde_json::from_value).unwrap_or(first));
            continue;
        };
        let mut joined = text.clone();
        let mut pieces = Vec::new();
        while let Some(mut next) = rest.next_if(|next| {
            let mut next = next.clone();
            words(&mut next).is_some_and(|(k, c, _)| (k, c) == (kind, choice))
        }) {
            if let Some((_, _, more)) = words(&mut next) {
                joined.push_str(more);
            }
            pieces.push(next);
        }
        let safe = redact(&joined);
        if safe == joined {
            out.push(first);
            out.append(&mut pieces);
        } else {
            let safe = safe.into_owned();
            if let Some((_, _, text)) = words(&mut first) {
                *text = safe;
            }
            out.push(first);
        }
    }
    out
}

#[async_trait]
impl Llm for Cassette {
    fn provider(&self) -> &str {
        &self.provider
    }

    fn region(&self) -> Option<&str> {
        // What is only played leaves no machine.
        self.model.as_ref().map_or(Some(crate::tenancy::LOCAL), |inner| inner.region())
    }

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        match &self.model {
            Some(inner) => inner.caps(model),
            None => self.deck().tape.caps.clone(),
        }
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        request.check()?;
        let key = LlmRequest { seed: None, ..request.clone() }.hash()?;
        let found = if self.mode == CassetteMode::Record { None } else { self.deck().next(&key) };
        match found {
            Some(deltas) => Ok(Box::pin(stream::iter(deltas.into_iter().map(Ok)))),
            None if self.mode == CassetteMode::Replay => Err(miss(&key)),
            None => self.record(request, key).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Offline, Reply, Scripted};
    use super::*;

    mod suite {
        use super::*;

        /// Recorded from the offline model in the case itself: each case then runs on what it recorded before.
        async fn open(case: &str) -> Result<Arc<dyn Llm>> {
            let folder = std::env::temp_dir().join(format!("neonhub-cassette-{}-{case}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Ok(Arc::new(Cassette::open(
                folder.join("tape.json"),
                CassetteMode::Auto,
                Some(Arc::new(Offline::new())),
            )?))
        }
        crate::llm_conformance!(open);
    }

    fn ask(text: &str) -> LlmRequest {
        LlmRequest::new().user(text)
    }

    fn scripted(replies: Vec<Reply>) -> Option<Arc<dyn Llm>> {
        Some(Arc::new(replies.into_iter().fold(Scripted::new(), Scripted::reply)))
    }

    #[tokio::test]
    async fn answers_are_played_in_order_and_a_miss_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.json");
        let model = scripted(vec![Reply::Chunks(vec!["o".into(), "ne".into()]), "two".into()]);
        let recorder = Cassette::open(&path, CassetteMode::Record, model).unwrap();
        for (seed, wanted) in (1..).zip(["one", "two"]) {
            let mut request = ask("?");
            request.labels.insert("run".into(), wanted.into());
            request.seed = Some(seed);
            assert_eq!(recorder.complete(request).await.unwrap().text, wanted);
        }
        let player = Cassette::open(&path, CassetteMode::Replay, None).unwrap();
        for wanted in ["one", "two", "two"] {
            assert_eq!(player.complete(ask("?")).await.unwrap().text, wanted);
        }
        assert_eq!(player.provider(), "scripted");
        let error = player.complete(ask("else")).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "cassette_miss"));
        let again = Cassette::open(&path, CassetteMode::Record, scripted(vec!["new".into()])).unwrap();
        again.complete(ask("?")).await.unwrap();
        let player = Cassette::open(&path, CassetteMode::Replay, None).unwrap();
        assert_eq!(
            player.complete(ask("?")).await.unwrap().text,
            "new",
            "a new recording replaces the old one"
        );
    }

    #[tokio::test]
    async fn secrets_and_people_are_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.json");
        let pieces = vec!["write to bob@exam".to_owned(), "ple.com about ☃".to_owned()];
        let recorder =
            Cassette::open(&path, CassetteMode::Auto, scripted(vec![Reply::Chunks(pieces)])).unwrap();
        let request = || {
            let mut request = ask("who is ann@example.org? Authorization: Bearer abcdef123456");
            request.labels.insert("person".into(), "per_1".into());
            request
        };
        let live = recorder.complete(request()).await.unwrap();
        assert!(live.text.contains("bob@example.com"), "the caller gets the answer as it is");
        let text = std::fs::read_to_string(&path).unwrap();
        for hidden in ["bob@", "ann@", "abcdef123456"] {
            assert!(!text.contains(hidden), "{text}");
        }
        assert!(text.contains("about ☃"));
        let player = Cassette::open(&path, CassetteMode::Replay, None).unwrap();
        assert!(player.complete(request()).await.unwrap().text.ends_with("about ☃"));
        assert_eq!(player.erase_person("per_2").unwrap(), 0);
        assert_eq!(player.erase_person("per_1").unwrap(), 1);
        assert!(!std::fs::read_to_string(&path).unwrap().contains('☃'));
        assert_eq!(player.complete(request()).await.unwrap_err().code(), "cassette_miss");
    }

    #[tokio::test]
    async fn a_broken_answer_is_not_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.json");
        let cut = Error::new(ErrorKind::Unavailable, "x", "cut");
        let model = scripted(vec![Reply::Break(vec!["half".into()], cut), "whole".into()]);
        let recorder = Cassette::open(&path, CassetteMode::Auto, model).unwrap();
        assert!(recorder.complete(ask("?")).await.is_err());
        assert!(!path.exists());
        assert_eq!(recorder.complete(ask("?")).await.unwrap().text, "whole");
        assert_eq!(recorder.complete(ask("?")).await.unwrap().text, "whole", "from the recording");
    }

    #[test]
    fn a_file_that_is_no_cassette_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.json");
        let open = |mode| Cassette::open(&path, mode, None).map(drop).unwrap_err().kind();
        assert_eq!(open(CassetteMode::Replay), ErrorKind::Config);
        assert_eq!(open(CassetteMode::Record), ErrorKind::Config);
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(open(CassetteMode::Replay), ErrorKind::Corrupted);
    }
}
