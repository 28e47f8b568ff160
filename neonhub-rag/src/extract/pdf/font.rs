//! Fonts: from the codes of a content stream to characters and widths.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use lopdf::{Dictionary, Document, Object, ObjectId};
use unicode_normalization::UnicodeNormalization;

use super::budget::{Budget, MAX_STREAM_BYTES};
use super::cmap::CMap;
use super::metrics::standard_width;

/// Fonts by object, so that a font used on a hundred pages is read once.
pub(super) type Cache = BTreeMap<ObjectId, Rc<Font>>;

/// One font.
#[derive(Debug)]
pub(super) struct Font {
    to_unicode: Option<CMap>,
    /// Text of each code of a simple font.
    table: Vec<String>,
    codes: Codes,
    widths: HashMap<u32, f32>,
    default_width: Option<f32>,
    base_font: String,
    pub(super) is_bold: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codes {
    /// One byte each.
    Simple,
    /// Glyph numbers of a composite font; text only through `ToUnicode`.
    Glyphs(usize),
    /// The codes are UTF-16 themselves.
    Utf16,
}

/// One shown character.
#[derive(Debug)]
pub(super) struct Glyph {
    /// Its text, or `None` when the font does not say.
    pub(super) text: Option<String>,
    /// Width as a share of the font size.
    pub(super) width: f32,
    /// True for the code 32 of a simple font, to which word spacing applies.
    pub(super) is_space: bool,
}

impl Font {
    /// Reads a font resource, through the cache when it is an object of its own.
    pub(super) fn load(
        doc: &Document,
        object: &Object,
        cache: &mut Cache,
        budget: &mut Budget,
    ) -> Option<Rc<Font>> {
        let id = object.as_reference().ok();
        if let Some(font) = id.and_then(|id| cache.get(&id)) {
            return Some(Rc::clone(font));
        }
        let (_, object) = doc.dereference(object).ok()?;
        let font = Rc::new(Font::read(doc, object.as_dict().ok()?, budget));
        if let Some(id) = id {
            cache.insert(id, Rc::clone(&font));
        }
        Some(font)
    }

    fn read(doc: &Document, dict: &Dictionary, budget: &mut Budget) -> Self {
        let stream = dict.get_deref(b"ToUnicode", doc).and_then(Object::as_stream);
        let content = stream.ok().and_then(|stream| budget.unpack(stream, MAX_STREAM_BYTES / 8));
        let to_unicode = content.map(|c| CMap::parse(&c)).filter(|map| !map.is_empty());
        let base_font = dict.get(b"BaseFont").and_then(Object::as_name).unwrap_or_default();
        let base_font = String::from_utf8_lossy(base_font).into_owned();
        let name = base_font.to_ascii_lowercase();
        let is_bold = ["bold", "black", "heavy", "semibold"].iter().any(|w| name.contains(w));
        let mut font = Font {
            to_unicode,
            table: Vec::new(),
            codes: Codes::Simple,
            widths: HashMap::new(),
            default_width: None,
            base_font,
            is_bold,
        };
        if dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|s| s == b"Type0") {
            font.read_composite(doc, dict);
        } else {
            font.table = simple_table(doc, dict);
            font.read_simple_widths(doc, dict);
        }
        font
    }

    fn read_composite(&mut self, doc: &Document, dict: &Dictionary) {
        let encoding = dict.get_deref(b"Encoding", doc).and_then(Object::as_name).unwrap_or_default();
        let is_utf16 = encoding.starts_with(b"Uni") && (has(encoding, b"UCS2") || has(encoding, b"UTF16"));
        let code_bytes = self.to_unicode.as_ref().and_then(|m| m.code_bytes).unwrap_or(2);
        // Identity encodings always take two bytes, whatever the map says.
        let code_bytes = if encoding.starts_with(b"Identity") { 2 } else { code_bytes };
        self.codes = if is_utf16 { Codes::Utf16 } else { Codes::Glyphs(code_bytes) };
        let descendant = dict
            .get_deref(b"DescendantFonts", doc)
            .and_then(Object::as_array)
            .ok()
            .and_then(|a| doc.dereference(a.first()?).ok())
            .and_then(|(_, o)| o.as_dict().ok());
        let Some(descendant) = descendant else { return };
        self.default_width =
            Some(descendant.get(b"DW").and_then(Object::as_float).unwrap_or(1000.0) / 1000.0);
        if let Ok(widths) = descendant.get_deref(b"W", doc).and_then(Object::as_array) {
            self.read_composite_widths(doc, widths);
        }
    }

    /// `c [w1 w2 ...]` or `first last w` (ISO 32000-1, 9.7.4.3).
    fn read_composite_widths(&mut self, doc: &Document, widths: &[Object]) {
        let mut rest = widths.iter().filter_map(|o| doc.dereference(o).ok().map(|(_, o)| o));
        while let (Some(first), Some(second)) = (rest.next(), rest.next()) {
            let Some(first) = code(first) else { return };
            if let Ok(list) = second.as_array() {
                for (n, width) in (0..).zip(list) {
                    if let Some(width) = number(doc, width) {
                        self.widths.insert(first.saturating_add(n), width / 1000.0);
                    }
                }
            } else if let (Some(last), Some(width)) =
                (code(second), rest.next().and_then(|w| w.as_float().ok()))
            {
                for code in first..=last.min(first.saturating_add(0xffff)) {
                    self.widths.insert(code, width / 1000.0);
                }
            }
        }
    }

    fn read_simple_widths(&mut self, doc: &Document, dict: &Dictionary) {
        let first = dict.get_deref(b"FirstChar", doc).ok().and_then(code).unwrap_or(0);
        let Ok(list) = dict.get_deref(b"Widths", doc).and_then(Object::as_array) else { return };
        // The unit of Type 3 fonts is set by their own matrix.
        let matrix = dict.get_deref(b"FontMatrix", doc).and_then(Object::as_array).ok();
        let unit = matrix.and_then(|m| number(doc, m.first()?)).unwrap_or(0.001);
        for (n, width) in (0..256_u32).zip(list) {
            if let Some(width) = number(doc, width) {
                self.widths.insert(first.saturating_add(n), width * unit);
            }
        }
        self.default_width = dict
            .get_deref(b"FontDescriptor", doc)
            .and_then(Object::as_dict)
            .and_then(|d| d.get(b"MissingWidth"))
            .and_then(Object::as_float)
            .ok()
            .map(|w| w / 1000.0);
    }

    /// The characters of a shown string.
    pub(super) fn decode(&self, bytes: &[u8]) -> Vec<Glyph> {
        match self.codes {
            Codes::Simple => bytes.iter().map(|b| self.glyph(u32::from(*b), true)).collect(),
            Codes::Glyphs(size) => bytes.chunks(size).map(|c| self.glyph(fold(c), size == 1)).collect(),
            Codes::Utf16 => {
                let units = bytes.chunks(2).map(|c| fold(c) as u16);
                char::decode_utf16(units)
                    .flatten()
                    .map(|c| Glyph {
                        text: Some(c.to_string()),
                        width: self.default_width.unwrap_or(1.0),
                        is_space: false,
                    })
                    .collect()
            }
        }
    }

    fn glyph(&self, code: u32, is_byte: bool) -> Glyph {
        let mapped = self.to_unicode.as_ref().and_then(|m| m.get(code)).filter(|t| !t.contains('\u{fffd}'));
        let text = mapped.or_else(|| self.table.get(code as usize).filter(|t| !t.is_empty()).cloned());
        let width = self.widths.get(&code).copied().or(self.default_width).unwrap_or_else(|| {
            let c = text.as_ref().and_then(|t| t.chars().next()).unwrap_or('n');
            standard_width(&self.base_font, c)
        });
        let text = text.map(|t| plain(&t));
        Glyph { text, width, is_space: is_byte && code == 32 }
    }
}

/// No-break spaces as spaces, typographic ligatures as their letters: search and hyphens need the letters.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{a0}' => out.push(' '),
            '\u{fb00}'..='\u{fb06}' => out.extend(std::iter::once(c).nfkc()),
            c => out.push(c),
        }
    }
    out
}

/// Text of the 256 codes of a simple font by its encoding and differences.
fn simple_table(doc: &Document, dict: &Dictionary) -> Vec<String> {
    let encoding = dict.get_deref(b"Encoding", doc).ok();
    let entries = encoding.and_then(|e| e.as_dict().ok());
    let base = entries
        .and_then(|d| d.get(b"BaseEncoding").ok())
        .or(encoding)
        .and_then(|e| e.as_name().ok())
        .unwrap_or_else(|| fallback_encoding(dict));
    let mut table = base_table(doc, base);
    if let Some(differences) = entries.and_then(|d| d.get_deref(b"Differences", doc).ok()?.as_array().ok()) {
        let mut code = 0_usize;
        for entry in differences {
            match entry {
                Object::Integer(n) => code = usize::try_from(*n).unwrap_or(256),
                Object::Name(name) => {
                    if let Some(slot) = table.get_mut(code) {
                        *slot = named_glyph(doc, name);
                    }
                    code = code.saturating_add(1);
                }
                _ => {}
            }
        }
    }
    table
}

/// Fonts that are not embedded and say nothing: Windows encoding for TrueType, Adobe's for the rest.
fn fallback_encoding(dict: &Dictionary) -> &'static [u8] {
    let is_true_type = dict.get(b"Subtype").and_then(Object::as_name).is_ok_and(|s| s == b"TrueType");
    if is_true_type { b"WinAnsiEncoding" } else { b"StandardEncoding" }
}

fn base_table(doc: &Document, name: &[u8]) -> Vec<String> {
    let known: [&[u8]; 4] =
        [b"StandardEncoding", b"MacRomanEncoding", b"MacExpertEncoding", b"WinAnsiEncoding"];
    let name = if known.contains(&name) { name } else { b"StandardEncoding" };
    let mut font = Dictionary::new();
    font.set("Type", Object::Name(b"Font".to_vec()));
    font.set("Encoding", Object::Name(name.to_vec()));
    let encoding = font.get_font_encoding(doc);
    (0..=255_u8)
        .map(|code| encoding.as_ref().ok().and_then(|e| e.bytes_to_string(&[code]).ok()).unwrap_or_default())
        .collect()
}

/// The character of a glyph name: `uni00E9`, `u1F600`, or a name of the Adobe Glyph List.
fn named_glyph(doc: &Document, name: &[u8]) -> String {
    // A suffix such as `.sc` picks a shape, not another character (Adobe Glyph List specification, 2018).
    let name = name.split(|b| *b == b'.').next().unwrap_or_default();
    let text = std::str::from_utf8(name).unwrap_or_default();
    let digits =
        text.strip_prefix("uni").or_else(|| text.strip_prefix('u')).filter(|d| (4..=6).contains(&d.len()));
    if let Some(c) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()).and_then(char::from_u32) {
        return c.to_string();
    }
    let mut differences = Dictionary::new();
    differences.set("Differences", vec![Object::Integer(0), Object::Name(name.to_vec())]);
    let mut font = Dictionary::new();
    font.set("Type", Object::Name(b"Font".to_vec()));
    font.set("Encoding", Object::Dictionary(differences));
    // An unknown name falls back to the standard encoding, which has nothing at code 0.
    font.get_font_encoding(doc).ok().and_then(|e| e.bytes_to_string(&[0]).ok()).unwrap_or_default()
}

fn has(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|w| w == needle)
}

fn fold(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

fn code(object: &Object) -> Option<u32> {
    u32::try_from(object.as_i64().ok()?).ok().filter(|c| *c <= 0xff_ffff)
}

fn number(doc: &Document, object: &Object) -> Option<f32> {
    doc.dereference(object).ok()?.1.as_float().ok().filter(|w| w.is_finite())
}
