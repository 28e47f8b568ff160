//! Rights as they are now: of members and keys from their records, of principals a host vouches for from the host.

use std::fmt::Debug;

use async_trait::async_trait;

use super::key::ApiKey;
use super::member::{MemberStatus, Membership, role_rights};
use crate::permission::PermissionSet;
use crate::resilience::Rate;
use crate::scope::{Authority, Principal};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// Tells which rights a principal has now whom the host vouches for: one of [`Hub::scope`](crate::Hub::scope), or an
/// agent that acts for it. For hosts that keep users and roles themselves; members and keys of this store are looked up
/// without it.
///
/// The door asks at every call and streams once a minute, so the answer should come from memory. An answer never
/// widens what the scope was made with.
#[async_trait]
pub trait Rights: Debug + Send + Sync + 'static {
    /// The rights of the scope's principal in its workspace.
    ///
    /// # Errors
    /// Whatever kept the host from knowing; the call that asked fails with it.
    async fn current(&self, cx: &Scope) -> Result<PermissionSet>;
}

/// What an authority holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Held {
    pub(crate) permissions: PermissionSet,
    pub(crate) roles: Vec<String>,
    pub(crate) rate: Option<Rate>,
    /// From this instant on they hold no more.
    pub(crate) until: Option<Timestamp>,
    /// Why there are none.
    pub(crate) gone: Option<Gone>,
}

/// Why an authority holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The user is no member, or not any more.
    Member,
    /// The key is revoked, expired or unknown.
    Key,
}

impl Held {
    fn gone(why: Gone) -> Self {
        Held { gone: Some(why), ..Held::default() }
    }

    /// # Errors
    /// `PermissionDenied` for a user that is no member, `Unauthenticated` for a key that is not valid.
    pub(crate) fn check(&self, operation: &'static str, now: Timestamp) -> Result<()> {
        let is_over = self.until.is_some_and(|until| now >= until);
        match self.gone.or(is_over.then_some(Gone::Key)) {
            None => Ok(()),
            Some(Gone::Member) => Err(Error::new(
                ErrorKind::PermissionDenied,
                operation,
                "the user is no member of this workspace",
            )
            .with_code("not_a_member")),
            Some(Gone::Key) => Err(Error::new(
                ErrorKind::Unauthenticated,
                operation,
                "this key is not valid: create a new one",
            )
            .with_code("key_invalid")),
        }
    }
}

/// Reads what an authority holds.
pub(crate) async fn rights_of(cx: &Scope, authority: &Authority) -> Result<Held> {
    // Outside of any unit of work: what an operation has staged is not in force yet.
    let cx = cx.outside();
    match authority {
        Authority::Host => {
            let permissions = match (cx.hub().host_rights(), cx.principal()) {
                // Built-in work acts for nobody whom a host knows.
                (None, _) | (_, Principal::System { .. }) => cx.permissions().clone(),
                (Some(host), _) => host.current(&cx).await?,
            };
            Ok(Held { permissions, roles: cx.roles().to_vec(), rate: cx.own_rate(), ..Held::default() })
        }
        Authority::Member(user) => {
            let found = cx.find::<Membership>("user", user.as_ref()).await?;
            let Some(member) = found.filter(|m| m.status != MemberStatus::Removed) else {
                return Ok(Held::gone(Gone::Member));
            };
            let permissions = role_rights(&cx, "role", &member.role).await.unwrap_or_default();
            Ok(Held { permissions, roles: vec![member.role.clone()], ..Held::default() })
        }
        Authority::Key(id) => {
            let Some(key) = cx.get::<ApiKey>(id).await? else { return Ok(Held::gone(Gone::Key)) };
            let until = [key.expires_at, key.revoked_at].into_iter().flatten().min();
            Ok(Held {
                permissions: key.rights(),
                roles: vec!["api_key".into()],
                rate: key.rate_limit,
                until,
                gone: None,
            })
        }
    }
}
