//! Widths of the standard fonts, which files may use without saying their widths.

/// Widths of ASCII 32..=126 of Helvetica in thousandths of the size.
// Source: Adobe Core 14 AFM files, Helvetica.afm (1997).
#[rustfmt::skip]
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// Width of a character in a font of this name, as a share of its size.
///
/// Helvetica is exact; other families are scaled from it, which is near enough to tell a gap between words
/// from a gap inside one.
pub(super) fn standard_width(base_font: &str, c: char) -> f32 {
    let name = base_font.to_ascii_lowercase();
    if name.contains("courier") || name.contains("mono") {
        return 0.6;
    }
    let index = (c as usize).checked_sub(32);
    let helvetica = index.and_then(|n| HELVETICA.get(n)).copied().unwrap_or(556);
    let family =
        if name.contains("times") || name.contains("serif") && !name.contains("sans") { 0.9 } else { 1.0 };
    let weight = if name.contains("bold") { 1.06 } else { 1.0 };
    f32::from(helvetica) / 1000.0 * family * weight
}
