//! Pages that are pictures of text: the hook for a character recognition of the host, and its words put in place.

use std::fmt::Debug;

use async_trait::async_trait;
use neonhub_core::{Error, Result};

use super::build::fold;
use super::model::{Block, BlockKind, Extracted, Origin, WarningCode};
use super::{MAX_CHARS, OP};

/// Reads the words of scanned pages. NeonHub has none of its own: give yours to
/// [`Knowledge::with_ocr`](crate::Knowledge::with_ocr). Without one such a page raises the warning `needs_ocr`.
#[async_trait]
pub trait Ocr: Debug + Send + Sync + 'static {
    /// Its name and version. PDF files that were read with another one are read again when they are uploaded again.
    fn id(&self) -> &str;

    /// The words of these pages, numbered from 1, of a PDF file. Paragraphs are parted by an empty line. A page without
    /// words may be left out.
    ///
    /// # Errors
    /// Whatever the engine answers; the upload then fails, since a silent gap would hide it.
    async fn read(&self, file: &[u8], pages: &[u32]) -> Result<Vec<OcrPage>>;
}

/// The words of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcrPage {
    /// Number of the page, from 1.
    pub page: u32,
    /// Its words.
    pub text: String,
}

/// Asks for the pages that show an image and hold no text, and puts what comes where they stand.
pub(crate) async fn recognise(ocr: &dyn Ocr, file: &[u8], document: &mut Extracted) -> Result<()> {
    let scanned: Vec<u32> = document
        .warnings
        .iter()
        .filter(|warning| warning.code == WarningCode::NeedsOcr)
        .filter_map(|warning| warning.detail.parse().ok())
        .collect();
    if scanned.is_empty() {
        return Ok(());
    }
    for page in ocr.read(file, &scanned).await? {
        if scanned.contains(&page.page) {
            insert(document, &page);
        }
    }
    if document.text.len() > MAX_CHARS && document.text.chars().count() > MAX_CHARS {
        let expected =
            "expected at most 10 million characters with those of scanned pages: split the document";
        return Err(Error::invalid(OP, "bytes", expected));
    }
    Ok(())
}

/// Puts the words of a page behind those of the pages before it.
fn insert(document: &mut Extracted, page: &OcrPage) {
    let unix = page.text.replace("\r\n", "\n");
    let paragraphs: Vec<String> = unix.split("\n\n").map(fold).filter(|text| !text.is_empty()).collect();
    let warning = document
        .warnings
        .iter_mut()
        .find(|w| w.code == WarningCode::NeedsOcr && w.detail == page.page.to_string());
    // A page that comes twice is taken once.
    let Some(warning) = warning.filter(|_| !paragraphs.is_empty()) else { return };
    warning.code = WarningCode::OcrLayer;
    let place = document.blocks.partition_point(|block| block.origin.page.unwrap_or_default() <= page.page);
    let next = document.blocks.get(place).map(|block| block.byte_start);
    let at = next.unwrap_or(document.text.len());
    let mut added = String::new();
    let mut blocks = Vec::new();
    if next.is_none() && at > 0 {
        added.push_str("\n\n");
    }
    for (n, paragraph) in paragraphs.iter().enumerate() {
        if n > 0 {
            added.push_str("\n\n");
        }
        let byte_start = at + added.len();
        added.push_str(paragraph);
        let origin = Origin { page: Some(page.page), ..Origin::default() };
        let byte_end = at + added.len();
        blocks.push(Block { kind: BlockKind::Paragraph, byte_start, byte_end, origin });
    }
    if next.is_some() {
        added.push_str("\n\n");
    }
    let moved = |byte: &mut usize| *byte += if *byte >= at { added.len() } else { 0 };
    for block in document.blocks.iter_mut().skip(place) {
        moved(&mut block.byte_start);
        moved(&mut block.byte_end);
    }
    for link in document.links.iter_mut().filter(|link| link.byte_start >= at) {
        moved(&mut link.byte_start);
        moved(&mut link.byte_end);
    }
    for hidden in document.hidden.iter_mut().filter(|h| h.page.is_none_or(|number| number > page.page)) {
        moved(&mut hidden.before_byte);
    }
    document.text.insert_str(at, &added);
    document.blocks.splice(place..place, blocks);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Reads(Vec<OcrPage>);

    #[async_trait]
    impl Ocr for Reads {
        fn id(&self) -> &str {
            "reads-1"
        }
        async fn read(&self, file: &[u8], pages: &[u32]) -> Result<Vec<OcrPage>> {
            assert_eq!((file, pages), (&b"file"[..], &[1, 3, 4][..]));
            Ok(self.0.clone())
        }
    }

    fn page(page: u32, text: &str) -> OcrPage {
        OcrPage { page, text: text.into() }
    }

    #[tokio::test]
    async fn words_of_a_scan_stand_where_its_page_is() {
        let mut document = Extracted { text: "Second page.\n\nFifth page.".into(), ..Extracted::default() };
        for (range, number) in [(0..12, 2), (14..25, 5)] {
            let origin = Origin { page: Some(number), ..Origin::default() };
            let (byte_start, byte_end) = (range.start, range.end);
            document.blocks.push(Block { kind: BlockKind::Paragraph, byte_start, byte_end, origin });
        }
        for number in ["1", "3", "4"] {
            document.warn(WarningCode::NeedsOcr, number);
        }
        let answer = vec![
            page(3, "Third  page,\nfirst part.\r\n\r\nSecond part."),
            page(1, "First page."),
            page(1, "Again."),
            page(2, "Nobody asked."),
            page(4, " \n "),
        ];
        recognise(&Reads(answer), b"file", &mut document).await.unwrap();
        let blocks: Vec<_> =
            document.blocks.iter().map(|b| (b.origin.page.unwrap(), document.block_text(b))).collect();
        assert_eq!(
            blocks,
            [
                (1, "First page."),
                (2, "Second page."),
                (3, "Third page, first part."),
                (3, "Second part."),
                (5, "Fifth page.")
            ]
        );
        let texts: Vec<&str> = document.text.split("\n\n").collect();
        assert_eq!(texts, blocks.iter().map(|(_, text)| *text).collect::<Vec<_>>());
        let warnings: Vec<_> = document.warnings.iter().map(|w| (w.code, w.detail.as_str())).collect();
        use WarningCode::{NeedsOcr, OcrLayer};
        assert_eq!(warnings, [(OcrLayer, "1"), (OcrLayer, "3"), (NeedsOcr, "4")]);
    }

    #[tokio::test]
    async fn a_document_of_scans_alone_becomes_text() {
        let mut document = Extracted::default();
        for number in ["1", "3", "4"] {
            document.warn(WarningCode::NeedsOcr, number);
        }
        recognise(&Reads(vec![page(3, "Third."), page(4, "Fourth.")]), b"file", &mut document).await.unwrap();
        assert_eq!(document.text, "Third.\n\nFourth.");
    }
}
