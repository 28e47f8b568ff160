//! Words on the server beside words in the embedded index.

use std::collections::BTreeSet;

use super::*;

struct Text {
    id: String,
    title: String,
    body: String,
    language: &'static str,
}

fn texts() -> Vec<Text> {
    let subjects = ["coffee", "delivery", "refund", "voucher", "colour", "newsletter", "warranty", "garden"];
    let places = ["Vienna", "Porto", "Leeds", "Ghent", "Turin", "Basel", "Lyon", "Oslo", "Bergen", "Malmo"];
    let mut out: Vec<Text> = Vec::new();
    for (n, subject) in subjects.iter().enumerate() {
        for (m, place) in places.iter().enumerate() {
            let filler = "Our team explains what guests may expect from us. ".repeat(1 + (n + m) % 4);
            out.push(Text {
                id: format!("{subject}-{place}"),
                title: format!("The {subject} page"),
                body: format!("{filler}The {subject} rule of {place} is kind, and {subject} guests know it."),
                language: "en",
            });
        }
    }
    let german = "Die Rückgabe der Äpfel ist in dreißig Tagen möglich, sagt unser Kundendienst.";
    out.push(Text { id: "de".into(), title: "Rückgaben".into(), body: german.into(), language: "de" });
    out
}

/// Both indexes over the same texts.
async fn both(label: &str) -> (PostgresStore, Place, TextIndex, BTreeSet<String>) {
    let (store, server, _) = server(label).await;
    let place = place(&server, "w", "s", 2);
    let texts = texts();
    let embedded = TextIndex::open(None).unwrap();
    let doc = |t: &'static Text| TextDoc {
        id: &t.id,
        title: &t.title,
        headings: "",
        body: &t.body,
        language: Some(t.language),
    };
    let texts: &'static [Text] = Vec::leak(texts);
    let docs: Vec<TextDoc<'static>> = texts.iter().map(doc).collect();
    embedded.apply(&[], &docs, "").unwrap();
    let documents: Wanted = texts.iter().map(|t| (t.id.clone(), ("1".to_owned(), 1))).collect();
    let entries: Vec<Entry<'_>> = docs
        .iter()
        .map(|doc| Entry { document: doc.id, passages: vec![Passage { doc: doc.clone(), vector: None }] })
        .collect();
    assert_eq!(place.bring(1, &documents, &entries).await.unwrap(), Progress::There);
    (store, place, embedded, ["en".to_owned(), "de".to_owned()].into())
}

fn ids(hits: &[Scored]) -> BTreeSet<String> {
    hits.iter().map(|hit| hit.id.to_string()).collect()
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn the_same_chunks_are_found_as_in_the_embedded_index() {
    let (_store, place, embedded, languages) = both("pgv_words").await;
    let boosts = FieldBoosts::default();
    for query in [
        "refund Porto",
        "what is the rule for a voucher in Ghent",
        "\"warranty rule of Oslo\"",
        "\"guests know it\" garden",
        "vouch* Leeds",
        "rückgabe",
        "rückg*",
        "äpfel in dreißig tagen",
        "nowhere",
        "it's \\ a ' quote:* & !(",
        "?!",
    ] {
        let server = place.search_words(query, &languages, 200, &all(81), boosts).await.unwrap();
        let local = embedded.search(query, 200, None).unwrap();
        assert_eq!(ids(&server), ids(&local), "{query}");
        assert!(server.windows(2).all(|w| w[0].score >= w[1].score && w[1].score > 0.0), "{query}");
        if query.contains("Porto")
            || query.contains("Ghent")
            || query.contains("Oslo")
            || query.contains("Leeds")
        {
            assert_eq!(server[0].id, local[0].id, "{query}");
        }
    }
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn filters_weights_and_statistics_are_those_of_what_may_be_seen() {
    let (_store, place, embedded, languages) = both("pgv_seen").await;
    let within: IdSet = ["refund-Porto", "garden-Oslo", "refund-Lyon"].map(Into::into).into();
    let documents = Some(within.iter().map(|id| id.to_string()).collect());
    for kept in [Kept::chunks(&within), Kept { documents, ids: None, chunks: 3, of: 81 }] {
        let found =
            place.search_words("refund oslo", &languages, 10, &kept, FieldBoosts::default()).await.unwrap();
        let local = embedded.search("refund oslo", 10, Some(&within)).unwrap();
        assert_eq!(ids(&found), ids(&local));
        assert_eq!(found[0].id, local[0].id, "the rare word of the three decides: {found:?} {local:?}");
    }
    let titles = FieldBoosts { title: 2.0, headings: 0.0, body: 0.0 };
    let found = place.search_words("porto", &languages, 10, &all(81), titles).await.unwrap();
    assert!(found.is_empty(), "it stands in no title: {found:?}");
    let found = place.search_words("refund", &languages, 20, &all(81), titles).await.unwrap();
    assert_eq!(found.len(), 10);
    let found =
        place.search_words("page porto", &languages, 3, &all(81), FieldBoosts::default()).await.unwrap();
    assert!(found.len() == 3 && found.iter().all(|hit| hit.id.ends_with("Porto")), "{found:?}");
}

/// Known items: the body without its place, asked for by subject and place.
#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn the_right_chunk_comes_first_as_often_as_in_the_embedded_index() {
    let (_store, place, embedded, languages) = both("pgv_mrr").await;
    let (mut server_sum, mut local_sum) = (0.0, 0.0);
    for text in texts().iter().filter(|t| t.language == "en") {
        let (subject, town) = text.id.split_once('-').unwrap();
        let query = format!("what does the {subject} rule say to guests of {town}");
        let rank = |hits: &[Scored]| {
            hits.iter().position(|hit| *hit.id == *text.id).map_or(0.0, |at| 1.0 / (at + 1) as f64)
        };
        let found =
            place.search_words(&query, &languages, 10, &all(81), FieldBoosts::default()).await.unwrap();
        server_sum += rank(&found);
        local_sum += rank(&embedded.search(&query, 10, None).unwrap());
    }
    assert!(server_sum >= 0.97 * local_sum, "{server_sum} against {local_sum}");
}

#[tokio::test]
#[ignore = "needs a PostgreSQL server: run it with `cargo xtask postgres cargo test`"]
async fn words_of_many_chunks_do_not_choose_among_them() {
    let (_store, server, _) = server("pgv_common").await;
    let place = place(&server, "w", "s", 2);
    let texts: Vec<(String, String)> = (0..2_500)
        .map(|n| {
            (name(n), format!("the price of item{n} is {}", if n % 500 == 7 { "secret" } else { "known" }))
        })
        .collect();
    let documents: Wanted = texts.iter().map(|(id, _)| (id.clone(), ("1".to_owned(), 1))).collect();
    let entries: Vec<Entry<'_>> = texts.iter().map(|(id, body)| entry(id, body, None)).collect();
    place.bring(1, &documents, &entries).await.unwrap();
    let search = async |query: &str, k: usize| {
        place
            .search_words(query, &["en".to_owned()].into(), k, &all(2_500), FieldBoosts::default())
            .await
            .unwrap()
    };
    let found = search("the secret price", 5).await;
    assert_eq!(ids(&found), (0..5).map(|n| name(500 * n + 7)).collect());
    // More are wanted than have the rare word: the common ones fill up, behind them.
    let found = search("the secret price", 9).await;
    assert_eq!(found.len(), 9);
    assert_eq!(ids(&found[..5]), (0..5).map(|n| name(500 * n + 7)).collect());
    assert_eq!(search("the price", 50).await.len(), 50);
    assert_eq!(search("item1234 the", 1).await[0].id.as_ref(), name(1234));
}
