//! Listing what was wrong with an import.

use super::*;

#[tokio::test]
async fn errors_come_in_pages_of_the_size_asked_for() {
    let (_hub, cx) = workspace().await;
    // Two faults in each of 700 rows, then 600 good rows, then one bad row: stored pages with none between others.
    let bad = |n: usize| format!("nobody{n},not-a-number,,,,,,,,,,,,\n");
    let good = |n: usize| format!("fine{n}@shop.example,,,,,,,,,,,,,\n");
    let rows: String = (0..700).map(bad).chain((0..1_600).map(good)).chain([bad(700)]).collect();
    let job = cx.call(file(&rows)).await.unwrap();
    assert_eq!(job.rejected, 701);
    let all = walk(&cx, &job, 500).await;
    assert_eq!(all.len() as u64, job.faults);
    assert_eq!(all.last().map(|f| f.row), Some(2_301));
    for limit in [7, 499] {
        assert_eq!(walk(&cx, &job, limit).await, all, "{limit}");
    }
    let few = cx.call(file(&(0..30).map(bad).collect::<String>())).await.unwrap();
    let one_by_one = walk(&cx, &few, 1).await;
    assert_eq!((few.rejected, one_by_one.len() as u64), (30, few.faults));
    assert_eq!(one_by_one, walk(&cx, &few, 500).await);
}

#[tokio::test]
async fn a_cursor_that_is_none_is_refused() {
    let (_hub, cx) = workspace().await;
    let job = cx.call(file("nobody,,,,,,,,,,,,,\n")).await.unwrap();
    for cursor in ["", "x", "1", "1.x", "-1.0"] {
        let ask = ImportErrors { import: job.id.clone(), limit: None, cursor: Some(cursor.into()) };
        let fault = cx.call(ask).await.unwrap_err();
        assert!(fault.to_string().contains("cursor"), "{fault}");
    }
    let far = ImportErrors { import: job.id, limit: None, cursor: Some(format!("{}.9", u64::MAX)) };
    assert!(cx.call(far).await.unwrap().items.is_empty());
}

async fn walk(cx: &Scope, job: &ImportJob, limit: u16) -> Vec<crate::people::csv::RowFault> {
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let ask = ImportErrors { import: job.id.clone(), limit: Some(limit), cursor };
        let page = cx.call(ask).await.unwrap();
        assert!(page.items.len() <= usize::from(limit));
        assert!(page.next.is_none() || page.items.len() == usize::from(limit));
        all.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return all;
        }
    }
}
