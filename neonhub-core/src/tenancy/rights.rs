//! The rights of a member or key as they are now.

use super::key::ApiKey;
use super::member::{MemberStatus, Membership, role_rights};
use crate::permission::PermissionSet;
use crate::resilience::Rate;
use crate::scope::Authority;
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// What an authority holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Rights {
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

impl Rights {
    fn gone(why: Gone) -> Self {
        Rights { gone: Some(why), ..Rights::default() }
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
pub(crate) async fn rights_of(cx: &Scope, authority: &Authority) -> Result<Rights> {
    // Outside of any unit of work: what an operation has staged is not in force yet.
    let cx = cx.outside();
    match authority {
        Authority::Host => Ok(Rights::default()),
        Authority::Member(user) => {
            let found = cx.find::<Membership>("user", user.as_ref()).await?;
            let Some(member) = found.filter(|m| m.status != MemberStatus::Removed) else {
                return Ok(Rights::gone(Gone::Member));
            };
            let permissions = role_rights(&cx, "role", &member.role).await.unwrap_or_default();
            Ok(Rights { permissions, roles: vec![member.role.clone()], ..Rights::default() })
        }
        Authority::Key(id) => {
            let Some(key) = cx.get::<ApiKey>(id).await? else { return Ok(Rights::gone(Gone::Key)) };
            let until = [key.expires_at, key.revoked_at].into_iter().flatten().min();
            Ok(Rights {
                permissions: key.rights(),
                roles: vec!["api_key".into()],
                rate: key.rate_limit,
                until,
                gone: None,
            })
        }
    }
}
