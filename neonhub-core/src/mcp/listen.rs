//! The catalogue over streamable HTTP, for callers with an API key.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use http_types::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::ops::McpListener;
use super::serve::Exposed;
use crate::resilience::Counted;
use crate::{Error, ErrorKind, Result, Retry, Scope, network};

/// The path of the server.
const PATH: &str = "/mcp";
/// Most connections at the same time.
const CONNECTIONS: usize = 256;
/// Until the head of a request is there.
const HEAD: Duration = Duration::from_secs(10);
/// Largest request: an input of an operation, and what is around it.
const MAX_REQUEST: usize = 2 << 20;
/// Most of a refused request that is read, in bytes.
const REST: usize = 64 << 10;
/// What an answer has after the hub is closed, to reach its caller.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Names that this machine has for itself.
const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

type Service = StreamableHttpService<Exposed, NeverSessionManager>;

/// Listens until the hub closes.
pub(super) async fn listen(cx: &Scope, address: SocketAddr, hosts: Vec<String>) -> Result<McpListener> {
    network::check(cx.operation(), &address.to_string())?;
    let listener = TcpListener::bind(address).await.map_err(|cause| {
        let is_taken = cause.kind() == std::io::ErrorKind::AddrInUse;
        let (kind, code, message) = if is_taken {
            (
                ErrorKind::Conflict,
                "address_in_use",
                "another program listens there: choose another port, or 0",
            )
        } else {
            (
                ErrorKind::Config,
                "address",
                "this machine cannot listen there: look at the address and its rights",
            )
        };
        let error = Error::new(kind, cx.operation(), message).with_code(code);
        error.with_context("address", address).with_source(cause)
    })?;
    let at = listener.local_addr().map_err(|cause| Error::internal(cx.operation(), cause))?;
    let names = OWN_HOSTS.iter().map(|host| (*host).to_owned()).chain(hosts);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_REQUEST)
        .with_allowed_hosts(names)
        .enforce_origin_validation();
    let service = Service::new(|| Ok(Exposed::to_callers()), Arc::default(), config);
    tokio::spawn(accept(listener, service, cx.outside()));
    Ok(McpListener { url: format!("http://{at}{PATH}") })
}

async fn accept(listener: TcpListener, service: Service, cx: Scope) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        // A semaphore of ours is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            () = cx.hub().closing() => break,
            accepted = listener.accept() => accepted,
        };
        // One that broke before it was taken concerns nobody else; a machine out of handles gets a moment.
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (service, cx) = (service.clone(), cx.clone());
        connections.spawn(async move {
            connection(stream, from, service, &cx).await;
            drop(place);
        });
    }
    drop(listener);
    // Calls under way reach their end within the grace of the hub, and then their answers the caller.
    let cut = async {
        cx.hub().closed().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = cut => {}
        () = async { while connections.join_next().await.is_some() {} } => {}
    }
}

async fn connection(stream: TcpStream, from: SocketAddr, service: Service, cx: &Scope) {
    let answer = service_fn(|request| {
        let service = service.clone();
        async move { Ok::<_, Infallible>(exchange(request, from, &service, cx).await) }
    });
    let mut served = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), answer)
    );
    // How a connection ends is the caller's business.
    tokio::select! {
        _ = &mut served => {}
        () = cx.hub().closing() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}

async fn exchange(
    mut request: Request<Incoming>,
    from: SocketAddr,
    service: &Service,
    cx: &Scope,
) -> Response<BoxBody<Bytes, Infallible>> {
    if request.uri().path() != PATH {
        return refused(request, plain(StatusCode::NOT_FOUND, "the server is at /mcp")).await;
    }
    match caller(&request, from, cx).await {
        Ok(scope) => {
            request.headers_mut().remove(header::AUTHORIZATION);
            request.extensions_mut().insert(scope);
            service.handle(request).await
        }
        Err(error) => refused(request, refusal(&error)).await,
    }
}

/// An answer to a request that nobody reads: what is left of it is read off first. A connection that ends with something
/// unread takes the answer with it, or the next request of a caller who believes that it still stands.
async fn refused(
    request: Request<Incoming>,
    mut answer: Response<BoxBody<Bytes, Infallible>>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let rest = Limited::new(request.into_body(), REST).collect();
    if !matches!(tokio::time::timeout(HEAD, rest).await, Ok(Ok(_))) {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

fn refusal(error: &Error) -> Response<BoxBody<Bytes, Infallible>> {
    match error.kind() {
        ErrorKind::Unauthenticated => {
            let mut answer =
                plain(StatusCode::UNAUTHORIZED, "send an API key of this workspace as bearer token");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            answer
        }
        ErrorKind::RateLimited => {
            let mut answer = plain(StatusCode::TOO_MANY_REQUESTS, "too many requests: wait a while");
            if let Retry::After(wait) = error.retry() {
                let seconds = HeaderValue::from(wait.as_secs().max(1));
                answer.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            answer
        }
        _ => plain(StatusCode::SERVICE_UNAVAILABLE, "the key cannot be looked up now: try again"),
    }
}

/// The principal of a request, by its key. A request counts as one call of the key, or of the address when its key is
/// none.
async fn caller(request: &Request<Incoming>, from: SocketAddr, cx: &Scope) -> Result<Scope> {
    let address = from.ip().to_string();
    match of_key(request, cx).await {
        Ok(scope) => {
            if let Some((counted, bucket)) = scope.own_bucket() {
                scope.admit_bucket(counted, &bucket).await?;
            }
            Ok(scope.from_address(&address))
        }
        Err(error) => {
            // A store that is away is nobody's wrong key.
            if error.kind() == ErrorKind::Unauthenticated {
                let source = cx.from_address(&address);
                source.admit(Counted::Source, source.ip_hash().unwrap_or_default()).await?;
            }
            Err(error)
        }
    }
}

async fn of_key(request: &Request<Incoming>, cx: &Scope) -> Result<Scope> {
    let unauthenticated = || Error::new(ErrorKind::Unauthenticated, "mcp.serve", "a key is needed");
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key =
        given.and_then(|given| given.split_once(' ')).filter(|(way, _)| way.eq_ignore_ascii_case("bearer"));
    let (_, key) = key.ok_or_else(unauthenticated)?;
    let scope = cx.hub().api_key(key.trim()).await?;
    if scope.workspace() != cx.workspace() {
        return Err(unauthenticated());
    }
    Ok(scope)
}

fn plain(status: StatusCode, text: &'static str) -> Response<BoxBody<Bytes, Infallible>> {
    let mut answer = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *answer.status_mut() = status;
    answer
}
