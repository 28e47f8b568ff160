use proptest::prelude::*;

use super::*;
use crate::extract::extract;

fn cut(markdown: &str) -> (Extracted, Vec<Chunk>) {
    let page = extract(markdown.as_bytes(), "t.md").unwrap();
    let chunks = chunk(&page, ChunkOptions::default()).unwrap();
    check(&page, &chunks, ChunkOptions::default());
    (page, chunks)
}

/// The rules that hold for every text.
fn check(page: &Extracted, chunks: &[Chunk], options: ChunkOptions) {
    let source = &page.text;
    let mut covered = 0;
    for (n, chunk) in chunks.iter().enumerate() {
        assert_eq!(chunk.position as usize, n);
        let text = &source[chunk.byte_start..chunk.byte_end];
        assert_eq!(chunk.text(source), text);
        assert!(chunk.byte_start <= covered && chunk.byte_end > covered, "gap or no progress at {n}");
        assert_eq!(chunk.tokens, count_tokens(text));
        assert!(chunk.tokens <= options.max, "{} tokens", chunk.tokens);
        assert!(count_tokens(&source[chunk.byte_start..covered.max(chunk.byte_start)]) <= options.overlap);
        covered = chunk.byte_end;
    }
    if !source.trim().is_empty() {
        assert_eq!(covered, source.len());
        assert_eq!(chunks[0].byte_start, 0);
    }
}

fn prose(sentences: usize, seed: usize) -> String {
    (0..sentences)
        .map(|n| format!("Sentence number {} of part {seed} says what we promise to people. ", n))
        .collect()
}

#[test]
fn prose_is_cut_near_the_target_with_overlap() {
    let (page, chunks) = cut(&prose(200, 1));
    assert!(chunks.len() >= 5);
    for pair in chunks.windows(2) {
        assert!(pair[0].tokens >= 400 && pair[0].tokens <= 500, "{}", pair[0].tokens);
        let shared = count_tokens(&page.text[pair[1].byte_start..pair[0].byte_end]);
        assert!((25..=75).contains(&shared), "{shared}");
        assert!(pair[1].text(&page.text).starts_with("Sentence"));
    }
}

#[test]
fn a_section_that_does_not_fit_starts_its_own_chunk() {
    let text =
        format!("# One\n\n{}\n\n## Two\n\n{}\n\n## Three\n\n{}", prose(18, 1), prose(18, 2), prose(4, 3));
    let (page, chunks) = cut(&text);
    assert_eq!(chunks.len(), 2);
    assert!(chunks[1].text(&page.text).starts_with("Two\n"));
    assert_eq!(chunks[1].heading_path, ["One", "Two"]);
    assert_eq!(chunks[0].byte_end, chunks[1].byte_start);
}

#[test]
fn headings_that_follow_each_other_all_name_the_chunk() {
    let (_, chunks) = cut("# Guide\n\n## Tone\n\n### Warm\n\nWe are kind.\n\n### Cold\n\nNever.");
    assert_eq!(chunks[0].heading_path, ["Guide", "Tone", "Warm"]);
}

#[test]
fn a_table_stays_whole_up_to_the_maximum() {
    let rows: String =
        (0..60).map(|n| format!("| plan number {n} | price of plan {n} in euros |\n")).collect();
    let text =
        format!("{}\n\n## Prices\n\n| plan | price |\n|---|---|\n{rows}\nAfter the table.", prose(15, 1));
    let (page, chunks) = cut(&text);
    let with_table: Vec<_> = chunks.iter().filter(|c| c.text(&page.text).contains("plan number")).collect();
    assert_eq!(with_table.len(), 1);
    assert!(with_table[0].tokens > 500);
    assert!(with_table[0].text(&page.text).starts_with("Prices\n"));
}

#[test]
fn a_table_over_the_maximum_is_split_by_row_with_its_header() {
    let rows: String =
        (0..300).map(|n| format!("| plan number {n} | price of plan {n} in euros |\n")).collect();
    let (page, chunks) = cut(&format!("## Prices\n\n| plan | price |\n|---|---|\n{rows}"));
    assert!(chunks.len() >= 3);
    for chunk in &chunks[1..] {
        assert_eq!(chunk.context, "plan | price");
        assert!(chunk.text(&page.text).starts_with("plan number"));
        assert_eq!(chunk.heading_path, ["Prices"]);
    }
    assert_eq!(chunks[0].context, "");
}

#[test]
fn a_word_without_end_is_still_cut() {
    let text = "ä".repeat(30_000);
    let page = extract(text.as_bytes(), "t.txt").unwrap();
    let chunks = chunk(&page, ChunkOptions::default()).unwrap();
    check(&page, &chunks, ChunkOptions::default());
    assert!(chunks.len() > 20);
}

#[test]
fn a_blank_text_has_no_chunks_and_bad_sizes_are_listed() {
    assert!(chunk(&Extracted::default(), ChunkOptions::default()).unwrap().is_empty());
    let err = chunk(&Extracted::default(), ChunkOptions { target: 5, max: 9, overlap: 8 }).unwrap_err();
    assert_eq!(err.field_faults().len(), 3);
}

#[test]
fn equal_text_under_another_heading_has_another_hash() {
    let (_, a) = cut("# A\n\nSame words.");
    let (_, b) = cut("# B\n\nSame words.");
    let (_, again) = cut("# A\n\nSame words.");
    assert_ne!(a[0].hash, b[0].hash);
    assert_eq!(a[0].hash, again[0].hash);
}

fn any_block() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..5_u8, "[A-Za-z ]{1,30}").prop_map(|(n, t)| format!("{} x{t}", "#".repeat(n.into()))),
        proptest::collection::vec("[a-zäß日]{1,14}[.,!?]?", 1..400).prop_map(|w| w.join(" ")),
        proptest::collection::vec("[a-z ]{1,60}", 1..30)
            .prop_map(|i| i.iter().map(|i| format!("- a{i}\n")).collect()),
        (1..120_usize, "[a-z ]{1,40}")
            .prop_map(|(n, t)| { format!("| h | k |\n|---|---|\n{}", format!("| c{t} | 1 |\n").repeat(n)) }),
        (1..200_usize, "[a-z(){} ]{1,50}")
            .prop_map(|(n, t)| format!("```\n{}```", format!("x{t}\n").repeat(n))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_text_is_covered_within_the_limits(
        blocks in proptest::collection::vec(any_block(), 0..12),
        target in 20..600_u32, more in 0..600_u32, share in 0..=50_u32,
    ) {
        let page = extract(format!("{}\n", blocks.join("\n\n")).as_bytes(), "t.md").unwrap();
        let options = ChunkOptions { target, max: target + more, overlap: target * share / 100 };
        check(&page, &chunk(&page, options).unwrap(), options);
    }

    #[test]
    fn any_plain_text_is_covered(text in "\\PC{0,3000}", target in 20..200_u32) {
        prop_assume!(!text.is_empty());
        let page = extract(text.as_bytes(), "t.txt").unwrap();
        let options = ChunkOptions { target, max: target, overlap: target / 2 };
        check(&page, &chunk(&page, options).unwrap(), options);
    }
}
