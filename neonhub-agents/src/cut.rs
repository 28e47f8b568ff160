//! For tests: work whose driver goes away between two commits.

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
