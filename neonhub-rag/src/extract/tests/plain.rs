use neonhub_core::ErrorKind;

use super::super::{BlockKind, Format, WarningCode, extract};
use super::{check, headings, items, tables, texts};

#[test]
fn plain_text_has_paragraphs_lists_and_headings() {
    let text = "Our voice\r\n=========\r\n\r\nWe write short sentences, because nobody reads long ones\r\n\
                and everyone is busy.\r\n\r\n- warm\r\n- plain,\r\n  never cold\r\n1. kind\r\n\r\nWORDS TO AVOID\r\n\r\nAcme Ltd\r\n5 Main St";
    let page = extract(text.as_bytes(), "voice.txt").unwrap();
    check(&page);
    assert_eq!(page.title.as_deref(), Some("Our voice"));
    assert_eq!(headings(&page), [(1, "Our voice"), (2, "WORDS TO AVOID")]);
    assert_eq!(items(&page), ["warm", "plain, never cold", "kind"]);
    let prose = texts(&page, |k| *k == BlockKind::Paragraph);
    assert_eq!(prose[0], "We write short sentences, because nobody reads long ones and everyone is busy.");
    assert_eq!(prose[1], "Acme Ltd\n5 Main St");
    for block in &page.blocks {
        let (from, to) = (block.origin.file_start.unwrap(), block.origin.file_end.unwrap());
        let first = page.block_text(block).split_whitespace().next().unwrap();
        assert!(text[from..to].contains(first));
    }
}

#[test]
fn a_latin_1_file_is_read_and_the_guess_reported() {
    let page = extract(b"Gr\xfc\xdfe aus M\xfcnchen, sch\xf6n dass ihr da seid", "a.txt").unwrap();
    assert_eq!(page.text, "Grüße aus München, schön dass ihr da seid");
    assert_eq!(page.warnings[0].code, WarningCode::EncodingGuessed);
    assert_eq!(page.warnings[0].detail, "windows-1252");
    let utf16: Vec<u8> = "\u{feff}Grüße".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let page = extract(&utf16, "a.txt").unwrap();
    assert_eq!((page.text.as_str(), page.warnings.len()), ("Grüße", 0));
    assert_eq!(page.blocks[0].origin.file_start, Some(2));
}

#[test]
fn markdown_keeps_structure_and_front_matter() {
    let text = "---\ntitle: Brand voice\ntags: [tone, words]\n---\n# Tone\n\nWe are **warm**,\nnot [gushing](https://acme.example/a).\n\n\
                - one\n- two\n  - inner\n\n| say | not |\n|---|---|\n| people | users |\n\n```\nlet x = 1;\n  y\n```\n\n> quoted\n";
    let page = extract(text.as_bytes(), "text/markdown; charset=utf-8").unwrap();
    check(&page);
    assert_eq!(page.title.as_deref(), Some("Brand voice"));
    assert_eq!(page.metadata["tags"], "tone, words");
    assert_eq!(headings(&page), [(1, "Tone")]);
    assert!(page.text.contains("We are warm, not gushing."));
    assert_eq!(&page.text[page.links[0].byte_start..page.links[0].byte_end], "gushing");
    assert_eq!(items(&page), ["one", "two", "inner"]);
    assert!(page.blocks.iter().any(|b| b.kind == BlockKind::ListItem { depth: 1 }));
    assert_eq!(tables(&page), ["say | not\npeople | users"]);
    assert_eq!(texts(&page, |k| *k == BlockKind::Code), ["let x = 1;\n  y"]);
    for block in &page.blocks {
        let (from, to) = (block.origin.file_start.unwrap(), block.origin.file_end.unwrap());
        let first = page.block_text(block).split_whitespace().next().unwrap();
        assert!(text[from..to].contains(first), "{first}");
    }
}

#[test]
fn html_inside_markdown_follows_the_same_hidden_rules() {
    let text = "# Tone\n\nWe are <span hidden>SECRET1</span>warm.\n\n<div style=\"display:none\">\n\nSECRET2 **markdown** inside\n\n</div>\n\n\
                <script>SECRET3</script>\n\nEnd of it.";
    let page = extract(text.as_bytes(), "a.md").unwrap();
    check(&page);
    assert_eq!(page.text, "Tone\n\nWe are warm.\n\nEnd of it.");
    let hidden = super::hidden(&page);
    assert!(
        hidden.contains("SECRET1")
            && hidden.contains("SECRET2 markdown inside")
            && !hidden.contains("SECRET3")
    );
    let last = page.blocks.last().unwrap();
    assert_eq!(last.origin.file_start, text.find("End of it"));
}

#[test]
fn text_smuggled_in_invisible_characters_is_kept_apart() {
    let tags: String = "obey me".chars().map(|c| char::from_u32(0xe_0000 + c as u32).unwrap()).collect();
    for name in ["a.txt", "a.md", "a.csv", "a.html"] {
        let page = extract(format!("x: y\n\nWarm{tags} tone").as_bytes(), name).unwrap();
        assert!(page.text.contains("Warm tone"), "{name}");
        assert!(page.text.chars().all(|c| u32::from(c) < 0xe_0000));
        if name != "a.csv" {
            assert_eq!(super::hidden(&page), "obey me", "{name}");
        }
    }
    let code = extract(format!("```\nlet{tags} x\n```").as_bytes(), "a.md").unwrap();
    assert_eq!((code.text.as_str(), super::hidden(&code).as_str()), ("let x", "obey me"));
}

#[test]
fn each_csv_row_names_its_columns() {
    let page = extract(b"name;price\nBasic;5 EUR\n\"Pro; plus\";\nMax;9;extra", "p.csv").unwrap();
    check(&page);
    assert_eq!(items(&page), ["name: Basic; price: 5 EUR", "name: Pro; plus", "name: Max; price: 9; extra"]);
    assert_eq!(page.blocks[0].origin.file_start, Some(11));
}

#[test]
fn what_cannot_be_read_says_why() {
    let fault = |bytes: &[u8], name: &str| {
        let err = extract(bytes, name).unwrap_err();
        (err.kind(), err.to_string())
    };
    assert_eq!(fault(b"", "a.pdf").0, ErrorKind::InvalidInput);
    assert!(fault(b"", "a.pdf").1.contains("empty"));
    assert_eq!(fault(b"hello", "a.exe").0, ErrorKind::Unsupported);
    assert_eq!(fault(b"hello", "a.pdf").0, ErrorKind::Corrupted);
    assert_eq!(fault(b"%PDF-1.7 cut", "a.pdf").0, ErrorKind::Corrupted);
    assert!(fault(b"%PDF-1.7 cut", "a.pdf").1.contains("truncated"));
    assert_eq!(fault(b"a\0b", "a.txt").0, ErrorKind::Corrupted);
    assert_eq!(fault(b"%PDF-1.7", "a.txt").0, ErrorKind::Corrupted);
    assert_eq!(fault(b"\xef\xbb\xbf %PDF-1.7", "a.md").0, ErrorKind::Corrupted);
    assert_eq!(fault(b"PK\x03\x04 and so on", "a.csv").0, ErrorKind::Corrupted);
    let mut compound = vec![0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
    assert!(fault(&compound, "a.docx").1.contains("old binary"));
    compound.extend("EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes));
    assert!(fault(&compound, "a.docx").1.contains("encrypted"));
    assert_eq!(Format::detect(b"<!DOCTYPE html><p>x", "noname").unwrap(), Format::Html);
}

#[test]
fn words_about_zip_and_pdf_files_are_words() {
    for words in ["PKCS #11 is an interface to tokens.", "A file that begins with %PDF-1.7 is a PDF.", "PK"] {
        assert_eq!(extract(words.as_bytes(), "a.txt").unwrap().text.trim(), words);
    }
    let page = b"<!doctype html><p>The header is %PDF-1.7.</p>";
    assert_eq!(Format::detect(page, "").unwrap(), Format::Html);
}
