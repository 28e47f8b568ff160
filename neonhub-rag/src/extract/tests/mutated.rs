//! No bytes make extraction panic, hang or break the rules of its blocks.

use proptest::prelude::*;

use super::super::extract;
use super::check;
use super::samples::{STYLES, composite, document_xml, docx_with, op, p, pdf, show, warm, zip_of};
use crate::chunk::{ChunkOptions, chunk};

fn files() -> Vec<(&'static str, Vec<u8>)> {
    let page = [
        show("F2", 20, 72, 760, "Title"),
        op("re", &[1.0, 2.0, 3.0, 4.0]),
        op("f", &[]),
        show("F1", 11, 72, 700, "Some text (with) brackets."),
    ]
    .concat();
    let (body, notes) = word();
    vec![
        ("a.pdf", pdf(&[page.clone(), page])),
        ("a.docx", docx_with(&body, &[("word/footnotes.xml", &notes)])),
        ("a.html", b"<style>.a>b{color:red}</style><h1 class=a>T<b style='font-size:0;color:#ff'>x</b></h1><table><tr><th>a<td>b</table><ul><li>q<pre>z".to_vec()),
        ("a.md", b"---\ntitle: x\n---\n# H\n\n- a\n  - b\n\n| a | b |\n|--|--|\n| c | d |\n\n<i hidden>s</i> [l](u) `c`\n\n```\nx\n```\n".to_vec()),
        ("a.txt", "Head\n====\n\n- a\n- b\n\nWORDS\n\nü 日本".as_bytes().to_vec()),
        ("a.csv", b"a,b\n1,\"2\n3\"\n".to_vec()),
    ]
}

/// The body and the footnotes of a Word document.
fn word() -> (String, String) {
    let table = format!("<w:tbl><w:tr><w:tc>{}</w:tc></w:tr></w:tbl>", p("", "cell"));
    let notes = format!("<w:footnotes><w:footnote w:id='2'>{}</w:footnote></w:footnotes>", p("", "note"));
    let item = p("<w:numPr><w:ilvl w:val='1'/><w:numId w:val='1'/></w:numPr>", "item");
    let change = "<w:p><w:del><w:r><w:delText>old</w:delText></w:r></w:del><w:ins><w:r><w:t>new</w:t></w:r></w:ins></w:p>";
    let head = p("<w:pStyle w:val='H2'/>", "Head");
    (format!("{head}{table}{item}{change}<w:p><w:r><w:footnoteReference w:id='2'/></w:r></w:p>"), notes)
}

/// Bytes with some of them changed.
fn changed(bytes: &[u8], changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes
}

fn run(name: &str, bytes: &[u8]) {
    if let Ok(page) = extract(bytes, name) {
        check(&page);
        let chunks = chunk(&page, ChunkOptions::default()).unwrap();
        assert!(chunks.iter().all(|c| page.text.get(c.byte_start..c.byte_end).is_some()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn changed_bytes_never_panic(
        file in 0..6_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let (name, mut bytes) = files().swap_remove(file);
        bytes = changed(&bytes, &changes);
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        run(name, &bytes);
    }

    // Bytes that change in a packed part fail its checksum and go no further: here they change before it is packed.
    #[test]
    fn changed_parts_inside_a_file_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        part in 0..5_usize,
    ) {
        let (body, notes) = word();
        let mut parts = [document_xml(&body).into_bytes(), STYLES.into(), notes.into_bytes()];
        let (map, content) = warm();
        match part {
            3 => run("a.pdf", &composite(&changed(&map, &changes), &content)),
            4 => run("a.pdf", &composite(&map, &changed(&content, &changes))),
            part => {
                parts[part] = changed(&parts[part], &changes);
                let [document, styles, notes] = &parts;
                let names = ["word/document.xml", "word/styles.xml", "word/footnotes.xml"];
                run("a.docx", &zip_of(&[(names[0], document), (names[1], styles), (names[2], notes)]));
            }
        }
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 1..400), file in 0..6_usize) {
        let name = files().swap_remove(file).0;
        run(name, &bytes);
        let framed = [b"%PDF-1.4\n".as_slice(), &bytes, b"\n%%EOF"].concat();
        run("a.pdf", &framed);
    }

    #[test]
    fn any_markup_never_panics(text in "[<>/a-c \"'=&;#:{}.()|`*_\\-\n]{0,300}", css in "[a-z:;{}#.0-9(), %-]{0,60}") {
        run("a.html", format!("x{text}<p style='{css}'>y<style>{css}").as_bytes());
        run("a.md", format!("x{text}").as_bytes());
    }
}
