//! Pictures inside a JSON answer, decoded while the bytes arrive: what is kept of the rest is small.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The field that carries a picture.
const FIELD: &[u8] = b"b64_json";
/// Most bytes of an answer without its pictures.
const MAX_REST: usize = 1 << 20;
/// Characters of base64 that are decoded at a time; a multiple of 4.
const STEP: usize = 16 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Between texts.
    #[default]
    Outside,
    /// In a text; true behind a backslash.
    Text(bool),
    /// In the text of a picture; true behind a backslash.
    Picture(bool),
}

/// Takes an answer in any pieces.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: At,
    /// The answer with the texts of pictures left empty.
    rest: Vec<u8>,
    /// The last text that ended, its first bytes.
    last: Vec<u8>,
    /// True behind a colon.
    is_value: bool,
    /// Base64 that is not decoded yet.
    coded: Vec<u8>,
    picture: Vec<u8>,
}

impl Scan {
    /// Reads a piece; whole pictures go to `out`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn feed(&mut self, piece: &[u8], out: &mut Vec<Vec<u8>>) -> Result<(), &'static str> {
        for byte in piece {
            self.byte(*byte, out)?;
        }
        if self.rest.len() > MAX_REST {
            return Err("the answer holds too much beside its pictures");
        }
        Ok(())
    }

    /// The answer without its pictures, when it ended outside of a picture.
    pub(super) fn end(self) -> Result<Vec<u8>, &'static str> {
        match self.at {
            At::Picture(_) => Err("the answer ended inside of a picture"),
            _ => Ok(self.rest),
        }
    }

    fn byte(&mut self, byte: u8, out: &mut Vec<Vec<u8>>) -> Result<(), &'static str> {
        match self.at {
            At::Picture(false) if byte == b'\\' => self.at = At::Picture(true),
            At::Picture(false) if byte == b'"' => {
                self.decode(true)?;
                out.push(std::mem::take(&mut self.picture));
                self.rest.push(byte);
                (self.at, self.is_value) = (At::Outside, false);
            }
            // A slash is the only letter of base64 that JSON may escape.
            At::Picture(true) if byte != b'/' => return Err("the text of a picture is no base64"),
            At::Picture(_) => {
                self.at = At::Picture(false);
                self.coded.push(byte);
                if self.coded.len() >= STEP {
                    self.decode(false)?;
                }
            }
            At::Text(true) => {
                self.at = At::Text(false);
                self.keep(byte);
            }
            At::Text(false) => {
                match byte {
                    b'\\' => self.at = At::Text(true),
                    b'"' => self.at = At::Outside,
                    _ => {}
                }
                if byte == b'"' { self.rest.push(byte) } else { self.keep(byte) }
            }
            At::Outside => {
                self.rest.push(byte);
                match byte {
                    b'"' if self.is_value && self.last == FIELD => self.at = At::Picture(false),
                    b'"' => {
                        self.last.clear();
                        self.at = At::Text(false);
                    }
                    b':' => self.is_value = true,
                    b',' | b'{' | b'}' | b'[' | b']' => self.is_value = false,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) {
        self.rest.push(byte);
        // A longer text is not the field's name, whatever follows.
        if self.last.len() <= FIELD.len() {
            self.last.push(byte);
        }
    }

    fn decode(&mut self, is_last: bool) -> Result<(), &'static str> {
        BASE64_STANDARD
            .decode_vec(&self.coded, &mut self.picture)
            .map_err(|_| "the text of a picture is no base64")?;
        self.coded.clear();
        if is_last && self.picture.is_empty() {
            return Err("a picture is empty");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> Result<(Vec<Vec<u8>>, String), &'static str> {
        let (mut scan, mut out) = (Scan::default(), Vec::new());
        for piece in pieces {
            scan.feed(piece, &mut out)?;
        }
        Ok((out, String::from_utf8(scan.end()?).unwrap()))
    }

    #[test]
    fn pictures_come_out_and_the_rest_stays_json() {
        let long: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let text = BASE64_STANDARD.encode(&long).replace('/', "\\/");
        let body = format!(
            r#"{{"note": "b64_json", "x": "\"b64_json\": \"no\"", "data": [{{"b64_json" : "{text}"}}, {{"b64_json": null}},
                {{"b64_json": "AAEC"}}], "b64_json_": "AAEC", "usage": {{"a": 1}}}}"#
        );
        let (pictures, rest) = scan(&[body.as_bytes()]).unwrap();
        assert_eq!(pictures, [long, vec![0, 1, 2]]);
        let rest: serde_json::Value = serde_json::from_str(&rest).unwrap();
        assert_eq!(
            rest["data"],
            serde_json::json!([{ "b64_json": "" }, { "b64_json": null }, { "b64_json": "" }])
        );
        assert_eq!((&rest["b64_json_"], &rest["usage"]["a"]), (&"AAEC".into(), &1.into()));
        for at in (0..body.len()).step_by(997) {
            let (a, b) = body.as_bytes().split_at(at);
            assert_eq!(scan(&[a, b]).unwrap().0, pictures, "{at}");
        }
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        for wrong in [
            r#"{"b64_json": "A\nAA"}"#,
            r#"{"b64_json": "AA?="}"#,
            r#"{"b64_json": ""}"#,
            r#"{"b64_json": "AAE"#,
        ] {
            assert!(scan(&[wrong.as_bytes()]).is_err(), "{wrong}");
        }
        let rest = format!(r#"{{"x": "{}"}}"#, "y".repeat(MAX_REST));
        assert!(scan(&[rest.as_bytes()]).is_err());
    }
}
