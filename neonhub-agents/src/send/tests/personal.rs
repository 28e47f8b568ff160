//! Whom records are about.

use std::collections::BTreeSet;

use neonhub_core::store::Item;

use super::*;
use crate::consent::ops::RecordConsent;
use crate::consent::{Channel, ProofMethod};

#[tokio::test]
async fn what_names_a_person_says_so() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", None, Some(Status::Granted)).await;
    let draft = w.email_draft(None).await;
    w.cx.call(create(&draft, &jane)).await.unwrap();
    w.work().await;
    w.cx.call(RecordConsent::revoke(jane.clone(), Channel::Email, ProofMethod::Api)).await.unwrap();
    let (mut snapshot, mut about_jane) = (w.cx.store().snapshot().await.unwrap(), BTreeSet::new());
    loop {
        let page = snapshot.next().await.unwrap();
        if page.is_empty() {
            break;
        }
        for item in page {
            let Item::Record(record) = item else { continue };
            let body: serde_json::Value = serde_json::from_str(&record.body).unwrap();
            let kind = w.cx.hub().kinds().iter().find(|kind| kind.name == record.kind).unwrap();
            let persons = kind.personal(&record.into_row().unwrap()).unwrap();
            assert!(body["person"] != jane.as_str() || persons == [jane.as_str()], "{} {body}", kind.name);
            if persons == [jane.as_str()] {
                about_jane.insert(kind.name);
            }
        }
    }
    assert_eq!(Vec::from_iter(about_jane), ["consent", "gate_facts", "identity", "person", "reach", "send"]);
}
