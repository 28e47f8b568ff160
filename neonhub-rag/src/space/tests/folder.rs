//! Folders of the machine as documents.

use super::*;

fn ingest(folder: &std::path::Path) -> IngestFolder {
    let folder = folder.to_string_lossy().into_owned();
    IngestFolder { dataset: "brand-voice".into(), folder, ..IngestFolder::default() }
}

#[tokio::test]
async fn a_folder_is_taken_in_once_and_what_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &[u8]| {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("tea.md", b"# Tea\n\nGreen tea from the hills.");
    write("help/boxes.txt", b"Gift boxes are packed by hand.");
    write("help/broken.pdf", b"%PDF-1.7\nbroken");
    write("logo.bin", &[0, 1, 2]);
    write(".git/config", b"hidden");
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_790_000_000_000)));
    let hub = install(Hub::builder().root_key(key()).clock(clock.clone()).seed(1)).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    brand(&cx).await;
    let report = cx.call(ingest(folder.path())).await.unwrap();
    assert_eq!((report.files, report.ready, report.changed, report.embedded, report.failed), (4, 2, 2, 2, 2));
    let faults: Vec<&str> = report.faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        (faults, report.faults[1].code.as_str()),
        (vec!["help/broken.pdf", "logo.bin"], "unsupported_type")
    );
    assert!(find(&cx, "packed by hand").await.hits[0].text.contains("Gift boxes"));
    clock.advance(std::time::Duration::from_secs(1));
    write("tea.md", b"# Tea\n\nBlack tea from the hills.");
    let again = cx.call(ingest(folder.path())).await.unwrap();
    assert_eq!((again.ready, again.changed, again.embedded), (2, 1, 1));
}

#[tokio::test]
async fn what_would_fail_for_every_file_fails_at_once_and_no_agent_reads_files() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.md"), "# A").unwrap();
    let cx = ready("memory:").await;
    let nowhere = cx.call(ingest(&folder.path().join("nothing"))).await.unwrap_err();
    assert_eq!((nowhere.kind(), nowhere.operation()), (ErrorKind::NotFound, "knowledge.ingest_folder"));
    let unknown = IngestFolder { dataset: "unknown".into(), ..ingest(folder.path()) };
    assert_eq!(cx.call(unknown).await.unwrap_err().kind(), ErrorKind::NotFound);
    let long = IngestFolder { language: Some("english".into()), ..ingest(folder.path()) };
    assert_eq!(cx.call(long).await.unwrap_err().field_faults()[0].field, "language");
    let denied = cx.with_role(Role::Viewer).call(ingest(folder.path())).await.unwrap_err();
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    let agent = cx.for_agent("content", "run_1", Role::Owner.permissions());
    let refused = agent.call(ingest(folder.path())).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::PermissionDenied, "host_only"));
}
