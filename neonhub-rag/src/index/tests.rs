use proptest::prelude::*;

use super::*;

fn vectors(n: usize, dims: usize, seed: u64) -> Vec<Vec<f32>> {
    // A small generator of its own, so that the test needs no seedable library.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| (0..dims).map(|_| next()).collect()).collect()
}

fn filled(n: usize, dims: usize) -> (FlatIndex, Vec<Vec<f32>>) {
    let vectors = vectors(n, dims, 7);
    let mut index = FlatIndex::new(dims);
    for (n, v) in vectors.iter().enumerate() {
        index.upsert(&format!("c{n:05}"), v).unwrap();
    }
    (index, vectors)
}

fn brute_force(vectors: &[Vec<f32>], query: &[f32], k: usize, keep: impl Fn(usize) -> bool) -> Vec<String> {
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let mut all: Vec<(f32, String)> = vectors
        .iter()
        .enumerate()
        .filter(|(n, _)| keep(*n))
        .map(|(n, v)| {
            let dot: f32 = v.iter().zip(query).map(|(a, b)| a * b).sum();
            (dot / norm(v) / norm(query), format!("c{n:05}"))
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(k).map(|(_, id)| id).collect()
}

#[test]
fn recall_against_brute_force_is_one() {
    let (index, all) = filled(2_000, 64);
    let queries = vectors(50, 64, 99);
    let mut same = 0;
    for query in &queries {
        let found: Vec<String> =
            index.search(query, 10, None).unwrap().iter().map(|h| h.id.to_string()).collect();
        let wanted = brute_force(&all, query, 10, |_| true);
        same += found.iter().filter(|f| wanted.contains(f)).count();
    }
    assert!(same >= 498, "{same} of 500");
}

#[test]
fn a_filter_keeps_k_and_a_delete_is_exact() {
    let (mut index, all) = filled(300, 32);
    let within: IdSet = (0..300).filter(|n| n % 10 == 0).map(|n| format!("c{n:05}").into()).collect();
    let hits = index.search(&all[5], 10, Some(&within)).unwrap();
    let ids: Vec<String> = hits.iter().map(|h| h.id.to_string()).collect();
    assert_eq!(ids, brute_force(&all, &all[5], 10, |n| n % 10 == 0));
    assert_eq!(index.search(&all[5], 1, None).unwrap()[0].id.as_ref(), "c00005");
    assert!(index.remove("c00005") && !index.remove("c00005"));
    assert_eq!(index.len(), 299);
    assert!(index.search(&all[5], 299, None).unwrap().iter().all(|h| h.id.as_ref() != "c00005"));
    for (n, v) in all.iter().enumerate().filter(|(n, _)| *n != 5) {
        assert_eq!(index.search(v, 1, None).unwrap()[0].id.as_ref(), format!("c{n:05}"));
    }
}

#[test]
fn wrong_vectors_are_refused_and_zeros_never_found() {
    let mut index = FlatIndex::new(4);
    let err = index.upsert("a", &[1.0; 3]).unwrap_err();
    assert!(err.message().contains('3') && err.message().contains('4'));
    assert!(index.upsert("a", &[f32::NAN; 4]).is_err());
    index.upsert("zero", &[0.0; 4]).unwrap();
    index.upsert("one", &[1.0, 0.0, 0.0, 0.0]).unwrap();
    let hits = index.search(&[1.0, 0.0, 0.0, 0.0], 5, None).unwrap();
    assert_eq!(hits, [Scored { id: "one".into(), score: 1.0 }]);
    assert!(index.search(&[0.0; 4], 5, None).unwrap().is_empty());
}

#[test]
fn a_snapshot_reopens_and_a_flipped_bit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.flat");
    let (index, all) = filled(20, 8);
    index.save(&path, "stamp 9").unwrap();
    let (again, stamp) = FlatIndex::load(&path).unwrap();
    assert_eq!(stamp, "stamp 9");
    assert_eq!(again.search(&all[3], 20, None).unwrap(), index.search(&all[3], 20, None).unwrap());
    let bytes = std::fs::read(&path).unwrap();
    for at in [0, 9, bytes.len() / 2, bytes.len() - 1] {
        let mut broken = bytes.clone();
        broken[at] ^= 4;
        std::fs::write(&path, broken).unwrap();
        assert!(FlatIndex::load(&path).is_none(), "byte {at}");
    }
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    assert!(FlatIndex::load(&path).is_none());
}

fn doc<'a>(id: &'a str, headings: &'a str, body: &'a str, language: &'a str) -> TextDoc<'a> {
    TextDoc { id, title: "Guide", headings, body, language: Some(language).filter(|l| !l.is_empty()) }
}

fn ids(hits: &[Scored]) -> Vec<&str> {
    hits.iter().map(|h| h.id.as_ref()).collect()
}

#[test]
fn words_are_stemmed_by_the_language_of_the_chunk() {
    let index = TextIndex::open(None).unwrap();
    let docs = [
        doc("en", "", "customers love returning to our shops", "en"),
        doc("de", "", "unsere Häuser stehen in den Bergen", "de"),
        doc("xx", "", "zzyzx road", ""),
    ];
    index.apply(&[], &docs, "1").unwrap();
    assert_eq!(ids(&index.search("returns of a customer", 5, None).unwrap()), ["en"]);
    assert_eq!(ids(&index.search("haus im berg häusern", 5, None).unwrap()), ["de"]);
    assert_eq!(ids(&index.search("ZZYZX", 5, None).unwrap()), ["xx"]);
    assert!(index.search("?!", 5, None).unwrap().is_empty());
}

#[test]
fn headings_count_more_and_ties_go_by_id() {
    let index = TextIndex::open(None).unwrap();
    let docs = [
        doc("b", "", "plain words about refunds", "en"),
        doc("a", "", "plain words about refunds", "en"),
        doc("h", "Refunds", "plain words about something", "en"),
    ];
    index.apply(&[], &docs, "1").unwrap();
    assert_eq!(ids(&index.search("refund", 3, None).unwrap()), ["h", "a", "b"]);
    assert_eq!(ids(&index.search("refund", 2, None).unwrap()), ["h", "a"]);
}

#[test]
fn hidden_and_deleted_chunks_move_no_score() {
    let visible = [doc("a", "", "warm tone in every letter", "en"), doc("b", "", "cold coffee", "en")];
    let alone = TextIndex::open(None).unwrap();
    alone.apply(&[], &visible, "1").unwrap();
    let mixed = TextIndex::open(None).unwrap();
    mixed.apply(&[], &visible, "1").unwrap();
    let others: Vec<String> = (0..40).map(|n| format!("o{n}")).collect();
    let more: Vec<_> = others.iter().map(|id| doc(id, "", "warm warm tone of a secret", "en")).collect();
    mixed.apply(&[], &more, "2").unwrap();
    let wanted = alone.search("warm tone", 5, None).unwrap();
    let within: IdSet = ["a", "b"].map(Into::into).into();
    assert_eq!(mixed.search("warm tone", 5, Some(&within)).unwrap(), wanted);
    let gone: Vec<&str> = others.iter().map(String::as_str).collect();
    mixed.apply(&gone, &[], "3").unwrap();
    assert_eq!(mixed.search("warm tone", 5, None).unwrap(), wanted);
    assert_eq!(mixed.len(), 2);
}

#[test]
fn a_folder_reopens_with_its_stamp_and_a_broken_one_is_emptied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    {
        let index = TextIndex::open(Some(&path)).unwrap();
        index.apply(&[], &[doc("a", "", "hello world", "en")], "42").unwrap();
        index.apply(&[], &[doc("a", "", "hello again", "en")], "43").unwrap();
    }
    let index = TextIndex::open(Some(&path)).unwrap();
    assert_eq!(index.stamp().as_deref(), Some("43"));
    assert_eq!((index.len(), index.search("again", 3, None).unwrap().len()), (1, 1));
    drop(index);
    for entry in std::fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|e| e == "store" || e == "idx") {
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 3;
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
        }
    }
    let index = TextIndex::open(Some(&path)).unwrap();
    assert_eq!((index.len(), index.stamp()), (0, None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_order_of_changes_gives_the_same_answers(changes in proptest::collection::vec((0..12_usize, any::<bool>()), 1..60)) {
        let all = vectors(12, 16, 3);
        let mut index = FlatIndex::new(16);
        let mut kept = std::collections::BTreeSet::new();
        for (n, is_added) in changes {
            let id = format!("c{n:05}");
            if is_added {
                index.upsert(&id, &all[n]).unwrap();
                kept.insert(n);
            } else {
                prop_assert_eq!(index.remove(&id), kept.remove(&n));
            }
        }
        let found: Vec<String> = index.search(&all[0], 12, None).unwrap().iter().map(|h| h.id.to_string()).collect();
        prop_assert_eq!(found, brute_force(&all, &all[0], 12, |n| kept.contains(&n)));
    }
}
