//! Cards of text on brand colours, as SVG. Whole numbers only: the same card is the same bytes everywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::linear::LINEAR;
use crate::Faults;

/// Colours of a card that names none.
const COLORS: [&str; 2] = ["#1f2937", "#f9fafb"];
/// Least contrast of text, in tenths. WCAG 2.2, success criterion 1.4.3.
const CONTRAST: u64 = 45;
/// Most characters of a text of a card.
const MAX_TEXT: usize = 400;

/// A card for the offline model: words, laid out on colours. It draws no photograph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OfflineCard {
    /// What stands large; 1 to 400 characters.
    pub title: String,
    /// What stands under it, at most 400 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What stands at the foot, at most 400 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<String>,
    /// Colours of the brand, `#rrggbb`, at most 8. Default: dark grey and white.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub colors: Vec<String>,
    /// A font of the viewer's: letters, digits, blanks and hyphens. Default: the viewer's sans-serif.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub font: Option<String>,
}

/// Red, green, blue.
type Color = [u8; 3];

impl OfflineCard {
    pub(super) fn check(&self, faults: &mut Faults) {
        let fits = |text: &str| text.chars().count() <= MAX_TEXT;
        let is_said = !self.title.trim().is_empty() && fits(&self.title);
        faults.check(is_said, "card.title", "expected 1 to 400 characters");
        for (name, text) in [("card.text", &self.text), ("card.footer", &self.footer)] {
            faults.check(text.as_deref().is_none_or(fits), name, "expected at most 400 characters");
        }
        let all = self.colors.len() <= 8 && self.colors.iter().all(|text| color(text).is_some());
        faults.check(all, "card.colors", "expected at most 8 colours such as #1f2937");
        let is_font = |font: &String| {
            let plain = |c: char| c.is_alphanumeric() || c == ' ' || c == '-';
            (1..=60).contains(&font.len()) && font.chars().all(plain)
        };
        let expected = "expected a font of letters, digits, blanks and hyphens";
        faults.check(self.font.as_ref().is_none_or(is_font), "card.font", expected);
    }

    /// The SVG of one variant. Variants 0 to 11 of one seed differ.
    pub(super) fn paint(&self, (width, height): (u32, u32), seed: u64, variant: u64) -> String {
        let named: Vec<Color> = self.colors.iter().filter_map(|text| color(text)).collect();
        let colors = if named.is_empty() { COLORS.iter().filter_map(|c| color(c)).collect() } else { named };
        let turn = seed.wrapping_add(variant);
        let at = |n: u64| colors.get(usize::try_from(n % colors.len().max(1) as u64).unwrap_or(0));
        let ground = at(turn / 12 + seed).copied().unwrap_or([31, 41, 55]);
        let band = at(turn / 12 + seed + 1).copied().filter(|c| *c != ground).unwrap_or(ink(ground, &[]));
        let place = Place::new(width, height, turn % 12);
        let ink = ink(ground, &colors);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\"><title>{}</title>",
            escaped(&self.title)
        );
        out.push_str(&format!("<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>", hex(ground)));
        if let Some((x, y, w, h)) = place.band {
            out.push_str(&format!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{}\"/>",
                hex(band)
            ));
        }
        let font = match &self.font {
            Some(font) => format!("'{font}', sans-serif"),
            None => "sans-serif".to_owned(),
        };
        out.push_str(&format!(
            "<g font-family=\"{font}\" fill=\"{}\" text-anchor=\"{}\">",
            hex(ink),
            place.anchor
        ));
        let title = Lines::fit(&self.title, place.room, height / 8, height * 9 / 20);
        let mut y = height / 5;
        title.write(&mut out, place.x, &mut y, "bold");
        if let Some(text) = &self.text {
            y += height / 30;
            Lines::fit(text, place.room, title.size / 2, height / 4)
                .write(&mut out, place.x, &mut y, "normal");
        }
        if let Some(footer) = &self.footer {
            let lines = Lines::fit(footer, place.room, height / 28, height / 14);
            let mut y = height - height / 7;
            lines.write(&mut out, place.x, &mut y, "normal");
        }
        out.push_str("</g></svg>\n");
        out
    }
}

/// Where things stand in one of 12 layouts: three alignments, four bands.
struct Place {
    x: u32,
    anchor: &'static str,
    room: u32,
    band: Option<(u32, u32, u32, u32)>,
}

impl Place {
    fn new(width: u32, height: u32, layout: u64) -> Self {
        let margin = width / 10;
        let (x, anchor) = match layout % 3 {
            0 => (margin, "start"),
            1 => (width / 2, "middle"),
            _ => (width - margin, "end"),
        };
        let thin = (width.min(height) / 30).max(1);
        let band = match layout / 3 {
            0 => None,
            1 => Some((0, 0, thin, height)),
            2 => Some((0, 0, width, thin)),
            _ => Some((0, height - thin, width, thin)),
        };
        Place { x, anchor, room: width - 2 * margin, band }
    }
}

/// Text in lines that fit.
struct Lines {
    size: u32,
    lines: Vec<String>,
}

impl Lines {
    /// Takes the largest size from `size` down whose lines fit into the room.
    fn fit(text: &str, width: u32, size: u32, height: u32) -> Self {
        let mut size = size.max(1);
        loop {
            let lines = wrap(text, width, size);
            let is_low = lines.len() as u64 * u64::from(size) * 5 / 4 <= u64::from(height);
            let is_narrow = lines.iter().all(|line| breadth(line, size) <= u64::from(width));
            if size <= 8 || (is_low && is_narrow) {
                return Lines { size, lines };
            }
            size = size * 9 / 10;
        }
    }

    fn write(&self, out: &mut String, x: u32, y: &mut u32, weight: &str) {
        for line in &self.lines {
            *y += self.size;
            out.push_str(&format!(
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" font-weight=\"{weight}\">{}</text>",
                self.size,
                escaped(line)
            ));
            *y += self.size / 4;
        }
    }
}

/// About how many pixels a line takes: 0.58 of the size for a letter, all of it for a wide character.
fn breadth(line: &str, size: u32) -> u64 {
    let units: u64 = line.chars().map(|c| if is_wide(c) { 100 } else { 58 }).sum();
    units * u64::from(size) / 100
}

/// Breaks between words, and between any two wide characters.
fn wrap(text: &str, width: u32, size: u32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let mut gap = " ";
        for piece in word.split_inclusive(is_wide) {
            match lines.last_mut() {
                Some(line) if breadth(&format!("{line}{gap}{piece}"), size) <= u64::from(width) => {
                    line.push_str(gap);
                    line.push_str(piece);
                }
                _ => lines.push(piece.to_owned()),
            }
            gap = "";
        }
    }
    lines
}

fn is_wide(c: char) -> bool {
    c >= '\u{1100}'
}

/// The colour of text: one of the palette that is read well, else black or white.
fn ink(ground: Color, colors: &[Color]) -> Color {
    let reads = |color: &&Color| is_readable(**color, ground);
    let plain = if is_readable([0, 0, 0], ground) { [0, 0, 0] } else { [255, 255, 255] };
    colors.iter().find(reads).copied().unwrap_or(plain)
}

/// Relative luminance in millionths. WCAG 2.2.
fn luminance(color: Color) -> u64 {
    let [r, g, b] = color.map(|byte| u64::from(LINEAR.get(usize::from(byte)).copied().unwrap_or(0)));
    (2_126 * r + 7_152 * g + 722 * b) / 10_000
}

fn is_readable(a: Color, b: Color) -> bool {
    let (a, b) = (luminance(a) + 50_000, luminance(b) + 50_000);
    a.max(b) * 10 >= CONTRAST * a.min(b)
}

fn color(text: &str) -> Option<Color> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6 && digits.is_ascii())?;
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    Some([byte(0)?, byte(2)?, byte(4)?])
}

fn hex([r, g, b]: Color) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML has no place for them.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_on_every_ground() {
        // Every ground of a coarse cube, with a palette that never helps.
        for n in 0..4_096_u32 {
            let ground = [n >> 8, n >> 4 & 15, n & 15].map(|c| u8::try_from(c * 17).unwrap());
            assert!(is_readable(ink(ground, &[ground]), ground), "{ground:?}");
        }
        assert_eq!(luminance([255, 255, 255]), 1_000_000);
        assert!(!is_readable([0x77, 0x77, 0x77], [255, 255, 255]), "4.48 is not enough");
        assert!(is_readable([0x76, 0x76, 0x76], [255, 255, 255]), "4.54 is");
    }

    #[test]
    fn twelve_variants_differ_and_the_seed_turns_them() {
        let card = OfflineCard { title: "Spring sale".into(), ..OfflineCard::default() };
        let mut all: Vec<String> = (0..12).map(|variant| card.paint((1_024, 1_024), 0, variant)).collect();
        assert_ne!(card.paint((1_024, 1_024), 1, 0), all[0]);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 12);
    }

    #[test]
    fn words_stay_inside_and_are_only_words() {
        let title = "A very long title of a sale of green teas from the hills & <script>alert(1)</script>";
        let text = Some("茶".repeat(60));
        let card = OfflineCard { title: title.into(), text, ..OfflineCard::default() };
        for size in [(1_024, 1_024), (1_600, 400), (300, 900)] {
            let svg = card.paint(size, 0, 0);
            assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;"));
            let room = size.0 * 8 / 10;
            for text in [title, &"茶".repeat(60)] {
                let fitted = Lines::fit(text, room, size.1 / 8, size.1 * 9 / 20);
                assert!(
                    fitted.lines.iter().all(|line| breadth(line, fitted.size) <= u64::from(room)),
                    "{size:?}"
                );
            }
        }
    }
}
