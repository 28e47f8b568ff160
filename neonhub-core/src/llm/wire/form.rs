//! `multipart/form-data` (RFC 7578): how pictures are sent.

use sha2::{Digest, Sha256};

use crate::llm::hex;
use crate::llm::image::Picture;

/// A form that is being written.
#[derive(Debug)]
pub(super) struct Form {
    boundary: String,
    bytes: Vec<u8>,
}

impl Form {
    /// A form for these pictures. Its boundary hangs on their bytes, so that the same form is the same bytes, and stands
    /// in none of them.
    pub(super) fn new(pictures: &[Picture]) -> Self {
        let mut boundary = String::new();
        for salt in 0_u32.. {
            let all =
                pictures.iter().fold(Sha256::new().chain_update(salt.to_le_bytes()), |hash, picture| {
                    hash.chain_update(&picture.bytes)
                });
            boundary = format!("neonhub-{}", hex(&all.finalize()).get(..32).unwrap_or_default());
            let mark = boundary.as_bytes();
            let holds = |picture: &Picture| picture.bytes.windows(mark.len()).any(|bytes| bytes == mark);
            if !pictures.iter().any(holds) {
                break;
            }
        }
        Form { boundary, bytes: Vec::new() }
    }

    /// Adds a text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.head(&format!("name=\"{name}\""), None);
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds a picture as a file.
    pub(super) fn file(&mut self, name: &str, file: &str, picture: &Picture) {
        self.head(&format!("name=\"{name}\"; filename=\"{file}\""), Some(picture.format.media_type()));
        self.bytes.extend_from_slice(&picture.bytes);
        self.bytes.extend_from_slice(b"\r\n");
    }

    fn head(&mut self, disposition: &str, kind: Option<&str>) {
        let mut head = format!("--{}\r\ncontent-disposition: form-data; {disposition}\r\n", self.boundary);
        if let Some(kind) = kind {
            head.push_str(&format!("content-type: {kind}\r\n"));
        }
        head.push_str("\r\n");
        self.bytes.extend_from_slice(head.as_bytes());
    }

    /// The media type and the bytes.
    pub(super) fn end(mut self) -> (String, Vec<u8>) {
        self.bytes.extend_from_slice(format!("--{}--\r\n", self.boundary).as_bytes());
        (format!("multipart/form-data; boundary={}", self.boundary), self.bytes)
    }
}
