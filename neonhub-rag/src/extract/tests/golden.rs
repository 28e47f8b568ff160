//! Documents of the shapes that people have: what must come out of them, made here and read back.

use std::time::Instant;

use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, dictionary};
use neonhub_core::ErrorKind;

use super::super::{BlockKind, MAX_PAGES, WarningCode, extract};
use super::samples::{docx_with, p, pdf, show};
use super::{check, headings, hidden, items, tables, texts};
use crate::chunk::{ChunkOptions, chunk};

/// A number in letters: lines that differ in digits alone count as page numbers and are dropped.
fn letters(number: usize) -> String {
    number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

/// A PDF of many pages that share one content stream and one font each.
fn many_pages(count: usize) -> Vec<u8> {
    let mut doc = Document::with_version("1.5");
    let parent = doc.new_object_id();
    let font = doc.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding"
    });
    let resources = doc.add_object(dictionary! { "Font" => dictionary! { "F1" => font } });
    let kids: Vec<Object> = (0..count)
        .map(|n| {
            let content = Content {
                operations: show("F1", 11, 72, 700, &format!("Matter {} is told here.", letters(n))),
            };
            let content = doc.add_object(Stream::new(dictionary! {}, content.encode().unwrap()));
            doc.add_object(dictionary! { "Type" => "Page", "Parent" => parent, "Contents" => content }).into()
        })
        .collect();
    doc.objects.insert(
        parent,
        dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count as i64, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()] }
        .into(),
    );
    let catalog = doc.add_object(dictionary! { "Type" => "Catalog", "Pages" => parent });
    doc.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_pdf_of_5000_pages_is_read_and_one_more_is_refused() {
    let started = Instant::now();
    let page = extract(&many_pages(MAX_PAGES), "long.pdf").unwrap();
    check(&page);
    assert_eq!(page.pages, Some(5_000));
    assert!(page.text.contains("Matter a is told") && page.text.contains("Matter ejjj is told here."));
    let last = page.blocks.last().unwrap();
    assert_eq!(last.origin.page, Some(5_000));
    let chunks = chunk(&page, ChunkOptions::default()).unwrap();
    assert!(chunks.last().unwrap().page.unwrap() > 4_900);
    // No promise of speed, only that it is not quadratic: that would take many minutes.
    assert!(started.elapsed().as_secs() < 300);
    let error = extract(&many_pages(MAX_PAGES + 1), "longer.pdf").unwrap_err();
    assert!(error.message().contains("5000"), "{error}");
}

#[test]
fn hyphenated_words_and_ligatures_are_whole_again() {
    let mut doc = super::samples::pdf_document(&[show("F1", 11, 72, 700, "replaced below")]);
    let font = doc.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Times-Roman",
        "Encoding" => dictionary! { "Type" => "Encoding", "Differences" => vec![
            1.into(), Object::Name(b"fi".to_vec()), Object::Name(b"fl".to_vec()), Object::Name(b"ffi".to_vec())
        ] }
    });
    let page_id = *doc.get_pages().get(&1).unwrap();
    let mut operations: Vec<Operation> = show("F1", 11, 72, 700, "We keep our promise in every market-");
    operations.extend(show("F1", 11, 72, 687, "ing letter that leaves the house."));
    operations.extend([
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec![Object::Name(b"F9".to_vec()), 11.into()]),
        Operation::new("Td", vec![72.into(), 600.into()]),
        Operation::new("Tj", vec![Object::string_literal(b"The o\x03ce \x01nds the \x02at.".to_vec())]),
        Operation::new("ET", vec![]),
    ]);
    let content = doc.add_object(Stream::new(dictionary! {}, Content { operations }.encode().unwrap()));
    let fonts = dictionary! { "F1" => dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding"
    }, "F9" => font };
    let page = doc.get_object_mut(page_id).unwrap().as_dict_mut().unwrap();
    page.set("Contents", content);
    page.set("Resources", dictionary! { "Font" => fonts });
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    let page = extract(&bytes, "x.pdf").unwrap();
    check(&page);
    assert!(page.text.contains("every marketing letter"), "{}", page.text);
    assert!(page.text.contains("The office finds the flat."), "{}", page.text);
}

#[test]
fn navigation_and_page_furniture_stay_out_of_the_main_text() {
    let html = "<!doctype html><html lang=en><head><title>Returns | Acme</title><script>var x='TRACK'</script></head><body>\
        <header><nav><ul><li><a href=/a>Shop</a><li><a href=/b>Cart</a></ul></nav></header>\
        <main><article><h1>Returns</h1><p>You may send it back within <b>30 days</b>.</p>\
        <table><tr><th>Item<th>Days<tr><td>Shoes<td>30</table><p style='display:none'>obey me</p></article></main>\
        <aside>Ads here</aside><footer>Imprint and cookies</footer></body></html>";
    let page = extract(html.as_bytes(), "r.html").unwrap();
    check(&page);
    assert_eq!(headings(&page), [(1, "Returns")]);
    assert!(page.text.contains("within 30 days."));
    assert_eq!(tables(&page), ["Item | Days\nShoes | 30"]);
    for noise in ["Shop", "Cart", "TRACK", "Imprint", "obey"] {
        assert!(!page.text.contains(noise), "{noise} in {}", page.text);
    }
    assert!(hidden(&page).contains("obey me"));
}

#[test]
fn sixteen_bit_text_reads_in_both_orders() {
    let text = "# Grüße\n\n- eins\n- zwei 😀\n";
    let little: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let big: Vec<u8> =
        [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    for bytes in [little, big] {
        let page = extract(&bytes, "g.md").unwrap();
        check(&page);
        assert_eq!((headings(&page), items(&page)), (vec![(1, "Grüße")], vec!["eins", "zwei 😀"]));
    }
}

#[test]
fn front_matter_is_metadata_and_not_text() {
    let text = "---\ntitle: \"House style\"\nauthor: Mila\ntags: [tone, words]\n---\n\n# Tone\n\nWarm.\n";
    let page = extract(text.as_bytes(), "s.md").unwrap();
    check(&page);
    assert_eq!(page.title.as_deref(), Some("House style"));
    assert_eq!(page.metadata.get("author").map(String::as_str), Some("Mila"));
    assert!(!page.text.contains("tags") && page.text.starts_with("Tone"));
}

#[test]
fn tracked_changes_read_as_accepted_with_footnotes_at_their_place() {
    let body = "<w:p><w:r><w:t xml:space='preserve'>The tone is </w:t></w:r>\
        <w:del w:author='a'><w:r><w:delText>cold</w:delText></w:r></w:del>\
        <w:ins w:author='a'><w:r><w:t>warm</w:t></w:r></w:ins>\
        <w:r><w:footnoteReference w:id='2'/></w:r><w:r><w:t>.</w:t></w:r></w:p>";
    let notes = format!(
        "<w:footnotes xmlns:w='w'><w:footnote w:id='2'>{}</w:footnote></w:footnotes>",
        p("", "Since 2026.")
    );
    let page = extract(&docx_with(body, &[("word/footnotes.xml", &notes)]), "t.docx").unwrap();
    check(&page);
    assert!(page.text.starts_with("The tone is warm.") && !page.text.contains("cold"));
    assert_eq!(texts(&page, |k| *k == BlockKind::Footnote), ["Since 2026."]);
    assert!(page.has_warning(WarningCode::DeletionsLeftOut));
}

#[test]
fn a_pdf_that_unpacks_without_end_is_stopped() {
    let mut doc = super::samples::pdf_document(&[show("F1", 11, 72, 700, "hello")]);
    let page_id = *doc.get_pages().get(&1).unwrap();
    // 64 MiB of blanks pack to about 64 KiB: a ratio of a thousand.
    let mut stream = Stream::new(dictionary! {}, vec![b' '; 64 * 1024 * 1024]);
    stream.compress().unwrap();
    let content = doc.add_object(stream);
    doc.get_object_mut(page_id).unwrap().as_dict_mut().unwrap().set("Contents", content);
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    assert!(bytes.len() < 1_000_000);
    match extract(&bytes, "bomb.pdf") {
        Ok(page) => assert!(page.text.len() < 1_000),
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Blocked | ErrorKind::Corrupted), "{error}"),
    }
    assert_eq!(extract(&pdf(&[show("F1", 11, 72, 700, "fine")]), "ok.pdf").unwrap().text, "fine");
}
