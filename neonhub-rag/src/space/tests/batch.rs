//! Many files by one call.

use std::sync::Mutex;

use neonhub_core::audit::QueryAudit;

use super::*;

/// Notes how many texts each of its calls had.
#[derive(Debug, Default)]
struct Counted(Mutex<Vec<usize>>);

#[async_trait::async_trait]
impl Embedder for Counted {
    fn id(&self) -> &str {
        "counted-2"
    }
    fn dims(&self) -> usize {
        2
    }
    fn max_batch(&self) -> usize {
        100
    }
    async fn embed(&self, texts: &[&str], _: EmbedKind) -> neonhub_core::Result<Vec<Vec<f32>>> {
        self.0.lock().unwrap().push(texts.len());
        Ok(texts.iter().map(|text| vec![1.0, text.len() as f32]).collect())
    }
}

fn many(files: &[(&str, &str)]) -> UploadDocuments {
    let upload = |(name, text): &(&str, &str)| UploadDocument::of_text("brand-voice", *name, *text);
    UploadDocuments { documents: files.iter().map(upload).collect() }
}

fn keys(report: &UploadReport) -> Vec<&str> {
    report.documents.iter().map(|document| document.external_key.as_str()).collect()
}

#[tokio::test]
async fn many_files_are_one_commit_and_one_question_to_the_embedder() {
    let embedder = Arc::new(Counted::default());
    let knowledge = Knowledge::new().embedder_added(embedder.clone());
    let hub = install_with(Hub::builder().seed(1), knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let own = CreateSpace { name: "own".into(), embedder: Some("counted-2".into()), ..Default::default() };
    cx.call(own).await.unwrap();
    let dataset = CreateDataset { space: "own".into(), name: "brand-voice".into(), ..Default::default() };
    cx.call(dataset).await.unwrap();
    let sections = [section("alpha", "alpha"), section("beta", "beta"), section("gamma", "gamma")].concat();
    let files = [("b.md", "Gift boxes are packed."), ("a.md", sections.as_str()), ("c.txt", "Green tea.")];
    let before = cx.store().seq().await.unwrap();
    let report = cx.call(many(&files)).await.unwrap();
    assert_eq!(cx.store().seq().await.unwrap(), before + 1, "one commit");
    assert_eq!((report.ready, report.changed, report.failed), (3, 3, 0));
    assert_eq!(keys(&report), ["b.md", "a.md", "c.txt"], "in the order of the call");
    let asked = std::mem::take(&mut *embedder.0.lock().unwrap());
    assert_eq!(asked, [report.embedded as usize], "one call for the chunks of all files");
    assert!(report.embedded >= 4);
    let audit = cx.call(QueryAudit::default()).await.unwrap().items;
    assert_eq!(audit.iter().filter(|entry| entry.action == "documents.upload_many").count(), 1);

    // A new version embeds what is new in it, beside a file that is new and one that did not change.
    let changed = sections.replace("beta", "delta");
    let files = [("a.md", changed.as_str()), ("c.txt", "Green tea."), ("d.md", "Black tea.")];
    let again = cx.call(many(&files)).await.unwrap();
    assert_eq!((again.ready, again.changed), (3, 2));
    assert_eq!(
        again.documents.iter().map(|d| (d.version, d.is_changed)).collect::<Vec<_>>(),
        [(2, true), (1, false), (1, true)]
    );
    let asked = std::mem::take(&mut *embedder.0.lock().unwrap());
    assert!(asked == [again.embedded as usize] && again.embedded < report.embedded, "{asked:?}");
    assert_eq!(again.documents[1].document, report.documents[2].document);
}

#[tokio::test]
async fn a_call_for_many_makes_what_call_after_call_makes() {
    let (together, apart) = (ready("memory:").await, ready("memory:").await);
    let beta = section("beta", "beta");
    let files =
        [("a.md", section("alpha", "alpha").repeat(2)), ("b.txt", "Green tea.".into()), ("c.md", beta)];
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let report = together.call(many(&files)).await.unwrap();
    for ((name, text), document) in files.iter().zip(&report.documents) {
        let alone = put(&apart, name, text).await;
        let id = document.document.clone().unwrap();
        let same = together.call(GetDocument { document: id }).await.unwrap();
        assert_eq!(
            (&same.content_hash, &same.title, same.chars),
            (&alone.content_hash, &alone.title, alone.chars)
        );
        for (ours, theirs) in same.chunk_ids().iter().zip(alone.chunk_ids()) {
            let ours = together.need::<ChunkRecord>(ours).await.unwrap().body;
            let theirs = apart.need::<ChunkRecord>(&theirs).await.unwrap().body;
            assert_eq!(
                (ours.text, ours.vector, ours.language),
                (theirs.text, theirs.vector, theirs.language)
            );
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_one_file_is_said_in_its_place() {
    let cx = ready("memory:").await;
    let mut call = many(&[("tea.md", "Green tea."), ("logo.bin", "x"), ("boxes.md", "Gift boxes.")]);
    call.documents.insert(2, UploadDocument::of("brand-voice", "broken.pdf", b"%PDF-1.7\nbroken"));
    let report = cx.call(call).await.unwrap();
    assert_eq!((report.ready, report.changed, report.failed), (2, 2, 2));
    assert_eq!(keys(&report), ["tea.md", "logo.bin", "broken.pdf", "boxes.md"]);
    let failures: Vec<Option<&str>> =
        report.documents.iter().map(|d| d.failure.as_ref().map(|f| f.code.as_str())).collect();
    assert_eq!((failures[0], failures[1], failures[3]), (None, Some("unsupported_type"), None));
    assert!(failures[2].is_some() && report.documents[2].document.is_some(), "a document that failed");
    assert!(report.documents[1].document.is_none());
    assert_eq!(names(&cx, "gift boxes").await[0], "boxes.md");
}

#[tokio::test]
async fn a_call_with_a_fault_takes_nothing_in() {
    let cx = ready("memory:").await;
    let field = |call: UploadDocuments| {
        let cx = cx.clone();
        async move { cx.call(call).await.unwrap_err().field_faults()[0].field.clone() }
    };
    assert_eq!(field(many(&[])).await, "documents");
    assert_eq!(field(many(&[("a.md", "x"); 1_001])).await, "documents");
    let twice = [("a.md", "Green tea."), ("b.md", "Black tea."), ("a.md", "Red tea.")];
    assert_eq!(field(many(&twice)).await, "documents[2].external_key");
    let mut call = many(&twice[..2]);
    call.documents[1].tags = vec![String::new()];
    assert_eq!(field(call).await, "documents[1].tags");
    let mut call = many(&twice[..2]);
    call.documents[1].content_base64 = Some("Z3JlZW4=".into());
    assert_eq!(field(call).await, "documents[1].content_base64");
    let mut call = many(&twice[..2]);
    call.documents[1].dataset = "nowhere".into();
    assert_eq!(cx.call(call).await.unwrap_err().kind(), ErrorKind::NotFound);
    let blob = cx.store().blob_put(&vec![b' '; 60 << 20]).await.unwrap();
    let mut call = many(&twice[..2]);
    for document in &mut call.documents {
        (document.text, document.blob) = (None, Some(blob.clone()));
    }
    assert_eq!(field(call).await, "documents", "more than 100 MiB in all");
    assert!(find(&cx, "tea").await.hits.is_empty());
}

#[tokio::test]
async fn one_call_fills_several_datasets() {
    let cx = ready("memory:").await;
    cx.call(CreateDataset { space: "brand-voice".into(), name: "faq".into(), ..Default::default() })
        .await
        .unwrap();
    let mut call = many(&[("a.md", "Green tea."), ("a.md", "Is tea green?"), ("b.md", "Black tea.")]);
    call.documents[1].dataset = "faq".into();
    let report = cx.call(call).await.unwrap();
    assert_eq!((report.ready, keys(&report)), (3, vec!["a.md", "a.md", "b.md"]));
    let listed = cx.call(ListDocuments { dataset: "faq".into(), ..Default::default() }).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(Some(&listed.items[0].id), report.documents[1].document.as_ref());
    let viewer = cx.with_role(Role::Viewer).call(many(&[("c.md", "Tea.")])).await.unwrap_err();
    assert_eq!(viewer.kind(), ErrorKind::PermissionDenied);
}
