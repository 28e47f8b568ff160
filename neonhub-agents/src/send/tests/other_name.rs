//! Sends under the name that prompts written against other systems have for them.

use serde_json::json;

use super::*;

#[tokio::test]
async fn send_email_sends_a_mail_and_nothing_else() {
    let w = World::open().await;
    let jane = w.person("jane@example.org", Some("+436601112223"), Some(Status::Granted)).await;
    let (mail, sms) = (w.email_draft(None).await, w.sms_draft(None).await);
    let call = |name: &str, draft: &Draft| {
        let args = json!({ "draft": draft.id, "person": jane });
        w.cx.call(neonhub_core::tool::CallTool { name: name.into(), args })
    };
    let refused = call("sendEmail", &sms).await.unwrap_err();
    assert_eq!(refused.field_faults()[0].field, "channel", "{refused}");
    let sent = call("sendEmail", &mail).await.unwrap().output.unwrap();
    assert_eq!(sent["state"], json!(SendState::Queued));
    let again = call("send_email", &mail).await.unwrap().output.unwrap();
    assert_eq!(again["id"], sent["id"]);
    assert_eq!(w.work().await, 1);
    assert_eq!(w.outbox.delivered().len(), 1);
}
