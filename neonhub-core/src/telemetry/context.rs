//! W3C trace context: what joins our spans with those of the host and of the services we call.

use std::fmt;
use std::future::Future;

use sha2::{Digest as _, Sha256};

use crate::{Error, Result, Scope};

/// Longest `tracestate` that is passed on, in bytes.
// W3C Trace Context, section 3.3.1.5, 2021: at least 512 characters should be propagated.
const MAX_STATE: usize = 512;

/// Where a call stands in a trace: the W3C `traceparent`, and the `tracestate` that is passed on unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
    state: String,
}

impl TraceContext {
    /// Reads the headers `traceparent` and `tracestate`. A `tracestate` that is too long or not ASCII is left out.
    ///
    /// # Errors
    /// `InvalidInput` naming `traceparent`.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "trace.parse",
                "traceparent",
                "expected 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, ids not all zero",
            )
        };
        let fields: Vec<&str> = traceparent.trim().split('-').collect();
        let [version, trace, span, flags, rest @ ..] = fields.as_slice() else { return Err(bad()) };
        // Later versions may go on after the fields of version 00; ff is forbidden.
        let is_known = *version == "00" && rest.is_empty();
        let is_later = hex::<1>(version).is_some_and(|v| v != [0] && v != [0xff]);
        let (Some(trace), Some(span), Some([flags])) = (hex::<16>(trace), hex::<8>(span), hex::<1>(flags))
        else {
            return Err(bad());
        };
        if !(is_known || is_later) || trace == [0; 16] || span == [0; 8] {
            return Err(bad());
        }
        let state = tracestate.unwrap_or_default().trim();
        let fits = state.len() <= MAX_STATE && state.bytes().all(|b| (0x20..0x7f).contains(&b));
        let state = if fits { state.to_owned() } else { String::new() };
        Ok(TraceContext { trace, span, flags, state })
    }

    /// The context of work that has none from outside: the same words give the same trace.
    #[must_use]
    pub fn derived(trace: &str, span: &str) -> Self {
        TraceContext { trace: digest(&[trace]), span: digest(&[trace, span]), flags: 1, state: String::new() }
    }

    /// The context of a step below this one.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let own = crate::store_hex(&self.span);
        TraceContext { span: digest(&[&self.trace_id(), &own, name]), ..self.clone() }
    }

    /// The trace, 32 hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        crate::store_hex(&self.trace)
    }

    /// The span, 16 hex digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        crate::store_hex(&self.span)
    }

    /// True when the caller records this trace.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// The header `tracestate`, unless it is empty.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        (!self.state.is_empty()).then_some(&self.state)
    }
}

/// The header `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only the sampled flag is ours to pass on (W3C Trace Context, section 3.2.2.5.1).
        write!(f, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags & 1)
    }
}

fn digest<const N: usize>(parts: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let hash = hash.finalize();
    let mut out = [1; N];
    out.iter_mut().zip(hash.iter()).for_each(|(to, from)| *to = *from);
    out
}

/// Lower-case hex digits, exactly `N` bytes.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let ok = text.len() == N * 2 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let mut out = [0; N];
    for (n, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(n * 2..n * 2 + 2).filter(|_| ok)?, 16).ok()?;
    }
    Some(out)
}

tokio::task_local! {
    /// The trace that calls to configured services join.
    static OUTGOING: TraceContext;
}

/// The trace that a call to a configured service joins, when its caller is in one.
///
/// Only what is configured is told of it: providers of models. Pages of the web never are, since their
/// address may come from anybody and the ids would let a stranger join what they see to what the caller logs. A
/// `tracestate` is the caller's own and stays in the process.
#[must_use]
pub fn outgoing() -> Option<TraceContext> {
    OUTGOING.try_with(Clone::clone).ok()
}

impl Scope {
    /// Does work whose calls to configured services join the trace of this scope, where its caller gave one.
    pub(crate) async fn in_trace<F: Future>(&self, work: F) -> F::Output {
        match &self.0.trace {
            Some(_) => OUTGOING.scope(self.trace(), work).await,
            None => work.await,
        }
    }

    /// Where this call stands in a trace: the caller's context, or one that hangs on the correlation.
    #[must_use]
    pub fn trace(&self) -> TraceContext {
        match &self.0.trace {
            Some(context) => context.child(self.operation()),
            None => TraceContext::derived(self.correlation(), self.operation()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn headers_go_in_and_out() {
        let context = TraceContext::parse(PARENT, Some("congo=t61rcWkgMzE")).unwrap();
        assert_eq!((context.to_string().as_str(), context.state()), (PARENT, Some("congo=t61rcWkgMzE")));
        let child = context.child("step");
        assert_eq!(child.trace_id(), context.trace_id());
        assert_ne!(child.span_id(), context.span_id());
        assert_eq!(child, context.child("step"));
        let later = format!("cc{}-more", &PARENT[2..]);
        assert!(TraceContext::parse(&later, None).unwrap().is_sampled());
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for bad in [
            "",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(TraceContext::parse(bad, None).is_err(), "{bad}");
        }
        let long = "a=1,".repeat(200);
        assert_eq!(TraceContext::parse(PARENT, Some(&long)).unwrap().state(), None);
    }
}
