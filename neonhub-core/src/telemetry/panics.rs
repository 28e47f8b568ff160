//! Panics inside calls: their text may repeat what was being worked on, and the hook of a process prints it.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::sync::Once;

use super::redact::redact;

thread_local! {
    /// How many calls this thread is inside of.
    static INSIDE: Cell<u32> = const { Cell::new(0) };
}

/// Runs work whose panics are told without what looks like a secret or an address.
pub(crate) async fn hushed<F: Future>(work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        let _inside = Inside::enter();
        work.as_mut().poll(cx)
    })
    .await
}

struct Inside;

impl Inside {
    fn enter() -> Self {
        // A thread that is being taken down has no counter any more: then the hook that was there speaks.
        let _ = INSIDE.try_with(|n| n.set(n.get() + 1));
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|n| n.set(n.get().saturating_sub(1)));
    }
}

/// Puts a hook before the one of this process, once. It speaks only for panics inside calls whose text has something to
/// hide; all others, and everything else of the host, go on as before.
pub(crate) fn guard() {
    static ONCE: Once = Once::new();
    if std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            match told(panic) {
                // A closed standard error is no reason to stop.
                Some(line) => drop(writeln!(std::io::stderr().lock(), "{line}")),
                None => before(panic),
            }
        }));
    });
}

/// The redacted line, where there is something to redact.
fn told(panic: &PanicHookInfo<'_>) -> Option<String> {
    if !INSIDE.try_with(|n| n.get() > 0).unwrap_or(false) {
        return None;
    }
    let Cow::Owned(clean) = redact(panic.payload_as_str()?) else { return None };
    let place = panic.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
    let thread = std::thread::current();
    Some(format!("thread '{}' panicked{place}:\n{clean}", thread.name().unwrap_or("<unnamed>")))
}
