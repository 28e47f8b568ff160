//! Small files that unpack to much: every limit stops one, and says which it is.

use lopdf::{Dictionary, Object, Stream, dictionary};
use neonhub_core::{Error, ErrorKind};

use super::super::{MAX_CHARS, docx, extract, pdf};
use super::samples::{STYLES, composite, document_xml, p, pdf_document, show, warm, zip_of};

const MIB: usize = 1024 * 1024;

fn packed(dict: Dictionary, content: Vec<u8>) -> Stream {
    let mut stream = Stream::new(dict, content);
    stream.compress().unwrap();
    stream
}

/// A PDF of one page that shows a word, with more streams of objects. Nothing refers to those.
fn with_object_streams(streams: &[Stream]) -> Vec<u8> {
    let mut out = b"%PDF-1.5\n".to_vec();
    let content = b"BT /F1 12 Tf 72 700 Td (warm) Tj ET";
    let mut places = Vec::new();
    let mut object = |out: &mut Vec<u8>, dict: &str, stream: Option<&[u8]>| {
        places.push(out.len());
        out.extend(format!("{} 0 obj\n{dict}\n", places.len()).bytes());
        if let Some(bytes) = stream {
            out.extend(b"stream\n");
            out.extend(bytes);
            out.extend(b"\nendstream\n");
        }
        out.extend(b"endobj\n");
    };
    object(&mut out, "<< /Type /Catalog /Pages 2 0 R >>", None);
    object(&mut out, "<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 595 842] >>", None);
    let fonts = "<< /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>";
    let page = format!("<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font {fonts} >> >>");
    object(&mut out, &page, None);
    object(&mut out, &format!("<< /Length {} >>", content.len()), Some(content));
    for stream in streams {
        let length = stream.content.len();
        let dict = format!("<< /Type /ObjStm /N 1 /First 5 /Filter /FlateDecode /Length {length} >>");
        object(&mut out, &dict, Some(&stream.content));
    }
    let table = out.len();
    out.extend(format!("xref\n0 {}\n0000000000 65535 f \n", places.len() + 1).bytes());
    for place in &places {
        out.extend(format!("{place:010} 00000 n \n").bytes());
    }
    let trailer = format!("trailer\n<< /Root 1 0 R /Size {} >>\n", places.len() + 1);
    out.extend(format!("{trailer}startxref\n{table}\n%%EOF\n").bytes());
    out
}

/// A stream with one object, padded.
fn object_stream(object: &str, padding: usize) -> Stream {
    packed(Dictionary::new(), [b"90 0 ", object.as_bytes(), &vec![b' '; padding]].concat())
}

fn blocked(error: &Error, limit: &str) {
    assert_eq!(error.kind(), ErrorKind::Blocked, "{error}");
    assert!(error.message().contains(limit), "{error}");
}

#[test]
fn streams_of_objects_take_from_the_budget_while_the_file_is_opened() {
    let harmless = object_stream("(kept)", MIB);
    let bytes = with_object_streams(&vec![harmless; 3]);
    assert!(bytes.len() < 20_000);
    assert_eq!(pdf::extract_within(&bytes, 4 * MIB).unwrap().text, "warm");
    blocked(&pdf::extract_within(&bytes, 3 * MIB).unwrap_err(), "200 MiB in all");
    let one = with_object_streams(&[object_stream("(large)", 16 * MIB)]);
    blocked(&extract(&one, "bomb.pdf").unwrap_err(), "16 MiB in one stream of objects");
    // Words take a hundred times their bytes once they are read.
    let words = object_stream(&format!("[{}]", "0 ".repeat(4 * MIB)), 0);
    let bytes = with_object_streams(&vec![words; 2]);
    blocked(&extract(&bytes, "bomb.pdf").unwrap_err(), "8 million words");
    assert_eq!(
        extract(&with_object_streams(&[]), "fine.pdf").unwrap().text,
        "warm",
        "nothing is left behind"
    );
}

#[test]
fn the_content_of_pages_and_forms_and_the_maps_of_fonts_take_from_it_too() {
    let two: Vec<_> = (0..2).map(|_| show("F1", 11, 72, 700, "hello")).collect();
    let mut doc = pdf_document(&two);
    let pages: Vec<_> = doc.get_pages().into_values().collect();
    // A closing bracket ends the reading of a content, so that the test need not wait for it.
    let content = doc.add_object(packed(dictionary! {}, [&b")"[..], &vec![b' '; MIB]].concat()));
    for page in pages {
        doc.get_object_mut(page).unwrap().as_dict_mut().unwrap().set("Contents", Object::Reference(content));
    }
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    assert!(pdf::extract_within(&bytes, 3 * MIB).is_ok());
    let error = pdf::extract_within(&bytes, 2 * MIB).unwrap_err();
    blocked(&error, "200 MiB in all");
    assert!(error.context().any(|(key, value)| key == "page" && value == "2"), "{error}");

    let (map, content) = warm();
    let padded = |bytes: &[u8], by: usize| [bytes, &vec![b' '; by]].concat();
    let form = composite(&map, &padded(&content, MIB));
    assert_eq!(pdf::extract_within(&form, 2 * MIB).unwrap().text, "warm");
    blocked(&pdf::extract_within(&form, MIB).unwrap_err(), "200 MiB in all");
    let font = composite(&padded(&map, MIB), &content);
    assert_eq!(pdf::extract_within(&font, 2 * MIB).unwrap().text, "warm");
    blocked(&pdf::extract_within(&font, MIB).unwrap_err(), "200 MiB in all");
}

#[test]
fn the_parts_of_a_word_document_share_one_budget() {
    let body = document_xml(&p("", "hello"));
    let padding = |by: usize| format!("<!--{}-->", "x".repeat(by));
    let parts = [
        ("word/document.xml", format!("{body}{}", padding(MIB / 2))),
        ("word/styles.xml", format!("{STYLES}{}", padding(MIB / 2))),
    ];
    let bytes = zip_of(&parts);
    assert!(bytes.len() < 20_000);
    assert_eq!(docx::extract_within(&bytes, 2 * MIB).unwrap().text, "hello");
    let error = docx::extract_within(&bytes, MIB).unwrap_err();
    blocked(&error, "200 MiB");
    assert!(error.context().any(|(key, value)| key == "part" && value == "word/styles.xml"), "{error}");
}

#[test]
fn ten_million_characters_are_read_and_one_more_is_refused() {
    // Two bytes each: characters are counted, not bytes.
    let line = format!("{}\n", "\u{fc}".repeat(9_999));
    let mut text = line.repeat(MAX_CHARS / 10_000);
    text.pop();
    assert_eq!(extract(text.as_bytes(), "long.txt").unwrap().text.chars().count(), MAX_CHARS - 1);
    text.push_str("xy");
    let error = extract(text.as_bytes(), "long.txt").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.message().contains("10 million") || error.to_string().contains("10 million"), "{error}");
}
