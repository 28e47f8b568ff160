//! The `ToUnicode` map of a font (ISO 32000-1, 9.10.3).
//!
//! Our own reader, because lopdf's also builds the way back, and one crafted range then costs four billion steps.

use std::collections::BTreeMap;

/// Most entries kept from one map; the largest real fonts have 65 536 glyphs.
const MAX_ENTRIES: usize = 70_000;

/// Character codes to text.
#[derive(Debug, Default)]
pub(super) struct CMap {
    single: BTreeMap<u32, String>,
    /// First code, last code, UTF-16 of the first; by first code.
    ranges: Vec<(u32, u32, Vec<u16>)>,
    /// Bytes per code as the code space declares them.
    pub(super) code_bytes: Option<usize>,
}

enum Token {
    Hex(Vec<u8>),
    Open,
    Close,
    Word(Vec<u8>),
}

impl CMap {
    pub(super) fn parse(data: &[u8]) -> Self {
        let mut map = Self::default();
        let mut operands: Vec<Token> = Vec::new();
        for token in tokens(data) {
            match token {
                Token::Word(word) => {
                    match word.as_slice() {
                        b"endcodespacerange" => map.code_space(&operands),
                        b"endbfchar" => map.chars(&operands),
                        b"endbfrange" => map.read_ranges(&operands),
                        _ => {}
                    }
                    operands.clear();
                }
                token if operands.len() < 3 * MAX_ENTRIES => operands.push(token),
                _ => {}
            }
        }
        map.ranges.sort_by_key(|r| r.0);
        map
    }

    /// Text of a code.
    pub(super) fn get(&self, code: u32) -> Option<String> {
        if let Some(text) = self.single.get(&code) {
            return Some(text.clone());
        }
        let after = self.ranges.partition_point(|r| r.0 <= code);
        // Ranges may overlap in broken files; the nearest few are looked at.
        let (first, _, base) =
            self.ranges.get(after.saturating_sub(4)..after)?.iter().rev().find(|r| code <= r.1)?;
        let mut units = base.clone();
        if let Some(last) = units.last_mut() {
            *last = last.wrapping_add((code - first) as u16);
        }
        Some(text(&units))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.single.is_empty() && self.ranges.is_empty()
    }

    fn code_space(&mut self, operands: &[Token]) {
        let longest = operands.iter().filter_map(hex).map(<[u8]>::len).max();
        self.code_bytes = self.code_bytes.max(longest.map(|n| n.clamp(1, 4)));
    }

    fn chars(&mut self, operands: &[Token]) {
        for pair in operands.chunks_exact(2) {
            if let [Token::Hex(code), Token::Hex(to)] = pair {
                self.put(number(code), &units(to));
            }
        }
    }

    fn put(&mut self, code: u32, to: &[u16]) {
        if self.single.len() < MAX_ENTRIES {
            self.single.insert(code, text(to));
        }
    }

    fn read_ranges(&mut self, operands: &[Token]) {
        let mut rest = operands.iter();
        while let (Some(Token::Hex(first)), Some(Token::Hex(last))) = (rest.next(), rest.next()) {
            let (first, last) = (number(first), number(last));
            match rest.next() {
                Some(Token::Hex(to)) if self.ranges.len() < MAX_ENTRIES && first <= last => {
                    self.ranges.push((first, last, units(to)));
                }
                Some(Token::Open) => {
                    let mut code = first;
                    for token in rest.by_ref() {
                        match token {
                            Token::Hex(to) if code <= last => self.put(code, &units(to)),
                            Token::Close => break,
                            _ => {}
                        }
                        code = code.saturating_add(1);
                    }
                }
                Some(_) => {}
                None => return,
            }
        }
    }
}

fn hex(token: &Token) -> Option<&[u8]> {
    match token {
        Token::Hex(bytes) => Some(bytes),
        _ => None,
    }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |n, b| n << 8 | u32::from(*b))
}

fn units(bytes: &[u8]) -> Vec<u16> {
    match bytes {
        [one] => vec![u16::from(*one)],
        bytes => bytes.chunks(2).take(16).map(|c| c.iter().fold(0, |n, b| n << 8 | u16::from(*b))).collect(),
    }
}

fn text(units: &[u16]) -> String {
    // Ligatures and lone surrogates: what has no character is left out.
    char::decode_utf16(units.iter().copied()).flatten().filter(|c| *c != '\0').collect()
}

fn tokens(data: &[u8]) -> Vec<Token> {
    let mut out = Vec::new();
    let mut rest = data;
    while let [byte, after @ ..] = rest {
        rest = match byte {
            b'%' => skip_to(after, |b| b == b'\n' || b == b'\r'),
            b'<' if after.first() == Some(&b'<') => after.get(1..).unwrap_or_default(),
            b'<' => {
                let end = after.iter().position(|b| *b == b'>').unwrap_or(after.len());
                out.push(Token::Hex(from_hex(after.get(..end).unwrap_or_default())));
                after.get(end + 1..).unwrap_or_default()
            }
            b'[' => {
                out.push(Token::Open);
                after
            }
            b']' => {
                out.push(Token::Close);
                after
            }
            b if b.is_ascii_alphabetic() => {
                let end = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
                out.push(Token::Word(rest.get(..end).unwrap_or_default().to_vec()));
                rest.get(end..).unwrap_or_default()
            }
            _ => after,
        };
    }
    out
}

fn skip_to(bytes: &[u8], stop: impl Fn(u8) -> bool) -> &[u8] {
    let at = bytes.iter().position(|b| stop(*b)).unwrap_or(bytes.len());
    bytes.get(at..).unwrap_or_default()
}

fn from_hex(digits: &[u8]) -> Vec<u8> {
    let nibbles: Vec<u8> =
        digits.iter().filter_map(|b| char::from(*b).to_digit(16)).map(|d| d as u8).take(64).collect();
    nibbles.chunks(2).map(|pair| pair.iter().fold(0, |n, d| n << 4 | d) << (4 * (2 - pair.len()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_ranges_and_ligatures() {
        let map = CMap::parse(
            b"1 begincodespacerange <0000> <FFFF> endcodespacerange\n2 beginbfchar <0003> <0020> \
              <0010> <00660069> endbfchar 2 beginbfrange <0024> <0026> <0041> <0030> <0031> [<00E9> <D83DDE00>] \
              endbfrange",
        );
        assert_eq!(map.code_bytes, Some(2));
        assert_eq!(map.get(3).as_deref(), Some(" "));
        assert_eq!(map.get(0x10).as_deref(), Some("fi"));
        assert_eq!(map.get(0x26).as_deref(), Some("C"));
        assert_eq!(map.get(0x31).as_deref(), Some("😀"));
        assert_eq!(map.get(0x99), None);
    }

    #[test]
    fn a_range_over_everything_costs_nothing() {
        let map = CMap::parse(b"1 beginbfrange <00000000> <FFFFFFFF> <0041> endbfrange");
        assert_eq!(map.get(1).as_deref(), Some("B"));
    }
}
