use futures_util::{StreamExt, stream};

use super::*;

/// Answers with these pieces, each after a while.
#[derive(Debug)]
struct Pieces(Vec<Vec<u8>>, Duration);

#[async_trait]
impl HttpTransport for Pieces {
    async fn send(&self, _: HttpRequest) -> Result<HttpResponse> {
        tokio::time::sleep(self.1).await;
        let wait = self.1;
        let body = stream::iter(self.0.clone()).then(move |piece| async move {
            tokio::time::sleep(wait).await;
            Ok(piece)
        });
        Ok(HttpResponse { status: 200, headers: Headers::default(), body: Box::pin(body) })
    }
}

async fn read(pieces: Pieces, limits: HttpLimits, left: Option<Duration>) -> Result<Vec<u8>> {
    let request = HttpRequest::post_json("http://here.test", Vec::new());
    send(&pieces, request, &limits, left).await?.body.all().await
}

fn limits() -> HttpLimits {
    HttpLimits {
        first_byte: Duration::from_secs(2),
        idle: Duration::from_secs(3),
        total: Duration::from_secs(10),
        max_body_bytes: 100,
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_ever() {
    let secs = Duration::from_secs;
    let pieces = |n: usize, wait| Pieces(vec![vec![1]; n], wait);
    assert_eq!(read(pieces(3, secs(1)), limits(), None).await.unwrap(), [1, 1, 1]);
    for (what, pieces, left) in [
        ("the first byte", pieces(1, Duration::from_millis(2_500)), None),
        ("the whole", pieces(20, secs(1)), None),
        ("the deadline", pieces(5, secs(1)), Some(secs(3))),
    ] {
        let error = read(pieces, limits(), left).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, Retry::Backoff), "{what}");
    }
    let idle = HttpLimits { idle: Duration::from_millis(500), ..limits() };
    assert_eq!(read(pieces(1, secs(1)), idle, None).await.unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let fits = read(Pieces(vec![vec![0; 50]; 2], Duration::ZERO), limits(), None).await.unwrap();
    assert_eq!(fits.len(), 100);
    let error = read(Pieces(vec![vec![0; 50]; 3], Duration::ZERO), limits(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupted, "too_large"));
}

#[test]
fn a_request_shows_no_values() {
    let request =
        HttpRequest::post_json("http://here.test", b"private".to_vec()).header("x-api-key", "hidden");
    let shown = format!("{request:?}");
    assert!(
        shown.contains("x-api-key") && !shown.contains("hidden") && !shown.contains("private"),
        "{shown}"
    );
}

#[cfg(feature = "http")]
mod client {
    use super::*;
    use crate::network;

    #[tokio::test]
    async fn what_cannot_be_sent_is_named_and_the_network_can_be_forbidden() {
        let client = HttpClient::new().unwrap();
        let send = |request: HttpRequest| {
            let client = client.clone();
            async move { client.send(request).await.map(drop).unwrap_err() }
        };
        assert_eq!(send(HttpRequest::post_json("nonsense", Vec::new())).await.field_faults()[0].field, "url");
        assert_eq!(
            send(HttpRequest::post_json("ftp://a.test", Vec::new())).await.field_faults()[0].field,
            "url"
        );
        let odd = HttpRequest::post_json("http://127.0.0.1:9", Vec::new()).header("x-api-key", "a\nb");
        let error = send(odd).await;
        assert_eq!(error.field_faults()[0].field, "x-api-key");
        assert!(!format!("{error:?}").contains("a\\nb"));
        let _shut = network::forbid();
        let error = send(HttpRequest::post_json("http://127.0.0.1:9", Vec::new())).await;
        assert_eq!((error.kind(), error.code()), (ErrorKind::Config, "network_forbidden"));
    }
}
