//! Settings of a hub as data: typed, from a map of texts, or from a URI. The builder takes them all.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Deserializer};

use super::{HubBuilder, HubMode, closest};
use crate::resilience::LimitProfile;
use crate::seal::{RootKey, Secret};
use crate::vault::FileKey;
use crate::{Error, Result};

const OPERATION: &str = "hub.config";

/// Names of all settings, as a map and the query of a URI have them.
const NAMES: &[&str] = &[
    "store",
    "mode",
    "limits",
    "seed",
    "root_key",
    "root_key_file",
    "allow_memory",
    "allow_plain_secrets",
    "mock_connectors",
    "permissions",
];
/// Those that the query of a URI may hold; its other names belong to the store. A key does not stand in a URI, which is
/// logged and shown.
const IN_A_URI: &[&str] =
    &["mode", "limits", "seed", "root_key_file", "allow_memory", "allow_plain_secrets", "mock_connectors"];

/// Which table of limits holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LimitWord {
    /// [`LimitProfile::embedded`]: nothing is counted.
    Embedded,
    /// [`LimitProfile::generous`].
    Generous,
    /// [`LimitProfile::hosted`]: for a host that serves strangers.
    Hosted,
}

/// Settings of a hub, as read from a file or a binding. What is left out keeps what the builder has.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct HubConfig {
    /// Where records are kept, as [`HubBuilder::store`] takes it.
    pub store: Option<String>,
    /// `development`, `staging` or `production`.
    pub mode: Option<HubMode>,
    /// `embedded`, `generous` or `hosted`.
    pub limits: Option<LimitWord>,
    /// Fixes all chance, for tests and repeatable runs.
    pub seed: Option<u64>,
    /// The root key, 64 hex digits. A plain secret: production refuses it unless `allow_plain_secrets` is set.
    #[serde(deserialize_with = "secret")]
    pub root_key: Option<Secret>,
    /// File with the root key, of mode 0600.
    pub root_key_file: Option<PathBuf>,
    /// Lets a store in memory through in production.
    pub allow_memory: bool,
    /// Lets plain secrets of these settings through in production: `root_key`, or a password in `store`.
    pub allow_plain_secrets: bool,
    /// Uses connectors that reach nobody alone.
    pub mock_connectors: bool,
    /// Rights of the host's own, word by word with what each lets a principal do, as [`HubBuilder::permission`] takes
    /// them. In a map of texts: a JSON object.
    pub permissions: BTreeMap<String, String>,
}

/// The URL of the store may hold a password.
impl fmt::Debug for HubConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubConfig")
            .field(
                "store",
                &self.store.as_ref().map(|url| if has_password(url) { "***" } else { url.as_str() }),
            )
            .field("mode", &self.mode)
            .field("limits", &self.limits)
            .field("seed", &self.seed)
            .field("root_key", &self.root_key)
            .field("root_key_file", &self.root_key_file)
            .field("allow_memory", &self.allow_memory)
            .field("allow_plain_secrets", &self.allow_plain_secrets)
            .field("mock_connectors", &self.mock_connectors)
            .field("permissions", &self.permissions)
            .finish()
    }
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Secret>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Secret::new))
}

/// True for `scheme://user:password@host`.
fn has_password(url: &str) -> bool {
    let authority =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

impl HubConfig {
    /// Reads a map of names and texts, as bindings and `.properties` files have them.
    ///
    /// # Errors
    /// `InvalidInput` naming the setting, with the closest names for an unknown one.
    pub fn from_map<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        let mut config = HubConfig::default();
        for (name, value) in pairs {
            config.set(name.as_ref(), value.as_ref())?;
        }
        Ok(config)
    }

    /// Reads a URI: the URL of a store with settings of the hub in its query, such as
    /// `brand.neon?mode=production&limits=hosted`. Names that are not the hub's stay with the store's.
    ///
    /// # Errors
    /// `InvalidInput` naming the setting.
    pub fn from_uri(uri: &str) -> Result<Self> {
        let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
        let mut config = HubConfig::default();
        let mut left = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some((name, value)) if IN_A_URI.contains(&name) => config.set(name, value)?,
                _ => left.push(part),
            }
        }
        let mut store = place.to_owned();
        if !left.is_empty() {
            store.push('?');
            store.push_str(&left.join("&"));
        }
        config.store = Some(store);
        Ok(config)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "store" => self.store = Some(value.to_owned()),
            "mode" => self.mode = Some(word(name, value, "development, staging or production")?),
            "limits" => self.limits = Some(word(name, value, "embedded, generous or hosted")?),
            "seed" => {
                let seed =
                    value.parse().map_err(|_| Error::invalid(OPERATION, name, "expected a whole number"))?;
                self.seed = Some(seed);
            }
            "root_key" => self.root_key = Some(Secret::new(value)),
            "root_key_file" => self.root_key_file = Some(PathBuf::from(value)),
            "allow_memory" => self.allow_memory = flag(name, value)?,
            "allow_plain_secrets" => self.allow_plain_secrets = flag(name, value)?,
            "mock_connectors" => self.mock_connectors = flag(name, value)?,
            "permissions" => {
                let expected = r#"expected a JSON object such as {"app:orders.refund": "Pay orders back."}"#;
                self.permissions =
                    serde_json::from_str(value).map_err(|_| Error::invalid(OPERATION, name, expected))?;
            }
            _ => {
                let close = closest(name, NAMES.iter().copied()).join(", ");
                return Err(Error::invalid(
                    OPERATION,
                    name,
                    format!("there is no such setting; close: {close}"),
                ));
            }
        }
        Ok(())
    }

    /// The setting that holds a secret in plain text, if there is one.
    fn plain_secret(&self) -> Option<&'static str> {
        match &self.store {
            _ if self.root_key.is_some() => Some("root_key"),
            Some(url) if has_password(url) => Some("store"),
            _ => None,
        }
    }
}

fn word<'a, T: Deserialize<'a>>(name: &str, value: &'a str, accepted: &str) -> Result<T> {
    let text = serde::de::value::BorrowedStrDeserializer::<serde::de::value::Error>::new(value);
    T::deserialize(text).map_err(|_| Error::invalid(OPERATION, name, format!("expected {accepted}")))
}

fn flag(name: &str, value: &str) -> Result<bool> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Error::invalid(OPERATION, name, "expected true or false")),
    }
}

impl HubBuilder {
    /// Takes settings that were read as data. What they leave out stays as it is.
    ///
    /// # Errors
    /// `InvalidInput` or `Config` naming the setting with a wrong value.
    pub fn config(mut self, config: HubConfig) -> Result<Self> {
        if let Some(name) = config.plain_secret().filter(|_| !config.allow_plain_secrets) {
            self = self.holds_plain_secret(name);
        }
        if let Some(store) = config.store {
            self = self.store(store);
        }
        if let Some(mode) = config.mode {
            self = self.mode(mode);
        }
        if let Some(limits) = config.limits {
            self = self.limits(match limits {
                LimitWord::Embedded => LimitProfile::embedded(),
                LimitWord::Generous => LimitProfile::generous(),
                LimitWord::Hosted => LimitProfile::hosted(),
            });
        }
        if let Some(seed) = config.seed {
            self = self.seed(seed);
        }
        if let Some(file) = config.root_key_file {
            self = self.key_provider(Arc::new(FileKey::new(file)));
        }
        if let Some(key) = config.root_key {
            self = self.root_key(RootKey::from_hex(key.expose(), "setting root_key".to_owned())?);
        }
        if config.allow_memory {
            self = self.allow_memory();
        }
        if config.mock_connectors {
            self = self.mock_connectors();
        }
        for (word, meaning) in config.permissions {
            self = self.permission(word, meaning);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ErrorKind, Hub};

    #[test]
    fn a_map_a_uri_and_a_file_say_the_same() {
        let key = "5a".repeat(32);
        let map = HubConfig::from_map([
            ("store", "brand.neon"),
            ("mode", "staging"),
            ("limits", "hosted"),
            ("seed", "7"),
            ("mock_connectors", "true"),
        ]);
        let uri = HubConfig::from_uri("brand.neon?mode=staging&limits=hosted&seed=7&mock_connectors=1");
        let file = r#"{"store": "brand.neon", "mode": "staging", "limits": "hosted", "seed": 7, "mock_connectors": true}"#;
        let file: HubConfig = serde_json::from_str(file).unwrap();
        assert_eq!((map.unwrap(), uri.unwrap()), (file.clone(), file));
        let server =
            HubConfig::from_uri("postgres://ada:planted@db/shop?schema=a&mode=staging&pool=3").unwrap();
        assert_eq!(server.store.as_deref(), Some("postgres://ada:planted@db/shop?schema=a&pool=3"));
        let keyed = HubConfig::from_map([("root_key", key.as_str())]).unwrap();
        let shown = format!("{server:?} {keyed:?}");
        assert!(!shown.contains("planted") && !shown.contains("5a5a"), "{shown}");
    }

    #[test]
    fn what_is_wrong_is_named_with_the_accepted_form() {
        for (name, value, told) in [
            ("mode", "prod", "development, staging or production"),
            ("limits", "all", "embedded, generous or hosted"),
            ("seed", "-1", "a whole number"),
            ("allow_memory", "yes", "true or false"),
            ("permissions", "app:orders.refund", "a JSON object"),
            ("mod", "staging", "close: mode"),
        ] {
            let error = HubConfig::from_map([(name, value)]).unwrap_err();
            assert_eq!(
                (error.kind(), error.field_faults()[0].field.as_str()),
                (ErrorKind::InvalidInput, name)
            );
            assert!(error.message().contains(told), "{error}");
        }
        assert!(serde_json::from_str::<HubConfig>(r#"{"mod": "staging"}"#).is_err());
    }

    async fn opens(settings: &[(&str, &str)]) -> Result<Hub> {
        let config = HubConfig::from_map(settings.iter().copied())?;
        Hub::builder().config(config)?.build().await
    }

    #[tokio::test]
    async fn production_refuses_each_risk_until_it_is_switched_on_by_name() {
        let key = "5a".repeat(32);
        let production = ("mode", "production");
        let refused = async |settings: &[(&str, &str)], told: &str| {
            let error = opens(settings).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.message().contains(told), "{error}");
        };
        refused(&[production], "allow_memory").await;
        refused(&[production, ("allow_memory", "true"), ("root_key", &key)], "allow_plain_secrets").await;
        refused(&[production, ("store", "postgres://a:planted@127.0.0.1:1/x")], "allow_plain_secrets").await;
        refused(&[production, ("allow_memory", "true"), ("seed", "1")], "seed").await;
        let all =
            [production, ("allow_memory", "1"), ("root_key", key.as_str()), ("allow_plain_secrets", "1")];
        let hub = opens(&all).await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        assert_eq!(hub.workspace_of(&cx).await.unwrap().mode, crate::tenancy::Mode::Production);
        opens(&[("root_key", &key), ("limits", "generous")]).await.unwrap();
    }
}
