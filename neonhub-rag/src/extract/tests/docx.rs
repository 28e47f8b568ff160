use neonhub_core::ErrorKind;

use super::super::{BlockKind, HiddenReason, WarningCode, extract};
use super::samples::{docx, docx_with, p, zip_of};
use super::{check, headings, hidden, items, tables, texts};

#[test]
fn headings_lists_tables_links_and_footnotes() {
    let body = [
        p("<w:pStyle w:val='Titel'/>", "Brand guide"),
        p("<w:pStyle w:val='berschrift1'/>", "Tone"),
        p("<w:pStyle w:val='Mine'/>", "Warm &amp; plain"),
        "<w:p><w:r><w:t>We promise</w:t></w:r><w:r><w:footnoteReference w:id='2'/></w:r><w:r><w:t xml:space='preserve'> a lot, see </w:t></w:r>\
         <w:hyperlink r:id='rId5'><w:r><w:t>the page</w:t></w:r></w:hyperlink><w:r><w:t>.</w:t><w:br/><w:t>Next line</w:t></w:r></w:p>".into(),
        p("<w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr>", "short"),
        p("<w:numPr><w:ilvl w:val='1'/><w:numId w:val='1'/></w:numPr>", "inner"),
        p("<w:numPr><w:numId w:val='0'/></w:numPr>", "no item"),
        format!("<w:tbl><w:tr><w:trPr><w:tblHeader/></w:trPr><w:tc>{}</w:tc><w:tc>{}</w:tc></w:tr><w:tr><w:tc>{}{}</w:tc><w:tc>{}</w:tc></w:tr></w:tbl>",
            p("", "say"), p("", "not"), p("", "people"), p("", "friends"), p("", "users")),
    ].concat();
    let notes = format!(
        "<w:footnotes xmlns:w='w'><w:footnote w:type='separator' w:id='0'>{}</w:footnote><w:footnote w:id='2'>{}</w:footnote></w:footnotes>",
        p("", "x"),
        p("", "As of 2026.")
    );
    let rels = "<Relationships><Relationship Id='rId5' Target='https://acme.example/' TargetMode='External'/></Relationships>";
    let page = extract(
        &docx_with(&body, &[("word/footnotes.xml", &notes), ("word/_rels/document.xml.rels", rels)]),
        "g.docx",
    )
    .unwrap();
    check(&page);
    assert_eq!(page.title.as_deref(), Some("Brand guide"));
    assert_eq!(headings(&page), [(1, "Brand guide"), (1, "Tone"), (2, "Warm & plain")]);
    assert!(page.text.contains("We promise a lot, see the page.\nNext line"));
    assert_eq!(&page.text[page.links[0].byte_start..page.links[0].byte_end], "the page");
    assert_eq!(items(&page), ["short", "inner"]);
    assert_eq!(tables(&page), ["say | not\npeople friends | users"]);
    assert!(page.blocks.iter().any(|b| b.kind == BlockKind::Table { has_header: true }));
    assert_eq!(texts(&page, |k| *k == BlockKind::Footnote), ["As of 2026."]);
    assert_eq!(page.blocks[0].origin.part.as_deref(), Some("word/document.xml"));
}

#[test]
fn hidden_deleted_and_field_text_stays_out() {
    let run = |props: &str, text: &str| format!("<w:r><w:rPr>{props}</w:rPr><w:t>{text}</w:t></w:r>");
    let body = format!(
        "<w:p><w:pPr><w:rPr><w:vanish/></w:rPr></w:pPr>{}{}{}{}{}{}{}<w:del><w:r><w:delText>D1</w:delText></w:r></w:del>\
         <w:ins><w:r><w:t>added </w:t></w:r></w:ins><w:r><w:instrText>D2</w:instrText></w:r><w:moveFrom><w:r><w:t>D3</w:t></w:r></w:moveFrom></w:p>\
         <mc:AlternateContent xmlns:mc='mc'><mc:Choice><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Choice><mc:Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>",
        run("", "shown "),
        run("<w:vanish/>", "S1"),
        run("<w:vanish w:val='0'/>", "kept "),
        run("<w:rStyle w:val='Ghost'/>", "S2"),
        run("<w:color w:val='FFFFFF'/>", "S3"),
        run("<w:sz w:val='2'/>", "S4"),
        run("<w:color w:val='FFFFFF'/><w:shd w:fill='000000'/>", "light "),
    );
    let page = extract(&docx(&body), "g.docx").unwrap();
    check(&page);
    assert_eq!(page.text, "shown kept light added\n\nbox");
    let hidden = hidden(&page);
    assert!(["S1", "S2", "S3", "S4"].iter().all(|s| hidden.contains(s)) && !hidden.contains('D'));
    assert_eq!(page.hidden[0].reason, HiddenReason::Attribute);
    assert!(page.has_warning(WarningCode::DeletionsLeftOut));
}

#[test]
fn broken_and_hostile_containers_are_named() {
    let kind = |bytes: &[u8]| extract(bytes, "g.docx").unwrap_err();
    let good = docx(&p("", "hello"));
    assert_eq!(kind(&good[..good.len() / 2]).kind(), ErrorKind::Corrupted);
    assert!(kind(&good[..good.len() / 2]).message().contains("truncated"));
    assert_eq!(kind(&zip_of(&[("a.txt", "x")])).kind(), ErrorKind::Corrupted);
    assert_eq!(kind(&docx("<w:p><w:r></w:p>")).kind(), ErrorKind::Corrupted);
    let bomb = kind(&docx(&" ".repeat(8 * 1024 * 1024)));
    assert_eq!((bomb.kind(), bomb.message().contains("bomb")), (ErrorKind::Blocked, true));
    let entities = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>]>";
    let lol = format!(
        "{entities}<w:document xmlns:w='w'><w:body><w:p><w:r><w:t>x&a;y</w:t></w:r></w:p></w:body></w:document>"
    );
    assert_eq!(extract(&zip_of(&[("word/document.xml", &lol)]), "g.docx").unwrap().text, "xy");
    let macros = docx_with(&p("", "hello"), &[("word/vbaProject.bin", "x")]);
    assert!(extract(&macros, "g.docm").unwrap().has_warning(WarningCode::MacrosIgnored));
}
