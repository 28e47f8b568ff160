//! Real files, made in memory.

use std::io::{Cursor, Write};

use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, StringFormat, dictionary};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A PDF with one content stream per page and the font F1 (Helvetica) and F2 (Helvetica-Bold).
pub(crate) fn pdf(pages: &[Vec<Operation>]) -> Vec<u8> {
    let mut doc = pdf_document(pages);
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    bytes
}

pub(crate) fn pdf_document(pages: &[Vec<Operation>]) -> Document {
    let mut doc = Document::with_version("1.5");
    let parent = doc.new_object_id();
    let font = |name: &str| {
        dictionary! { "Type" => "Font", "Subtype" => "Type1", "BaseFont" => name, "Encoding" => "WinAnsiEncoding" }
    };
    let (f1, f2) = (doc.add_object(font("Helvetica")), doc.add_object(font("Helvetica-Bold")));
    let image = doc.add_object(Stream::new(
        dictionary! { "Type" => "XObject", "Subtype" => "Image", "Width" => 1, "Height" => 1,
        "ColorSpace" => "DeviceGray", "BitsPerComponent" => 8 },
        vec![0],
    ));
    let resources = doc.add_object(dictionary! {
        "Font" => dictionary! { "F1" => f1, "F2" => f2 },
        "XObject" => dictionary! { "Im" => image },
    });
    let kids: Vec<Object> = pages
        .iter()
        .map(|operations| {
            let content = Content { operations: operations.clone() }.encode().unwrap();
            let mut stream = Stream::new(dictionary! {}, content);
            stream.compress().unwrap();
            let content = doc.add_object(stream);
            doc.add_object(dictionary! { "Type" => "Page", "Parent" => parent, "Contents" => content }).into()
        })
        .collect();
    let count = kids.len() as i64;
    doc.objects.insert(
        parent,
        dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()] }
        .into(),
    );
    let catalog = doc.add_object(dictionary! { "Type" => "Catalog", "Pages" => parent });
    doc.trailer.set("Root", catalog);
    doc
}

/// A PDF that shows a form with a composite font. `map` says what its codes mean, `content` is what the form shows.
pub(crate) fn composite(map: &[u8], content: &[u8]) -> Vec<u8> {
    let mut doc = pdf_document(&[vec![Operation::new("Do", vec!["Fm".into()])]]);
    let map = doc.add_object(Stream::new(dictionary! {}, map.to_vec()));
    let descendant =
        doc.add_object(dictionary! { "Type" => "Font", "Subtype" => "CIDFontType2", "DW" => 500 });
    let font = doc.add_object(dictionary! { "Type" => "Font", "Subtype" => "Type0", "BaseFont" => "X",
    "Encoding" => "Identity-H", "DescendantFonts" => vec![descendant.into()], "ToUnicode" => map });
    let form = doc.add_object(Stream::new(
        dictionary! { "Type" => "XObject", "Subtype" => "Form",
        "Resources" => dictionary! { "Font" => dictionary! { "G" => font } } },
        content.to_vec(),
    ));
    for object in doc.objects.values_mut() {
        if let Ok(dict) = object.as_dict_mut()
            && dict.has(b"XObject")
        {
            dict.set("XObject", dictionary! { "Fm" => form });
        }
    }
    let mut bytes = Vec::new();
    doc.save_to(&mut bytes).unwrap();
    bytes
}

/// Map and content by which [`composite`] shows the word "warm".
pub(crate) fn warm() -> (Vec<u8>, Vec<u8>) {
    let map = b"1 begincodespacerange <0000> <FFFF> endcodespacerange 1 beginbfrange <0001> <001A> <0061> endbfrange";
    let codes: Vec<u8> = "warm".bytes().flat_map(|b| [0, b - b'a' + 1]).collect();
    let operations = vec![
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec!["G".into(), 12.into()]),
        Operation::new("Td", vec![72.into(), 700.into()]),
        Operation::new("Tj", vec![Object::String(codes, StringFormat::Hexadecimal)]),
        Operation::new("ET", vec![]),
    ];
    (map.to_vec(), Content { operations }.encode().unwrap())
}

/// Text at a place, in a font and size.
pub(crate) fn show(font: &str, size: i64, x: i64, y: i64, text: &str) -> Vec<Operation> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c as u32).unwrap_or(b'?')).collect();
    vec![
        Operation::new("BT", vec![]),
        Operation::new("Tf", vec![Object::Name(font.into()), size.into()]),
        Operation::new("Td", vec![x.into(), y.into()]),
        Operation::new("Tj", vec![Object::string_literal(bytes)]),
        Operation::new("ET", vec![]),
    ]
}

pub(crate) fn op(name: &str, numbers: &[f32]) -> Vec<Operation> {
    vec![Operation::new(name, numbers.iter().map(|n| Object::Real(*n)).collect())]
}

/// A zip file of these parts.
pub(crate) fn zip_of<T: AsRef<[u8]>>(parts: &[(&str, T)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_ref()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) const STYLES: &str = r#"<w:styles xmlns:w="w">
  <w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style>
  <w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>
  <w:style w:type="paragraph" w:styleId="Mine"><w:name w:val="My heading"/><w:basedOn w:val="H2"/></w:style>
  <w:style w:type="paragraph" w:styleId="H2"><w:name w:val="heading 2"/></w:style>
  <w:style w:type="character" w:styleId="Ghost"><w:name w:val="Ghost"/><w:rPr><w:vanish/></w:rPr></w:style>
</w:styles>"#;

/// The part of a Word document that holds its body.
pub(crate) fn document_xml(body: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><w:document xmlns:w="w" xmlns:r="r"><w:body>{body}</w:body></w:document>"#
    )
}

/// A Word document with this body.
pub(crate) fn docx(body: &str) -> Vec<u8> {
    docx_with(body, &[])
}

pub(crate) fn docx_with(body: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let document = document_xml(body);
    let mut parts = vec![
        ("[Content_Types].xml", "<Types/>"),
        ("word/document.xml", document.as_str()),
        ("word/styles.xml", STYLES),
    ];
    parts.extend(more);
    zip_of(&parts)
}

/// A paragraph of one run.
pub(crate) fn p(properties: &str, text: &str) -> String {
    format!("<w:p><w:pPr>{properties}</w:pPr><w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r></w:p>")
}
