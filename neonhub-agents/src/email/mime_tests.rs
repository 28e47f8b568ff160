//! The written bytes, read back by Python's `email` package.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

fn mailbox(name: &str, address: &str) -> Mailbox {
    Mailbox::new("mailbox", name, address).unwrap()
}

fn leave() -> ListUnsubscribe {
    ListUnsubscribe {
        url: format!("https://shop.example/u/{}", "t".repeat(120)),
        mailto: Some("leave@shop.example".into()),
        one_click: true,
    }
}

const TEXT: &str = "Grüß dich, Jane!\n.dot at the start\nFrom here on\ntrailing space \n\n日本語のテキスト";
const HTML: &str = "<p style=\"color:#111\">Gr\u{fc}\u{df} dich &amp; willkommen = 100 %</p>";

fn write(subject: &str) -> Message {
    let (from, to) =
        (mailbox("Müller & Söhne", "news@müller.example"), mailbox("Jane Doe", "jane@example.org"));
    let leave = leave();
    let mail = Mail {
        effect_id: "eff_0123abc",
        date: Timestamp::parse("date", "2026-11-21T09:05:07Z").unwrap(),
        from: &from,
        to: &to,
        reply_to: None,
        subject,
        text: TEXT,
        html: HTML,
        unsubscribe: Some(&leave),
        headers: &[("X-Campaign", "cmp_1"), ("Feedback-ID", "a:b:c")],
    };
    mail.write().unwrap()
}

/// What the standard parser of Python makes of the bytes, as JSON.
fn parse(bytes: &[u8]) -> serde_json::Value {
    const SCRIPT: &str = r#"
import email, email.policy, json, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
parts = [{"type": p.get_content_type(), "charset": p.get_content_charset(), "body": p.get_content()} for p in m.iter_parts()]
print(json.dumps({"headers": {k.lower(): str(v) for k, v in m.items()}, "names": [k for k in m.keys()], "type": m.get_content_type(),
  "from": [str(a) for a in m["From"].addresses], "from_name": m["From"].addresses[0].display_name,
  "date": m["Date"].datetime.isoformat(), "parts": parts, "defects": [str(d) for d in m.defects] + [str(d) for p in m.iter_parts() for d in p.defects]}))
"#;
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed to read the message back");
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success());
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn an_independent_parser_reads_what_was_written() {
    let subject = "Neu für dich: 20 % auf alles – nur heute 🎉 und noch viel mehr Text, damit gefaltet wird";
    let read = parse(&write(subject).bytes);
    assert_eq!(read["defects"].as_array().unwrap().len(), 0, "{read}");
    assert_eq!(read["headers"]["subject"], subject);
    assert_eq!(read["from_name"], "Müller & Söhne");
    assert_eq!(read["from"][0], "Müller & Söhne <news@xn--mller-kva.example>");
    assert_eq!(read["headers"]["to"], "Jane Doe <jane@example.org>");
    assert_eq!(read["date"], "2026-11-21T09:05:07+00:00");
    assert_eq!(read["headers"]["message-id"], "<eff_0123abc@xn--mller-kva.example>");
    assert_eq!(
        read["headers"]["list-unsubscribe"],
        format!("<{}>, <mailto:leave@shop.example>", leave().url)
    );
    assert_eq!(read["headers"]["list-unsubscribe-post"], "List-Unsubscribe=One-Click");
    assert_eq!(read["headers"]["mime-version"], "1.0");
    assert_eq!(read["headers"]["x-campaign"], "cmp_1");
    assert_eq!(read["type"], "multipart/alternative");
    let part = |n: usize| {
        (
            &read["parts"][n]["type"],
            read["parts"][n]["body"].as_str().unwrap().replace("\r\n", "\n").trim_end().to_owned(),
        )
    };
    assert_eq!(part(0), (&"text/plain".into(), TEXT.to_owned()));
    assert_eq!(part(1), (&"text/html".into(), HTML.to_owned()));
    assert_eq!(read["parts"].as_array().unwrap().len(), 2);
}

#[test]
fn bytes_are_the_same_each_time_ascii_and_in_short_crlf_lines() {
    let message = write("Hello");
    assert_eq!(message, write("Hello"));
    let text = String::from_utf8(message.bytes).unwrap();
    assert!(text.is_ascii());
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
    assert!(text.split("\r\n").all(|line| line.len() <= 998));
    assert!(text.starts_with("Date: Sat, 21 Nov 2026 09:05:07 +0000\r\nFrom: "));
    assert_eq!(message.message_id, Message::id_of("eff_0123abc", "xn--mller-kva.example"));
}

#[test]
fn subjects_of_any_kind_read_back() {
    let long_word = "x".repeat(200);
    for subject in
        ["=?utf-8?Q?fake?=", "two  spaces", "a", &long_word, "日本語".repeat(40).as_str(), "tail 🎉"]
    {
        assert_eq!(parse(&write(subject).bytes)["headers"]["subject"], *subject);
    }
}

#[test]
fn header_injection_and_missing_parts_are_refused_together() {
    let (from, to) = (mailbox("", "a@b.example"), mailbox("", "c@d.example"));
    let leave = ListUnsubscribe { url: "http://shop.example/u".into(), mailto: None, one_click: true };
    let mail = Mail {
        effect_id: "e1",
        date: Timestamp::EPOCH,
        from: &from,
        to: &to,
        reply_to: None,
        subject: "Hi\r\nBcc: x@y.example",
        text: " ",
        html: "<p>x</p>",
        unsubscribe: Some(&leave),
        headers: &[("X-A", "b\nc: d"), ("Bcc", "x@y.example"), ("X Y", "z")],
    };
    let fields: Vec<String> =
        mail.write().unwrap_err().field_faults().iter().map(|f| f.field.clone()).collect();
    assert_eq!(fields, ["subject", "X-A", "unsubscribe.url", "Bcc", "X Y", "text"]);
}
