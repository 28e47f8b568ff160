//! Rotating keys: the data key of a workspace, and the root key of the store.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::data_key::{self, DataKey, KeyUse};
use super::open::{Root, check_of, next_file};
use super::provider::{FileKey, KeyProvider, ProviderSpec, unusable, write};
use super::reseal::{KeyRotation, ResealPage};
use super::root::RootKey;
use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::store::{Batch, Expected, Key, Kind, Query, Row, Stored, Write};
use crate::tenancy::WorkspaceId;
use crate::{Error, ErrorKind, Hub, Result, Scope};

/// Passes over the values before the rotation leaves what writers keep sealing with the old key for the next one.
const MAX_PASSES: u32 = 5;
/// Attempts against processes that make a key at the same time.
const RACES: u32 = 8;

/// Makes a new data key for this workspace and seals every value anew, while readers and writers go on. After a
/// crash, the next call goes on with the same key.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateDataKey {}

/// What a rotation of the data key did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DataKeyRotated {
    /// The version that seals now.
    pub version: u32,
    /// Values sealed anew, also by a call before that was cut off.
    pub resealed: u64,
    /// True when no value of an older version is left.
    pub is_complete: bool,
}

impl Operation for RotateDataKey {
    type Output = DataKeyRotated;
    const NAME: &'static str = "vault.rotate_data_key";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;
    const DEADLINE: Duration = Duration::from_secs(24 * 3600);

    async fn run(self, cx: &Scope) -> Result<DataKeyRotated> {
        let mut rotation = begin(cx).await?;
        let mut is_complete = false;
        for _ in 0..MAX_PASSES {
            let old = pass(cx, &mut rotation).await?;
            if old == 0 {
                is_complete = true;
                break;
            }
        }
        if is_complete {
            retire(cx, rotation.to).await?;
            rotation.body.finished_at = Some(cx.now());
            save(cx, &mut rotation).await?;
        }
        Ok(DataKeyRotated { version: rotation.to, resealed: rotation.resealed, is_complete })
    }

    fn examples() -> Vec<Self> {
        vec![RotateDataKey {}]
    }
}

/// The rotation that was cut off, or a new one with a new key.
async fn begin(cx: &Scope) -> Result<Stored<KeyRotation>> {
    let found = cx.get::<KeyRotation>(KeyRotation::ID).await?;
    if let Some(open) = found.as_ref().filter(|r| r.finished_at.is_none()) {
        return Ok(open.clone());
    }
    cx.sealer().mark_stale();
    cx.hub().read_keys(cx.workspace()).await?;
    // Closed keys say why here, before anything is made.
    cx.sealer().seal("vault", "probe", "x")?;
    let current = cx.sealer().current_version().unwrap_or(1);
    cx.hub().next_data_key(cx.workspace(), current).await?;
    let to = cx.sealer().current_version().unwrap_or(current + 1);
    let made = KeyRotation::new(to, cx.now());
    let mut stored = match found {
        Some(old) => Stored { body: made, ..old },
        None => Stored {
            body: made,
            rev: 0,
            created_at: cx.now(),
            updated_at: cx.now(),
            created_by: cx.label().to_owned(),
        },
    };
    save(cx, &mut stored).await?;
    Ok(stored)
}

/// Walks every kind with sealed values once; gives how many were of an older version.
async fn pass(cx: &Scope, rotation: &mut Stored<KeyRotation>) -> Result<u64> {
    let mut kinds: Vec<&str> = cx.hub().vault().columns.iter().map(|c| c.kind.name).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let outside = cx.outside();
    let mut old = 0;
    for kind in kinds {
        let mut after = String::new();
        loop {
            cx.cancel_token().check(RotateDataKey::NAME)?;
            let page = outside.call(ResealPage { kind: kind.to_owned(), after }).await?;
            if let Some(closed) = page.closed.first() {
                return Err(Error::new(
                    ErrorKind::Corrupted,
                    RotateDataKey::NAME,
                    "a sealed value does not open: restore it from a backup, then call again",
                )
                .with_context("record", closed));
            }
            old += page.old;
            if page.old > 0 {
                rotation.body.resealed += page.old;
                save(cx, rotation).await?;
            }
            match page.last {
                Some(last) => after = last,
                None => break,
            }
        }
    }
    Ok(old)
}

async fn save(cx: &Scope, rotation: &mut Stored<KeyRotation>) -> Result<()> {
    let mut batch = Batch::new(cx.workspace().clone(), cx.now());
    let row = Row::of(&rotation.body, cx.now(), cx.label())?;
    let expected = if rotation.rev == 0 { Expected::Absent } else { Expected::Rev(rotation.rev) };
    batch.writes.push(Write::Put { kind: Kind::of::<KeyRotation>(), row, expected });
    cx.store().commit(batch).await.map_err(|error| match error.code() {
        "stale_revision" => Error::new(
            ErrorKind::Conflict,
            RotateDataKey::NAME,
            "another process rotates this key: let it end",
        )
        .with_code("rotation_running"),
        _ => error,
    })?;
    rotation.rev += 1;
    Ok(())
}

/// Marks the versions before `to` as retired. They stay, so that a value written by a process that had not heard
/// of the new key still opens.
async fn retire(cx: &Scope, to: u32) -> Result<()> {
    let store = cx.hub().shared_store();
    for _ in 0..RACES {
        let mut marked = Vec::new();
        for mut key in data_key::stored(store, cx.workspace()).await? {
            if key.usage == KeyUse::Seal && key.version < to && key.retired_at.is_none() {
                key.body.retired_at = Some(cx.now());
                marked.push((key.body, Expected::Rev(key.rev)));
            }
        }
        if marked.is_empty() || data_key::commit(store, cx.now(), marked).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// Wraps every data key with a new root key, in one commit; no value is touched. Without a provider the key file is
/// replaced in place.
///
/// Other processes that have the store open go on with the data keys they hold, and need the new root at their next
/// opening.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RotateRoot {
    /// Where the new key is from now on. Default: the key file that the hub reads, with a new key.
    pub provider: Option<ProviderSpec>,
}

/// What a rotation of the root did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RootRotated {
    /// Data keys wrapped anew.
    pub data_keys: u64,
    /// Where the root key is now.
    pub provider: String,
}

impl Operation for RotateRoot {
    type Output = RootRotated;
    const NAME: &'static str = "vault.rotate_root";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    const AUDIT: Audit = Audit::Security;

    async fn run(self, cx: &Scope) -> Result<RootRotated> {
        match self.provider {
            Some(spec) => cx.hub().rotate_root(spec.provider()).await,
            None => cx.hub().rotate_root_in_place().await,
        }
    }

    fn examples() -> Vec<Self> {
        vec![RotateRoot::default()]
    }
}

impl Hub {
    /// Wraps every data key with the root key of another provider, in one commit. The next opening needs it.
    ///
    /// # Errors
    /// `Config` when the hub was opened with another root key than the store's, or the provider gives none;
    /// `Conflict` when other processes keep making keys.
    pub async fn rotate_root(&self, provider: Arc<dyn KeyProvider>) -> Result<RootRotated> {
        let salt = self.vault().root().salt;
        let key = provider.root_key(&salt).await?;
        self.rewrap(key, provider).await
    }

    /// The same with a new key in the file that the hub reads.
    async fn rotate_root_in_place(&self) -> Result<RootRotated> {
        let root = self.vault().root();
        let provider = Arc::clone(&root.provider);
        let Some(file) = provider.file().map(ToOwned::to_owned) else {
            return Err(Error::invalid(
                RotateRoot::NAME,
                "provider",
                "expected a provider: the key of this hub is in no file that could be replaced",
            ));
        };
        let key = RootKey::generate(provider.name())?;
        let next = next_file(&file);
        // The new key is on disk under another name before the commit that needs it; opening gives it its name when
        // this process does not get to it.
        write(&next, &key).map_err(|cause| unusable(&next, cause))?;
        let done = self.rewrap(key, Arc::new(FileKey::or_new(&file))).await?;
        std::fs::rename(&next, &file).map_err(|cause| unusable(&file, cause))?;
        Ok(done)
    }

    async fn rewrap(&self, key: RootKey, provider: Arc<dyn KeyProvider>) -> Result<RootRotated> {
        let root = self.vault().root();
        if !root.fits {
            return Err(Error::new(
                ErrorKind::Config,
                RotateRoot::NAME,
                "open the store with its own root key first",
            )
            .with_context("provider", root.provider.name()));
        }
        for _ in 0..RACES {
            if let Some(data_keys) = self.rewrap_once(&root, &key).await? {
                let name = provider.name();
                self.vault().set_root(Root {
                    key,
                    fits: true,
                    provider,
                    salt: root.salt,
                    derives: root.derives,
                });
                return Ok(RootRotated { data_keys, provider: name });
            }
        }
        Err(Error::new(ErrorKind::Conflict, RotateRoot::NAME, "other processes keep making keys: call again"))
    }

    /// `None` when another process wrote a key meanwhile.
    async fn rewrap_once(&self, root: &Root, key: &RootKey) -> Result<Option<u64>> {
        let store = self.shared_store();
        let hub = WorkspaceId::hub();
        let mut batch = Batch::new(hub.clone(), self.now());
        let mut put = |kind, row, rev| {
            batch.writes.push(Write::Put { kind, row, expected: Expected::Rev(rev) });
        };
        let mut query = Query::by_id().limit(500);
        let mut data_keys = 0;
        loop {
            let rows = store.query(Kind::of::<DataKey>(), &hub, &query).await?;
            let Some(last) = rows.last() else { break };
            query = query.after(Key::new(), last.id.clone());
            for row in &rows {
                let mut stored = Stored::<DataKey>::from_row(row)?;
                stored.body.rewrap(&root.key, key)?;
                let row = Row::of(&stored.body, self.now(), "system:vault")?;
                put(Kind::of::<DataKey>(), row, stored.rev);
                data_keys += 1;
            }
        }
        let Some(mut check) = check_of(store).await? else {
            return Err(Error::new(
                ErrorKind::Corrupted,
                RotateRoot::NAME,
                "the store has lost its key check",
            ));
        };
        check.body.fingerprint = key.fingerprint();
        let row = Row::of(&check.body, self.now(), "system:vault")?;
        put(Kind::of::<super::KeyCheck>(), row, check.rev);
        match store.commit(batch).await {
            Ok(_) => Ok(Some(data_keys)),
            Err(error) if error.code() == "stale_revision" => Ok(None),
            Err(error) => Err(error),
        }
    }
}
