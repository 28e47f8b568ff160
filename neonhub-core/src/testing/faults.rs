//! Faults on demand: which call fails, how, and what was called.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::llm::by_status;
use crate::{Error, ErrorKind, Result, Retry};

/// What a fault can be put on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultSite {
    /// A call of a model: for text, pictures or verdicts.
    Model,
    /// A call of a tool, operations called as tools among them.
    Tool,
    /// A delivery by a connector.
    Connector,
}

/// An error as data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultError {
    /// Its kind, such as `rate_limited`.
    pub kind: ErrorKind,
    /// Its finer word.
    #[serde(default)]
    pub code: Option<String>,
    /// What it says.
    #[serde(default)]
    pub message: Option<String>,
    /// Not sooner than this, in milliseconds.
    #[serde(default)]
    pub retry_after_ms: Option<u64>,
}

impl FaultError {
    /// The error, as `operation` fails with it.
    #[must_use]
    pub fn make(&self, operation: &'static str) -> Error {
        let message = self.message.clone().unwrap_or_else(|| "as the test asked".to_owned());
        let mut error = Error::new(self.kind, operation, message);
        if let Some(code) = &self.code {
            error = error.with_code(code.clone());
        }
        match self.retry_after_ms {
            Some(ms) => error.with_retry(Retry::After(Duration::from_millis(ms))),
            None if matches!(
                self.kind,
                ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable
            ) =>
            {
                error.with_retry(Retry::Backoff)
            }
            None => error,
        }
    }
}

/// One fault: where, which calls, and what happens to them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// What is called.
    pub on: FaultSite,
    /// Only this model's provider, this tool, or this connector.
    #[serde(default)]
    pub name: Option<String>,
    /// The first call that it befalls, from 1, counted since the rule was added. Default 1.
    #[serde(default)]
    pub nth: Option<u32>,
    /// How many calls it befalls. Default: all from `nth` on without `nth` given, else one.
    #[serde(default)]
    pub times: Option<u32>,
    /// Waits this long first, in milliseconds of the machine's clock.
    #[serde(default)]
    pub delay_ms: u64,
    /// Never answers: the call ends by its deadline or by being cancelled.
    #[serde(default)]
    pub hang: bool,
    /// Fails with this.
    #[serde(default)]
    pub error: Option<FaultError>,
    /// Fails as an answer over HTTP of this status would, 400 to 599, in the place of `error`.
    #[serde(default)]
    pub status: Option<u16>,
    /// Breaks the answer of a model off after so many bytes of its text; a shorter one is whole.
    #[serde(default)]
    pub cut: Option<u64>,
    /// Ends the process at once, as `kill -9` does: for tests that go on in another one.
    #[serde(default)]
    pub kill: bool,
    /// Fails after the call was made instead of before: what it did stays done.
    #[serde(default)]
    pub after: bool,
}

impl FaultRule {
    /// # Errors
    /// `InvalidInput` for a rule that does nothing, and for `nth` or `times` of 0.
    fn check(&self) -> Result<()> {
        let bad = |field, message| Err(Error::invalid("testing.faults", field, message));
        if self.nth == Some(0) {
            return bad("nth", "expected 1 or more: calls are counted from 1");
        }
        if self.times == Some(0) {
            return bad("times", "expected 1 or more");
        }
        if self.cut.is_some() && self.on != FaultSite::Model {
            return bad("cut", "expected on a model: nothing else answers in a stream");
        }
        if self.status.is_some_and(|status| self.error.is_some() || !(400..600).contains(&status)) {
            return bad("status", "expected 400 to 599, and no error beside it");
        }
        let fails = self.error.is_some() || self.status.is_some() || self.cut.is_some();
        if self.delay_ms == 0 && !self.hang && !self.kill && !fails {
            return bad(
                "error",
                "expected an error, a status, delay_ms, hang, cut or kill: this rule does nothing",
            );
        }
        Ok(())
    }

    /// The error that it fails with.
    fn failure(&self, operation: &'static str) -> Option<Error> {
        if let Some(error) = &self.error {
            return Some(error.make(operation));
        }
        let status = self.status?;
        let (kind, message) = by_status(status);
        let error = FaultError { kind, code: None, message: Some(message.to_owned()), retry_after_ms: None };
        Some(error.make(operation).with_context("status", status))
    }

    /// Whether the call with this number, from 1, is befallen.
    fn befalls(&self, call: u32) -> bool {
        let first = self.nth.unwrap_or(1);
        let times = self.times.unwrap_or(if self.nth.is_some() { 1 } else { u32::MAX });
        call >= first && call - first < times
    }
}

/// A call that passed the injector.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenCall {
    /// What was called.
    pub on: FaultSite,
    /// Its name.
    pub name: String,
    /// True when a rule befell it.
    pub faulty: bool,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<(FaultRule, u32)>,
    seen: Vec<SeenCall>,
}

/// Puts faults on calls of models, tools and connectors. Clones are the same injector.
///
/// ```
/// use neonhub_core::testing::FaultInjector;
/// use serde_json::json;
/// let faults = FaultInjector::new();
/// let rule = json!({ "on": "model", "nth": 2, "error": { "kind": "rate_limited", "retry_after_ms": 1000 } });
/// faults.add(serde_json::from_value(rule).unwrap()).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultInjector(Arc<Mutex<State>>);

impl FaultInjector {
    /// One without rules: every call passes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule; the first one that befalls a call counts.
    ///
    /// # Errors
    /// `InvalidInput` for a rule that does nothing.
    pub fn add(&self, rule: FaultRule) -> Result<()> {
        rule.check()?;
        self.state().rules.push((rule, 0));
        Ok(())
    }

    /// Takes every rule away; what was seen stays.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// The calls so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenCall> {
        self.state().seen.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What befalls the next call of this name.
    pub(super) fn next(&self, on: FaultSite, name: &str) -> Option<FaultRule> {
        let mut state = self.state();
        let mut found = None;
        for (rule, count) in &mut state.rules {
            if rule.on == on && rule.name.as_deref().is_none_or(|wanted| wanted == name) {
                *count += 1;
                if found.is_none() && rule.befalls(*count) {
                    found = Some(rule.clone());
                }
            }
        }
        state.seen.push(SeenCall { on, name: name.to_owned(), faulty: found.is_some() });
        found
    }

    /// Makes a call with what befalls it.
    pub(crate) async fn around<T>(
        &self,
        (on, name, operation): (FaultSite, &str, &'static str),
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        match self.next(on, name) {
            Some(rule) => rule.befall(operation, call).await,
            None => call.await,
        }
    }
}

impl FaultRule {
    /// Makes a call with what befalls it; a stream is cut by whoever reads it.
    pub(super) async fn befall<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        if self.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(self.delay_ms)).await;
        }
        let failure = self.failure(operation);
        let mut done = None;
        if self.after || (failure.is_none() && !self.hang && !self.kill) {
            done = Some(call.await?);
        }
        if self.kill {
            std::process::abort();
        }
        if self.hang {
            std::future::pending::<()>().await;
        }
        match (failure, done) {
            (Some(error), _) => Err(error),
            (None, Some(done)) => Ok(done),
            (None, None) => Err(Error::new(ErrorKind::Internal, operation, "a fault rule without effect")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(value: serde_json::Value) -> FaultRule {
        serde_json::from_value(value).unwrap()
    }

    async fn call(faults: &FaultInjector, name: &str) -> Result<u32> {
        faults.around((FaultSite::Tool, name, "tools.call"), async { Ok(7) }).await
    }

    #[tokio::test]
    async fn the_nth_call_of_the_name_fails() {
        let faults = FaultInjector::new();
        let unavailable =
            json!({"on": "tool", "name": "a", "nth": 2, "times": 2, "error": {"kind": "unavailable"}});
        faults.add(rule(unavailable)).unwrap();
        let mut ends = Vec::new();
        for name in ["a", "b", "a", "b", "a", "a"] {
            ends.push(call(&faults, name).await.is_ok());
        }
        assert_eq!(ends, [true, true, false, true, false, true]);
        assert_eq!(faults.seen().iter().filter(|seen| seen.faulty).count(), 2);
        faults.clear();
        assert!(call(&faults, "a").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_held_up_or_never_answers() {
        let faults = FaultInjector::new();
        faults.add(rule(json!({"on": "tool", "nth": 1, "delay_ms": 5000}))).unwrap();
        faults.add(rule(json!({"on": "tool", "nth": 2, "hang": true}))).unwrap();
        let before = tokio::time::Instant::now();
        assert_eq!(call(&faults, "a").await.unwrap(), 7);
        assert_eq!(before.elapsed().as_secs(), 5);
        let hung = tokio::time::timeout(Duration::from_secs(3600), call(&faults, "a")).await;
        assert!(hung.is_err());
    }

    #[tokio::test]
    async fn a_status_is_the_error_that_it_means() {
        for (status, kind) in [
            (400, ErrorKind::InvalidInput),
            (401, ErrorKind::Unauthenticated),
            (402, ErrorKind::BudgetExceeded),
            (429, ErrorKind::RateLimited),
            (503, ErrorKind::Unavailable),
            (504, ErrorKind::Timeout),
        ] {
            let faults = FaultInjector::new();
            faults.add(rule(json!({"on": "tool", "status": status}))).unwrap();
            let error = call(&faults, "a").await.unwrap_err();
            assert_eq!(
                (error.kind(), error.is_retryable()),
                (kind, status == 429 || status > 500),
                "{status}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_of_a_model_breaks_off_after_its_bytes() {
        use crate::llm::{Delta, LlmRequest, Scripted};
        use futures_util::StreamExt as _;
        let whole = "grün und gut";
        let cut = |bytes: u64| {
            let faults = FaultInjector::new();
            faults.add(rule(json!({"on": "model", "cut": bytes}))).unwrap();
            let script = Scripted::new();
            script.add(None, whole);
            script.add(None, whole);
            faults.model(Arc::new(script))
        };
        for bytes in 0..=13 {
            let model = cut(bytes);
            let request = || LlmRequest::new().user("a word");
            let mut stream = model.call(request()).await.unwrap();
            let (mut text, mut error) = (String::new(), None);
            while let Some(delta) = stream.next().await {
                match delta {
                    Ok(Delta::Text { text: piece, .. }) => text.push_str(&piece),
                    Ok(_) => {}
                    Err(found) => error = Some(found),
                }
            }
            assert!(whole.starts_with(&text) && text.len() as u64 <= bytes);
            let is_cut = (bytes as usize) < whole.len();
            assert_eq!((error.is_some(), text == whole), (is_cut, !is_cut), "{bytes}");
            let complete = model.complete(request()).await;
            assert_eq!(complete.is_err(), is_cut, "{bytes}: {complete:?}");
            if let Some(error) = error {
                assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "truncated"));
            }
        }
    }

    #[test]
    fn a_rule_that_does_nothing_is_refused() {
        let faults = FaultInjector::new();
        for (bad, field) in [
            (json!({"on": "model"}), "error"),
            (json!({"on": "model", "nth": 0}), "nth"),
            (json!({"on": "tool", "cut": 5}), "cut"),
            (json!({"on": "tool", "status": 200}), "status"),
            (json!({"on": "tool", "status": 500, "error": {"kind": "internal"}}), "status"),
        ] {
            assert_eq!(faults.add(rule(bad)).unwrap_err().field_faults()[0].field, field);
        }
    }
}
