//! For tests: work whose driver goes away between two commits, and how often chance is tried.

use neonhub_core::Scope;

/// Drives `work` and drops it once the store has taken so many more commits. False when it ended before.
pub(crate) async fn cut<T>(cx: &Scope, commits: u64, work: impl Future<Output = T>) -> bool {
    let mut feed = cx.store().watch();
    let until = cx.store().seq().await.unwrap() + commits;
    let gone = async {
        while cx.store().seq().await.unwrap() < until {
            feed.changed().await.unwrap();
        }
    };
    tokio::select! {
        biased;
        () = gone => true,
        _ = work => false,
    }
}

/// So many random cases, a fourth of them where each has a new store on a server.
pub(crate) fn cases(embedded: u32) -> u32 {
    if std::env::var_os("NEONHUB_TEST_STORE").is_some() { embedded / 4 } else { embedded }
}
