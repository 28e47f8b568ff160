//! The few style rules that decide whether text can be seen.

use std::collections::{BTreeMap, HashMap};

use ego_tree::NodeId;
use scraper::{ElementRef, Html, Selector};

use super::super::HiddenReason;

/// Properties that can hide text; all others are skipped while parsing.
const PROPERTIES: [&str; 19] = [
    "display",
    "visibility",
    "content-visibility",
    "opacity",
    "font-size",
    "font",
    "color",
    "background",
    "background-color",
    "width",
    "height",
    "max-height",
    "max-width",
    "overflow",
    "position",
    "left",
    "top",
    "clip",
    "clip-path",
];
/// Most rules taken from the style elements of one page: each costs one pass over its elements.
const MAX_RULES: usize = 400;
/// Colours nearer than this in every channel (0..=255) cannot be told apart.
const SAME_COLOUR: u8 = 12;
/// Letters below this size in pixels cannot be read.
const SMALLEST_PX: f32 = 2.0;
/// Further left or up than this, in pixels, is outside of any page.
const OFF_PAGE_PX: f32 = -500.0;

type Rules = BTreeMap<String, String>;
type Colour = [u8; 3];

/// What the style elements of a page say, by element.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    by_node: HashMap<NodeId, Rules>,
}

/// How text looks at one place of the tree.
#[derive(Clone, Debug)]
pub(super) struct Look {
    gone: Option<HiddenReason>,
    is_invisible: bool,
    is_tiny: bool,
    colour: Option<Colour>,
    is_transparent: bool,
    background: Option<Colour>,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            gone: None,
            is_invisible: false,
            is_tiny: false,
            colour: Some([0; 3]),
            is_transparent: false,
            background: Some([255; 3]),
        }
    }
}

impl Look {
    /// Why text here is hidden, if it is.
    pub(super) fn hidden(&self) -> Option<HiddenReason> {
        let is_same = match (self.colour, self.background) {
            (Some(a), Some(b)) => a.iter().zip(&b).all(|(a, b)| a.abs_diff(*b) <= SAME_COLOUR),
            _ => false,
        };
        self.gone
            .or(self.is_invisible.then_some(HiddenReason::Visibility))
            .or(self.is_tiny.then_some(HiddenReason::ZeroSize))
            .or((is_same || self.is_transparent).then_some(HiddenReason::SameColour))
    }

    /// The look inside an element.
    pub(super) fn inside(&self, el: ElementRef<'_>, sheet: &Sheet) -> Look {
        let mut look = self.clone();
        let value = el.value();
        let is_closed = value.name() == "dialog" && value.attr("open").is_none();
        if value.attr("hidden").is_some() || is_closed {
            look.gone = look.gone.or(Some(HiddenReason::Attribute));
        }
        if let Some(colour) = value.attr("bgcolor") {
            look.background = parse_colour(colour);
        }
        if let Some(colour) = value.attr("color").filter(|_| value.name() == "font") {
            look.colour = parse_colour(colour);
        }
        let mut rules = sheet.by_node.get(&el.id()).cloned().unwrap_or_default();
        if let Some(style) = value.attr("style") {
            rules.extend(declarations(style));
        }
        if !rules.is_empty() {
            look.apply(&rules);
        }
        look
    }

    fn apply(&mut self, rules: &Rules) {
        self.gone = self.gone.or_else(|| gone(rules));
        match rules.get("visibility").map(String::as_str) {
            Some("hidden" | "collapse") => self.is_invisible = true,
            Some("visible") => self.is_invisible = false,
            _ => {}
        }
        if let Some(px) = rules.get("font-size").or_else(|| rules.get("font")).and_then(|v| font_px(v)) {
            self.is_tiny = px < SMALLEST_PX;
        }
        if let Some(colour) = rules.get("color") {
            self.is_transparent = is_transparent(colour);
            self.colour = parse_colour(colour);
        }
        for property in ["background", "background-color"] {
            if let Some(value) = rules.get(property).filter(|v| !is_transparent(v)) {
                self.background = background(value);
            }
        }
    }
}

/// What takes an element and all inside it out of sight.
fn gone(rules: &Rules) -> Option<HiddenReason> {
    let is = |property: &str, value: &str| rules.get(property).is_some_and(|v| v == value);
    let px = |property: &str| rules.get(property).and_then(|v| length_px(v));
    if is("display", "none") || is("content-visibility", "hidden") {
        return Some(HiddenReason::DisplayNone);
    }
    if rules
        .get("opacity")
        .and_then(|v| v.trim_end_matches('%').parse::<f32>().ok())
        .is_some_and(|o| o <= 0.01)
    {
        return Some(HiddenReason::SameColour);
    }
    let clips = rules.get("overflow").is_some_and(|v| v.starts_with("hidden") || v.starts_with("clip"));
    let is_flat =
        ["width", "height", "max-width", "max-height"].iter().any(|p| px(p).is_some_and(|v| v <= 1.0));
    if clips && is_flat {
        return Some(HiddenReason::ZeroSize);
    }
    let is_taken_out = is("position", "absolute") || is("position", "fixed");
    let is_off = ["left", "top"].iter().any(|p| px(p).is_some_and(|v| v <= OFF_PAGE_PX));
    let is_clipped = rules.get("clip").is_some_and(|v| v.starts_with("rect(0") || v.starts_with("rect(1px"))
        || rules
            .get("clip-path")
            .is_some_and(|v| ["inset(50%", "inset(100%", "circle(0"].iter().any(|p| v.starts_with(p)));
    (is_taken_out && (is_off || is_clipped)).then_some(HiddenReason::OffPage)
}

impl Sheet {
    /// Reads the style elements of a page. Rules for print and for narrow screens are left out.
    pub(super) fn of(page: &Html) -> Self {
        let mut rules = Vec::new();
        for style in super::select(page, "style") {
            let is_print = style.attr("media").is_some_and(|m| !applies(m));
            if !is_print {
                parse_sheet(&strip_comments(&style.text().collect::<String>()), &mut rules, 0);
            }
        }
        // Simple cascade: stronger selectors later, equal ones in the order of the page.
        rules.truncate(MAX_RULES);
        rules.sort_by_key(|(selector, _)| strength(selector));
        let mut by_node: HashMap<NodeId, Rules> = HashMap::new();
        for (selector, declared) in &rules {
            let Ok(selector) = Selector::parse(selector) else { continue };
            for el in page.select(&selector) {
                by_node.entry(el.id()).or_default().extend(declared.clone());
            }
        }
        Self { by_node }
    }
}

fn applies(media: &str) -> bool {
    let media = media.to_ascii_lowercase();
    !["print", "width", "height", "prefers", "speech"].iter().any(|word| media.contains(word))
}

fn strip_comments(css: &str) -> String {
    let mut out = String::with_capacity(css.len());
    let mut rest = css;
    while let Some((before, after)) = rest.split_once("/*") {
        out.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

fn parse_sheet(css: &str, out: &mut Vec<(String, Rules)>, depth: u8) {
    let mut rest = css;
    while let Some((prelude, after)) = rest.split_once('{') {
        let (body, next) = block(after);
        rest = next;
        // An @import or @charset before the rule ends in a semicolon.
        let prelude = prelude.rsplit(';').next().unwrap_or_default().trim();
        if let Some(at) = prelude.strip_prefix('@') {
            let is_group = at.starts_with("media") || at.starts_with("supports") || at.starts_with("layer");
            if is_group && applies(at) && depth < 4 {
                parse_sheet(body, out, depth + 1);
            }
            continue;
        }
        let declared = declarations(body);
        if !declared.is_empty() {
            out.extend(prelude.split(',').map(|s| (s.trim().to_owned(), declared.clone())));
        }
    }
}

/// The text up to the brace that closes this block, and what follows.
fn block(css: &str) -> (&str, &str) {
    let mut depth = 0_u32;
    for (at, c) in css.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                return (css.get(..at).unwrap_or_default(), css.get(at + 1..).unwrap_or_default());
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    (css, "")
}

/// Declarations of the properties that matter, lower case, `!important` removed.
fn declarations(css: &str) -> Rules {
    css.split(';')
        .filter_map(|d| d.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value))
        .filter(|(name, _)| PROPERTIES.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = value.to_ascii_lowercase();
            (name, value.split('!').next().unwrap_or_default().trim().to_owned())
        })
        .collect()
}

fn strength(selector: &str) -> usize {
    let count = |signs: &[char]| selector.matches(signs).count();
    count(&['#']) * 100 + count(&['.', '[', ':']) * 10 + selector.split_whitespace().count()
}

fn number_and_unit(value: &str) -> Option<(f32, &str)> {
    let end =
        value.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '-' | '+')).unwrap_or(value.len());
    Some((value.get(..end)?.parse().ok()?, value.get(end..)?.trim()))
}

/// A length in pixels; relative units take 16 px per em (CSS Values 4, initial font size).
fn length_px(value: &str) -> Option<f32> {
    let (n, unit) = number_and_unit(value.trim())?;
    match unit {
        "" | "px" => Some(n),
        "pt" => Some(n * 4.0 / 3.0),
        "em" | "rem" | "ch" | "ex" => Some(n * 16.0),
        "%" if n == 0.0 => Some(0.0),
        // A tenth of a percent of a window is still more than nothing.
        _ if n <= OFF_PAGE_PX => Some(n),
        _ => None,
    }
}

/// Font size from `font-size` or from the shorthand `font`.
fn font_px(value: &str) -> Option<f32> {
    value.split_whitespace().find_map(|word| {
        let size = word.split('/').next()?;
        let (n, unit) = number_and_unit(size)?;
        match unit {
            // A bare number in the shorthand is a weight, except zero.
            "" if n == 0.0 => Some(0.0),
            "%" => Some(n * 0.16),
            "" => None,
            _ => length_px(size),
        }
    })
}

fn is_transparent(value: &str) -> bool {
    let value = value.trim();
    let alpha = value
        .strip_suffix(')')
        .and_then(|v| v.strip_prefix("rgba(").or_else(|| v.strip_prefix("rgb(")))
        .and_then(|v| v.split([',', '/', ' ']).filter(|p| !p.is_empty()).nth(3))
        .and_then(|a| a.trim_end_matches('%').parse::<f32>().ok());
    value == "transparent"
        || alpha == Some(0.0)
        || (value.len() == 9 && value.starts_with('#') && value.ends_with("00"))
}

/// Background colour; `None` when it is an image, a gradient or not known.
fn background(value: &str) -> Option<Colour> {
    if value.contains("url(") || value.contains("gradient") {
        return None;
    }
    parse_colour(value).or_else(|| value.split_whitespace().find_map(parse_colour))
}

const NAMED: &[(&str, Colour)] = &[
    ("white", [255; 3]),
    ("snow", [255, 250, 250]),
    ("ivory", [255, 255, 240]),
    ("ghostwhite", [248, 248, 255]),
    ("whitesmoke", [245; 3]),
    ("black", [0; 3]),
    ("gray", [128; 3]),
    ("grey", [128; 3]),
    ("silver", [192; 3]),
    ("red", [255, 0, 0]),
    ("maroon", [128, 0, 0]),
    ("yellow", [255, 255, 0]),
    ("olive", [128, 128, 0]),
    ("lime", [0, 255, 0]),
    ("green", [0, 128, 0]),
    ("aqua", [0, 255, 255]),
    ("teal", [0, 128, 128]),
    ("blue", [0, 0, 255]),
    ("navy", [0, 0, 128]),
    ("fuchsia", [255, 0, 255]),
    ("purple", [128, 0, 128]),
    ("orange", [255, 165, 0]),
];

/// `#rgb`, `#rrggbb`, `rgb()`, `rgba()` and common names (CSS Color 4).
fn parse_colour(value: &str) -> Option<Colour> {
    let value = value.trim().to_ascii_lowercase();
    if let Some(named) = NAMED.iter().find(|(name, _)| *name == value) {
        return Some(named.1);
    }
    if let Some(hex) = value.strip_prefix('#') {
        let digits: Vec<u8> = hex.chars().map_while(|c| c.to_digit(16)).map(|d| d as u8).collect();
        return match digits.as_slice() {
            [r, g, b] | [r, g, b, _] if digits.len() == hex.len() => Some([r * 17, g * 17, b * 17]),
            [a, b, c, d, e, f] | [a, b, c, d, e, f, _, _] => Some([a * 16 + b, c * 16 + d, e * 16 + f]),
            _ => None,
        };
    }
    let inner = value.strip_prefix("rgba(").or_else(|| value.strip_prefix("rgb("))?.strip_suffix(')')?;
    let mut parts = inner.split([',', ' ', '/']).filter(|p| !p.is_empty()).map(|p| {
        let n: f32 = p.trim_end_matches('%').parse().ok()?;
        Some(if p.ends_with('%') { n * 2.55 } else { n }.clamp(0.0, 255.0) as u8)
    });
    Some([parts.next()??, parts.next()??, parts.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(style: &str) -> Option<HiddenReason> {
        let mut look = Look::default();
        look.apply(&declarations(style));
        look.hidden()
    }

    #[test]
    fn styles_that_hide() {
        use HiddenReason::{DisplayNone, OffPage, SameColour, Visibility, ZeroSize};
        let cases = [
            ("display:none", DisplayNone),
            ("DISPLAY : NONE !important", DisplayNone),
            ("visibility:hidden", Visibility),
            ("font-size:0", ZeroSize),
            ("font-size:1px", ZeroSize),
            ("font: 0/0 a", ZeroSize),
            ("max-height:0;overflow:hidden", ZeroSize),
            ("color:#fff", SameColour),
            ("color: rgb(255, 255, 254)", SameColour),
            ("color:#123456;background:#123456", SameColour),
            ("color:transparent", SameColour),
            ("opacity:0", SameColour),
            ("position:absolute;left:-9999px", OffPage),
            ("position:absolute;clip:rect(0,0,0,0)", OffPage),
        ];
        for (style, reason) in cases {
            assert_eq!(hidden(style), Some(reason), "{style}");
        }
    }

    #[test]
    fn styles_that_show() {
        for style in [
            "color:#fff;background:#000",
            "color:white;background:url(x.png)",
            "color:white;background-image:none;background-color:navy",
            "font: bold 14px/1.2 serif",
            "font-size:90%",
            "height:0",
            "left:-10px;position:relative",
            "display:block",
        ] {
            assert_eq!(hidden(style), None, "{style}");
        }
    }
}
