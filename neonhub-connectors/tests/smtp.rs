//! The SMTP connector against a real server on loopback.
//!
//! `NEONHUB_TEST_PYTHON` names a Python with aiosmtpd; `cargo xtask test` sets it.
#![cfg(feature = "smtp")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, outside #[test] functions"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use neonhub_core::connector::testing::AllowAll;
use neonhub_core::connector::{
    Channel, Clearance, Cleared, Connector, EffectId, Outbound, Payload, Proposal,
};
use neonhub_core::op::CallOptions;
use neonhub_core::resilience::is_untried;
use neonhub_core::{ErrorKind, Hub, ManualClock, Retry, Scope, Secret, Timestamp};
use serde_json::{Value, json};

struct Server {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let python =
            std::env::var("NEONHUB_TEST_PYTHON").expect("NEONHUB_TEST_PYTHON names a Python with aiosmtpd");
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(dir.path().join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        std::fs::create_dir(dir.path().join("mail")).unwrap();
        let mut child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/smtp_server.py"))
            .args([dir.path().join("cert.pem"), dir.path().join("key.pem"), dir.path().join("mail")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Server { child, port: line.trim().parse().expect("the server prints its port"), dir }
    }

    fn connector(&self, password: &str) -> Arc<dyn Connector> {
        let settings = json!({
            "host": "localhost", "port": self.port, "username": "neon", "password": password,
            "ca_file": self.dir.path().join("cert.pem"), "timeout_ms": 5000,
        });
        neonhub_connectors::open("smtp", settings).unwrap()
    }

    fn mails(&self) -> Vec<PathBuf> {
        self.files("eml")
    }

    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut found: Vec<_> = std::fs::read_dir(self.dir.path().join("mail"))
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == ending))
            .collect();
        found.sort();
        found
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn scope() -> Scope {
    clocked().await.0
}

async fn clocked() -> (Scope, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder().clock(Arc::clone(&clock) as _).gate(Arc::new(AllowAll)).build().await.unwrap();
    (hub.workspace("default").await.unwrap(), clock)
}

async fn clear(cx: &Scope, to: &str) -> Cleared {
    let channel = Channel::new("email").unwrap();
    let message = format!(
        "From: hello@aurora.example\r\nTo: {to}\r\nSubject: Hi\r\nMessage-ID: <1@aurora.example>\r\n\r\n.dots stay\r\n"
    );
    let outbound = Outbound {
        channel: channel.clone(),
        effect: EffectId::of(&[to]),
        payload: Payload::Email {
            from: "hello@aurora.example".into(),
            to: Secret::new(to),
            message: message.into_bytes(),
        },
        facts: Value::Null,
    };
    let proposal = Proposal { send: "snd".into(), person: None, channel, at: cx.now(), facts: Value::Null };
    match cx.clear(vec![(proposal, outbound)]).await.unwrap().pop() {
        Some(Clearance::Cleared { cleared, .. }) => *cleared,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with aiosmtpd"]
async fn mail_arrives_whole_and_refusals_keep_their_meaning() {
    let server = Server::start();
    let smtp = server.connector("secret");
    let cx = scope().await;
    let deliver = async |to: &str| {
        let cleared = clear(&cx, to).await;
        cx.deliver(smtp.as_ref(), cleared).await
    };
    let receipt = deliver("ada@shop.example").await.unwrap();
    assert_eq!(receipt.provider_id, "Q1");
    let later = deliver("later@shop.example").await.unwrap_err();
    assert_eq!((later.kind(), later.is_retryable()), (ErrorKind::Unavailable, true), "{later}");
    let never = deliver("never@shop.example").await.unwrap_err();
    assert_eq!((never.kind(), never.is_retryable()), (ErrorKind::Blocked, false), "{never}");
    assert!(never.context().any(|c| c == ("status", "550")), "{never}");
    deliver("bob@shop.example").await.unwrap();
    let unknown = deliver("silent@shop.example").await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.is_retryable()), (ErrorKind::OutcomeUnknown, false), "{unknown}");
    deliver("eve@shop.example").await.unwrap();

    let mails = server.mails();
    assert_eq!(mails.len(), 3, "refused recipients got nothing");
    let first = std::fs::read_to_string(&mails[0]).unwrap();
    assert!(first.contains("\r\n.dots stay\r\n"), "{first}");
    let to: Vec<_> = mails.iter().map(|m| std::fs::read_to_string(m.with_extension("to")).unwrap()).collect();
    assert_eq!(to, ["ada@shop.example", "bob@shop.example", "eve@shop.example"]);
}

#[tokio::test]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with aiosmtpd"]
async fn a_wrong_password_and_an_absent_server_are_told_apart() {
    let server = Server::start();
    let wrong = server.connector("wrong").health().await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Unauthenticated, "{wrong}");
    let untrusted =
        neonhub_connectors::open("smtp", json!({ "host": "localhost", "port": server.port })).unwrap();
    assert_eq!(untrusted.health().await.unwrap_err().kind(), ErrorKind::Config);
    let smtp = server.connector("secret");
    let mut server = server;
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let absent = smtp.health().await.unwrap_err();
    assert_eq!((absent.kind(), absent.is_retryable()), (ErrorKind::Unavailable, true), "{absent}");
}

#[tokio::test]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with aiosmtpd"]
async fn a_passing_refusal_is_tried_again_and_a_lost_answer_never_is() {
    let server = Server::start();
    let smtp = server.connector("secret");
    let cx = scope().await;
    let deliver = async |to: &str| {
        let cleared = clear(&cx, to).await;
        cx.deliver(smtp.as_ref(), cleared).await
    };
    deliver("tired@shop.example").await.unwrap();
    assert_eq!(server.mails().len(), 1, "refused once, taken once");
    for n in 1..=2 {
        let unknown = deliver("silent@shop.example").await.unwrap_err();
        assert_eq!((unknown.kind(), unknown.retry()), (ErrorKind::OutcomeUnknown, Retry::Never));
        assert_eq!(server.files("silent").len(), n, "the server saw it once");
    }
    // Recipients that are put off are no fault of the server: it goes on taking mail.
    for _ in 0..4 {
        let later = deliver("later@shop.example").await.unwrap_err();
        assert_eq!((later.code(), later.retry()), ("recipient_deferred", Retry::Backoff));
    }
    deliver("ada@shop.example").await.unwrap();
    assert_eq!(server.mails().len(), 2);
}

#[tokio::test]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with aiosmtpd"]
async fn a_server_that_is_gone_is_left_alone_and_tried_again() {
    let mut server = Server::start();
    let smtp = server.connector("secret");
    let (cx, clock) = clocked().await;
    let deliver = async || {
        let cleared = clear(&cx, "ada@shop.example").await;
        cx.deliver(smtp.as_ref(), cleared).await
    };
    deliver().await.unwrap();
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    for _ in 0..3 {
        let absent = deliver().await.unwrap_err();
        assert_eq!((absent.kind(), absent.retry()), (ErrorKind::Unavailable, Retry::Backoff));
        assert!(!is_untried(&absent), "{absent}");
    }
    let open = deliver().await.unwrap_err();
    assert_eq!((open.code(), is_untried(&open)), ("breaker_open", true));
    let listed = cx.call_by_name("breakers.list", json!({}), CallOptions::new()).await.unwrap();
    assert_eq!((&listed[0]["target"], &listed[0]["state"]), (&json!("connection:smtp"), &json!("open")));
    clock.advance(std::time::Duration::from_secs(10));
    let trial = deliver().await.unwrap_err();
    assert!(!is_untried(&trial), "one call tries it out: {trial}");
    assert_eq!(deliver().await.unwrap_err().code(), "breaker_open");
}

#[tokio::test]
#[ignore = "needs NEONHUB_TEST_PYTHON: a Python with aiosmtpd"]
async fn a_wrong_password_leaves_the_connection_alone_at_once_and_reconnecting_helps() {
    let server = Server::start();
    let (cx, _) = clocked().await;
    let wrong = server.connector("wrong");
    let cleared = clear(&cx, "ada@shop.example").await;
    assert_eq!(cx.deliver(wrong.as_ref(), cleared).await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    let cleared = clear(&cx, "ada@shop.example").await;
    assert_eq!(cx.deliver(wrong.as_ref(), cleared).await.unwrap_err().code(), "breaker_open");
    let good = server.connector("secret");
    good.reconnect().await.unwrap();
    let reset = json!({ "target": "connection:smtp" });
    cx.call_by_name("breakers.reset", reset, CallOptions::new()).await.unwrap();
    let cleared = clear(&cx, "ada@shop.example").await;
    cx.deliver(good.as_ref(), cleared).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}
