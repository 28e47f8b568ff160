//! HTTP as NeonHub needs it: one trait, an answer that is read piece by piece, and limits on all of it.
//!
//! What talks to a service builds an [`HttpRequest`] and hands it to an [`HttpTransport`]. With the feature `http` the
//! transport is [`HttpClient`] (reqwest, rustls); a test or a host language gives its own. Whatever the transport,
//! [`send`] holds it to the [`HttpLimits`]: nothing waits for ever and nothing grows without end. Dropping the
//! answer closes the connection. Nothing here retries.

mod body;
#[cfg(feature = "http")]
mod client;
mod delay;
#[cfg(feature = "http")]
mod web;

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Error, ErrorKind, Result, Retry};

pub use body::{Body, BodyStream};
#[cfg(feature = "http")]
pub use client::HttpClient;
pub use delay::{reset_after, retry_after};
#[cfg(feature = "http")]
pub use web::{Fetched, WebAccess};

const OPERATION: &str = "http.send";

/// How long and how large an exchange may be.
// Connect and total: defaults of the OpenAI and Anthropic SDKs, 2026. The rest are our choices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpLimits {
    /// From the request to the head of its answer. Default 120 s.
    pub first_byte: Duration,
    /// Between two pieces of an answer. Default 120 s.
    pub idle: Duration,
    /// The whole exchange. Default 600 s.
    pub total: Duration,
    /// Most bytes of an answer. Default 64 MiB.
    pub max_body_bytes: u64,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(600),
            max_body_bytes: 64 << 20,
        }
    }
}

/// What is sent. `Debug` shows the names of headers and the size of the body, never their values.
#[derive(Clone)]
pub struct HttpRequest {
    /// `GET`, `POST`.
    pub method: &'static str,
    /// The whole address.
    pub url: String,
    /// Names in lower case, and values. Values may be secrets.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The bytes.
    pub body: Vec<u8>,
}

impl HttpRequest {
    /// A `POST` of JSON text.
    #[must_use]
    pub fn post_json(url: impl Into<String>, body: Vec<u8>) -> Self {
        Self::post(url, "application/json", body)
    }

    /// A `POST` of bytes of a media type.
    #[must_use]
    pub fn post(url: impl Into<String>, kind: &str, body: Vec<u8>) -> Self {
        let headers = vec![("content-type".into(), kind.to_owned())];
        HttpRequest { method: "POST", url: url.into(), headers, body }
    }

    /// A `GET`.
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        HttpRequest { method: "GET", url: url.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header; its name in lower case.
    #[must_use]
    pub fn header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Adds `traceparent` when the caller is in a trace. For services that are configured, never for an address that
    /// comes from elsewhere.
    #[must_use]
    pub fn traced(self) -> Self {
        match crate::telemetry::outgoing() {
            Some(context) => self.header("traceparent", context.to_string()),
            None => self,
        }
    }
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_ref()).collect();
        f.debug_struct("HttpRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Headers of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Takes names in any case.
    #[must_use]
    pub fn new<N: AsRef<str>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        Headers(pairs.into_iter().map(|(n, v)| (n.as_ref().to_ascii_lowercase(), v.into())).collect())
    }

    /// The first value under a name in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// The head of an answer, and its bytes to come.
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The bytes as they arrive.
    pub body: BodyStream,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Makes one exchange. An implementation asks [`network::check`](crate::network::check) before it opens a socket,
/// follows no redirect (a key would travel with it), and never retries.
#[async_trait]
pub trait HttpTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and answers with the head of what comes back, whatever its status.
    ///
    /// # Errors
    /// `Unavailable` (code `network`) when nobody was reached or the connection broke; `InvalidInput` for an address
    /// or a header that is none; `Config` (code `network_forbidden`) while a test forbids the network. An item of the
    /// body that is an error is the last one and means that the answer was cut.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse>;
}

/// An answer under limits.
#[derive(Debug)]
pub struct Exchange {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Headers,
    /// The bytes.
    pub body: Body,
}

/// Sends a request within limits. `left` is the time until the caller's deadline.
///
/// # Errors
/// Those of the transport; `Timeout` (retry with growing pauses) when no head came in time.
pub async fn send(
    transport: &dyn HttpTransport,
    request: HttpRequest,
    limits: &HttpLimits,
    left: Option<Duration>,
) -> Result<Exchange> {
    let total = left.map_or(limits.total, |left| left.min(limits.total));
    let ends = tokio::time::Instant::now() + total;
    let wait = limits.first_byte.min(total);
    let answer = tokio::time::timeout(wait, transport.send(request)).await.map_err(|_| {
        late("no answer began in time: raise the first-byte limit, or try again later", wait)
    })??;
    let body = Body::new(answer.body, limits, ends);
    Ok(Exchange { status: answer.status, headers: answer.headers, body })
}

fn late(message: &'static str, after: Duration) -> Error {
    Error::new(ErrorKind::Timeout, OPERATION, message)
        .with_context("waited_ms", after.as_millis())
        .with_retry(Retry::Backoff)
}

/// The answer stopped before its end.
pub(crate) fn truncated(message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, message).with_code("truncated").with_retry(Retry::Backoff)
}

#[cfg(test)]
mod tests;
