//! A model provider on this machine: a loopback server that speaks OpenAI Chat Completions, OpenAI Responses,
//! Anthropic Messages and Ollama, and can fail in the ways that real ones do.
//!
//! What it answers is either said in neutral words ([`ProviderMock::reply`]) and written in the format of whoever asks,
//! or played from a recorded exchange ([`ProviderMock::play`]), which must match the request as well. A fault
//! ([`ProviderMock::fault`]) befalls the next answer.
//! Requests for vectors need no line: the same text gets the same vector, and texts that share words get near ones. Nor do
//! requests for pictures, for a list of the models, for a count of tokens, and for verdicts, which find violence where a
//! text says `kill`.
//!
//! What the providers refuse is refused as they do it, and takes no line: wrong fields with status 400, the model
//! `no-such-model` with 404, and with [`ProviderMock::expect_key`] every other key with 401. The official SDKs of the
//! three are tested against it.
//!
//! ```
//! use neonhub_core::testing::provider::ProviderMock;
//! # #[cfg(feature = "http")]
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use neonhub_core::llm::{EndpointCaps, Llm, LlmRequest, Provider};
//! let mock = ProviderMock::start().await?;
//! mock.reply("hello");
//! let model = Provider::builder("local").base_url(mock.base_url("local")).model("any").build()?;
//! assert_eq!(model.complete(LlmRequest::new().user("hi")).await?.text, "hello");
//! # Ok::<(), neonhub_core::Error>(())
//! # }).unwrap();
//! ```

mod embed;
mod exchange;
mod fault;
mod form;
mod list;
mod picture;
mod refuse;
mod render;
mod server;
mod speech;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tokio::net::TcpListener;

use crate::llm::Reply;
use crate::{Error, Result, Secret};

pub use exchange::{Recorded, RecordedRequest, RecordedResponse};
pub use fault::{RetryForm, WireFault};
pub(crate) use server::Reaction;
pub(crate) use speech::Speech;

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `POST`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, when it was JSON; of a form an object of its fields, each file as its name, type and size.
    pub body: Value,
}

impl Seen {
    /// The first header of this name, in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The path without the query.
    fn route(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

#[derive(Debug)]
enum Line {
    Say(Reply),
    Play(Box<Recorded>),
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Line>,
    always: Option<Reply>,
    faults: VecDeque<WireFault>,
    key: Option<Secret>,
    seen: Vec<Seen>,
    mismatches: Vec<String>,
    /// Requests that are being answered, and the most there ever were.
    at_once: (usize, usize),
}

/// The server. It stops when this is dropped.
#[derive(Debug)]
pub struct ProviderMock {
    at: SocketAddr,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for ProviderMock {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProviderMock {
    /// Listens on a free port of the loopback address.
    ///
    /// # Errors
    /// `Internal` when there is none.
    pub async fn start() -> Result<Self> {
        let fail = |cause: std::io::Error| Error::internal("testing.provider", cause);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(fail)?;
        let at = listener.local_addr().map_err(fail)?;
        let state: Arc<Mutex<State>> = Arc::default();
        let task = tokio::spawn(server::serve(listener, Arc::clone(&state)));
        Ok(ProviderMock { at, state, task })
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// What to give a provider's adapter as its base address. The SDKs of `OpenAI` and Ollama take the same; that of
    /// Anthropic takes [`url`](Self::url), since it adds `/v1` itself.
    #[must_use]
    pub fn base_url(&self, provider: &str) -> String {
        if provider == "ollama" { self.url() } else { format!("{}/v1", self.url()) }
    }

    /// The next answer, in order. Failures and broken streams of [`Reply`] are not written: put a fault on the answer.
    pub fn reply(&self, reply: impl Into<Reply>) {
        self.state().lines.push_back(Line::Say(reply.into()));
    }

    /// The answer to every request that no line is left for; without one such a request gets status 599.
    pub fn reply_always(&self, text: impl Into<String>) {
        self.state().always = Some(Reply::Text(text.into()));
    }

    /// Plays a recorded exchange next; a request that differs from it gets status 599 with the differences.
    pub fn play(&self, recorded: Recorded) {
        self.state().lines.push_back(Line::Play(Box::new(recorded)));
    }

    /// From now on requests without this key get status 401. Before, any key will do, and none.
    pub fn expect_key(&self, key: impl Into<String>) {
        self.state().key = Some(Secret::new(key));
    }

    /// Befalls the next answer.
    pub fn fault(&self, fault: WireFault) {
        self.state().faults.push_back(fault);
    }

    /// The requests so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The most requests that were being answered at a time: from the end of a request to the end of its answer.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.state().at_once.1
    }

    /// Where requests differed from recorded ones, and requests without a line.
    #[must_use]
    pub fn mismatches(&self) -> Vec<String> {
        self.state().mismatches.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer that needs no line.
fn ready(speech: Option<Speech>, seen: &Seen, key: Option<&str>) -> Option<Reaction> {
    refuse::answer(speech?, seen, key)
        .or_else(|| list::answer(seen))
        .or_else(|| embed::answer(seen))
        .or_else(|| picture::answer(seen))
}

/// What to answer a request.
fn react(state: &Mutex<State>, seen: Seen) -> Reaction {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let fault = state.faults.pop_front();
    let speech = Speech::of(seen.route());
    // Neither what is refused nor what needs no line takes one that is for text.
    let made = match state.lines.front() {
        Some(Line::Play(_)) => None,
        _ => ready(speech, &seen, state.key.as_ref().map(Secret::expose)),
    };
    let next = if made.is_none() { state.lines.pop_front() } else { None };
    let line = match (next, &state.always) {
        (Some(line), _) => Some(line),
        (None, Some(Reply::Text(text))) if made.is_none() => Some(Line::Say(Reply::Text(text.clone()))),
        (None, _) => None,
    };
    let mut differences = Vec::new();
    let reaction = match line {
        Some(Line::Play(recorded)) => {
            differences = recorded.request.differences(&seen);
            recorded.response.reaction()
        }
        Some(Line::Say(reply)) => match speech {
            Some(speech) => speech.answer(reply, &seen.body, fault.as_ref()),
            None => {
                differences.push(format!("{} {} is not an address of a provider", seen.method, seen.path));
                Reaction::default()
            }
        },
        None if let Some(made) = made => made,
        None => {
            differences.push(format!("no line is left for {} {}", seen.method, seen.path));
            Reaction::default()
        }
    };
    state.seen.push(seen);
    if differences.is_empty() {
        return match (fault, speech) {
            (Some(fault), Some(speech)) => fault.befall(reaction, speech),
            _ => reaction,
        };
    }
    let text = differences.join("\n");
    state.mismatches.push(text.clone());
    Reaction::text(599, "text/plain", text)
}

#[cfg(test)]
mod tests;
