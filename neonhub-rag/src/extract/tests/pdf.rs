use lopdf::content::Operation;
use lopdf::{EncryptionState, EncryptionVersion, Object, Permissions};
use neonhub_core::ErrorKind;

use super::super::{BlockKind, HiddenReason, WarningCode, extract};
use super::samples::{composite, op, pdf, pdf_document, show, warm};
use super::{check, headings, hidden, items, tables, texts};

fn read(pages: &[Vec<Operation>]) -> super::Extracted {
    let page = extract(&pdf(pages), "guide.pdf").unwrap();
    check(&page);
    page
}

#[test]
fn headings_paragraphs_and_items_with_their_pages() {
    let one = [
        show("F2", 24, 72, 760, "Brand voice"),
        show("F2", 16, 72, 720, "Tone"),
        show("F1", 11, 72, 700, "We write for people who are busy and who want an ans-"),
        show("F1", 11, 72, 686, "wer now. Caf\u{e9} words are fine."),
        show("F1", 11, 72, 660, "\u{95} short sentences"),
        show("F1", 11, 72, 646, "\u{95} kind words"),
    ]
    .concat();
    let two =
        [show("F2", 16, 72, 760, "Words"), show("F1", 11, 72, 740, "Say people, never users.")].concat();
    let page = read(&[one, two]);
    assert_eq!(headings(&page), [(1, "Brand voice"), (2, "Tone"), (2, "Words")]);
    assert_eq!(page.title.as_deref(), Some("Brand voice"));
    let prose = texts(&page, |k| *k == BlockKind::Paragraph);
    assert_eq!(prose[0], "We write for people who are busy and who want an answer now. Café words are fine.");
    assert_eq!(items(&page), ["short sentences", "kind words"]);
    assert_eq!(page.pages, Some(2));
    assert_eq!(page.blocks.last().unwrap().origin.page, Some(2));
}

#[test]
fn two_columns_are_read_one_after_the_other_and_drawing_order_does_not_matter() {
    let mut lines = Vec::new();
    for n in (0..6).rev() {
        let y = 700 - n * 14;
        lines.extend(show("F1", 10, 320, y, &format!("right column line {n} runs on and on to its end")));
        lines.extend(show("F1", 10, 60, y, &format!("left column line {n} runs on and on to its end")));
    }
    lines.extend(show(
        "F1",
        10,
        60,
        740,
        "A line over both columns that runs across the whole of the page from left to right, to the end.",
    ));
    let page = read(&[lines]);
    let at = |word: &str| page.text.find(word).unwrap_or_else(|| panic!("{word} in {}", page.text));
    assert!(at("A line over") < at("left column line 0"));
    assert!(at("left column line 5") < at("right column line 0"));
    assert!(at("right column line 0") < at("right column line 5"));
}

#[test]
fn short_cells_in_a_grid_are_a_table() {
    let mut cells = Vec::new();
    for (n, row) in [["Plan", "Price"], ["Basic", "5 EUR"], ["Pro", "9 EUR"]].iter().enumerate() {
        let y = 700 - 16 * n as i64;
        let font = if n == 0 { "F2" } else { "F1" };
        cells.extend(show(font, 11, 72, y, row[0]));
        cells.extend(show(font, 11, 250, y, row[1]));
    }
    let page = read(&[cells]);
    assert_eq!(tables(&page), ["Plan | Price\nBasic | 5 EUR\nPro | 9 EUR"]);
    assert_eq!(page.blocks[0].kind, BlockKind::Table { has_header: true });
}

#[test]
fn columns_on_different_base_lines_and_lists_without_marks() {
    let mut lines = Vec::new();
    for n in 0..6 {
        lines.extend(show(
            "F1",
            10,
            60,
            700 - n * 14,
            &format!("left column line {n} runs on and on to its end"),
        ));
        lines.extend(show(
            "F1",
            10,
            320,
            707 - n * 14,
            &format!("right column line {n} runs on and on to its end"),
        ));
    }
    let page = read(&[lines]);
    let at = |word: &str| page.text.find(word).unwrap_or_else(|| panic!("{word} in {}", page.text));
    assert!(at("left column line 5") < at("right column line 0"));
    let list = [
        show("F1", 11, 72, 700, "Shipping is free"),
        show("F1", 11, 72, 686, "Returns take five days and cost you nothing at all"),
        show("F1", 11, 72, 672, "Gifts are wrapped"),
        show("F1", 11, 72, 658, "Cards are written by hand"),
    ];
    let page = read(&[list.concat()]);
    assert_eq!(page.blocks.len(), 4, "{}", page.text);
}

#[test]
fn a_large_bullet_makes_no_heading_and_prose_below_a_table_is_no_row() {
    let mut page = [
        show("F1", 16, 72, 720, "\u{95}"),
        show("F1", 10, 88, 720, "Be kind to everyone who reads this page"),
        show("F1", 10, 72, 690, "Prices of this year in euros for all of our customers are:"),
    ]
    .concat();
    for (n, row) in [["Plan", "Price"], ["Basic", "5 EUR"], ["Pro", "9 EUR"]].iter().enumerate() {
        let y = 670 - 16 * n as i64;
        page.extend([show("F1", 10, 72, y, row[0]), show("F1", 10, 300, y, row[1])].concat());
    }
    page.extend(show("F1", 10, 50, 618, "Closing words of page 1."));
    let page = read(&[page]);
    assert_eq!(items(&page), ["Be kind to everyone who reads this page"]);
    assert!(headings(&page).is_empty());
    assert_eq!(tables(&page), ["Plan | Price\nBasic | 5 EUR\nPro | 9 EUR"]);
    assert!(page.text.ends_with("\n\nClosing words of page 1."));
}

#[test]
fn words_are_parted_by_kerning_and_by_placement() {
    let parts = vec![
        Object::string_literal("War"),
        40.into(),
        Object::string_literal("m"),
        (-300).into(),
        Object::string_literal("tone"),
    ];
    let line = vec![
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec!["F1".into(), 12.into()]),
        Operation::new("Td", vec![72.into(), 700.into()]),
        Operation::new("TJ", vec![Object::Array(parts)]),
        Operation::new("ET", vec![]),
    ];
    // "Warm tone" is 56 points wide in Helvetica 12.
    let page = read(&[[line, show("F1", 12, 133, 700, "always")].concat()]);
    assert_eq!(page.text, "Warm tone always");
}

#[test]
fn letters_that_cannot_be_seen_are_kept_apart() {
    let page = read(&[[
        show("F1", 11, 72, 700, "Shown text here."),
        op("rg", &[1.0, 1.0, 1.0]),
        show("F1", 11, 72, 680, "SECRETWHITE"),
        op("rg", &[0.0, 0.0, 0.5]),
        op("re", &[60.0, 600.0, 300.0, 40.0]),
        op("f", &[]),
        op("rg", &[1.0, 1.0, 1.0]),
        show("F1", 11, 72, 615, "Light on dark."),
        op("rg", &[0.0, 0.0, 0.0]),
        show("F1", 1, 72, 560, "SECRETTINY"),
        show("F1", 11, 72, -500, "SECRETOFF"),
        op("Tr", &[3.0]),
        show("F1", 11, 72, 540, "SECRETMODE"),
    ]
    .concat()]);
    assert_eq!(page.text, "Shown text here.\n\nLight on dark.");
    let hidden = hidden(&page);
    for word in ["SECRETWHITE", "SECRETTINY", "SECRETOFF", "SECRETMODE"] {
        assert!(hidden.contains(word), "{word} in {hidden}");
    }
    let reasons: Vec<_> = page.hidden.iter().map(|h| h.reason).collect();
    assert!(reasons.contains(&HiddenReason::Invisible) && reasons.contains(&HiddenReason::OffPage));
    assert_eq!(page.hidden[0].page, Some(1));
}

fn image() -> Vec<Operation> {
    let place = op("cm", &[595.0, 0.0, 0.0, 842.0, 0.0, 0.0]);
    [op("q", &[]), place, vec![Operation::new("Do", vec!["Im".into()])], op("Q", &[])].concat()
}

#[test]
fn a_scan_needs_recognition_unless_it_has_an_invisible_layer() {
    let page = read(&[image(), show("F1", 11, 72, 700, "Typed.")]);
    assert_eq!((page.text.as_str(), page.warnings.len()), ("Typed.", 1));
    assert_eq!((page.warnings[0].code, page.warnings[0].detail.as_str()), (WarningCode::NeedsOcr, "1"));
    let page = read(&[[image(), op("Tr", &[3.0]), show("F1", 11, 72, 700, "Recognised words.")].concat()]);
    assert_eq!(page.text, "Recognised words.");
    assert!(page.has_warning(WarningCode::OcrLayer) && !page.has_warning(WarningCode::NeedsOcr));
}

#[test]
fn composite_fonts_read_through_their_map_and_forms_are_followed() {
    let (map, content) = warm();
    let bytes = composite(&map, &content);
    assert_eq!(extract(&bytes, "x.pdf").unwrap().text, "warm");
}

#[test]
fn running_heads_and_page_numbers_are_dropped() {
    let page = |n: usize| {
        [
            show("F1", 9, 72, 820, "Acme brand guide"),
            show(
                "F1",
                11,
                72,
                700,
                &format!("Body of page {} differs in {}.", n, ["tone", "words", "colour", "type"][n]),
            ),
            show("F1", 9, 290, 30, &format!("Page {}", n + 1)),
        ]
        .concat()
    };
    let doc = read(&[page(0), page(1), page(2), page(3)]);
    assert!(!doc.text.contains("Acme brand guide") && !doc.text.contains("Page 3"));
    assert!(doc.text.contains("differs in colour."));
}

#[test]
fn encrypted_and_cut_files_are_named() {
    let mut doc = pdf_document(&[show("F1", 11, 72, 700, "secret")]);
    doc.trailer.set(
        "ID",
        vec![Object::string_literal("0123456789abcdef"), Object::string_literal("0123456789abcdef")],
    );
    let version = EncryptionVersion::V2 {
        document: &doc,
        owner_password: "o",
        user_password: "u",
        key_length: 128,
        permissions: Permissions::all(),
    };
    let state = EncryptionState::try_from(version).unwrap();
    doc.encrypt(&state).unwrap();
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    let err = extract(&bytes, "x.pdf").unwrap_err();
    assert_eq!((err.kind(), err.message().contains("encrypted")), (ErrorKind::Unsupported, true));

    let good = pdf(&[show("F1", 11, 72, 700, "hello")]);
    let err = extract(&good[..good.len() - 30], "x.pdf").unwrap_err();
    assert_eq!((err.kind(), err.message().contains("truncated")), (ErrorKind::Corrupted, true));
    let err = extract(b"%PDF-1.4\ngarbage\n%%EOF", "x.pdf").unwrap_err();
    assert_eq!(err.kind(), ErrorKind::Corrupted);
}

#[derive(Debug)]
struct Engine;

#[async_trait::async_trait]
impl crate::Ocr for Engine {
    fn id(&self) -> &str {
        "engine-1"
    }
    async fn read(&self, file: &[u8], pages: &[u32]) -> neonhub_core::Result<Vec<crate::OcrPage>> {
        assert!(file.starts_with(b"%PDF"));
        Ok(pages.iter().map(|page| crate::OcrPage { page: *page, text: "Scanned melons.".into() }).collect())
    }
}

#[tokio::test]
async fn a_scanned_page_is_found_by_the_words_that_an_engine_of_the_host_reads() {
    use crate::{CreateDataset, CreateSpace, Knowledge, SearchKnowledge, UploadDocument, install_with};
    let file = pdf(&[show("F1", 11, 72, 700, "Typed words."), image()]);
    let open = async |knowledge| {
        let hub = install_with(neonhub_core::Hub::builder().seed(1), knowledge).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        cx.call(CreateSpace { name: "s".into(), ..Default::default() }).await.unwrap();
        cx.call(CreateDataset { space: "s".into(), name: "d".into(), ..Default::default() }).await.unwrap();
        let document = cx.call(UploadDocument::of("d", "scan.pdf", &file)).await.unwrap();
        let hits = cx.call(SearchKnowledge::of("melons")).await.unwrap().hits;
        (document, hits)
    };
    let (document, hits) = open(Knowledge::new()).await;
    assert_eq!((document.warnings[0].code, hits.len()), (WarningCode::NeedsOcr, 0));
    let (read, hits) = open(Knowledge::new().with_ocr(std::sync::Arc::new(Engine))).await;
    assert_eq!(read.warnings[0].code, WarningCode::OcrLayer);
    assert!(hits[0].text.ends_with("Scanned melons."), "{hits:?}");
    assert_ne!(read.recipe, document.recipe, "another engine reads the file again");
}
