//! The one error of the family: kind, operation, message, context, retry advice, source.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::telemetry::redact_values;

/// The result of every public function of the family.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal),+ $(,)?) => {
        /// What went wrong, in words a program can match on.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ErrorKind { $($(#[$doc])* $name),+ }

        impl ErrorKind {
            /// Every kind, so that tests and bindings can walk them.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$name),+];

            /// The stable `snake_case` word of this kind, the same in every language and in stored runs.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(ErrorKind::$name => $code),+ }
            }

            /// The kind with this word, if there is one.
            #[must_use]
            pub fn from_code(code: &str) -> Option<Self> {
                match code { $($code => Some(ErrorKind::$name),)+ _ => None }
            }
        }
    };
}

kinds! {
    /// A value of the caller is wrong; the message names the field and the accepted form.
    InvalidInput = "invalid_input",
    /// The hub is set up wrongly: a missing key, a file of a newer version, an unknown setting.
    Config = "config",
    /// The thing does not exist, or belongs to another workspace.
    NotFound = "not_found",
    /// A unique value is taken.
    AlreadyExists = "already_exists",
    /// A stale revision, a wrong state, or the same idempotency key with another input.
    Conflict = "conflict",
    /// Who is calling is unknown, or the credentials are no longer valid.
    Unauthenticated = "unauthenticated",
    /// The caller is known and may not do this.
    PermissionDenied = "permission_denied",
    /// The person has not agreed to this.
    ConsentRequired = "consent_required",
    /// A budget, quota or plan is used up.
    BudgetExceeded = "budget_exceeded",
    /// A rule refuses this and will go on refusing it.
    Blocked = "blocked",
    /// The input is larger than the model's window.
    ContextTooLong = "context_too_long",
    /// Too many calls; the retry advice says when the next one is admitted.
    RateLimited = "rate_limited",
    /// No answer in time, and nothing was done.
    Timeout = "timeout",
    /// The other side cannot be reached now.
    Unavailable = "unavailable",
    /// The act may or may not have happened; only a probe or a person can tell.
    OutcomeUnknown = "outcome_unknown",
    /// This build, backend or provider cannot do it.
    Unsupported = "unsupported",
    /// Stored or received bytes do not say what they should.
    Corrupted = "corrupted",
    /// The caller gave up, or the hub is closing.
    Cancelled = "cancelled",
    /// A fault of ours.
    Internal = "internal",
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: serde::Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        s.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for ErrorKind {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> std::result::Result<Self, D::Error> {
        let word = <Cow<'de, str>>::deserialize(d)?;
        ErrorKind::from_code(&word)
            .ok_or_else(|| serde::de::Error::unknown_variant(&word, &["an error kind such as not_found"]))
    }
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The same call will fail again.
    #[default]
    Never,
    /// Try again with growing pauses.
    Backoff,
    /// Try again after this time, not sooner.
    After(Duration),
    /// Retries were made and used up.
    Exhausted,
}

/// One fault of one field, for errors that list several at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Path of the field, as the caller wrote it: `budget.currency`, `channels[2]`.
    pub field: String,
    /// What was expected and what to do.
    pub message: String,
}

/// What every failing call of NeonHub returns. One pointer wide.
///
/// Match on [`kind`](Error::kind); show [`Display`](fmt::Display) to operators (one line); `Debug` and
/// `source()` are for developers. Messages and context never hold secrets or personal values.
///
/// ```
/// use neonhub_core::{Error, ErrorKind};
/// let err = Error::new(ErrorKind::NotFound, "people.get", "no person with this id")
///     .with_context("person", "per_0000");
/// assert_eq!(err.kind().code(), "not_found");
/// assert_eq!(err.to_string(), "not_found: people.get: no person with this id person=per_0000");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    message: Cow<'static, str>,
    code: Option<Cow<'static, str>>,
    context: Vec<(Cow<'static, str>, String)>,
    faults: Vec<Fault>,
    retry: Retry,
    source: Option<Source>,
}

impl Error {
    /// An error of `operation`. The message is lower case without a full stop and says what was expected.
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Error(Box::new(Inner {
            kind,
            operation: operation.into(),
            message: clean(message.into()),
            code: None,
            context: Vec::new(),
            faults: Vec::new(),
            retry: Retry::Never,
            source: None,
        }))
    }

    /// `InvalidInput` for one field.
    #[must_use]
    pub fn invalid(
        operation: impl Into<Cow<'static, str>>,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Error::faults(operation, vec![Fault { field: field.into(), message: message.into() }])
    }

    /// `InvalidInput` that lists every fault by field.
    #[must_use]
    pub fn faults(operation: impl Into<Cow<'static, str>>, mut faults: Vec<Fault>) -> Self {
        for fault in &mut faults {
            wash(&mut fault.field);
            wash(&mut fault.message);
        }
        let message =
            faults.iter().map(|f| format!("{}: {}", f.field, f.message)).collect::<Vec<_>>().join("; ");
        let mut error = Error::new(ErrorKind::InvalidInput, operation, message);
        error.0.faults = faults;
        error
    }

    /// A fault of ours, with its cause.
    #[must_use]
    pub fn internal(operation: impl Into<Cow<'static, str>>, source: impl Into<Source>) -> Self {
        Error::new(ErrorKind::Internal, operation, "unexpected fault inside neonhub").with_source(source)
    }

    /// Adds a `key=value` for operators: ids, counts, limits. Never a secret or a personal value.
    ///
    /// What looks like one all the same is written as `[redacted:kind]`, as in every message.
    #[must_use]
    pub fn with_context(mut self, key: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        let mut value = value.to_string();
        wash(&mut value);
        self.0.context.push((key.into(), value));
        self
    }

    /// A finer word than the kind, such as `no_identity`.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Says whether trying again helps.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Renames the operation, when an inner part failed on behalf of a public one.
    #[must_use]
    pub fn for_operation(mut self, operation: impl Into<Cow<'static, str>>) -> Self {
        self.0.operation = operation.into();
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The finer word if there is one, else the word of the kind.
    #[must_use]
    pub fn code(&self) -> &str {
        self.0.code.as_deref().unwrap_or(self.0.kind.code())
    }

    /// The operation that failed, such as `people.resolve`.
    #[must_use]
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// What was expected and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The context pairs in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(k, v)| (k.as_ref(), v.as_str()))
    }

    /// Every fault by field, when the error lists several.
    #[must_use]
    pub fn field_faults(&self) -> &[Fault] {
        &self.0.faults
    }

    /// Whether trying again helps.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// True when another writer changed or made the same record first.
    pub(crate) fn is_lost_race(&self) -> bool {
        matches!(self.code(), "stale_revision" | "unique_taken")
    }

    /// True when the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.0.retry, Retry::Backoff | Retry::After(_))
    }
}

/// A message without values that look like secrets or addresses. Literals of the code are taken as they are.
fn clean(text: Cow<'static, str>) -> Cow<'static, str> {
    match text {
        Cow::Borrowed(_) => text,
        Cow::Owned(mut owned) => {
            wash(&mut owned);
            Cow::Owned(owned)
        }
    }
}

fn wash(text: &mut String) {
    if let Cow::Owned(washed) = redact_values(text) {
        *text = washed;
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.code(), self.0.operation, self.0.message)?;
        for (key, value) in &self.0.context {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind)
            .field("operation", &self.0.operation)
            .field("message", &self.0.message);
        if let Some(code) = &self.0.code {
            out.field("code", code);
        }
        if !self.0.context.is_empty() {
            out.field("context", &self.0.context);
        }
        if self.0.retry != Retry::Never {
            out.field("retry", &self.0.retry);
        }
        if let Some(source) = &self.0.source {
            // Causes of others repeat what they were given.
            out.field("source", &format_args!("{}", redact_values(&format!("{source:?}"))));
        }
        out.finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

/// Collects faults field by field, so that one error can list them all.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes one fault.
    pub fn push(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Fault { field: field.into(), message: message.into() });
    }

    /// Notes a fault when `ok` is false.
    pub fn check(&mut self, ok: bool, field: impl Into<String>, message: impl Into<String>) {
        if !ok {
            self.push(field, message);
        }
    }

    /// True while nothing was noted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `Ok` when nothing was noted.
    ///
    /// # Errors
    /// `InvalidInput` that lists every fault.
    pub fn into_result(self, operation: impl Into<Cow<'static, str>>) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::faults(operation, self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_word_and_finds_back() {
        let mut words: Vec<_> = ErrorKind::ALL.iter().map(|k| k.code()).collect();
        assert!(ErrorKind::ALL.iter().all(|k| ErrorKind::from_code(k.code()) == Some(*k)));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn what_looks_like_a_secret_or_an_address_is_in_no_error() {
        let bad = "jane@shop.example sk-planted1234567890 +12025550188";
        let cause = std::io::Error::other(bad);
        let error = Error::new(ErrorKind::Conflict, "test.it", format!("found {bad}"))
            .with_context("who", bad)
            .with_source(cause);
        let faulty = Error::invalid("test.it", bad, format!("expected another than {bad}"));
        let told = format!("{error} {error:?} {faulty} {faulty:?} {:?}", faulty.field_faults());
        for planted in bad.split(' ') {
            assert!(!told.contains(planted), "{told}");
        }
        assert!(told.contains("[redacted:email] [redacted:key] [redacted:phone]"), "{told}");
        assert!(std::error::Error::source(&error).is_some(), "the cause itself is kept for the host");
        let plain = Error::invalid("test.it", "api_key", "expected 1..255 bytes");
        assert_eq!(plain.message(), "api_key: expected 1..255 bytes");
    }

    #[test]
    fn faults_are_listed_together() {
        let mut faults = Faults::new();
        faults.check(false, "goal", "say what the campaign is for");
        faults.push("budget.currency", "an ISO 4217 code such as EUR");
        let err = faults.into_result("campaign.create").unwrap_err();
        assert_eq!(err.kind(), ErrorKind::InvalidInput);
        assert_eq!(err.field_faults().len(), 2);
        assert!(err.to_string().contains("budget.currency"));
    }
}
