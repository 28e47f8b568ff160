//! Pages of the web as documents.

use std::sync::Mutex;

use neonhub_core::http::WebAccess;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A server on loopback that gives one page, which can change.
async fn page(text: &str) -> (u16, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(text.to_owned()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let given = Arc::clone(&text);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let body = given.lock().unwrap().clone();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n", body.len());
            let mut asked = [0; 4_096];
            let _ = socket.read(&mut asked).await;
            let _ = socket.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await;
        }
    });
    (port, text)
}

async fn with(web: Option<WebAccess>) -> Scope {
    let plain = builder("memory:");
    let builder = match web {
        Some(web) => plain.service(Arc::new(web)),
        None => plain,
    };
    let cx = builder.build().await.unwrap().workspace("default").await.unwrap();
    brand(&cx).await;
    cx
}

fn ingest(url: &str) -> IngestUrl {
    IngestUrl { dataset: "brand-voice".into(), url: url.into(), ..IngestUrl::default() }
}

#[tokio::test]
async fn a_page_becomes_a_document_of_the_web_and_its_change_a_version() {
    let (port, text) = page("<title>Delivery</title><main><p>We deliver within two days.</p></main>").await;
    let web = WebAccess::to(["shop.example"]).unwrap().and_inside("127.0.0.1").unwrap();
    let cx = with(Some(web)).await;
    let url = format!("http://127.0.0.1:{port}/help/delivery");
    let first = cx.call(ingest(&url)).await.unwrap();
    assert_eq!((first.title.as_str(), first.version, first.trust), ("Delivery", 1, Trust::Web));
    assert_eq!(first.external_key, url);
    assert_eq!(cx.call(ingest(&format!("{url}#top"))).await.unwrap().id, first.id, "nothing changed");
    *text.lock().unwrap() = "<title>Delivery</title><main><p>We deliver within one day.</p></main>".into();
    assert_eq!(cx.call(ingest(&url)).await.unwrap().version, 2);
    let hits = find(&cx, "deliver").await.hits;
    assert!(hits.len() == 1 && hits[0].text.contains("one day"), "{hits:?}");
}

#[tokio::test]
async fn without_leave_no_page_is_fetched() {
    let cx = with(Some(WebAccess::to(["shop.example"]).unwrap())).await;
    for (url, code) in
        [("http://elsewhere.example/", "host_not_allowed"), ("file:///etc/passwd", "invalid_input")]
    {
        assert_eq!(cx.call(ingest(url)).await.unwrap_err().code(), code);
    }
    let cx = with(None).await;
    assert_eq!(cx.call(ingest("https://shop.example/")).await.unwrap_err().code(), "no_web_access");
}
