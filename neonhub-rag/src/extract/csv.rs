//! Delimited text: one row is one block that names its columns.

use neonhub_core::Result;

use super::build::{Builder, Inline, fold};
use super::decode::decode;
use super::format::Format;
use super::{BlockKind, Extracted, Origin, WarningCode};

/// Extracts a CSV file: `name: value; name: value` per row, under the names of the first row.
pub(crate) fn extract(bytes: &[u8]) -> Result<Extracted> {
    let decoded = decode(bytes, None)?;
    let mut out = Builder::new(Format::Csv);
    if let Some(encoding) = decoded.guessed {
        out.warn(WarningCode::EncodingGuessed, encoding);
    }
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&decoded.text))
        .from_reader(decoded.text.as_bytes());
    let mut names: Vec<String> = Vec::new();
    let mut cursor = decoded.cursor();
    let mut record = ::csv::StringRecord::new();
    loop {
        let start = offset(&reader);
        match reader.read_record(&mut record) {
            Ok(false) => break,
            Err(_) => {
                out.warn(WarningCode::RowSkipped, format!("byte {start}"));
                continue;
            }
            Ok(true) => {}
        }
        if names.is_empty() {
            names = record.iter().map(fold).collect();
            continue;
        }
        let mut inline = Inline::default();
        inline.push(&row(&names, &record));
        let origin = cursor.range(start..offset(&reader)).map(Origin::bytes).unwrap_or_default();
        out.block(BlockKind::ListItem { depth: 0 }, &inline, origin);
    }
    Ok(out.finish())
}

fn offset<R: std::io::Read>(reader: &::csv::Reader<R>) -> usize {
    usize::try_from(reader.position().byte()).unwrap_or(usize::MAX)
}

fn row(names: &[String], record: &::csv::StringRecord) -> String {
    let mut parts = Vec::new();
    for (n, value) in record.iter().enumerate() {
        let value = fold(value);
        match names.get(n).map(String::as_str) {
            _ if value.is_empty() => {}
            None | Some("") => parts.push(value),
            Some(name) => parts.push(format!("{name}: {value}")),
        }
    }
    parts.join("; ")
}

/// The separator that the first line holds most often.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    // A comma wins ties, since it is the name of the format.
    [b',', b';', b'\t', b'|']
        .into_iter()
        .rev()
        .max_by_key(|d| first.bytes().filter(|b| b == d).count())
        .unwrap_or(b',')
}
