//! A model that plays a script, for tests of whatever calls a model.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::answer::{Delta, Origin, StopKind, ToolCall, Usage};
use super::caps::{ModelCaps, TokenCount};
use super::part::Role;
use super::request::LlmRequest;
use super::{DeltaStream, Llm};
use crate::{Error, ErrorKind, Result};

/// What a line of the script answers.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// This text.
    Text(String),
    /// This text in these pieces.
    Chunks(Vec<String>),
    /// These tool calls.
    Tools(Vec<ToolCall>),
    /// A refusal.
    Refuse(String),
    /// This error, before the first delta.
    Fail(Error),
    /// These pieces, then this error: a stream that breaks.
    Break(Vec<String>, Error),
    /// Another reply after this time of the tokio clock.
    After(Duration, Box<Reply>),
    /// Another reply, held back until the semaphore has a permit for it, which it uses up, or is closed. So a test says
    /// what happens while a model is being asked, however fast the machine is.
    Held(Arc<Semaphore>, Box<Reply>),
}

impl Reply {
    /// What it waits for, and what it is then.
    pub(crate) fn parted(self) -> (BoxFuture<'static, ()>, Self) {
        match self {
            Reply::After(time, inner) => {
                let (rest, reply) = inner.parted();
                (tokio::time::sleep(time).then(|()| rest).boxed(), reply)
            }
            Reply::Held(permits, inner) => {
                let (rest, reply) = inner.parted();
                let wait = async move {
                    if let Ok(permit) = permits.acquire().await {
                        permit.forget();
                    }
                    rest.await;
                };
                (wait.boxed(), reply)
            }
            reply => (std::future::ready(()).boxed(), reply),
        }
    }

    /// A value as JSON text.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Reply::Text(value.to_string())
    }
}

impl From<&str> for Reply {
    fn from(text: &str) -> Self {
        Reply::Text(text.to_owned())
    }
}

type Matcher = Box<dyn Fn(&LlmRequest) -> bool + Send + Sync>;

enum When {
    /// In its place in the script.
    Next,
    /// The request holds this text.
    Holds(String),
    /// The request satisfies a function.
    If(&'static str, Matcher),
}

impl fmt::Debug for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Next => f.write_str("any request"),
            When::Holds(text) => write!(f, "a request that holds {text:?}"),
            When::If(name, _) => write!(f, "a request that {name}"),
        }
    }
}

impl When {
    fn fits(&self, request: &LlmRequest, shown: &str) -> bool {
        match self {
            When::Next => true,
            When::Holds(text) => shown.contains(text.as_str()),
            When::If(_, test) => test(request),
        }
    }
}

/// A scripted model. The first line that fits a request answers it and is used up; a request that no line fits
/// fails with what was expected; [`finish`](Scripted::finish), and dropping it, fail while lines are left.
///
/// ```
/// use neonhub_core::llm::{Llm, LlmRequest, Scripted};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let model = Scripted::new().reply("first").reply_to("weather", "sunny");
/// assert_eq!(model.complete(LlmRequest::new().user("the weather?")).await?.text, "first");
/// assert_eq!(model.complete(LlmRequest::new().user("the weather?")).await?.text, "sunny");
/// model.finish();
/// # Ok::<(), neonhub_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Scripted {
    lines: Mutex<VecDeque<(When, Reply)>>,
    seen: Mutex<Vec<LlmRequest>>,
    lenient: bool,
}

impl Scripted {
    /// An empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the next request.
    #[must_use]
    pub fn reply(self, reply: impl Into<Reply>) -> Self {
        self.line(When::Next, reply.into())
    }

    /// Answers a request whose texts hold `needle`.
    #[must_use]
    pub fn reply_to(self, needle: impl Into<String>, reply: impl Into<Reply>) -> Self {
        self.line(When::Holds(needle.into()), reply.into())
    }

    /// Answers a request that satisfies `test`; `name` says in a message what it wants.
    #[must_use]
    pub fn reply_if(
        self,
        name: &'static str,
        test: impl Fn(&LlmRequest) -> bool + Send + Sync + 'static,
        reply: impl Into<Reply>,
    ) -> Self {
        self.line(When::If(name, Box::new(test)), reply.into())
    }

    fn line(self, when: When, reply: Reply) -> Self {
        self.push(when, reply);
        self
    }

    fn push(&self, when: When, reply: Reply) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push_back((when, reply));
    }

    /// Adds a line while the script is played: for the next request, or for one whose texts hold `needle`.
    pub fn add(&self, needle: Option<String>, reply: impl Into<Reply>) {
        self.push(needle.map_or(When::Next, When::Holds), reply.into());
    }

    /// Leaves it to the owner to ask for what is [`left`](Scripted::left): dropping it does not fail the test. For
    /// languages whose tests cannot be failed by a drop.
    #[must_use]
    pub fn lenient(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Every request so far.
    #[must_use]
    pub fn requests(&self) -> Vec<LlmRequest> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the test.
    ///
    /// # Panics
    /// When lines of the script were never asked for; it lists them.
    pub fn finish(&self) {
        let left = self.left();
        assert!(left.is_empty(), "the script was not played to its end: {}", left.join("; "));
    }

    /// The lines that nobody has asked for yet.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().map(|(when, reply)| format!("{when:?} -> {reply:?}")).collect()
    }

    fn take(&self, request: &LlmRequest) -> Result<Reply> {
        let shown = shown(request);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let at = lines.iter().position(|(when, _)| when.fits(request, &shown));
        match at.and_then(|at| lines.remove(at)) {
            Some((_, reply)) => Ok(reply),
            None => Err(unexpected(&lines, &shown)),
        }
    }
}

/// A test fails on what it left unsaid, also when it forgot to call [`Scripted::finish`].
impl Drop for Scripted {
    fn drop(&mut self) {
        if !self.lenient && !std::thread::panicking() {
            self.finish();
        }
    }
}

/// The words of a request, one part per line.
fn shown(request: &LlmRequest) -> String {
    let mut out = String::new();
    for part in &request.system {
        out.push_str("system: ");
        out.push_str(part.as_text().unwrap_or("(no text)"));
        out.push('\n');
    }
    for message in &request.messages {
        for part in &message.parts {
            let text = match part.as_text() {
                Some(text) => text.to_owned(),
                None => serde_json::to_string(&part.body).unwrap_or_default(),
            };
            let _ = writeln!(out, "{}: {text}", word(message.role));
        }
    }
    out
}

fn word(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// What was expected and what came, line by line.
fn unexpected(lines: &VecDeque<(When, Reply)>, shown: &str) -> Error {
    let mut diff = String::from("the script has no line for this request\n");
    if lines.is_empty() {
        diff.push_str("- (the script is at its end)\n");
    }
    for (when, _) in lines {
        let _ = writeln!(diff, "- {when:?}");
    }
    for line in shown.lines() {
        let _ = writeln!(diff, "+ {line}");
    }
    Error::new(ErrorKind::Internal, "llm.scripted", diff.trim_end().to_owned()).with_code("unscripted")
}

#[async_trait]
impl Llm for Scripted {
    fn provider(&self) -> &str {
        "scripted"
    }

    fn region(&self) -> Option<&str> {
        Some(crate::tenancy::LOCAL)
    }

    fn caps(&self, model: Option<&str>) -> ModelCaps {
        ModelCaps {
            tools: true,
            json_schema: true,
            context_tokens: 1_000_000,
            max_output_tokens: 100_000,
            ..ModelCaps::unknown(model.unwrap_or("scripted-1"))
        }
    }

    async fn call(&self, request: LlmRequest) -> Result<DeltaStream> {
        request.check()?;
        let input = self.count(&request)?.tokens;
        let (wait, reply) = self.take(&request)?.parted();
        let items = items(reply, input, request.model.as_deref())?;
        let wait = stream::once(wait).filter_map(|()| async { None });
        Ok(Box::pin(wait.chain(stream::iter(items))))
    }
}

fn items(reply: Reply, input: u64, model: Option<&str>) -> Result<Vec<Result<Delta>>> {
    let mut out = vec![Ok(Delta::Started {
        provider: "scripted".into(),
        model: model.unwrap_or("scripted-1").into(),
        origin: Origin::Model,
    })];
    let mut stop = StopKind::Done;
    let mut broken = None;
    let mut texts = Vec::new();
    match reply {
        Reply::Text(text) => texts.push(text),
        Reply::Chunks(chunks) => texts = chunks,
        Reply::Tools(calls) => {
            stop = StopKind::ToolCalls;
            for ToolCall { id, name, args } in calls {
                out.push(Ok(Delta::ToolCallStart { id: id.clone(), name }));
                out.push(Ok(Delta::ToolCallArgs { id: id.clone(), json: args.to_string() }));
                out.push(Ok(Delta::ToolCallEnd { id }));
            }
        }
        Reply::Refuse(why) => stop = StopKind::Refused { why },
        Reply::Fail(error) => return Err(error),
        Reply::Break(chunks, error) => (texts, broken) = (chunks, Some(error)),
        Reply::After(_, inner) | Reply::Held(_, inner) => return items(*inner, input, model),
    }
    let output = texts.iter().map(|t| TokenCount::of_text(t)).sum();
    out.extend(texts.into_iter().map(|t| Ok(Delta::text(t))));
    match broken {
        Some(error) => out.push(Err(error)),
        None => {
            let usage = Usage { input_uncached: input, output_visible: output, ..Usage::default() };
            out.push(Ok(Delta::Usage(usage)));
            out.push(Ok(Delta::Done(stop)));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    mod suite {
        use std::sync::Arc;

        use super::*;
        use serde_json::json;

        /// The script each case needs.
        async fn open(case: &str) -> crate::Result<Arc<dyn Llm>> {
            let hello = "hello from the suite";
            let model = Scripted::new();
            Ok(Arc::new(match case {
                "wrong_request_is_invalid_input" => model,
                "unknown_model_is_not_found" => {
                    model.reply(Reply::Fail(Error::new(ErrorKind::NotFound, "llm.call", "no such model")))
                }
                "tool_call_round_trip" => model
                    .reply(Reply::Tools(vec![ToolCall {
                        id: "w1".into(),
                        name: "weather.get".into(),
                        args: json!({ "city": "Vienna" }),
                    }]))
                    .reply_to("sunny", "it is sunny in Vienna"),
                "schema_answer_fits" => {
                    model.reply(Reply::json(&json!({ "product": "Sencha", "price": 12 })))
                }
                "text_is_answered" | "stream_starts_and_ends_in_order" | "usage_is_counted" => {
                    model.reply(hello)
                }
                _ => model.reply(Reply::Chunks(vec!["hello ".into(), "from the suite".into()])).reply(hello),
            }))
        }
        crate::llm_conformance!(open);
    }

    #[tokio::test]
    async fn a_request_without_a_line_fails_with_a_diff() {
        let model = Scripted::new().reply_to("weather", "sunny");
        let err = model.complete(LlmRequest::new().user("the news?")).await.unwrap_err();
        assert_eq!(err.code(), "unscripted");
        assert!(err.message().contains("- a request that holds \"weather\""), "{err}");
        assert!(err.message().contains("+ user: the news?"), "{err}");
        let left = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| model.finish()));
        assert!(left.is_err());
        // The drop would fail this test, as it should fail others.
        std::mem::forget(model);
    }

    #[tokio::test]
    async fn lines_answer_in_order_or_by_match() {
        let model = Scripted::new()
            .reply_if("asks for tools", |r| !r.tools.is_empty(), "tools")
            .reply(Reply::Chunks(vec!["a".into(), "b".into()]))
            .reply(Reply::Fail(Error::new(ErrorKind::RateLimited, "x", "slow down")));
        assert_eq!(model.complete(LlmRequest::new().user("x")).await.unwrap().text, "ab");
        let err = model.complete(LlmRequest::new().user("y")).await.unwrap_err();
        assert_eq!(err.kind(), ErrorKind::RateLimited);
        let with_tool = LlmRequest::new().user("z").tool(super::super::ToolSpec {
            name: "t".into(),
            doc: String::new(),
            input_schema: serde_json::json!({}),
        });
        assert_eq!(model.complete(with_tool).await.unwrap().text, "tools");
        assert_eq!(model.requests().len(), 3);
    }

    #[tokio::test]
    async fn a_broken_stream_is_an_error_and_not_half_an_answer() {
        let cut = Error::new(ErrorKind::Unavailable, "x", "cut").with_code("truncated");
        let model = Scripted::new().reply(Reply::Break(vec!["half".into()], cut));
        assert_eq!(model.complete(LlmRequest::new().user("x")).await.unwrap_err().code(), "truncated");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_passes_on_the_test_clock() {
        let model = Scripted::new().reply(Reply::After(Duration::from_secs(5), Box::new("late".into())));
        let before = tokio::time::Instant::now();
        assert_eq!(model.complete(LlmRequest::new().user("x")).await.unwrap().text, "late");
        assert_eq!(before.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test]
    async fn a_reply_is_held_until_the_test_lets_it_go() {
        let permits = Arc::new(Semaphore::new(0));
        let held = || Reply::Held(Arc::clone(&permits), Box::new("well".into()));
        let model = Scripted::new().reply(held()).reply(held());
        let ask = || model.complete(LlmRequest::new().user("x"));
        let mut both = Box::pin(futures_util::future::join(ask(), ask()));
        assert!(futures_util::poll!(&mut both).is_pending());
        permits.add_permits(1);
        assert!(futures_util::poll!(&mut both).is_pending(), "one permit is for one reply");
        permits.close();
        let (one, two) = both.await;
        assert_eq!((one.unwrap().text, two.unwrap().text), ("well".to_owned(), "well".to_owned()));
    }
}
