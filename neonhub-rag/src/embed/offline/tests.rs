use super::*;
use crate::embed::embed_all;

fn near(a: &str, b: &str) -> f32 {
    let e = OfflineHash::new();
    e.vector(a).iter().zip(e.vector(b)).map(|(x, y)| x * y).sum()
}

#[test]
fn near_texts_are_nearer_than_far_ones() {
    assert!((near("our tone is warm", "our tone is warm") - 1.0).abs() < 1e-6);
    assert!(near("returns and refunds", "return or refund") > near("returns and refunds", "colour palette"));
    assert!(near("newsletter subscription", "newsleter subscriptions") > 0.3);
    assert!(near("the of and to", "pricing for teams") < 0.2);
}

#[test]
fn width_and_case_do_not_matter() {
    assert_eq!(OfflineHash::new().vector("Ｗａｒｍ TONE"), OfflineHash::new().vector("warm tone"));
}

#[test]
fn a_text_without_words_is_all_zeros() {
    assert!(OfflineHash::new().vector(" — !").iter().all(|v| *v == 0.0));
}

#[test]
fn counts_of_a_collection_weigh_down_what_all_texts_share() {
    let mut counts = BucketCounts::empty();
    for n in 0..50 {
        counts.add(&format!("acme guide number {n}"));
    }
    let fitted = OfflineHash::with_counts(Arc::new(counts));
    let dot = |e: &OfflineHash| {
        let (a, b) = (e.vector("acme pricing"), e.vector("acme colours"));
        a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()
    };
    assert!(dot(&fitted) < dot(&OfflineHash::new()));
}

#[tokio::test]
async fn batches_equal_singles_and_keep_the_order() {
    let texts: Vec<String> = (0..600).map(|n| format!("text {n} about topic {}", n % 7)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let e = OfflineHash::new();
    let all = embed_all(&e, &texts, EmbedKind::Passage).await.unwrap();
    assert_eq!(all.len(), texts.len());
    assert!(texts.iter().zip(&all).all(|(t, v)| e.vector(t) == *v && v.len() == e.dims()));
    assert!(e.embed(&texts, EmbedKind::Query).await.is_err());
}

/// Pins the vectors, because stored ones must stay comparable over releases.
#[test]
fn golden_vectors() {
    type Golden = (String, Vec<(usize, f32)>, u64);
    let golden: Vec<Golden> = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert!(golden.len() >= 4);
    for (text, head, digest) in golden {
        let vector = OfflineHash::new().vector(&text);
        for (at, value) in head {
            assert_eq!(vector[at], value, "{text} at {at}");
        }
        assert_eq!(digest_of(&vector), digest, "{text}");
    }
}

fn digest_of(vector: &[f32]) -> u64 {
    let bytes: Vec<u8> = vector.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect();
    // Below 2^53, so that every JSON reader can hold it.
    xxhash_rust::xxh3::xxh3_64(&bytes) >> 11
}

#[test]
#[ignore = "writes the golden vectors anew; run it by hand after a decided change"]
fn write_golden_vectors() {
    if std::env::var_os("NEONHUB_WRITE_GOLDEN").is_none() {
        return;
    }
    let texts =
        ["our tone is warm", "Straße & Größe", "free shipping on all orders over 50 EUR", "日本語 テスト"];
    let golden: Vec<_> = texts
        .iter()
        .map(|text| {
            let vector = OfflineHash::new().vector(text);
            let head: Vec<_> =
                (0..512).filter(|n| vector[*n] != 0.0).take(6).map(|n| (n, vector[n])).collect();
            (text, head, digest_of(&vector))
        })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/embed/offline/golden.json");
    std::fs::write(path, serde_json::to_string_pretty(&golden).unwrap()).unwrap();
}
