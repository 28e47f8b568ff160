//! A space of a local model, from its making to its answers, and the move to another one of the same name.

use neonhub_core::Hub;

use super::*;
use crate::{CreateDataset, CreateSpace, GetSpace, Knowledge, MigrateSpace, OfflineHash, SearchKnowledge};
use crate::{UploadDocument, install_with};

fn named(seed: u64) -> Arc<LocalModel> {
    let folder = folder_of(&Tiny::new("bert", seed));
    Arc::new(LocalModel::open(folder.path()).unwrap().named("minilm"))
}

#[tokio::test]
async fn a_space_takes_the_model_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("brand.neon").to_string_lossy().into_owned();
    let open = |knowledge| install_with(Hub::builder().store(&url).seed(1), knowledge).build();
    let model = named(1);
    let hub = open(Knowledge::new().embedder_added(model.clone())).await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let create = CreateSpace { name: "tea".into(), embedder: Some("minilm".into()), ..Default::default() };
    let space = cx.call(create.clone()).await.unwrap();
    assert_eq!((space.embedder.as_str(), space.dims as usize), (model.id(), HIDDEN));
    assert_eq!(cx.call(create).await.unwrap().id, space.id, "the name is the same space as the id");
    cx.call(CreateDataset { space: "tea".into(), name: "tea".into(), ..Default::default() }).await.unwrap();
    for text in ["tea is warm", "we ship it"] {
        cx.call(UploadDocument::of("tea", format!("{text}.txt"), text.as_bytes())).await.unwrap();
    }
    let hits = cx.call(SearchKnowledge::of("tea is warm")).await.unwrap().hits;
    assert_eq!(hits[0].text, "tea is warm");
    assert!(hits[0].vector_part.is_some());

    let there = MigrateSpace { space: "tea".into(), embedder: "minilm".into(), dry_run: false };
    assert_eq!(cx.call(there.clone()).await.unwrap().job, None, "it is there already");
    hub.close().await.unwrap();

    // Another model of the same name: its vectors must not meet the ones in the store.
    let other = named(2);
    let hub = open(Knowledge::new().embedder_added(other.clone())).await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let error = cx.call(SearchKnowledge::of("tea is warm")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains(other.id()) && error.to_string().contains(model.id()), "{error}");
    cx.call(there).await.unwrap();
    cx.work_until_idle().await.unwrap();
    assert_eq!(cx.call(GetSpace { space: "tea".into() }).await.unwrap().embedder, other.id());
    assert_eq!(cx.call(SearchKnowledge::of("we ship it")).await.unwrap().hits[0].text, "we ship it");
}

#[test]
fn a_name_of_two_models_is_no_name() {
    let (one, two) = (named(1), named(2));
    let knowledge = Knowledge::new().embedder_added(one.clone()).embedder_added(two.clone());
    let error = knowledge.embedder("minilm").unwrap_err();
    assert!(error.to_string().contains(one.id()) && error.to_string().contains(two.id()), "{error}");
    assert_eq!(knowledge.embedder(two.id()).unwrap().id(), two.id());
    assert_eq!(knowledge.embedder(OfflineHash::ID).unwrap().id(), OfflineHash::ID);
}

#[tokio::test]
async fn a_space_counts_the_tokens_of_its_model() {
    let hub = install_with(Hub::builder().seed(1), Knowledge::new().embedder_added(named(1)));
    let cx = hub.build().await.unwrap().workspace("default").await.unwrap();
    let chunking = Some(crate::ChunkOptions { target: 20, max: 40, overlap: 0 });
    let space =
        CreateSpace { name: "tea".into(), embedder: Some("minilm".into()), chunking, ..Default::default() };
    cx.call(space).await.unwrap();
    cx.call(CreateDataset { space: "tea".into(), name: "tea".into(), ..Default::default() }).await.unwrap();
    // Each word is two tokens of the model, and five quarters of one by bytes.
    let document =
        cx.call(UploadDocument::of("tea", "teas.txt", "teas ".repeat(60).as_bytes())).await.unwrap();
    assert_eq!(document.chunks, 6);
    let search = SearchKnowledge { k: Some(10), ..SearchKnowledge::of("teas") };
    let hits = cx.call(search).await.unwrap().hits;
    assert_eq!(hits.iter().map(|h| h.tokens).collect::<Vec<_>>(), [20; 6]);
}
