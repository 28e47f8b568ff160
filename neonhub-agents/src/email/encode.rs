//! Transfer encodings: quoted-printable bodies (RFC 2045) and encoded words in headers (RFC 2047).

use std::fmt::Write as _;

/// Longest line of a quoted-printable body, without CRLF (RFC 2045, section 6.7).
const MAX_LINE: usize = 76;
/// Longest encoded word (RFC 2047, section 2).
const MAX_WORD: usize = 75;

/// Quoted-printable with CRLF line ends. Every kind of line end in `text` is one line break; the result ends in a
/// line break.
pub(super) fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = text.split('\n').collect();
    if lines.last() == Some(&"") {
        lines.pop();
    }
    for line in lines {
        encode_line(line, &mut out);
        out.push_str("\r\n");
    }
    out
}

fn encode_line(line: &str, out: &mut String) {
    let mut width = 0;
    let bytes = line.as_bytes();
    for (i, byte) in bytes.iter().enumerate() {
        let is_last = i + 1 == bytes.len();
        // A space at the end of a line, a dot at its start (SMTP) and "From " (mbox) do not survive every hop.
        let is_fragile = is_last && matches!(byte, b' ' | b'\t') || width == 0 && matches!(byte, b'.' | b'F');
        let is_plain = matches!(byte, b' ' | b'\t' | b'!'..=b'<' | b'>'..=b'~') && !is_fragile;
        let cost = if is_plain { 1 } else { 3 };
        let limit = if is_last { MAX_LINE } else { MAX_LINE - 1 };
        if width + cost > limit {
            out.push_str("=\r\n");
            // The byte now starts a line and is judged again.
            let stays = is_plain && !matches!(byte, b'.' | b'F');
            if stays {
                out.push(char::from(*byte))
            } else {
                push_hex(*byte, out)
            }
            width = if stays { 1 } else { 3 };
            continue;
        }
        if is_plain {
            out.push(char::from(*byte))
        } else {
            push_hex(*byte, out)
        }
        width += cost;
    }
}

fn push_hex(byte: u8, out: &mut String) {
    // Writing to a String does not fail.
    let _ = write!(out, "={byte:02X}");
}

/// The text as encoded words of at most 75 characters, none splitting a character.
pub(super) fn encoded_words(text: &str) -> Vec<String> {
    const START: &str = "=?utf-8?Q?";
    const END: &str = "?=";
    let mut words = Vec::new();
    let mut word = String::from(START);
    for c in text.chars() {
        let mut piece = String::new();
        encode_char(c, &mut piece);
        if word.len() + piece.len() + END.len() > MAX_WORD {
            word.push_str(END);
            words.push(std::mem::replace(&mut word, String::from(START)));
        }
        word.push_str(&piece);
    }
    word.push_str(END);
    words.push(word);
    words
}

// The characters safe in every header, phrases included: RFC 2047, section 5 (3).
fn encode_char(c: char, out: &mut String) {
    match c {
        ' ' => out.push('_'),
        c if c.is_ascii_alphanumeric() || "!*+-/".contains(c) => out.push(c),
        c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_hex(b, out)),
    }
}

/// The words of an unstructured header value: ASCII as it is, anything else as encoded words.
pub(super) fn text_words(text: &str) -> Vec<String> {
    let is_plain = text.is_ascii()
        && !text.contains("=?")
        && text.split(' ').all(|word| !word.is_empty() && word.len() <= MAX_WORD);
    if is_plain { text.split(' ').map(str::to_owned).collect() } else { encoded_words(text) }
}

/// `Name: words`, folded before a word that would pass 78 characters (RFC 5322, section 2.1.1).
pub(super) fn fold(name: &str, words: &[String], out: &mut String) {
    out.push_str(name);
    out.push(':');
    let mut width = name.len() + 1;
    for (i, word) in words.iter().enumerate() {
        if i > 0 && width + 1 + word.len() > 78 {
            out.push_str("\r\n");
            width = 0;
        }
        out.push(' ');
        out.push_str(word);
        width += 1 + word.len();
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The inverse, as RFC 2045 tells a reader to do it.
    fn decode(encoded: &str) -> Vec<u8> {
        let joined = encoded.replace("=\r\n", "");
        let mut out = Vec::new();
        let mut bytes = joined.bytes();
        while let Some(b) = bytes.next() {
            if b == b'=' {
                let hex: Vec<u8> = bytes.by_ref().take(2).collect();
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            } else {
                out.push(b);
            }
        }
        out
    }

    proptest! {
        #[test]
        fn quoted_printable_decodes_to_the_text_and_lines_are_short(text in "[ -~\\néあ=.F]{0,300}") {
            let encoded = quoted_printable(&text);
            prop_assert!(encoded.is_ascii());
            for line in encoded.split("\r\n") {
                prop_assert!(line.len() <= 76, "{line}");
                prop_assert!(!line.starts_with('.') && !line.starts_with("From ") && !line.ends_with(' '));
            }
            let mut expected = text.replace('\n', "\r\n");
            if !expected.is_empty() && !expected.ends_with("\r\n") {
                expected.push_str("\r\n");
            }
            prop_assert_eq!(decode(&encoded), expected.into_bytes());
        }

        #[test]
        fn encoded_words_are_short_and_ascii(text in "\\PC{0,200}") {
            for word in encoded_words(&text) {
                prop_assert!(word.len() <= 75 && word.is_ascii() && !word.contains(' '), "{word}");
            }
        }
    }

    #[test]
    fn headers_fold_at_words() {
        let mut out = String::new();
        let words: Vec<String> = "word ".repeat(30).split_whitespace().map(str::to_owned).collect();
        fold("Subject", &words, &mut out);
        assert!(out.lines().all(|line| line.len() <= 78));
        assert_eq!(out.replace("\r\n ", " "), format!("Subject: {}\r\n", words.join(" ")));
    }
}
