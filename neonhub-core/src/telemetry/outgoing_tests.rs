//! Who is told of the caller's trace.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;

use super::{TraceContext, outgoing};
use crate::http::{HttpRequest, HttpResponse, HttpTransport};
use crate::llm::{LlmRequest, Provider};
use crate::resilience::{Call, Plan};
use crate::{Error, ErrorKind, Hub, Result, Scope, Secret};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Notes the headers of what is sent and answers nothing.
#[derive(Debug, Default)]
struct Wire(Mutex<Vec<Vec<(String, String)>>>);

#[async_trait]
impl HttpTransport for Wire {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        let headers = request.headers.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
        self.0.lock().unwrap().push(headers);
        Err(Error::new(ErrorKind::InvalidInput, "test.wire", "noted"))
    }
}

async fn scope(wire: &Arc<Wire>) -> Scope {
    let provider = Provider::builder("openai").model("m").api_key(Secret::new("key"));
    let provider = provider.transport(Arc::clone(wire) as _).build().unwrap();
    let hub = Hub::builder().model(Arc::new(provider)).build().await.unwrap();
    hub.workspace("default").await.unwrap()
}

#[tokio::test]
async fn a_provider_is_told_of_the_callers_trace_and_of_no_other() {
    let wire = Arc::new(Wire::default());
    let cx = scope(&wire).await;
    let parent = TraceContext::parse(PARENT, Some("congo=t61rcWkgMzE")).unwrap();
    for cx in [cx.clone(), cx.with_trace(parent.clone())] {
        cx.model().complete(LlmRequest::new().user("How are you?")).await.unwrap_err();
    }
    let sent = wire.0.lock().unwrap();
    let header = |n: usize, name: &str| sent[n].iter().find(|(key, _)| key == name).map(|(_, v)| v.clone());
    assert_eq!((sent.len(), header(0, "traceparent")), (2, None), "a caller without a trace is in none");
    let told = TraceContext::parse(&header(1, "traceparent").unwrap(), None).unwrap();
    assert_eq!(told.trace_id(), parent.trace_id());
    assert_ne!(told.span_id(), parent.span_id(), "a step below the caller's");
    assert_eq!(header(1, "tracestate"), None, "it is the caller's own");
}

#[tokio::test]
async fn guarded_calls_are_in_the_trace_and_what_comes_after_is_not() {
    let cx = scope(&Arc::default()).await;
    let traced = cx.with_trace(TraceContext::parse(PARENT, None).unwrap());
    let seen = |_| async { Ok(outgoing().map(|c| c.trace_id())) };
    let call = |cx: &Scope| {
        let cx = cx.clone();
        async move { Call::new(seen).guard(Plan::new("endpoint:test")).run(&cx).await.unwrap() }
    };
    assert_eq!(call(&traced).await.as_deref(), Some(&PARENT[3..35]));
    assert_eq!((call(&cx).await, outgoing()), (None, None));
}

#[cfg(feature = "http")]
#[tokio::test]
async fn a_page_of_the_web_learns_of_no_trace() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tea", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|w| w == b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let web = crate::http::WebAccess::to(["127.0.0.1"]).unwrap().and_inside("127.0.0.1").unwrap();
    let cx = scope(&Arc::default()).await.with_trace(TraceContext::parse(PARENT, None).unwrap());
    cx.in_trace(async { web.fetch(&url, None).await }).await.unwrap();
    let head = server.await.unwrap().to_lowercase();
    assert!(head.starts_with("get /tea") && !head.contains("trace"), "{head}");
}
