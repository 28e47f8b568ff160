//! Runs that begin with the first steps of another one.

use super::*;

#[tokio::test]
async fn what_the_first_run_published_is_not_published_again() {
    let (_hub, cx, _) = open().await;
    let driver = Driver::new(Steps::default());
    let emit = Command::Emit { event: "shop.opened".into(), data: json!({"n": 1}) };
    let done = driver.execute(&cx, new(&[note("a", "one"), emit, note("b", "two")])).await.unwrap();
    let published = async || {
        let events = cx.query::<crate::bus::Event>(&Query::by_id().limit(500)).await.unwrap();
        events.iter().filter(|event| event.kind == "shop.opened").count()
    };
    assert_eq!(published().await, 1);
    let log = cx.call(GetRun { id: done.run.id.clone(), with_log: true }).await.unwrap().log;
    // It came out of the step that took the first answer, which is the entry before it.
    let answered = log.iter().position(|entry| entry.kind == "emitted").unwrap() as u32 - 1;
    for at in [None, Some(answered + 1)] {
        let fork = driver.fork(&cx, &done.run.id, Fork { at, ..Fork::default() }).await.unwrap();
        let view = driver.drive(&cx, &fork.id).await.unwrap();
        assert_eq!((view.run.status, published().await), (RunStatus::Completed, 1), "cut at {at:?}");
    }
    // A fork that goes that step by itself publishes for itself.
    let fork = Fork { at: Some(answered), ..Fork::default() };
    let fork = driver.fork(&cx, &done.run.id, fork).await.unwrap();
    driver.drive(&cx, &fork.id).await.unwrap();
    assert_eq!(published().await, 2);
}
