//! Contact files: streamed, of any usual encoding and delimiter, with an error per bad field and none lost.
//!
//! [`ContactReader`] gives one [`ContactRow`] per data row, good or bad, so that rows = imported + rejected.
//! Memory is bounded by the largest row read whole ([`MAX_ROW_BYTES`]), whatever the size of the file.

mod columns;
mod consent;
mod contact;
mod decode;
mod record;
mod sniff;

use std::io::Read;

use neonhub_core::{Error, Result};

pub use columns::{Columns, KNOWN_COLUMNS, Target};
pub use consent::{GivenConsent, MAX_CONSENT_TEXT_CHARS};
pub use contact::{ContactRow, Defaults, GivenIdentity, RowFault};
pub use decode::Encoding;
pub use record::MAX_ROW_BYTES;

use decode::Decoder;
use record::{Records, Row};

const OPERATION: &str = "people.import";

/// How a file is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The delimiter: `,`, `;`, tab or `|`. Default: found by looking at the header.
    pub delimiter: Option<char>,
    /// Column of the file -> column it stands for. Default: by name.
    pub mapping: Vec<(String, String)>,
    /// The region (ISO 3166) that national phone numbers are read in when the row names no country.
    pub default_region: Option<String>,
}

/// A contact file, read row by row.
#[derive(Debug)]
pub struct ContactReader<R> {
    records: Records<R>,
    columns: Columns,
    defaults: Defaults,
    delimiter: u8,
    rows: u64,
}

impl<R: Read> ContactReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// `InvalidInput` when the file is empty, is not text, or lacks columns: one error that lists them all.
    /// `Unavailable` when the source cannot be read.
    pub fn open(source: R, options: &ReadOptions) -> Result<Self> {
        let mut records = Records::new(Decoder::new(source));
        let head = records.peek()?;
        let delimiter = match options.delimiter {
            Some(c) => sniff::checked(c)?,
            None => sniff::delimiter(head),
        };
        records.set_delimiter(delimiter);
        let header: Vec<String> = match records.next()? {
            Some(Row::Cells(cells)) => cells.iter().map(str::to_owned).collect(),
            Some(Row::Broken { reason, .. }) => return Err(Error::invalid(OPERATION, "header", reason)),
            None => {
                return Err(Error::invalid(
                    OPERATION,
                    "file",
                    "the file is empty: expected a header row and one row per contact",
                ));
            }
        };
        let columns = Columns::new(&header, &options.mapping)?;
        let defaults = Defaults::new(options.default_region.as_deref());
        Ok(ContactReader { records, columns, defaults, delimiter, rows: 0 })
    }

    /// The next data row, good or bad; `None` after the last one.
    ///
    /// # Errors
    /// `Unavailable` when the source cannot be read.
    pub fn next_row(&mut self) -> Result<Option<ContactRow>> {
        let row = loop {
            match self.records.next()? {
                None => return Ok(None),
                Some(Row::Cells(cells)) if cells.is_blank_line() => {}
                Some(row) => break row,
            }
        };
        self.rows += 1;
        Ok(Some(match row {
            Row::Cells(cells) => contact::read(self.rows, &cells, &self.columns, &self.defaults),
            Row::Broken { line, reason } => contact::broken(self.rows, line, reason),
        }))
    }

    /// Passes over `count` data rows without looking into them, to go on after a checkpoint.
    ///
    /// # Errors
    /// `Unavailable` when the source cannot be read.
    pub fn skip_rows(&mut self, count: u64) -> Result<()> {
        while self.rows < count {
            match self.records.next()? {
                None => break,
                Some(Row::Cells(cells)) if cells.is_blank_line() => {}
                Some(_) => self.rows += 1,
            }
        }
        Ok(())
    }

    /// Data rows given so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns of the file.
    #[must_use]
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The delimiter in use.
    #[must_use]
    pub fn delimiter(&self) -> char {
        char::from(self.delimiter)
    }

    /// The encoding as far as the file was read.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.records.encoding()
    }
}

#[cfg(test)]
mod tests;
