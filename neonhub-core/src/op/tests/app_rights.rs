//! Rights of a host's own: declared once, carried by roles and keys, asked for by its operations.

use super::*;
use crate::hub::HubConfig;
use crate::tool::{FnTool, ToolInfo};

/// Pays an order back.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Refund {}

const REFUND: Permission = Permission::app("app:orders.refund");

impl Operation for Refund {
    type Output = ();
    const NAME: &'static str = "orders.refund";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent, REFUND];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, _cx: &Scope) -> Result<()> {
        Ok(())
    }
}

static ORDERS: &[Entry] = &[entry::<Refund>()];

fn shop() -> HubBuilder {
    Hub::builder().operations(ORDERS)
}

async fn owner() -> Scope {
    let hub = shop()
        .permission("app:orders.refund", "Pay orders back.")
        .permission("app:orders.see", "See orders.");
    hub.build().await.unwrap().workspace("default").await.unwrap()
}

async fn call(cx: &Scope, name: &str, input: Value) -> Result<Value> {
    cx.call_by_name(name, input, CallOptions::new()).await
}

async fn member(cx: &Scope, user: &str, role: &str) -> Scope {
    call(cx, "members.invite", json!({ "user": user, "role": role })).await.unwrap();
    cx.hub().member("default", user).await.unwrap()
}

fn missing(error: &Error) -> (ErrorKind, &str) {
    (error.kind(), error.context().find(|(name, _)| *name == "permission").map_or("", |(_, word)| word))
}

#[tokio::test]
async fn the_door_asks_for_the_word_that_roles_and_keys_carry() {
    let cx = owner().await;
    cx.call(Refund {}).await.unwrap();
    let plain = member(&cx, "ada", "member").await;
    let error = plain.call(Refund {}).await.unwrap_err();
    assert_eq!(missing(&error), (ErrorKind::PermissionDenied, "app:orders.refund"));
    let words = json!(["read:content", "app:orders.refund"]);
    call(&cx, "roles.put", json!({ "name": "cashier", "permissions": words })).await.unwrap();
    let cashier = member(&cx, "ben", "cashier").await;
    cashier.call(Refund {}).await.unwrap();
    assert_eq!(call(&cashier, "scope.whoami", json!({})).await.unwrap()["permissions"], words);
    let key = async |permissions: Value| {
        let made = call(&cx, "api_keys.create", json!({ "name": "till", "permissions": permissions }))
            .await
            .unwrap();
        cx.hub().api_key(made["secret"].as_str().unwrap()).await.unwrap()
    };
    key(words.clone()).await.call(Refund {}).await.unwrap();
    let other = key(json!(["read:content", "app:orders.see"])).await;
    assert_eq!(missing(&other.call(Refund {}).await.unwrap_err()).1, "app:orders.refund");
    // An agent holds what both its principal and its own set hold.
    let agent = |words: &[Permission]| cashier.for_agent("helper", "run_1", PermissionSet::of(words));
    agent(&[Permission::ReadContent, REFUND]).call(Refund {}).await.unwrap();
    assert!(agent(&[Permission::ReadContent]).call(Refund {}).await.is_err());
    // A role that loses the word loses the right with the next call.
    call(&cx, "roles.put", json!({ "name": "cashier", "permissions": ["read:content"] })).await.unwrap();
    assert!(cashier.call(Refund {}).await.is_err());
}

#[tokio::test]
async fn nobody_grants_a_word_it_does_not_hold() {
    let cx = owner().await;
    let words = json!(["manage:team", "read:content"]);
    call(&cx, "roles.put", json!({ "name": "lead", "permissions": words })).await.unwrap();
    let lead = member(&cx, "ada", "lead").await;
    let input = json!({ "name": "till", "permissions": ["app:orders.refund"] });
    let error = call(&lead, "api_keys.create", input).await.unwrap_err();
    assert_eq!(missing(&error), (ErrorKind::PermissionDenied, "app:orders.refund"));
    // With every word of neonhub, and none of the host's, it makes no admin, who holds those too.
    let every: Vec<&str> = Permission::ALL.iter().map(Permission::word).collect();
    call(&cx, "roles.put", json!({ "name": "all", "permissions": every })).await.unwrap();
    let all = member(&cx, "ben", "all").await;
    let error = call(&all, "members.invite", json!({ "user": "eve", "role": "admin" })).await.unwrap_err();
    assert_eq!(missing(&error), (ErrorKind::PermissionDenied, "app:orders.refund"));
}

#[tokio::test]
async fn an_undeclared_word_is_refused_with_its_field_and_the_cure() {
    let cx = owner().await;
    let words = json!(["read:content", "app:orders.burn"]);
    for (name, field) in [("roles.put", "permissions[1]"), ("api_keys.create", "permissions[1]")] {
        let error = call(&cx, name, json!({ "name": "cashier", "permissions": words })).await.unwrap_err();
        let fault = &error.field_faults()[0];
        assert_eq!((error.kind(), fault.field.as_str()), (ErrorKind::InvalidInput, field), "{name}");
        assert!(
            fault.message.contains("app:orders.burn") && fault.message.contains("HubBuilder::permission")
        );
    }
    let misshapen = json!({ "name": "cashier", "permissions": ["app:Orders"] });
    let error = call(&cx, "roles.put", misshapen).await.unwrap_err();
    assert_eq!(error.field_faults()[0].field, "permissions[0]");
    assert!(error.message().contains("app:orders.refund"), "an example is told: {error}");
    let info = ToolInfo::new("burn", "Burns").needs(Permission::app("app:orders.burn"));
    let tool = FnTool::new(info, |_cx: Scope, _order: Refund| async { Ok(()) });
    let error = cx.hub().add_tool(tool).unwrap_err();
    assert_eq!((error.kind(), error.field_faults()[0].field.as_str()), (ErrorKind::InvalidInput, "needs[0]"));
}

#[tokio::test]
async fn a_hub_opens_with_what_its_operations_need_and_no_sooner() {
    let error = shop().build().await.unwrap_err();
    assert_eq!(missing(&error), (ErrorKind::Config, "app:orders.refund"));
    assert!(error.message().contains("HubBuilder::permission"), "{error}");
    assert_eq!(error.context().find(|(name, _)| *name == "operation").unwrap().1, "orders.refund");
    for (word, meaning, told) in [
        ("orders.refund", "Pay back.", "app:"),
        ("app:Refund", "Pay back.", "app:"),
        ("app:orders.refund", " ", "sentence"),
    ] {
        let error = Hub::builder().permission(word, meaning).build().await.unwrap_err();
        assert_eq!(missing(&error), (ErrorKind::Config, word));
        assert!(error.message().contains(told), "{error}");
    }
    let twice =
        Hub::builder().permission("app:a", "One.").permission("app:a", "Two.").build().await.unwrap_err();
    assert!(twice.message().contains("twice"), "{twice}");
    // As data too.
    let config =
        HubConfig::from_map([("permissions", r#"{"app:orders.refund": "Pay orders back."}"#)]).unwrap();
    let cx = shop().config(config).unwrap().build().await.unwrap().workspace("default").await.unwrap();
    let listed = call(&cx, "scope.list_permissions", json!({})).await.unwrap();
    let lines = listed.as_array().unwrap();
    assert_eq!(lines.len(), Permission::ALL.len() + 1);
    let wanted = json!({ "word": "app:orders.refund", "meaning": "Pay orders back.", "roles": ["owner", "admin"],
        "operations": ["orders.refund"] });
    assert_eq!(lines.last().unwrap(), &wanted);
    let held = call(&cx, "scope.whoami", json!({})).await.unwrap();
    assert_eq!(held["permissions"].as_array().unwrap().last().unwrap(), "app:orders.refund");
}

#[tokio::test]
async fn a_word_that_is_declared_no_more_is_kept_and_gives_nothing() {
    let store: SharedStore = Arc::new(MemoryStore::new());
    let open = |hub: HubBuilder| {
        let key = RootKey::from_bytes([7; 32], "test");
        hub.store_backend(Arc::clone(&store)).root_key(key).build()
    };
    let hub = open(shop().permission("app:orders.refund", "Pay orders back.")).await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let input = json!({ "name": "till", "permissions": ["read:content", "app:orders.refund"] });
    let made = call(&cx, "api_keys.create", input).await.unwrap();
    let later = open(Hub::builder()).await.unwrap();
    let till = later.api_key(made["secret"].as_str().unwrap()).await.unwrap();
    let told = call(&till, "scope.whoami", json!({})).await.unwrap();
    assert_eq!(told["permissions"], json!(["read:content"]));
    let cx = later.workspace("default").await.unwrap();
    let listed = call(&cx, "api_keys.list", json!({})).await.unwrap();
    assert_eq!(listed["items"][0]["permissions"], json!(["read:content", "app:orders.refund"]));
}
