use proptest::prelude::*;

use super::conformance::{brute_force, clustered, name};
use super::*;

mod flat_rows {
    crate::vector_conformance!(|dims| Box::new(crate::FlatIndex::new(dims)));
}

mod flat_single_precision {
    crate::vector_conformance!(|dims| Box::new(crate::FlatIndex::with_storage(
        dims,
        crate::VectorStorage::F32
    )));
}

mod graph_alone {
    crate::vector_conformance!(|dims| Box::new(
        crate::GraphIndex::new(dims, crate::VectorStorage::F16, crate::GraphOptions::default()).unwrap()
    ));
}

mod by_size {
    crate::vector_conformance!(|dims| Box::new(
        crate::AdaptiveIndex::new(dims, crate::VectorStorage::F16).flat_limit(100)
    ));
}

fn filled(n: usize, dims: usize) -> (AdaptiveIndex, Vec<Vec<f32>>) {
    let vectors = clustered(n, dims, 7);
    let mut index = AdaptiveIndex::new(dims, VectorStorage::F16).flat_limit(50);
    for (n, v) in vectors.iter().enumerate() {
        index.upsert(&name(n), v).unwrap();
    }
    (index, vectors)
}

#[test]
fn int8_alone_finds_nearly_all() {
    let vectors = clustered(1_000, 64, 7);
    let mut index = FlatIndex::with_storage(64, VectorStorage::Int8);
    for (n, v) in vectors.iter().enumerate() {
        index.upsert(&name(n), v).unwrap();
    }
    assert!(conformance::recall(&index, &vectors, None, |_| true) >= 0.95);
}

#[test]
fn the_form_follows_the_size_and_back() {
    let (mut index, vectors) = filled(120, 16);
    assert!(index.is_graph());
    for n in 0..100 {
        index.remove(&name(n));
    }
    assert!(!index.is_graph());
    assert_eq!(index.ids().count(), 20);
    assert_eq!(index.search(&vectors[110], 1, None).unwrap()[0].id.as_ref(), "c00110");
}

#[test]
fn equal_changes_make_equal_graphs() {
    let (one, vectors) = filled(300, 24);
    let (two, _) = filled(300, 24);
    for query in vectors.iter().take(20) {
        assert_eq!(one.search(query, 10, None).unwrap(), two.search(query, 10, None).unwrap());
    }
}

#[test]
fn a_snapshot_reopens_and_a_flipped_bit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors");
    for n in [20, 200] {
        let (mut index, all) = filled(n, 8);
        index.remove(&name(1));
        index.save(&path, "stamp 9").unwrap();
        let (again, stamp) = AdaptiveIndex::load(&path).unwrap();
        assert_eq!((stamp.as_str(), again.is_graph(), again.len()), ("stamp 9", n == 200, n - 1));
        assert_eq!(again.search(&all[3], 20, None).unwrap(), index.search(&all[3], 20, None).unwrap());
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(6).any(|w| w == b"c00001"), "what was removed is not in the file");
        for at in [0, 9, bytes.len() / 2, bytes.len() - 1] {
            let mut broken = bytes.clone();
            broken[at] ^= 4;
            std::fs::write(&path, broken).unwrap();
            assert!(AdaptiveIndex::load(&path).is_none(), "byte {at}");
        }
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert!(AdaptiveIndex::load(&path).is_none());
    }
    for storage in [VectorStorage::Int8, VectorStorage::F32] {
        let mut index = AdaptiveIndex::new(2, storage);
        index.upsert("a", &[3.0, 4.0]).unwrap();
        index.save(&path, "").unwrap();
        let again = AdaptiveIndex::load(&path).unwrap().0;
        assert_eq!((again.storage(), again.vector("a")), (storage, index.vector("a")));
    }
}

#[test]
fn options_out_of_range_are_named() {
    let options = GraphOptions { links: 300, ..GraphOptions::default() };
    let error = GraphIndex::new(8, VectorStorage::F16, options).unwrap_err();
    assert!(error.field_faults().iter().any(|f| f.field == "links"));
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
        let all = clustered(12, 16, 3);
        let mut index = AdaptiveIndex::new(16, VectorStorage::F16).flat_limit(6);
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

#[test]
fn phrases_must_stand_there_and_starts_are_completed() {
    let index = TextIndex::open(None).unwrap();
    let docs = [
        doc("a", "", "our return policy is kind", "en"),
        doc("b", "", "policy makers return kindly", "en"),
        doc("h", "Return policies", "nothing else", "en"),
        doc("d", "", "die Rückgabe ist einfach", "de"),
    ];
    index.apply(&[], &docs, "1").unwrap();
    assert_eq!(ids(&index.search("\"return policy\"", 5, None).unwrap()), ["h", "a"]);
    assert_eq!(ids(&index.search("kind \u{201e}return policies\u{201c}", 5, None).unwrap()), ["a", "h"]);
    assert_eq!(ids(&index.search("rückg*", 5, None).unwrap()), ["d"]);
    assert_eq!(index.search("poli*", 5, None).unwrap().len(), 3);
    assert!(index.search("\"policy return\"", 5, None).unwrap().is_empty());
    assert!(index.search("\"kind", 5, None).unwrap().len() >= 2, "an open quote is no phrase");
    let only_body = FieldBoosts { title: 0.0, headings: 0.0, body: 1.0 };
    let hits = index.search_boosted("policy", 5, None, only_body).unwrap();
    assert!(hits.iter().all(|h| h.id.as_ref() != "h"));
}

/// Bodies whose words, orders and lengths differ.
fn body(seed: usize) -> String {
    let words = ["plain", "warm", "words", "return", "policy", "garden", "gate", "colours"];
    let word = |n: usize| words[(seed * 7 + n * n + n * seed) % words.len()];
    (0..2 + seed % 9).map(word).collect::<Vec<_>>().join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_waits_in_memory_answers_as_what_stands_in_files(
        changes in proptest::collection::vec((0..12_usize, 0..20_usize, any::<bool>()), 1..90)
    ) {
        let index = TextIndex::open(None).unwrap();
        let mut kept = std::collections::BTreeMap::new();
        for (n, seed, is_added) in changes {
            let (id, body) = (format!("c{n:02}"), body(seed));
            // Some changes go to files at once.
            let is_held = |seed: usize| !seed.is_multiple_of(6);
            let added = [doc(&id, if seed % 3 == 0 { "Gate policy" } else { "" }, &body, "en")];
            let (removed, added): (&[&str], _) = if is_added { (&[], added.as_slice()) } else { (&[id.as_str()], &[][..]) };
            if !(is_held(seed) && index.hold(removed, added).unwrap()) {
                index.apply(removed, added, "").unwrap();
            }
            if is_added { kept.insert(id, seed) } else { kept.remove(&id) };
        }
        let bodies: Vec<_> = kept.iter().map(|(id, seed)| (id, body(*seed), if seed % 3 == 0 { "Gate policy" } else { "" })).collect();
        let docs: Vec<_> = bodies.iter().map(|(id, body, headings)| doc(id, headings, body, "en")).collect();
        let at_once = TextIndex::open(None).unwrap();
        at_once.apply(&[], &docs, "").unwrap();
        prop_assert_eq!(index.len(), kept.len());
        let within: IdSet = (0..6).map(|n| format!("c{n:02}").into()).collect();
        for query in ["warm garden", "\"return policy\"", "\"gate policy\" words", "ga* colour", "plain"] {
            for within in [None, Some(&within)] {
                prop_assert_eq!(index.search(query, 12, within).unwrap(), at_once.search(query, 12, within).unwrap());
            }
        }
        index.apply(&[], &[], "").unwrap();
        prop_assert_eq!(index.search("warm garden", 12, None).unwrap(), at_once.search("warm garden", 12, None).unwrap());
    }
}

#[test]
fn compaction_takes_deleted_words_out_of_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text");
    let index = TextIndex::open(Some(&path)).unwrap();
    let many: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    for id in &many {
        index.apply(&[], &[doc(id, "", "plain words that stay", "en")], id).unwrap();
    }
    // One of ten: below the share at which a commit compacts by itself.
    let ten: Vec<String> = (0..10).map(|n| format!("t{n}")).collect();
    let docs: Vec<_> = ten.iter().map(|id| doc(id, "", "and more", "en")).collect();
    let docs = [&[doc("y", "", "zanzibarium too", "en")], docs.as_slice()].concat();
    index.apply(&[], &docs, "y").unwrap();
    index.apply(&["y"], &[], "gone").unwrap();
    assert!(index.holds_term("zanzibarium").unwrap(), "before it is compacted the word is there");
    index.apply(&[], &[doc("x", "", "zanzibarium secret", "en")], "with").unwrap();
    index.apply(&["x"], &[], "without").unwrap();
    index.compact("without").unwrap();
    assert!(!index.holds_term("zanzibarium").unwrap());
    assert_eq!((index.len(), index.stamp().as_deref()), (40, Some("without")));
    let again = TextIndex::open(Some(&path)).unwrap();
    assert!(!again.holds_term("zanzibarium").unwrap(), "nor do the files, opened anew");
    assert_eq!(index.search("plain", 50, None).unwrap().len(), 30);
}
