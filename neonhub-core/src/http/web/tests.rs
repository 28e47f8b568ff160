//! Only what was named is fetched, and nothing inside a network.

use std::collections::BTreeMap;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// A server of pages on loopback: path to the whole answer.
async fn server(pages: &[(&str, String)]) -> u16 {
    let pages: BTreeMap<String, String> = pages.iter().map(|(p, a)| ((*p).to_owned(), a.clone())).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let pages = pages.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                    let mut piece = [0; 1_024];
                    match socket.read(&mut piece).await {
                        Ok(n) if n > 0 => head.extend_from_slice(&piece[..n]),
                        _ => return,
                    }
                }
                let path = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or("/").to_owned();
                let answer = pages.get(&path).cloned().unwrap_or_else(|| answer("404 Not Found", "", ""));
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    port
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn near() -> WebAccess {
    WebAccess::to(["docs.shop.example"]).unwrap().and_inside("127.0.0.1").unwrap()
}

#[tokio::test]
async fn a_page_of_a_named_host_is_fetched_with_its_type_and_through_redirects() {
    let page = answer("200 OK", "content-type: text/html; charset=utf-8\r\n", "<p>Green tea</p>");
    let port = server(&[
        ("/tea", page),
        ("/old", answer("301 Moved", "location: /tea#top\r\n", "")),
        ("/round", answer("302 Found", "location: /round\r\n", "")),
    ])
    .await;
    let found = near().fetch(&format!("http://127.0.0.1:{port}/old"), None).await.unwrap();
    assert_eq!(found.mime.as_deref(), Some("text/html"));
    assert_eq!(
        (found.url, found.bytes),
        (format!("http://127.0.0.1:{port}/tea"), b"<p>Green tea</p>".to_vec())
    );
    let round = near().fetch(&format!("http://127.0.0.1:{port}/round"), None).await.unwrap_err();
    assert!(round.message().contains("without end"), "{round:?}");
    let gone = near().fetch(&format!("http://127.0.0.1:{port}/nothing"), None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn nothing_inside_a_network_is_fetched_by_address_name_or_redirect() {
    let any = WebAccess::to(["*"]).unwrap();
    for url in [
        "http://127.0.0.1:1/",
        "http://127.1/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:10.0.0.1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://localhost:1/",
    ] {
        let error = any.fetch(url, None).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Blocked, "address_inside"), "{url} {error:?}");
    }
    let port = server(&[("/", answer("302 Found", "location: http://10.0.0.1/secret\r\n", ""))]).await;
    let mixed = WebAccess::to(["10.0.0.1"]).unwrap().and_inside("127.0.0.1").unwrap();
    let error = mixed.fetch(&format!("http://127.0.0.1:{port}/"), None).await.unwrap_err();
    assert_eq!(error.code(), "address_inside");
}

#[tokio::test]
async fn hosts_that_were_not_named_and_addresses_that_are_none_are_refused_unasked() {
    for (url, code) in [
        ("https://elsewhere.example/", "host_not_allowed"),
        ("https://docs.shop.example.evil.example/", "host_not_allowed"),
        ("https://docs.shop.example@evil.example/", "invalid_input"),
        ("ftp://docs.shop.example/", "invalid_input"),
        ("docs.shop.example", "invalid_input"),
        ("file:///etc/passwd", "invalid_input"),
    ] {
        assert_eq!(near().fetch(url, None).await.unwrap_err().code(), code, "{url}");
    }
    let below = WebAccess::to(["*.shop.example"]).unwrap();
    assert!(
        below.look("https://a.b.shop.example/x").is_ok() && below.look("https://A.SHOP.example./").is_ok()
    );
    for other in ["https://shop.example/", "https://evilshop.example/", "https://.shop.example/"] {
        assert!(below.look(other).is_err(), "{other}");
    }
    for wrong in ["", "*.", "a b", "http://x"] {
        assert!(WebAccess::to([wrong]).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn what_servers_answer_becomes_a_kind_with_advice() {
    let port = server(&[
        ("/busy", answer("503 Busy", "retry-after: 7\r\n", "")),
        ("/often", answer("429 Often", "retry-after: 3\r\n", "")),
        ("/shut", answer("403 No", "", "")),
    ])
    .await;
    let ask =
        async |path: &str| near().fetch(&format!("http://127.0.0.1:{port}{path}"), None).await.unwrap_err();
    let busy = ask("/busy").await;
    assert_eq!((busy.kind(), busy.retry()), (ErrorKind::Unavailable, Retry::After(Duration::from_secs(7))));
    assert_eq!(ask("/often").await.kind(), ErrorKind::RateLimited);
    assert_eq!(ask("/shut").await.kind(), ErrorKind::PermissionDenied);
    let _forbidden = crate::network::forbid();
    assert_eq!(ask("/busy").await.code(), "network_forbidden");
}
