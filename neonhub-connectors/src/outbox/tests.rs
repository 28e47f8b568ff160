use neonhub_core::connector::testing::AllowAll;
use neonhub_core::connector::{Clearance, Proposal};
use neonhub_core::{Hub, Scope, Secret};

use super::*;

async fn scope() -> Scope {
    Hub::builder().gate(Arc::new(AllowAll)).build().await.unwrap().workspace("default").await.unwrap()
}

async fn cleared(cx: &Scope, outbound: Outbound) -> Cleared {
    let proposal = Proposal {
        send: "snd".into(),
        person: None,
        channel: outbound.channel.clone(),
        at: cx.now(),
        facts: Value::Null,
    };
    match cx.clear(vec![(proposal, outbound)]).await.unwrap().pop() {
        Some(Clearance::Cleared { cleared, .. }) => *cleared,
        other => panic!("{other:?}"),
    }
}

fn text(effect: &str) -> Outbound {
    Outbound {
        channel: Channel::new("sms").unwrap(),
        effect: EffectId::of(&[effect]),
        payload: Payload::Text {
            from: "Aurora".into(),
            to: Secret::new("+12025550123"),
            body: "hello".into(),
        },
        facts: json!({ "segments": 1 }),
    }
}

#[tokio::test]
async fn one_effect_is_one_whole_file_and_the_probe_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    let cx = scope().await;
    let (effect, channel) = (EffectId::of(&["a"]), Channel::new("sms").unwrap());
    assert_eq!(outbox.probe(&effect, &channel).await.unwrap(), Probe::NotLanded);
    for _ in 0..2 {
        let cleared = cleared(&cx, text("a")).await;
        cx.deliver(&outbox, cleared).await.unwrap();
    }
    outbox.settle().await.unwrap();
    assert!(matches!(outbox.probe(&effect, &channel).await.unwrap(), Probe::Landed(_)));
    let files: Vec<_> = std::fs::read_dir(dir.path().join("sms")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let body: Value =
        serde_json::from_slice(&std::fs::read(files[0].as_ref().unwrap().path()).unwrap()).unwrap();
    assert_eq!(
        (&body["to"], &body["body"], &body["facts"]["segments"]),
        (&json!("+12025550123"), &json!("hello"), &json!(1))
    );
}

#[tokio::test]
async fn a_clearance_of_another_hub_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(dir.path()).unwrap();
    let (one, other) = (scope().await, scope().await);
    let cleared = cleared(&one, text("a")).await;
    assert_eq!(other.deliver(&outbox, cleared).await.unwrap_err().kind(), ErrorKind::Blocked);
}

#[tokio::test]
async fn a_folder_that_is_a_file_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("taken");
    std::fs::write(&path, "x").unwrap();
    assert_eq!(Outbox::open(&path).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(Outbox::open("").unwrap_err().kind(), ErrorKind::InvalidInput);
}
