//! Recorded exchanges of the adapters: read from their folders, and played instead of sent.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{ProviderBuilder, ProviderConfig};
use crate::http::{Headers, HttpRequest, HttpResponse, HttpTransport, truncated};
use crate::testing::provider::{RecordedRequest, RecordedResponse, Seen};
use crate::{Error, Result};

/// The exchanges of a kind, each with the name of its file; more than `least` of them.
pub(super) fn read<F: DeserializeOwned>(kind: &str, least: usize) -> Vec<(String, F)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/cassettes").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > least, "{files:?}");
    let one = |file: &PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        let fixture = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        (file.file_stem().unwrap().to_string_lossy().into_owned(), fixture)
    };
    files.iter().map(one).collect()
}

/// How the recorded bytes come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    /// In pieces of this size.
    Pieces(usize),
    /// Two pieces, the first this long.
    Split(usize),
    /// Only this many bytes, and a clean end.
    Ended(usize),
    /// Only this many bytes, then the connection breaks.
    Broken(usize),
}

/// An exchange that is played from a file instead of sent.
#[derive(Debug)]
pub(super) struct Playback {
    pub(super) name: String,
    pub(super) request: RecordedRequest,
    pub(super) response: RecordedResponse,
    pub(super) way: Way,
}

impl Playback {
    /// An adapter that asks it.
    pub(super) fn behind(self, config: &ProviderConfig) -> ProviderBuilder {
        ProviderBuilder::from_config(config.clone()).transport(Arc::new(self))
    }
}

#[async_trait]
impl HttpTransport for Playback {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let path = request.url.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap();
        let seen = Seen {
            method: request.method.to_owned(),
            path,
            headers: request.headers.iter().map(|(n, v)| (n.to_string(), v.clone())).collect(),
            body: serde_json::from_slice(&request.body).unwrap(),
        };
        assert_eq!(self.request.differences(&seen), Vec::<String>::new(), "{}", self.name);
        let bytes = self.response.bytes();
        let pieces: Vec<Result<Vec<u8>>> = match self.way {
            Way::Pieces(size) => bytes.chunks(size).map(|piece| Ok(piece.to_vec())).collect(),
            Way::Split(at) => vec![Ok(bytes[..at].to_vec()), Ok(bytes[at..].to_vec())],
            Way::Ended(at) => vec![Ok(bytes[..at].to_vec())],
            Way::Broken(at) => vec![Ok(bytes[..at].to_vec()), Err(truncated("cut by the test"))],
        };
        let headers = Headers::new(self.response.headers.iter());
        Ok(HttpResponse { status: self.response.status, headers, body: Box::pin(stream::iter(pieces)) })
    }
}

/// The error that the file says, of this operation, with what it says of it, and without the key.
pub(super) fn assert_error(name: &str, wanted: &Value, error: &Error, operation: &str) {
    assert_eq!(error.kind().code(), wanted["kind"], "{name} {error:?}");
    assert_eq!((error.code(), error.operation()), (wanted["code"].as_str().unwrap(), operation), "{name}");
    let context: Vec<(&str, &str)> = error.context().collect();
    for (key, value) in wanted["context"].as_object().unwrap() {
        assert!(context.contains(&(key, value.as_str().unwrap())), "{name} {context:?}");
    }
    assert!(context.iter().any(|(key, _)| *key == "provider"), "{name} {context:?}");
    assert!(!format!("{error:?}").contains("recorded-key"), "{name}");
}
