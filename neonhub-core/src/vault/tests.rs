use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::op::CallOptions;
use crate::seal::Sealed;
use crate::store::{Batch, Expected, Key, Query, Record, Row, SharedStore, Write};
use crate::tenancy::WorkspaceId;
use crate::{ErrorKind, Hub, ManualClock, Permission, PermissionSet, Role, Scope, Timestamp};

/// A record with sealed values, as the layers above have them.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Card {
    id: String,
    lines: Vec<Sealed>,
}

impl Record for Card {
    const KIND: &'static str = "test_card";
    fn id(&self) -> &str {
        &self.id
    }
}

static CARDS: &[Kind] = &[Kind::of::<Card>()];
static SEALED: &[SealedColumn] = &[SealedColumn::of::<Card>("card", "line")];

fn root(byte: u8) -> RootKey {
    RootKey::from_bytes([byte; 32], format!("key {byte}"))
}

async fn hub_on(store: &SharedStore, key: RootKey) -> Hub {
    Hub::builder()
        .store_backend(Arc::clone(store))
        .root_key(key)
        .kinds(CARDS)
        .sealed(SEALED)
        .build()
        .await
        .unwrap()
}

fn memory() -> SharedStore {
    Arc::new(crate::store::MemoryStore::new())
}

async fn put_row<R: Record>(cx: &Scope, record: &R, expected: Expected) {
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    let row = Row::of(record, cx.now(), "test").unwrap();
    batch.writes.push(Write::Put { kind: Kind::of::<R>(), row, expected });
    cx.store().commit(batch).await.unwrap();
}

async fn put(cx: &Scope, name: &str, value: &str) -> SecretInfo {
    cx.call(PutSecret::new(name, SecretKind::Token, PlainSecret::new(value))).await.unwrap()
}

async fn cards(cx: &Scope, n: usize) {
    for i in 0..n {
        let line = |part| cx.sealer().seal("card", "line", &format!("{i}-{part}")).unwrap();
        put_row(cx, &Card { id: format!("c{i:04}"), lines: vec![line(0), line(1)] }, Expected::Absent).await;
    }
}

async fn assert_cards(cx: &Scope, n: usize, version: Option<u32>) {
    let stored = cx.query::<Card>(&Query::by_id().limit(10_000)).await.unwrap();
    assert_eq!(stored.len(), n);
    for (i, card) in stored.iter().enumerate() {
        for (part, line) in card.lines.iter().enumerate() {
            let opened = cx.sealer().open("card", "line", line).unwrap();
            assert_eq!(opened.expose(), format!("{i}-{part}"));
            assert!(version.is_none() || line.key_version() == version, "{:?}", line.key_version());
        }
    }
}

#[tokio::test]
async fn a_secret_is_put_replaced_listed_and_removed_and_never_given_out() {
    let hub = Hub::builder().build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let first = put(&cx, "hook.shop", "whsec_planted_1").await;
    let second = put(&cx, "hook.shop", "whsec_planted_2").await;
    assert_eq!((&first.id, second.kind), (&second.id, SecretKind::Token));
    assert_eq!(cx.secret("hook.shop").await.unwrap().expose(), "whsec_planted_2");
    put(&cx, "mail", "x").await;
    let listed = cx.call_by_name("vault.list", json!({"prefix": "hook."}), CallOptions::new()).await.unwrap();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(!listed.to_string().contains("planted"));
    assert!(listed["items"][0]["last_used_at"].is_i64());
    cx.call(DeleteSecret { name: "hook.shop".into() }).await.unwrap();
    assert_eq!(cx.secret("hook.shop").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn bad_input_names_the_field_and_says_nothing_of_the_value() {
    let hub = Hub::builder().build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    let bad = PutSecret {
        expires_at: Some(Timestamp::EPOCH),
        ..PutSecret::new("a|b", SecretKind::Other, PlainSecret::new("planted"))
    };
    assert!(!format!("{bad:?}").contains("planted"));
    let error = cx.call(bad).await.unwrap_err();
    let fields: Vec<_> = error.field_faults().iter().map(|f| f.field.as_str()).collect();
    assert_eq!(fields, ["name", "expires_at"]);
    let viewer = cx.with_role(Role::Member);
    let list = viewer.call(ListSecrets::default()).await.unwrap_err();
    assert_eq!(list.kind(), ErrorKind::PermissionDenied);
    let manage = PermissionSet::of(&[Permission::ManageSecrets]);
    assert!(!cx.for_agent("a", "r", manage).permissions().has(Permission::ManageSecrets));
}

#[tokio::test]
async fn moved_and_swapped_secrets_are_corrupted() {
    let store = memory();
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    put(&cx, "a", "one").await;
    put(&cx, "b", "two").await;
    let find = |name: &'static str| cx.find::<VaultSecret>("name", Key::text(name));
    let (a, b) = (find("a").await.unwrap().unwrap(), find("b").await.unwrap().unwrap());
    let swapped = VaultSecret { value: b.value.clone(), ..a.body.clone() };
    put_row(&cx, &swapped, Expected::Rev(a.rev)).await;
    assert_eq!(cx.secret("a").await.unwrap_err().kind(), ErrorKind::Corrupted);
    let report = cx.call(CheckVault {}).await.unwrap();
    assert_eq!(report.undecryptable, [format!("secret:{}", a.id)]);
    // A row of another workspace does not open here either.
    let other = hub.create_workspace("other").await.unwrap();
    put_row(&other, &b.body, Expected::Absent).await;
    assert_eq!(other.secret("b").await.unwrap_err().kind(), ErrorKind::Corrupted);
}

#[tokio::test]
async fn rotating_the_data_key_seals_every_value_anew_and_retires_the_old_one() {
    let hub = hub_on(&memory(), root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    cards(&cx, 450).await;
    put(&cx, "a", "one").await;
    let blind = cx.sealer().blind("x", "y");
    let done = cx.call(RotateDataKey {}).await.unwrap();
    assert_eq!(done, DataKeyRotated { version: 2, resealed: 901, is_complete: true });
    assert_cards(&cx, 450, Some(2)).await;
    assert_eq!(cx.secret("a").await.unwrap().expose(), "one");
    assert_eq!(cx.sealer().blind("x", "y"), blind, "what is indexed is found after a rotation");
    let info = &cx.call(ListSecrets::default()).await.unwrap().items[0];
    assert_eq!(info.key_version, 2);
    let keys = data_key::stored(hub.shared_store(), cx.workspace()).await.unwrap();
    let old = keys.iter().find(|k| k.usage == KeyUse::Seal && k.version == 1).unwrap();
    assert!(old.retired_at.is_some());
    assert!(!cx.call(CheckVault {}).await.unwrap().is_rotation_unfinished);
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_goes_on_with_the_same_key() {
    let store = memory();
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    cards(&cx, 300).await;
    // What a killed rotation leaves: the new key, its record, and the first page.
    hub.next_data_key(cx.workspace(), 1).await.unwrap();
    put_row(&cx, &KeyRotation::new(2, cx.now()), Expected::Absent).await;
    cx.call(reseal::ResealPage { kind: Card::KIND.into(), after: String::new() }).await.unwrap();
    drop((cx, hub));
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    assert_cards(&cx, 300, None).await;
    let report = cx.call(CheckVault {}).await.unwrap();
    assert!(report.is_rotation_unfinished && report.old_versions == 200, "{report:?}");
    let done = cx.call(RotateDataKey {}).await.unwrap();
    assert_eq!(done, DataKeyRotated { version: 2, resealed: 200, is_complete: true });
    assert_cards(&cx, 300, Some(2)).await;
}

#[tokio::test]
async fn another_process_reads_the_new_key_at_its_next_call() {
    let store = memory();
    let (a, b) = (hub_on(&store, root(1)).await, hub_on(&store, root(1)).await);
    let (cx_a, cx_b) = (a.workspace("default").await.unwrap(), b.workspace("default").await.unwrap());
    put(&cx_b, "a", "one").await;
    cx_a.call(RotateDataKey {}).await.unwrap();
    // The door of the other hub finds a version it does not know, reads the keys and runs the body again.
    put(&cx_a, "b", "two").await;
    assert!(cx_b.call(CheckVault {}).await.unwrap().undecryptable.is_empty());
    assert_eq!(cx_b.secret("b").await.unwrap().expose(), "two");
}

#[tokio::test]
async fn rotating_the_root_wraps_the_data_keys_alone() {
    let store = memory();
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    cards(&cx, 3).await;
    let before = cx.query::<Card>(&Query::by_id()).await.unwrap();
    let done = hub.rotate_root(Arc::new(FixedKey(root(2)))).await.unwrap();
    // The hub's own workspace and the default one, each with a key to seal and one to index.
    assert_eq!((done.data_keys, done.provider.as_str()), (4, "key 2"));
    assert_eq!(cx.query::<Card>(&Query::by_id()).await.unwrap(), before);
    assert_cards(&cx, 3, Some(1)).await;
    let again = hub_on(&store, root(2)).await.workspace("default").await.unwrap();
    assert_cards(&again, 3, Some(1)).await;
    let old = hub_on(&store, root(1)).await.workspace("default").await.unwrap();
    let error = old.sealer().seal("card", "line", "x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("key=key 1"), "{error}");
    // Data opens without the right key: pages with cursors too.
    assert_eq!(old.query::<Card>(&Query::by_id()).await.unwrap().len(), 3);
    assert_eq!(old.call(ListSecrets::default()).await.unwrap().items.len(), 0);
    assert_eq!(old.call(RotateDataKey {}).await.unwrap_err().kind(), ErrorKind::Config);
}

impl PartialEq for Card {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.lines == other.lines
    }
}

#[tokio::test]
async fn a_damaged_data_key_closes_sealed_values_and_nothing_else() {
    let store = memory();
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    cards(&cx, 1).await;
    let keys = data_key::stored(&store, cx.workspace()).await.unwrap();
    let mut seal = keys.into_iter().find(|k| k.usage == KeyUse::Seal).unwrap();
    let foreign =
        DataKey::make(&root(9), cx.workspace(), KeyUse::Seal, 1, &root::random_key().unwrap(), cx.now());
    seal.body = foreign.unwrap();
    assert!(data_key::commit(&store, cx.now(), [(seal.body, Expected::Rev(seal.rev))]).await.unwrap());
    let cx = hub_on(&store, root(1)).await.workspace("default").await.unwrap();
    let card = cx.query::<Card>(&Query::by_id()).await.unwrap().remove(0);
    let error = cx.sealer().open("card", "line", &card.lines[0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupted);
}

#[tokio::test]
async fn stores_of_before_the_vault_keep_their_derived_keys() {
    let store = memory();
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    // What such a store holds: a key check that says nothing of keys, and no data keys.
    let mut batch = Batch::new(WorkspaceId::hub(), cx.now());
    for key in store.query(Kind::of::<DataKey>(), &WorkspaceId::hub(), &Query::by_id()).await.unwrap() {
        batch.writes.push(Write::Delete { kind: Kind::of::<DataKey>(), id: key.id, expected: Expected::Any });
    }
    let check = open::check_of(&store).await.unwrap().unwrap();
    let body = json!({"id": "root", "fingerprint": check.fingerprint});
    let legacy: KeyCheck = serde_json::from_value(body).unwrap();
    let row = Row::of(&legacy, cx.now(), "test").unwrap();
    batch.writes.push(Write::Put { kind: Kind::of::<KeyCheck>(), row, expected: Expected::Any });
    store.commit(batch).await.unwrap();
    let ws = cx.workspace().clone();
    let sealer = crate::seal::Sealer::unread(&ws);
    let derived = |label: String| root(1).derive(label.as_bytes());
    let key = crate::seal::Unwrapped { version: 1, key: derived(format!("data|{ws}|1")), seals: 0 };
    sealer.install(vec![key], derived(format!("index|{ws}")));
    let line = sealer.seal("card", "line", "0-0").unwrap();
    put_row(&cx, &Card { id: "c".into(), lines: vec![line] }, Expected::Absent).await;
    for _ in 0..2 {
        let cx = hub_on(&store, root(1)).await.workspace("default").await.unwrap();
        assert_cards(&cx, 1, Some(1)).await;
        assert_eq!(cx.sealer().blind("a", "b"), sealer.blind("a", "b"));
    }
    let hub = hub_on(&store, root(1)).await;
    hub.rotate_root(Arc::new(FixedKey(root(2)))).await.unwrap();
    let cx = hub_on(&store, root(2)).await.workspace("default").await.unwrap();
    assert_cards(&cx, 1, Some(1)).await;
    assert_eq!(cx.sealer().blind("a", "b"), sealer.blind("a", "b"));
}

#[tokio::test]
async fn a_used_up_data_key_is_replaced_by_itself() {
    let store = memory();
    let hub = hub_on(&store, root(1)).await;
    let cx = hub.workspace("default").await.unwrap();
    let keys = data_key::stored(&store, cx.workspace()).await.unwrap();
    let mut key = keys.into_iter().find(|k| k.usage == KeyUse::Seal).unwrap();
    key.body.seals = crate::seal::REPLACE_AT - 1;
    data_key::commit(&store, cx.now(), [(key.body, Expected::Rev(key.rev))]).await.unwrap();
    let cx = hub_on(&store, root(1)).await.workspace("default").await.unwrap();
    put(&cx, "a", "one").await;
    let second = put(&cx, "b", "two").await;
    assert_eq!(second.key_version, 2);
    assert_eq!(cx.secret("a").await.unwrap().expose(), "one");
}

#[tokio::test]
async fn what_ends_soon_and_what_is_old_is_named() {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let hub = Hub::builder().clock(Arc::clone(&clock) as Arc<dyn crate::Clock>).build().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    put(&cx, "old", "x").await;
    clock.advance(Duration::from_secs(90 * 24 * 3600));
    let mut soon = PutSecret::new("soon", SecretKind::Token, PlainSecret::new("x"));
    soon.expires_at = Some(cx.now().plus(Duration::from_secs(14 * 24 * 3600)));
    cx.call(soon).await.unwrap();
    let report = cx.call(CheckVault {}).await.unwrap();
    let names = |infos: &[SecretInfo]| infos.iter().map(|i| i.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&report.expiring), names(&report.old)), (vec!["soon".into()], vec!["old".into()]));
}

#[cfg(feature = "vault-passphrase")]
#[tokio::test]
async fn a_passphrase_opens_the_store_it_was_given_to() {
    let store = memory();
    let open = |text: &str| {
        let key = PassphraseKey::new(crate::Secret::new(text)).unwrap();
        Hub::builder().store_backend(Arc::clone(&store)).key_provider(Arc::new(key)).build()
    };
    let cx = open("twelve characters").await.unwrap().workspace("default").await.unwrap();
    put(&cx, "a", "one").await;
    let cx = open("twelve characters").await.unwrap().workspace("default").await.unwrap();
    assert_eq!(cx.secret("a").await.unwrap().expose(), "one");
    let cx = open("other characters").await.unwrap().workspace("default").await.unwrap();
    assert_eq!(cx.secret("a").await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(PassphraseKey::new(crate::Secret::new("short")).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_key_file_is_replaced_in_place_also_when_the_process_dies_before_the_new_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.neon");
    let file = dir.path().join("a.neon.key");
    let open = || Hub::builder().store(path.to_string_lossy()).build();
    let hub = open().await.unwrap();
    let cx = hub.workspace("default").await.unwrap();
    put(&cx, "a", "one").await;
    let first = std::fs::read_to_string(&file).unwrap();
    let done = cx.call(RotateRoot::default()).await.unwrap();
    assert_eq!(done.provider, "file a.neon.key");
    hub.close().await.unwrap();
    let second = std::fs::read_to_string(&file).unwrap();
    assert_ne!(first, second);
    // As if it had died between the commit and the rename.
    std::fs::rename(&file, with(&file, ".next")).unwrap();
    std::fs::write(&file, &first).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let cx = open().await.unwrap().workspace("default").await.unwrap();
    assert_eq!(cx.secret("a").await.unwrap().expose(), "one");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), second);
}

#[cfg(feature = "sqlite")]
fn with(path: &Path, end: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}
