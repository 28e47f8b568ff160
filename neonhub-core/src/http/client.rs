//! The client of the feature `http`: reqwest over rustls, with the roots of the system.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;

use super::{Headers, HttpRequest, HttpResponse, HttpTransport, OPERATION, truncated};
use crate::{Error, ErrorKind, Result, Retry, network};

/// Until a connection stands. Default of the OpenAI and Anthropic SDKs, 2026.
const CONNECT: Duration = Duration::from_secs(5);

/// HTTP/1.1 over TCP and TLS, with connections that are kept and shared by clones. It follows no redirect, uses no
/// proxy, keeps no cookie, and opens no socket before the first request.
#[derive(Clone, Debug)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// A client with the certificates of the system.
    ///
    /// # Errors
    /// `Internal` when TLS cannot be set up.
    pub fn new() -> Result<Self> {
        Self::build(|client| client)
    }

    /// What it is made of, for an SDK that takes it.
    #[cfg(feature = "mcp")]
    pub(crate) fn into_inner(self) -> reqwest::Client {
        self.0
    }

    /// A client that asks `resolver` for the addresses of names.
    pub(super) fn resolving<R: reqwest::dns::Resolve + 'static>(resolver: Arc<R>) -> Result<Self> {
        Self::build(|client| client.dns_resolver(resolver))
    }

    fn build(more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder) -> Result<Self> {
        let mut roots = rustls::RootCertStore::empty();
        // A system without certificates still reaches servers that need none, such as a model on this machine.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|cause| Error::internal(OPERATION, cause))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = more(reqwest::Client::builder())
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .user_agent(concat!("neonhub/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|cause| Error::internal(OPERATION, cause.without_url()))?;
        Ok(HttpClient(client))
    }
}

#[async_trait]
impl HttpTransport for HttpClient {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let bad = |field: &str, message: &str| Error::invalid(OPERATION, field, message);
        let url =
            reqwest::Url::parse(&request.url).map_err(|_| bad("url", "expected a whole http address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("url", "expected http or https"));
        }
        network::check(OPERATION, url.host_str().unwrap_or("unknown"))?;
        let method = reqwest::Method::from_bytes(request.method.as_bytes())
            .map_err(|_| bad("method", "expected an HTTP method"))?;
        let mut headers = reqwest::header::HeaderMap::new();
        for (name, value) in &request.headers {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| bad("headers", "expected names of letters, digits and hyphens"))?;
            // The value may be a key: it is named by its header only.
            let mut value = reqwest::header::HeaderValue::from_str(value)
                .map_err(|_| bad(name.as_str(), "expected printable characters without line breaks"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let sent = self.0.request(method, url).headers(headers).body(request.body).send().await;
        let answer = sent.map_err(|cause| broken(cause.without_url()))?;
        let status = answer.status().as_u16();
        let pairs = answer.headers().iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?)));
        let headers = Headers::new(pairs);
        let body = stream::unfold(Some(answer), |answer| async move {
            let mut answer = answer?;
            match answer.chunk().await {
                Ok(Some(bytes)) => Some((Ok(bytes.to_vec()), Some(answer))),
                Ok(None) => None,
                Err(cause) => {
                    let cut = truncated("the connection broke before the end of the answer: call again");
                    Some((Err(cut.with_source(cause.without_url())), None))
                }
            }
        });
        Ok(HttpResponse { status, headers, body: Box::pin(body) })
    }
}

fn broken(cause: reqwest::Error) -> Error {
    if super::web::is_inside(&cause) {
        return super::web::address_inside();
    }
    let message = match (cause.is_timeout(), cause.is_connect()) {
        (true, _) => "no connection came about in 5 s: look at the address and the network",
        (_, true) => "the server cannot be reached: look at the address and the network",
        _ => "the connection broke before an answer: call again",
    };
    Error::new(ErrorKind::Unavailable, OPERATION, message)
        .with_code("network")
        .with_retry(Retry::Backoff)
        .with_source(cause)
}
