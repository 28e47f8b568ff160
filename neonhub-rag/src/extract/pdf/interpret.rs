//! Runs a content stream and notes where which text is shown.

use std::rc::Rc;

use lopdf::content::{Content, Operation};
use lopdf::{Dictionary, Document, Object};

use super::super::HiddenReason;
use super::budget::{Budget, MAX_STREAM_BYTES};
use super::font::{Cache, Font};
use super::matrix::{Matrix, Rect};

/// Deepest nesting of form objects.
const MAX_FORMS: usize = 8;
/// Most operations of one page, forms included: a form that calls forms multiplies.
const MAX_OPERATIONS: usize = 3_000_000;
/// Most filled areas and images remembered as background of one page.
const MAX_FILLS: usize = 4_000;
/// A move to the right by more than this share of the size parts two words.
const WORD_GAP: f32 = 0.18;
/// A move by more than this share of the size parts two columns.
const COLUMN_GAP: f32 = 1.2;
/// Letters smaller than this, in points, cannot be read.
const SMALLEST_POINTS: f32 = 1.5;
/// Colours nearer than this in every channel (0..=1) cannot be told apart.
const SAME_COLOUR: f32 = 0.05;

/// Text shown in one piece.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Left end of the base line in points, turned so that the text runs to the right.
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) width: f32,
    pub(super) size: f32,
    pub(super) text: String,
    pub(super) is_bold: bool,
    /// Quarter turns of the page that make the text upright.
    pub(super) quarter: u8,
    pub(super) hidden: Option<HiddenReason>,
}

/// What one page shows.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) runs: Vec<Run>,
    pub(super) has_image: bool,
    /// An image covers more than half of the page.
    pub(super) has_large_image: bool,
    /// Characters whose font does not say what they are.
    pub(super) unmapped: usize,
}

type Colour = [f32; 3];

#[derive(Clone)]
struct State {
    ctm: Matrix,
    font: Option<Rc<Font>>,
    size: f32,
    char_space: f32,
    word_space: f32,
    scale: f32,
    leading: f32,
    rise: f32,
    mode: i64,
    /// `None` for patterns and spot colours.
    fill: Option<Colour>,
}

/// Interprets the streams of one page.
pub(super) struct Interpreter<'a> {
    doc: &'a Document,
    fonts: &'a mut Cache,
    budget: &'a mut Budget,
    media: Option<[f32; 4]>,
    state: State,
    stack: Vec<State>,
    text: Matrix,
    line: Matrix,
    path: Option<Rect>,
    fills: Vec<(Rect, Option<Colour>)>,
    page: Page,
    operations: usize,
    forms: usize,
}

impl<'a> Interpreter<'a> {
    pub(super) fn new(
        doc: &'a Document,
        fonts: &'a mut Cache,
        budget: &'a mut Budget,
        media: Option<[f32; 4]>,
    ) -> Self {
        let state = State {
            ctm: Matrix::IDENTITY,
            font: None,
            size: 0.0,
            char_space: 0.0,
            word_space: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
            mode: 0,
            fill: Some([0.0; 3]),
        };
        Self {
            doc,
            fonts,
            budget,
            media,
            state,
            stack: Vec::new(),
            text: Matrix::IDENTITY,
            line: Matrix::IDENTITY,
            path: None,
            fills: Vec::new(),
            page: Page::default(),
            operations: 0,
            forms: 0,
        }
    }

    pub(super) fn finish(self) -> Page {
        self.page
    }

    pub(super) fn run(&mut self, content: &[u8], resources: &'a Dictionary) {
        for operation in Content::decode_iter(content).flatten() {
            self.operations += 1;
            if self.operations > MAX_OPERATIONS {
                return;
            }
            self.operation(&operation, resources);
        }
    }

    fn operation(&mut self, op: &Operation, resources: &'a Dictionary) {
        let n = numbers(&op.operands);
        match (op.operator.as_str(), n.as_slice()) {
            ("q", _) if self.stack.len() < 256 => self.stack.push(self.state.clone()),
            ("Q", _) => {
                if let Some(state) = self.stack.pop() {
                    self.state = state;
                }
            }
            ("cm", [a, b, c, d, e, f]) => {
                let m = Matrix([*a, *b, *c, *d, *e, *f]).then(self.state.ctm);
                if m.is_finite() {
                    self.state.ctm = m;
                }
            }
            ("Do", _) => self.object(op, resources),
            ("re" | "m" | "l" | "c" | "v" | "y", n) => self.path(&op.operator, n),
            ("f" | "F" | "f*" | "B" | "B*" | "b" | "b*", _) => self.fill(),
            ("n" | "S" | "s", _) => self.path = None,
            ("g", [grey]) => self.state.fill = Some([*grey; 3]),
            ("rg", [r, g, b]) => self.state.fill = Some([*r, *g, *b]),
            ("k", [c, m, y, k]) => self.state.fill = Some(from_cmyk(*c, *m, *y, *k)),
            ("cs", _) => self.state.fill = Some([0.0; 3]),
            ("sc" | "scn", n) => {
                self.state.fill = match n {
                    [grey] if op.operands.len() == 1 => Some([*grey; 3]),
                    [r, g, b] => Some([*r, *g, *b]),
                    [c, m, y, k] => Some(from_cmyk(*c, *m, *y, *k)),
                    _ => None,
                }
            }
            _ => self.text_operation(op, &n, resources),
        }
    }

    fn text_operation(&mut self, op: &Operation, n: &[f32], resources: &'a Dictionary) {
        match (op.operator.as_str(), n) {
            ("BT", _) => (self.text, self.line) = (Matrix::IDENTITY, Matrix::IDENTITY),
            ("Tf", _) => self.set_font(op, resources),
            ("Tc", [v]) => self.state.char_space = *v,
            ("Tw", [v]) => self.state.word_space = *v,
            ("Tz", [v]) => self.state.scale = v / 100.0,
            ("TL", [v]) => self.state.leading = *v,
            ("Ts", [v]) => self.state.rise = *v,
            ("Tr", [v]) => self.state.mode = *v as i64,
            ("Td", [x, y]) => self.next_line(*x, *y),
            ("TD", [x, y]) => {
                self.state.leading = -y;
                self.next_line(*x, *y);
            }
            ("Tm", [a, b, c, d, e, f]) => {
                let m = Matrix([*a, *b, *c, *d, *e, *f]);
                if m.is_finite() {
                    (self.text, self.line) = (m, m);
                }
            }
            ("T*", _) => self.next_line(0.0, -self.state.leading),
            ("Tj", _) => self.show(&op.operands),
            ("TJ", _) => {
                if let Some(Object::Array(parts)) = op.operands.first() {
                    self.show(parts);
                }
            }
            ("'", _) => {
                self.next_line(0.0, -self.state.leading);
                self.show(&op.operands);
            }
            ("\"", n) => {
                if let [word, char] = n {
                    (self.state.word_space, self.state.char_space) = (*word, *char);
                }
                self.next_line(0.0, -self.state.leading);
                self.show(op.operands.get(2..).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn set_font(&mut self, op: &Operation, resources: &'a Dictionary) {
        let [Object::Name(name), size] = op.operands.as_slice() else { return };
        self.state.size = size.as_float().unwrap_or(0.0);
        let fonts = resources.get_deref(b"Font", self.doc).and_then(Object::as_dict);
        self.state.font = fonts
            .and_then(|f| f.get(name))
            .ok()
            .and_then(|o| Font::load(self.doc, o, self.fonts, self.budget));
    }

    fn next_line(&mut self, x: f32, y: f32) {
        let moved = Matrix::shift(x, y).then(self.line);
        if moved.is_finite() {
            (self.line, self.text) = (moved, moved);
        }
    }

    /// Shows strings; numbers between them move the pen.
    fn show(&mut self, parts: &[Object]) {
        let Some(font) = self.state.font.clone() else {
            self.page.unmapped += 1;
            return;
        };
        let mut piece = String::new();
        let mut from = self.text;
        for part in parts {
            match part {
                Object::String(bytes, _) => self.letters(&font, bytes, &mut piece),
                Object::Integer(_) | Object::Real(_) => {
                    let by = -part.as_float().unwrap_or(0.0) / 1000.0;
                    if by.abs() > COLUMN_GAP {
                        self.put(&font, std::mem::take(&mut piece), from);
                        self.advance(by * self.state.size * self.state.scale);
                        from = self.text;
                        continue;
                    }
                    if by > WORD_GAP && !piece.ends_with(' ') {
                        piece.push(' ');
                    }
                    self.advance(by * self.state.size * self.state.scale);
                }
                _ => {}
            }
        }
        self.put(&font, piece, from);
    }

    fn letters(&mut self, font: &Font, bytes: &[u8], piece: &mut String) {
        for glyph in font.decode(bytes) {
            match &glyph.text {
                Some(text) => piece.push_str(text),
                None => self.page.unmapped += 1,
            }
            let s = &self.state;
            let space = s.char_space + if glyph.is_space { s.word_space } else { 0.0 };
            // Wide letter spacing of a word is no space, wide word spacing without a space glyph is none either.
            self.advance((glyph.width * s.size + space) * s.scale);
        }
    }

    fn advance(&mut self, by: f32) {
        let moved = Matrix::shift(by, 0.0).then(self.text);
        if moved.is_finite() {
            self.text = moved;
        }
    }

    fn put(&mut self, font: &Font, text: String, from: Matrix) {
        if text.trim().is_empty() {
            return;
        }
        let start = from.then(self.state.ctm);
        let end = self.text.then(self.state.ctm);
        let size = self.state.size.abs() * start.height_scale();
        let (x, y) = start.apply(0.0, self.state.rise);
        let (x1, y1) = end.apply(0.0, self.state.rise);
        if ![x, y, x1, y1, size].iter().all(|v| v.is_finite()) {
            return;
        }
        let hidden = self.hidden((x + x1) / 2.0, (y + y1) / 2.0 + size / 3.0, size);
        let quarter = start.quarter();
        let turn = |x: f32, y: f32| match quarter {
            0 => (x, y),
            1 => (y, -x),
            2 => (-x, -y),
            _ => (-y, x),
        };
        let ((x, y), (x1, _)) = (turn(x, y), turn(x1, y1));
        let is_bold = font.is_bold || self.state.mode == 2;
        self.page.runs.push(Run { x, y, width: (x1 - x).max(0.0), size, text, is_bold, quarter, hidden });
    }

    fn hidden(&self, x: f32, y: f32, size: f32) -> Option<HiddenReason> {
        if matches!(self.state.mode, 3 | 7) {
            return Some(HiddenReason::Invisible);
        }
        if size < SMALLEST_POINTS {
            return Some(HiddenReason::ZeroSize);
        }
        if self.media.is_some_and(|[x0, y0, x1, y1]| x < x0 || x > x1 || y < y0 || y > y1) {
            return Some(HiddenReason::OffPage);
        }
        let behind = match self.fills.iter().rev().find(|(area, _)| area.holds(x, y)) {
            Some((_, colour)) => (*colour)?,
            None => [1.0; 3],
        };
        let is_same = self.state.fill?.iter().zip(behind).all(|(a, b)| (a - b).abs() <= SAME_COLOUR);
        (is_same && self.state.mode == 0).then_some(HiddenReason::SameColour)
    }

    fn path(&mut self, operator: &str, n: &[f32]) {
        let points: Vec<(f32, f32)> = match (operator, n) {
            ("re", [x, y, w, h]) => vec![(*x, *y), (x + w, y + h), (*x, y + h), (x + w, *y)],
            _ => n.chunks_exact(2).filter_map(|p| Some((*p.first()?, *p.get(1)?))).collect(),
        };
        for (x, y) in points {
            let (x, y) = self.state.ctm.apply(x, y);
            match &mut self.path {
                Some(path) => path.grow(x, y),
                None => self.path = Some(Rect::point(x, y)),
            }
        }
    }

    fn fill(&mut self) {
        if let Some(area) = self.path.take().filter(|_| self.fills.len() < MAX_FILLS) {
            self.fills.push((area, self.state.fill));
        }
    }

    fn object(&mut self, op: &Operation, resources: &'a Dictionary) {
        let Some(Object::Name(name)) = op.operands.first() else { return };
        let objects = resources.get_deref(b"XObject", self.doc).and_then(Object::as_dict);
        let stream = objects.and_then(|o| o.get_deref(name, self.doc)).and_then(Object::as_stream);
        let Ok(stream) = stream else { return };
        match stream.dict.get(b"Subtype").and_then(Object::as_name) {
            Ok(b"Image") => self.image(),
            Ok(b"Form") if self.forms < MAX_FORMS => self.form(stream, resources),
            _ => {}
        }
    }

    fn image(&mut self) {
        let area = Rect::of_unit_square(self.state.ctm);
        self.page.has_image = true;
        let page_area = self.media.map_or(f32::MAX, |[x0, y0, x1, y1]| (x1 - x0) * (y1 - y0));
        self.page.has_large_image |= area.area() > page_area / 2.0;
        if self.fills.len() < MAX_FILLS {
            self.fills.push((area, None));
        }
    }

    fn form(&mut self, stream: &'a lopdf::Stream, outer: &'a Dictionary) {
        let Some(content) = self.budget.unpack(stream, MAX_STREAM_BYTES) else { return };
        let resources =
            stream.dict.get_deref(b"Resources", self.doc).and_then(Object::as_dict).unwrap_or(outer);
        let saved = (self.state.clone(), self.text, self.line, std::mem::take(&mut self.stack));
        if let Ok(matrix) = stream.dict.get_deref(b"Matrix", self.doc).and_then(Object::as_array)
            && let [a, b, c, d, e, f] = numbers(matrix).as_slice()
        {
            self.state.ctm = Matrix([*a, *b, *c, *d, *e, *f]).then(self.state.ctm);
        }
        self.forms += 1;
        self.run(&content, resources);
        self.forms -= 1;
        (self.state, self.text, self.line, self.stack) = saved;
    }
}

fn numbers(operands: &[Object]) -> Vec<f32> {
    operands.iter().filter_map(|o| o.as_float().ok()).filter(|n| n.is_finite()).collect()
}

/// Plain conversion without profiles (ISO 32000-1, 10.3.5).
fn from_cmyk(c: f32, m: f32, y: f32, k: f32) -> Colour {
    [c, m, y].map(|ink| (1.0 - ink) * (1.0 - k))
}
