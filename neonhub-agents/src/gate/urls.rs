//! Finds links in plain text the way X does, so that their fixed cost is counted right.
// Rules: twitter-text 3.1.0 (extractUrl and its parts), read 2026-11-21.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::OnceLock;

/// Byte ranges of the links in `text`, in order, not overlapping.
pub(super) fn find_urls(text: &str) -> Vec<Range<usize>> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let scan = Scan { chars: &chars };
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match scan.url_at(at) {
            Some(end) => {
                let to = chars.get(end).map_or(text.len(), |c| c.0);
                found.push(scan.offset(at)..to);
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

struct Scan<'a> {
    chars: &'a [(usize, char)],
}

impl Scan<'_> {
    fn get(&self, at: usize) -> Option<char> {
        self.chars.get(at).map(|c| c.1)
    }

    fn offset(&self, at: usize) -> usize {
        self.chars.get(at).map_or(0, |c| c.0)
    }

    /// The end of a link that begins at `at`.
    fn url_at(&self, at: usize) -> Option<usize> {
        let before = at.checked_sub(1).and_then(|i| self.get(i));
        if before.is_some_and(|c| c.is_ascii_alphanumeric() || "@＠$#＃".contains(c)) {
            return None;
        }
        let protocol = ["https://", "http://"].into_iter().find(|p| self.has_prefix(at, p));
        if protocol.is_none() && before.is_some_and(|c| "-_./".contains(c)) {
            return None;
        }
        let start = at + protocol.map_or(0, str::len);
        let mut end = self.domain(start, protocol.is_some())?;
        if self.get(end) == Some(':') {
            let digits = (end + 1..).take_while(|i| self.get(*i).is_some_and(|c| c.is_ascii_digit())).count();
            end = if digits > 0 { end + 1 + digits } else { end };
        }
        end = self.path(end);
        Some(self.query(end))
    }

    fn has_prefix(&self, at: usize, prefix: &str) -> bool {
        prefix.chars().enumerate().all(|(i, p)| self.get(at + i).is_some_and(|c| c.eq_ignore_ascii_case(&p)))
    }

    /// The longest domain that ends in a known top-level domain. Without a protocol only ASCII counts.
    fn domain(&self, start: usize, is_unicode: bool) -> Option<usize> {
        let allowed =
            |c: char| c.is_ascii_alphanumeric() || is_unicode && c.is_alphanumeric() || "-_.".contains(c);
        let len = (start..).take_while(|i| self.get(*i).is_some_and(allowed)).count();
        let run: String = (start..start + len).filter_map(|i| self.get(i)).collect();
        let mut best = None;
        let mut name: Option<&str> = None;
        let mut at = start;
        for label in run.split('.') {
            // A word of another script may follow at once: the ASCII start of the label is then the domain's end.
            let ascii: String = label.chars().take_while(char::is_ascii).collect();
            for word in [label, &ascii] {
                let end = at + word.chars().count();
                let follows = self.get(end);
                let is_cut = follows.is_some_and(|c| c.is_ascii_alphanumeric() || "@+-".contains(c));
                if name.is_some_and(|n| !n.contains('_')) && is_tld(word) && !is_cut {
                    best = Some(end);
                    break;
                }
            }
            let end = at + label.chars().count();
            let is_edge = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            if !is_edge(label.chars().next()) || !is_edge(label.chars().next_back()) {
                break;
            }
            name = Some(label);
            at = end + 1;
        }
        best
    }

    fn path(&self, start: usize) -> usize {
        if self.get(start) != Some('/') {
            return start;
        }
        let mut at = start + 1;
        let mut end = at;
        while let Some(c) = self.get(at) {
            if c == '(' {
                let Some(close) = self.closing(at) else { break };
                at = close + 1;
                end = at;
                continue;
            }
            let is_word = c.is_ascii_alphanumeric() || is_accented(c);
            if !(is_word || "!*';:=+,.$/%#[]-\u{2013}_~@|&".contains(c)) {
                break;
            }
            at += 1;
            if is_word || "+-=_#/".contains(c) {
                end = at;
            }
        }
        end
    }

    /// The parenthesis that closes the one at `open`, when what is between belongs to a path.
    fn closing(&self, open: usize) -> Option<usize> {
        let inside =
            |c: char| c.is_ascii_alphanumeric() || is_accented(c) || "!*';:=+,.$/%#[]-_~@|&".contains(c);
        let mut at = open + 1;
        while self.get(at).is_some_and(inside) {
            at += 1;
        }
        (at > open + 1 && self.get(at) == Some(')')).then_some(at)
    }

    fn query(&self, start: usize) -> usize {
        if self.get(start) != Some('?') {
            return start;
        }
        let mut end = start;
        for at in start + 1.. {
            let Some(c) = self.get(at) else { break };
            if !(c.is_ascii_alphanumeric() || "!?*'@();:&=+$/%#[]-_.,~|".contains(c)) {
                break;
            }
            if c.is_ascii_alphanumeric() || "-_&=#/".contains(c) {
                end = at + 1;
            }
        }
        end
    }
}

/// Cyrillic letters and Latin letters with accents may stand in a path.
fn is_accented(c: char) -> bool {
    matches!(c, '\u{c0}'..='\u{24f}' | '\u{400}'..='\u{4ff}' | '\u{1e00}'..='\u{1eff}')
        && c != '×'
        && c != '÷'
}

fn is_tld(label: &str) -> bool {
    static TLDS: OnceLock<BTreeSet<&'static str>> = OnceLock::new();
    let known = TLDS.get_or_init(|| {
        let lines = include_str!("data/tlds.txt").lines().filter(|line| !line.starts_with('#'));
        lines.flat_map(|line| line.split(' ')).filter(|word| !word.is_empty()).collect()
    });
    let lower = label.to_lowercase();
    known.contains(lower.as_str()) || lower.strip_prefix("xn--").is_some_and(|rest| !rest.is_empty())
}
