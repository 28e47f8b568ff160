//! From what was given to the key a person is found by (people.md 2, the table of kinds).
//!
//! Two values with the same key are the same identity inside a workspace.

mod blocked;
mod email;
mod named;
mod phone;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::IdentityKind;

pub use blocked::is_blocked;
pub use email::email;
pub use named::PLATFORMS;
pub use phone::{Region, phone};

/// How sure it is that the value can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Checked against published rules.
    Valid,
    /// The length fits, the number is not assigned as far as is known. The SMS gate refuses it.
    Possible,
    /// Nothing to check it by.
    #[default]
    Unchecked,
}

/// An identifier as a caller gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Identifier {
    /// What it is.
    pub kind: IdentityKind,
    /// The value as known: `Ada <ada@shop.example>`, `0664 123 456`, `@ada`.
    pub value: String,
    /// Where the value is unique: namespace of a `user_id`, platform of a `handle`, `platform:account` of a
    /// `platform_id`, system of an `external`. Not for the other kinds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// For phones: the region (ISO 3166, such as `AT`) that national numbers are read in. Default: the country
    /// of the person, else the default region of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

impl Identifier {
    /// An e-mail address.
    #[must_use]
    pub fn email(value: impl Into<String>) -> Self {
        Self { kind: IdentityKind::Email, value: value.into(), namespace: None, region: None }
    }

    /// A phone number.
    #[must_use]
    pub fn phone(value: impl Into<String>) -> Self {
        Self { kind: IdentityKind::Phone, value: value.into(), namespace: None, region: None }
    }
}

/// A normalised identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub kind: IdentityKind,
    /// The namespace, when the kind has one.
    pub namespace: Option<Box<str>>,
    /// The normalised key, with the namespace in front: `shop:42`, `ada@shop.example`, `+12025550100`.
    pub text: Box<str>,
}

impl Key {
    /// A key of a kind without namespace.
    #[must_use]
    pub fn plain(kind: IdentityKind, text: impl Into<Box<str>>) -> Self {
        Key { kind, namespace: None, text: text.into() }
    }
}

/// A key with what was learned on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// The key.
    pub key: Key,
    /// How sure the value is.
    pub quality: Quality,
    /// The extension of a phone number, kept in the metadata of the identity.
    pub extension: Option<Box<str>>,
}

impl Normal {
    fn unchecked(key: Key) -> Self {
        Normal { key, quality: Quality::Unchecked, extension: None }
    }
}

/// Why a value cannot be an identity. Never holds the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was given.
    Empty,
    /// The value stands for "no value" (people.md 2 rule 4): dropped with a reason, not an error.
    Blocked,
    /// The value is malformed; the text says what was expected.
    Malformed(Cow<'static, str>),
}

impl Refusal {
    /// What was expected and what to do.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Refusal::Empty => "is empty",
            Refusal::Blocked => "is a placeholder such as null, unknown or 0, and names nobody",
            Refusal::Malformed(what) => what,
        }
    }
}

pub(crate) fn malformed(what: &'static str) -> Refusal {
    Refusal::Malformed(Cow::Borrowed(what))
}

/// The regions a national phone number is read in, best first: input, person, workspace.
#[derive(Clone, Copy, Debug, Default)]
pub struct Regions<'a> {
    /// Said with the number.
    pub input: Option<&'a str>,
    /// Country of the person.
    pub person: Option<&'a str>,
    /// Default of the workspace.
    pub workspace: Option<&'a str>,
}

impl<'a> Regions<'a> {
    /// The first region given that is known.
    #[must_use]
    pub fn best(&self) -> Option<Region> {
        [self.input, self.person, self.workspace].into_iter().flatten().find_map(Region::parse)
    }
}

/// Normalises an identifier of any kind and drops blocked values.
///
/// # Errors
/// The [`Refusal`], which never holds the value itself.
pub fn normalise(given: &Identifier, regions: Regions<'_>) -> Result<Normal, Refusal> {
    let value = named::clean(&given.value)?;
    if is_blocked(&value) {
        return Err(Refusal::Blocked);
    }
    let namespace = given.namespace.as_deref();
    let normal = match given.kind {
        IdentityKind::Email => email(&value)?,
        IdentityKind::Phone => {
            phone(&value, Regions { input: given.region.as_deref().or(regions.input), ..regions }.best())?
        }
        IdentityKind::Handle => named::handle(&value, namespace)?,
        IdentityKind::UserId | IdentityKind::External | IdentityKind::PlatformId => {
            named::namespaced(given.kind, &value, namespace)?
        }
        IdentityKind::AnonymousId | IdentityKind::DeviceId | IdentityKind::PushToken => {
            named::opaque(given.kind, &value)?
        }
    };
    let bare = normal.key.text.rsplit(':').next().unwrap_or(&normal.key.text);
    if is_blocked(bare) { Err(Refusal::Blocked) } else { Ok(normal) }
}

#[cfg(test)]
mod tests;
