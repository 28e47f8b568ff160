//! Pages of the web: fetched from hosts that were named, and never from addresses inside a network.
//!
//! A URL in a text may point anywhere, also at a server that only this machine can reach. So a host must be on the list,
//! its name must resolve to public addresses alone, the connection is made to just these addresses, and every redirect
//! is looked at like the first URL.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::client::HttpClient;
use super::{HttpLimits, HttpRequest, retry_after, send};
use crate::network::is_public;
use crate::{Clock as _, Error, ErrorKind, Result, Retry, SystemClock};

const OPERATION: &str = "http.fetch";
/// Redirects that are followed. Our choice; browsers follow 20.
const MAX_REDIRECTS: usize = 5;
/// Until the head of the answer, and until its end. Our choice.
const TIMES: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(120));
/// Most bytes of a page.
const MAX_BYTES: u64 = 100 << 20;
/// Most bytes of a URL.
const MAX_URL: usize = 2_048;

/// Which pages may be fetched. Add it to the hub as a service.
///
/// ```
/// use std::sync::Arc;
/// use neonhub_core::{Hub, http::WebAccess};
/// let web = WebAccess::to(["docs.shop.example", "*.brand.example"])?;
/// let builder = Hub::builder().service(Arc::new(web));
/// # Ok::<(), neonhub_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct WebAccess {
    client: HttpClient,
    hosts: Vec<String>,
    inside: BTreeSet<String>,
    limits: HttpLimits,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where it was found after redirects.
    pub url: String,
    /// Its type as the server says, without parameters.
    pub mime: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl WebAccess {
    /// Access to public hosts: names such as `docs.shop.example`, all below a name as `*.shop.example`, or `*` for any.
    ///
    /// # Errors
    /// `InvalidInput` for what is no name of a host; `Internal` when TLS cannot be set up.
    pub fn to<H: Into<String>>(hosts: impl IntoIterator<Item = H>) -> Result<Self> {
        let hosts = hosts.into_iter().map(Into::into).map(|host| lower(&host)).collect::<Result<Vec<_>>>()?;
        Self::build(hosts, BTreeSet::new())
    }

    /// Allows one more host whatever its address is, such as a server of one's own network.
    ///
    /// # Errors
    /// As [`to`](Self::to).
    pub fn and_inside(self, host: &str) -> Result<Self> {
        let (mut hosts, mut inside) = (self.hosts, self.inside);
        let host = lower(host)?;
        hosts.push(host.clone());
        inside.insert(host);
        Self::build(hosts, inside)
    }

    fn build(hosts: Vec<String>, inside: BTreeSet<String>) -> Result<Self> {
        let client = HttpClient::resolving(Arc::new(Guard { inside: inside.clone() }))?;
        let mut limits = HttpLimits::default();
        (limits.first_byte, limits.total) = TIMES;
        limits.max_body_bytes = MAX_BYTES;
        Ok(WebAccess { client, hosts, inside, limits })
    }

    /// Fetches a page with `GET`. `left` is the time until the caller's deadline.
    ///
    /// # Errors
    /// `InvalidInput` for what is no http address; `Blocked` with the code `host_not_allowed` or `address_inside`;
    /// `NotFound`, `PermissionDenied`, `RateLimited` or `Unavailable` as the server answers; `Corrupted` (code `too_large`)
    /// above 100 MiB.
    pub async fn fetch(&self, url: &str, left: Option<Duration>) -> Result<Fetched> {
        let ends = left.map(|left| tokio::time::Instant::now() + left);
        let mut url = self.look(url)?;
        for _ in 0..=MAX_REDIRECTS {
            let left = ends.map(|ends| ends.saturating_duration_since(tokio::time::Instant::now()));
            let request = HttpRequest::get(url.as_str()).header(
                "accept",
                "text/html, application/pdf, text/markdown, text/plain, text/csv, */*;q=0.5",
            );
            let mut answer = send(&self.client, request, &self.limits, left)
                .await
                .map_err(|error| at(error.for_operation(OPERATION), &url))?;
            match answer.status {
                200..=299 => {
                    let mime = answer.headers.get("content-type").and_then(|kind| kind.split(';').next());
                    let mime =
                        mime.map(|kind| kind.trim().to_ascii_lowercase()).filter(|kind| !kind.is_empty());
                    let bytes =
                        answer.body.all().await.map_err(|error| at(error.for_operation(OPERATION), &url))?;
                    return Ok(Fetched { url: url.into(), mime, bytes });
                }
                301 | 302 | 303 | 307 | 308 => {
                    let to = answer.headers.get("location").unwrap_or_default();
                    let next = url.join(to).map_err(|_| {
                        at(
                            Error::new(ErrorKind::Corrupted, OPERATION, "the server redirects to no address"),
                            &url,
                        )
                    })?;
                    url = self.look(next.as_str())?;
                }
                status => {
                    return Err(at(refused(status, retry_after(&answer.headers, SystemClock.now())), &url));
                }
            }
        }
        Err(at(Error::new(ErrorKind::Corrupted, OPERATION, "the server redirects without end"), &url))
    }

    /// Whether a URL may be fetched, as far as its text says.
    fn look(&self, text: &str) -> Result<Url> {
        let bad = |message| Err(Error::invalid(OPERATION, "url", message));
        if text.len() > MAX_URL {
            return bad("expected at most 2048 bytes");
        }
        let Ok(mut url) = Url::parse(text) else {
            return bad("expected a whole address such as https://host/page");
        };
        if !matches!(url.scheme(), "http" | "https") {
            return bad("expected http or https");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return bad("expected no name and password in it");
        }
        url.set_fragment(None);
        let Some(host) = url.host_str().map(|host| host.trim_end_matches('.').to_ascii_lowercase()) else {
            return bad("expected a host");
        };
        if !self.hosts.iter().any(|allowed| matches(allowed, &host)) {
            let message = "this host is not on the list of hosts that may be fetched: add it";
            return Err(at(
                Error::new(ErrorKind::Blocked, OPERATION, message).with_code("host_not_allowed"),
                &url,
            ));
        }
        // A name is looked at when it is resolved; an address has no name to resolve.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|ip| !is_public(ip)) && !self.inside.contains(&host) {
            return Err(at(address_inside(), &url));
        }
        Ok(url)
    }
}

/// A host of the list in lower case.
fn lower(host: &str) -> Result<String> {
    let host = host.trim().to_ascii_lowercase();
    if host == "*" {
        return Ok(host);
    }
    let (star, name) = host.strip_prefix("*.").map_or(("", host.as_str()), |name| ("*.", name));
    let name = name.trim_end_matches('.');
    // Colons and brackets: addresses of IPv6.
    let is_fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    if (1..=253).contains(&name.len()) && name.bytes().all(is_fine) {
        return Ok(format!("{star}{name}"));
    }
    Err(Error::invalid("http.web", "hosts", "expected names of hosts, `*.name`, or `*`"))
}

fn matches(allowed: &str, host: &str) -> bool {
    match allowed.strip_prefix("*.") {
        Some(below) => host.strip_suffix(below).is_some_and(|name| name.ends_with('.') && name.len() > 1),
        None => allowed == "*" || allowed == host,
    }
}

/// Resolves names to public addresses alone.
#[derive(Debug)]
struct Guard {
    inside: BTreeSet<String>,
}

/// The source of the error that a refused address ends in.
#[derive(Debug)]
struct Inside;

impl std::fmt::Display for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name resolves to an address inside a network")
    }
}

impl std::error::Error for Inside {}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let is_free = self.inside.contains(&name.as_str().trim_end_matches('.').to_ascii_lowercase());
        Box::pin(async move {
            let found: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            // One address inside is enough to refuse the name: which of them would be taken is the system's choice.
            if !is_free && found.iter().any(|address| !is_public(address.ip())) {
                return Err(Box::new(Inside) as Box<dyn std::error::Error + Send + Sync>);
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Whether a connection failed because of its address.
pub(super) fn is_inside(cause: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(cause), |cause| cause.source()).any(|cause| cause.is::<Inside>())
}

pub(super) fn address_inside() -> Error {
    let message =
        "this address is inside a network, not on the web: allow the host by name if that is wanted";
    Error::new(ErrorKind::Blocked, OPERATION, message).with_code("address_inside")
}

fn refused(status: u16, wait: Option<Duration>) -> Error {
    let later = wait.map_or(Retry::Backoff, Retry::After);
    let (kind, message, retry) = match status {
        401 | 403 => {
            (ErrorKind::PermissionDenied, "the server does not give this page to everybody", Retry::Never)
        }
        404 | 410 => (ErrorKind::NotFound, "there is no such page", Retry::Never),
        408 | 500.. => (ErrorKind::Unavailable, "the server is overloaded or broken: try again later", later),
        429 => (ErrorKind::RateLimited, "the server wants fewer requests: wait as long as is said", later),
        _ => (ErrorKind::Unavailable, "the server answers with no page", Retry::Never),
    };
    Error::new(kind, OPERATION, message).with_retry(retry).with_context("status", status)
}

/// Adds where it happened: the host, as paths and queries may hold secrets.
fn at(error: Error, url: &Url) -> Error {
    error.with_context("host", url.host_str().unwrap_or_default())
}

#[cfg(test)]
mod tests;
