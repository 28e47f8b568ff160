//! Numbers of payment cards among other numbers.

/// What stands for a space or a hyphen in a URL, in `Debug` and in JSON.
const GAPS: [&str; 9] =
    ["%20", r"\u{a0}", r"\u{202f}", r"\u{2010}", r"\u{2011}", r"\u00a0", r"\u202f", r"\u2010", r"\u2011"];

/// True when the run of digits and separators at `start..end` of a text holds the number of a card.
pub(super) fn is_card(text: &str, start: usize, end: usize) -> bool {
    let run = text.get(start..end).unwrap_or_default();
    let before = text.get(..start).unwrap_or_default();
    // The digits behind a decimal point are no number of their own.
    let is_fraction =
        before.strip_suffix('.').is_some_and(|whole| whole.ends_with(is_digit) && run.chars().all(is_digit));
    !is_fraction && has_card(without_hashes(before, run, text.get(end..).unwrap_or_default()))
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The run without a first and a last group that are a part of a long hexadecimal word.
fn without_hashes<'t>(before: &str, run: &'t str, after: &str) -> &'t str {
    let is_word = |b: &u8| b.is_ascii_alphanumeric();
    let head = before.len() - before.bytes().rev().take_while(is_word).count();
    let head = before.get(head..).unwrap_or_default();
    let tail = after.get(..after.bytes().take_while(is_word).count()).unwrap_or_default();
    let first = run.find(|c: char| !is_digit(c)).unwrap_or(run.len());
    let last = run
        .rfind(|c: char| !is_digit(c))
        .map_or(0, |at| at + run.get(at..).and_then(|r| r.chars().next()).map_or(0, char::len_utf8));
    if first == run.len() {
        return if is_hash(&[head, run, tail]) { "" } else { run };
    }
    let from = if is_hash(&[head, run.get(..first).unwrap_or_default()]) { first } else { 0 };
    let to = if is_hash(&[run.get(last..).unwrap_or_default(), tail]) { last } else { run.len() };
    run.get(from..to).unwrap_or_default()
}

/// True for a hexadecimal word with a letter in it, as long as a hash or the id of a trace.
fn is_hash(parts: &[&str]) -> bool {
    let bytes = || parts.iter().flat_map(|part| part.bytes());
    bytes().count() >= 32
        && bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
        && bytes().any(|b| b.is_ascii_lowercase())
}

/// True when a card number starts at the run or after one of its separators.
fn has_card(run: &str) -> bool {
    // Spaces of a URL and escaped ones hold digits of their own.
    let run = GAPS.iter().fold(run.to_owned(), |run, gap| run.replace(*gap, " "));
    let mut starts = run.char_indices().filter(|(at, c)| {
        let before = run.get(..*at).unwrap_or_default();
        is_digit(*c) && !before.ends_with(is_digit)
    });
    starts.any(|(at, _)| {
        let number: Vec<u8> =
            run.get(at..).unwrap_or_default().bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
        (13..=19).any(|len| number.get(..len).is_some_and(|n| has_prefix(n) && luhn(n)))
    })
}

/// Prefixes and lengths that issuers use (ISO/IEC 7812, as published by the card networks, 2024).
fn has_prefix(number: &[u8]) -> bool {
    let lead = |n: usize| number.iter().take(n).fold(0_u32, |all, d| all * 10 + u32::from(*d));
    match number.len() {
        15 => matches!(lead(2), 34 | 37),
        14 => matches!(lead(2), 36 | 38 | 39) || matches!(lead(3), 300..=305),
        13 => lead(1) == 4,
        16 => {
            lead(1) == 4
                || matches!(lead(2), 51..=55 | 65)
                || matches!(lead(4), 2221..=2720 | 6011 | 3528..=3589)
                || matches!(lead(3), 644..=649)
                || lead(2) == 62
        }
        17..=19 => lead(1) == 4 || lead(2) == 62 || lead(2) == 50 || matches!(lead(2), 56..=58 | 63 | 67),
        _ => false,
    }
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = number
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| match (n % 2, u32::from(*digit) * 2) {
            (0, _) => u32::from(*digit),
            (_, twice) if twice > 9 => twice - 9,
            (_, twice) => twice,
        })
        .sum();
    sum.is_multiple_of(10)
}
