//! Which delimiter a file uses.

use neonhub_core::{Error, Result};

use super::columns::is_known;

/// What is looked for, the usual first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The delimiter that splits the header into the most known column names, then into the most cells.
pub(super) fn delimiter(head: &str) -> u8 {
    let header = header_line(head);
    let score = |d: u8| {
        let cells = split(header, d);
        (cells.iter().filter(|c| is_known(c)).count(), cells.len())
    };
    // `max_by_key` takes the last of equals, so that the usual one is looked at last.
    DELIMITERS.into_iter().rev().max_by_key(|d| score(*d)).unwrap_or(b',')
}

/// A delimiter given by the caller.
pub(super) fn checked(given: char) -> Result<u8> {
    u8::try_from(given).ok().filter(|b| DELIMITERS.contains(b)).ok_or_else(|| {
        Error::invalid(super::OPERATION, "delimiter", "expected a comma, semicolon, tab or vertical bar")
    })
}

/// The first line that is not blank.
fn header_line(head: &str) -> &str {
    head.split(['\n', '\r']).find(|l| !l.trim().is_empty()).unwrap_or_default()
}

/// Cells of the header, outside quotes.
fn split(header: &str, delimiter: u8) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    for c in header.chars() {
        if c == '"' {
            is_quoted = !is_quoted;
        } else if c == char::from(delimiter) && !is_quoted {
            cells.push(String::new());
        } else if let Some(cell) = cells.last_mut() {
            cell.push(c);
        }
    }
    cells
}
