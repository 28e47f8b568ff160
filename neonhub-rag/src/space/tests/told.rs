//! What is told of documents and spaces, sizes of chunks that change, and options of search.

use neonhub_core::bus::{Filter, SubscribeEvents};
use neonhub_core::store::{Batch, Expected, Kind, Row, Write};
use serde_json::{Value, json};

use super::*;
use crate::ChunkOptions;
use crate::hybrid::Fusion;

async fn told(cx: &Scope, cursor: Option<String>) -> (Vec<(String, String, Value)>, String) {
    let filter = Filter::types(["document.ready", "document.failed", "document.deleted", "space.migrated"]);
    let page = cx.call(SubscribeEvents { filter, cursor, ..Default::default() }).await.unwrap();
    let of = |item: neonhub_core::bus::BusEvent| (item.event.kind, item.event.subject_id, item.event.data);
    (page.items.into_iter().map(of).collect(), page.cursor)
}

#[tokio::test]
async fn documents_and_moves_tell_what_became_of_them() {
    let knowledge = Knowledge::new().embedder_added(Arc::new(super::embedders::Lengths));
    let hub = install_with(Hub::builder().root_key(key()).seed(1), knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    brand(&cx).await;
    let (_, cursor) = told(&cx, None).await;
    let good = put(&cx, "guide.md", "Warm words.").await;
    put(&cx, "guide.md", "Warm words.").await;
    let newer = put(&cx, "guide.md", "Warmer words.").await;
    let broken = put(&cx, "broken.pdf", "%PDF-1.7 cut").await;
    cx.call(DeleteDocument { document: newer.id.clone() }).await.unwrap();
    let (events, cursor) = told(&cx, Some(cursor)).await;
    let expected = [
        ("document.ready", &good.id, json!({ "chunks": 1, "version": 1 })),
        ("document.ready", &newer.id, json!({ "chunks": 1, "version": 2 })),
        ("document.failed", &broken.id, json!({ "code": "corrupted", "version": 1 })),
        ("document.deleted", &newer.id, json!({ "version": 2 })),
    ];
    let expected = expected.map(|(kind, id, data)| (kind.to_owned(), id.to_string(), data));
    assert_eq!(events, expected, "one that did not change is told of no more");
    let migrate = MigrateSpace { space: "brand-voice".into(), embedder: "lengths-4".into(), dry_run: false };
    let space = cx.call(migrate).await.unwrap().space.id;
    assert!(told(&cx, Some(cursor.clone())).await.0.is_empty());
    cx.work_until_idle().await.unwrap();
    let data = json!({ "embedder": "lengths-4", "dims": 4 });
    assert_eq!(told(&cx, Some(cursor)).await.0, [("space.migrated".to_owned(), space.to_string(), data)]);
}

#[tokio::test]
async fn changed_sizes_cut_the_documents_anew_and_embed_only_what_changed() {
    let cx = ready("memory:").await;
    let long = put(&cx, "long.md", &section("Tone", "warm")).await;
    let short = put(&cx, "short.md", "A short text stays one chunk.").await;
    let other = CreateSpace { name: "other".into(), ..Default::default() };
    cx.call(other).await.unwrap();
    cx.call(CreateDataset { space: "other".into(), name: "others".into(), ..Default::default() })
        .await
        .unwrap();
    let elsewhere = UploadDocument::of("others", "else.md", section("Else", "cold").as_bytes());
    let elsewhere = cx.call(elsewhere).await.unwrap();
    let chunking = ChunkOptions { target: 60, max: 120, overlap: 0 };
    let update = UpdateSpace { space: "brand-voice".into(), chunking: Some(chunking), ..Default::default() };
    let space = cx.call(update.clone()).await.unwrap();
    assert_eq!((space.chunking, space.recut.is_some()), (chunking, true));
    let before = find(&cx, "warm rule").await;
    assert_eq!(before.hits[0].document, long.id, "the old chunks answer meanwhile");
    cx.work_until_idle().await.unwrap();
    let space = cx.call(GetSpace { space: "brand-voice".into() }).await.unwrap();
    assert_eq!(space.recut, None);
    let hits = find(&cx, "warm rule").await.hits;
    assert!(hits.iter().all(|hit| hit.document != long.id && hit.name == "long.md"), "{hits:?}");
    let list = ListDocuments { dataset: "brand-voice".into(), ..Default::default() };
    let documents = cx.call(list).await.unwrap().items;
    let of = |name: &str| documents.iter().find(|d| d.name == name && d.current).unwrap();
    assert_eq!((of("long.md").version, of("long.md").chunks > long.chunks), (2, true));
    assert_eq!(
        (of("short.md").version, of("short.md").embedded, of("short.md").chunks),
        (2, 0, short.chunks)
    );
    let same = cx.get::<Document>(elsewhere.id.as_str()).await.unwrap().unwrap().body;
    assert_eq!((same.current, same.version), (true, 1), "of another space");
    assert_eq!(cx.call(update.clone()).await.unwrap().recut, None, "the same sizes are no change");
    let wrong = Some(ChunkOptions { target: 5, max: 10, overlap: 9 });
    let error = cx.call(UpdateSpace { chunking: wrong, ..update }).await.unwrap_err();
    assert!(error.field_faults().iter().all(|fault| fault.field.starts_with("chunking.")), "{error}");
}

#[tokio::test]
async fn ranks_can_be_joined_and_hits_spread() {
    let cx = ready("memory:").await;
    for (name, text) in [
        ("a.md", "Parcels to Vienna leave on Monday morning."),
        ("b.md", "Parcels to Vienna leave on Monday evening."),
        ("c.md", "Parcels are wrapped in brown paper, says the guide of our shop."),
        ("d.md", "Letters are answered in a warm tone."),
    ] {
        put(&cx, name, text).await;
    }
    let plain = SearchKnowledge { k: Some(3), ..SearchKnowledge::of("parcels Vienna Monday") };
    let ranked = SearchKnowledge { fusion: Fusion::Rrf { k: 60.0 }, text_weight: Some(0.5), ..plain.clone() };
    let hits = cx.call(ranked).await.unwrap().hits;
    for hit in &hits {
        let share = |part: Option<crate::hybrid::Part>| {
            part.map_or(0.0, |part| {
                assert!((part.share - 1.0 / (60.0 + part.rank as f32)).abs() < 1e-6);
                part.share
            })
        };
        let sum = share(hit.text_part) + share(hit.vector_part);
        assert!((hit.score - sum).abs() < 1e-6, "{hit:?}");
    }
    assert!((hits[0].score - 2.0 / 61.0).abs() < 1e-6, "first in both lists");
    let order = async |mmr_lambda| {
        let search = SearchKnowledge { mmr_lambda, ..plain.clone() };
        let hits = cx.call(search).await.unwrap().hits;
        hits.into_iter().map(|hit| hit.name).collect::<Vec<_>>()
    };
    let by_score = order(None).await;
    assert!(by_score[..2].contains(&"a.md".into()) && by_score[..2].contains(&"b.md".into()), "{by_score:?}");
    assert_eq!(order(Some(1.0)).await, by_score);
    let spread = order(Some(0.3)).await;
    assert_eq!(spread[0], by_score[0]);
    assert_ne!(spread[1], by_score[1], "what says the same comes later: {spread:?}");
    let error = cx.call(SearchKnowledge { mmr_lambda: Some(1.5), ..plain }).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "mmr_lambda");
}

#[tokio::test]
async fn a_dataset_of_more_chunks_than_one_commit_takes_is_kept_whole() {
    let cx = ready("memory:").await;
    let document = put(&cx, "a.md", "Warm words.").await;
    let put_size = async |chunks: u32| {
        let mut batch = Batch::new(cx.workspace().clone(), cx.now());
        let row = Row::of(&Document { chunks, ..document.clone() }, cx.now(), cx.label()).unwrap();
        batch.writes.push(Write::Put { kind: Kind::of::<Document>(), row, expected: Expected::Any });
        cx.store().commit(batch).await.unwrap();
    };
    let delete = || DeleteDataset { dataset: "brand-voice".into(), space: None };
    put_size(20_001).await;
    let error = cx.call(delete()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.message().contains("delete its documents first"), "{error}");
    assert!(cx.get::<ChunkRecord>(&document.chunk_ids()[0]).await.unwrap().is_some());
    put_size(20_000).await;
    cx.call(delete()).await.unwrap();
    assert!(cx.get::<ChunkRecord>(&document.chunk_ids()[0]).await.unwrap().is_none());
    assert!(cx.get::<Document>(document.id.as_str()).await.unwrap().is_none());
}

/// The vectors of the offline embedder under another name.
#[derive(Debug)]
struct Twin;

#[async_trait::async_trait]
impl Embedder for Twin {
    fn id(&self) -> &str {
        "twin-512"
    }
    fn dims(&self) -> usize {
        512
    }
    fn max_batch(&self) -> usize {
        10
    }
    async fn embed(&self, texts: &[&str], _: EmbedKind) -> neonhub_core::Result<Vec<Vec<f32>>> {
        Ok(texts.iter().map(|text| crate::OfflineHash::new().vector(text)).collect())
    }
}

#[tokio::test]
async fn hits_of_two_embedders_are_not_taken_for_alike() {
    let knowledge = Knowledge::new().embedder_added(Arc::new(Twin));
    let hub = install_with(Hub::builder().root_key(key()).seed(1), knowledge).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    brand(&cx).await;
    let twin = CreateSpace { name: "twin".into(), embedder: Some("twin-512".into()), ..Default::default() };
    cx.call(twin).await.unwrap();
    cx.call(CreateDataset { space: "twin".into(), name: "twins".into(), ..Default::default() })
        .await
        .unwrap();
    put(&cx, "a.md", "Parcels to Vienna leave on Monday.").await;
    put(&cx, "b.md", "Parcels are wrapped in brown paper by hand.").await;
    let twin = UploadDocument::of("twins", "twin.md", b"Parcels to Vienna leave on Monday again.");
    cx.call(twin).await.unwrap();
    let spread = SearchKnowledge {
        mode: SearchMode::Vector,
        mmr_lambda: Some(0.3),
        ..SearchKnowledge::of("parcels to Vienna")
    };
    let names: Vec<String> = cx.call(spread).await.unwrap().hits.into_iter().map(|hit| hit.name).collect();
    assert_eq!(
        names.last().map(String::as_str),
        Some("b.md"),
        "nothing says that the two are alike: {names:?}"
    );
}
