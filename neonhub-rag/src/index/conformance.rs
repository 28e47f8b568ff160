//! What every [`VectorIndex`] must do. A backend's author runs it with one line:
//! `neonhub_rag::vector_conformance!(|dims| Box::new(MyIndex::new(dims)));`
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test suite: each function says its rule in its name"
)]

use std::collections::BTreeSet;

use neonhub_core::ErrorKind;

use super::{IdSet, Scored, VectorIndex};

/// Vectors with the structure of real ones: around centres, so that near ones exist.
#[must_use]
pub fn clustered(n: usize, dims: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut next = generator(seed);
    let mut centres = generator(42);
    let centres: Vec<Vec<f32>> = (0..24).map(|_| (0..dims).map(|_| centres()).collect()).collect();
    (0..n)
        .map(|_| {
            let centre = &centres[((next() + 1.0) * 11.99) as usize];
            centre.iter().map(|c| c + 0.6 * next()).collect()
        })
        .collect()
}

/// Numbers in -1..1 (xorshift).
fn generator(seed: u64) -> impl FnMut() -> f32 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    }
}

/// Name of the vector with this number.
#[must_use]
pub fn name(n: usize) -> String {
    format!("c{n:05}")
}

/// The `k` nearest by a plain scan.
pub fn brute_force(
    vectors: &[Vec<f32>],
    query: &[f32],
    k: usize,
    keep: impl Fn(usize) -> bool,
) -> Vec<String> {
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt();
    let mut all: Vec<(f32, String)> = (0..vectors.len())
        .filter(|n| keep(*n))
        .map(|n| {
            let dot: f32 = vectors[n].iter().zip(query).map(|(a, b)| a * b).sum();
            (dot / norm(&vectors[n]) / norm(query), name(n))
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all.into_iter().take(k).map(|(_, id)| id).collect()
}

fn ids(hits: &[Scored]) -> Vec<String> {
    hits.iter().map(|h| h.id.to_string()).collect()
}

/// Share of the true `k` nearest that the index finds, over 40 queries.
pub fn recall(
    index: &dyn VectorIndex,
    vectors: &[Vec<f32>],
    within: Option<&IdSet>,
    keep: impl Fn(usize) -> bool,
) -> f64 {
    let queries = clustered(40, index.dims(), 99);
    let mut same = 0;
    for query in &queries {
        let found = ids(&index.search(query, 10, within).unwrap());
        let wanted = brute_force(vectors, query, 10, &keep);
        same += found.iter().filter(|f| wanted.contains(f)).count();
    }
    same as f64 / (10 * queries.len()) as f64
}

fn fill(index: &mut dyn VectorIndex, vectors: &[Vec<f32>]) {
    for (n, vector) in vectors.iter().enumerate() {
        index.upsert(&name(n), vector).unwrap();
    }
}

pub fn recall_is_high_also_with_filters_and_after_a_third_was_replaced(mut index: Box<dyn VectorIndex>) {
    let mut vectors = clustered(1_500, index.dims(), 7);
    fill(index.as_mut(), &vectors);
    assert!(recall(index.as_ref(), &vectors, None, |_| true) >= 0.99);
    for share in [10, 100] {
        let within: IdSet = (0..vectors.len()).filter(|n| n % share == 0).map(|n| name(n).into()).collect();
        assert!(recall(index.as_ref(), &vectors, Some(&within), |n| n % share == 0) >= 0.99, "1 in {share}");
    }
    let fresh = clustered(450, index.dims(), 1_234);
    for (n, vector) in fresh.into_iter().enumerate() {
        assert!(index.remove(&name(n)));
        index.upsert(&name(n), &vector).unwrap();
        vectors[n] = vector;
    }
    assert!(recall(index.as_ref(), &vectors, None, |_| true) >= 0.99);
    index.compact();
    assert!(recall(index.as_ref(), &vectors, None, |_| true) >= 0.99);
    assert_eq!(index.len(), vectors.len());
}

pub fn itself_comes_first_and_k_bounds_the_hits(mut index: Box<dyn VectorIndex>) {
    let vectors = clustered(80, index.dims(), 5);
    fill(index.as_mut(), &vectors);
    for (n, vector) in vectors.iter().enumerate() {
        let hits = index.search(vector, 3, None).unwrap();
        assert_eq!((hits.len(), hits[0].id.to_string()), (3, name(n)));
        assert!(hits[0].score > 0.98 && hits[0].score <= 1.0 && hits[0].score >= hits[1].score);
    }
    assert!(index.search(&vectors[0], 0, None).unwrap().is_empty());
    assert_eq!(index.search(&vectors[0], 500, None).unwrap().len(), 80);
}

pub fn a_filter_is_never_short(mut index: Box<dyn VectorIndex>) {
    let vectors = clustered(300, index.dims(), 7);
    fill(index.as_mut(), &vectors);
    let within: IdSet = (0..300).filter(|n| n % 30 == 0).map(|n| name(n).into()).collect();
    let hits = index.search(&vectors[5], 20, Some(&within)).unwrap();
    assert_eq!(
        ids(&hits).into_iter().collect::<BTreeSet<_>>(),
        within.iter().map(|s| s.to_string()).collect()
    );
    assert!(index.search(&vectors[5], 20, Some(&IdSet::new())).unwrap().is_empty());
}

pub fn a_removed_vector_is_gone_at_once(mut index: Box<dyn VectorIndex>) {
    let vectors = clustered(300, index.dims(), 7);
    fill(index.as_mut(), &vectors);
    for n in (0..300).step_by(3) {
        assert!(index.remove(&name(n)) && !index.remove(&name(n)));
        assert!(!index.contains(&name(n)) && index.vector(&name(n)).is_none());
        assert!(index.search(&vectors[n], 300, None).unwrap().iter().all(|h| *h.id != *name(n)));
    }
    assert_eq!(index.len(), 200);
    for (n, vector) in vectors.iter().enumerate().filter(|(n, _)| n % 3 != 0) {
        assert_eq!(index.search(vector, 1, None).unwrap()[0].id.to_string(), name(n));
    }
    for n in 0..300 {
        index.remove(&name(n));
    }
    assert!(index.is_empty() && index.search(&vectors[0], 5, None).unwrap().is_empty());
    index.upsert("again", &vectors[0]).unwrap();
    assert_eq!(ids(&index.search(&vectors[0], 5, None).unwrap()), ["again"]);
}

pub fn an_upsert_replaces(mut index: Box<dyn VectorIndex>) {
    let vectors = clustered(40, index.dims(), 3);
    fill(index.as_mut(), &vectors);
    index.upsert(&name(1), &vectors[2]).unwrap();
    assert_eq!(index.len(), 40);
    let hits = ids(&index.search(&vectors[2], 2, None).unwrap());
    assert_eq!(hits, [name(1), name(2)], "equal scores go by id");
    let kept = index.vector(&name(1)).unwrap();
    let norm = vectors[2].iter().map(|v| v * v).sum::<f32>().sqrt();
    assert!(kept.iter().zip(&vectors[2]).all(|(a, b)| (a - b / norm).abs() < 0.02));
}

pub fn wrong_vectors_are_refused_and_zeros_never_found(mut index: Box<dyn VectorIndex>) {
    let dims = index.dims();
    let error = index.upsert("a", &vec![1.0; dims + 1]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains(&dims.to_string()) && error.message().contains(&(dims + 1).to_string()));
    assert!(index.upsert("a", &vec![f32::NAN; dims]).is_err());
    assert!(index.search(&vec![f32::INFINITY; dims], 1, None).is_err());
    assert!(index.search(&[], 1, None).is_err() && index.is_empty());
    index.upsert("zero", &vec![0.0; dims]).unwrap();
    index.upsert("one", &vec![1.0; dims]).unwrap();
    index.upsert("two", &vec![2.0; dims]).unwrap();
    assert_eq!(ids(&index.search(&vec![1.0; dims], 5, None).unwrap()), ["one", "two"]);
    assert!(index.search(&vec![0.0; dims], 5, None).unwrap().is_empty());
    assert!(index.remove("zero"));
}

/// Tests of one index, by a function from the length of vectors to an empty index. With `ignore = "why"` they wait for
/// what they need, such as a server.
#[macro_export]
macro_rules! vector_conformance {
    (ignore = $why:literal, $open:expr) => {
        $crate::vector_conformance!(@all [#[ignore = $why]] $open);
    };
    ($open:expr) => {
        $crate::vector_conformance!(@all [] $open);
    };
    (@all $attr:tt $open:expr) => {
        $crate::vector_conformance!(@each $attr $open;
            recall_is_high_also_with_filters_and_after_a_third_was_replaced,
            itself_comes_first_and_k_bounds_the_hits,
            a_filter_is_never_short,
            a_removed_vector_is_gone_at_once,
            an_upsert_replaces,
            wrong_vectors_are_refused_and_zeros_never_found
        );
    };
    (@each $attr:tt $open:expr; $($case:ident),+) => {
        $( $crate::vector_conformance!(@one $attr $open; $case); )+
    };
    (@one [$($attr:tt)*] $open:expr; $case:ident) => {
        #[test]
        $($attr)*
        fn $case() {
            let open: fn(usize) -> Box<dyn $crate::VectorIndex> = $open;
            $crate::vector_conformance::$case(open(48));
        }
    };
}
