//! What is known of all workspaces: their slugs, and which one an API key belongs to.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::key::{ApiKey, prefix_of};
use super::member::{MemberStatus, Membership};
use super::{DirectoryEntry, Held, Workspace, WorkspaceId, rights_of};
use crate::audit::{AuditDraft, Outcome};
use crate::permission::Role;
use crate::scope::{Authority, Principal};
use crate::store::{Batch, Expected, Kind, Record, Row, Stored, Write};
use crate::{Error, ErrorKind, Hub, Result, Scope};

/// Which workspace an API key belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyDirectory {
    /// The first characters of the secret.
    pub prefix: String,
    /// The workspace.
    pub workspace: WorkspaceId,
}

impl Record for KeyDirectory {
    const KIND: &'static str = "key_directory";
    fn id(&self) -> &str {
        &self.prefix
    }
}

/// A commit of one new record, outside of any unit of work.
pub(crate) async fn put_new<R: Record>(
    hub: &Hub,
    workspace: WorkspaceId,
    record: &R,
    by: &str,
) -> Result<()> {
    let mut batch = Batch::new(workspace, hub.now());
    batch.writes.push(new_record(hub, record, by)?);
    hub.store().commit(batch).await.map(|_| ())
}

/// A write of a record that is not there yet.
pub(crate) fn new_record<R: Record>(hub: &Hub, record: &R, by: &str) -> Result<Write> {
    let row = Row::of(record, hub.now(), by)?;
    Ok(Write::Put { kind: Kind::of::<R>(), row, expected: Expected::Absent })
}

/// How exactly the last use of a key is kept.
const USED: Duration = Duration::from_secs(3_600);

fn unauthenticated(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unauthenticated, operation, "this key is not valid: create a new one")
        .with_code("key_invalid")
}

/// Writes down that somebody was not let in, and gives the refusal, which stands whether or not that could be written.
async fn turned_away(base: &Scope, operation: &'static str, error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unauthenticated) {
        return error;
    }
    let work = base.staging(operation, "refused");
    let row = AuditDraft::of(&work, operation, Outcome::Denied).because(error.code());
    let written = async {
        work.note(row)?;
        work.flush().await
    };
    if let Err(cause) = written.await {
        tracing::warn!(operation, code = cause.code(), "the audit row of a refusal was not written");
    }
    error
}

impl Hub {
    /// The scope of a member whom the host has authenticated. Its rights are looked up at every call, so that a
    /// change of its role holds for its next one. An invitation is accepted by the first call of this.
    ///
    /// # Errors
    /// `NotFound` when there is no such workspace; `PermissionDenied` when the user is no member of it.
    pub async fn member(&self, slug: &str, user: &str) -> Result<Scope> {
        let base = self.scope(slug, Principal::User { id: user.to_owned() }, Role::Owner).await?;
        let authority = Authority::Member(user.into());
        let cx = match self.authorised(&base, authority, "hub.member").await {
            Ok(cx) => cx,
            Err(error) => return Err(turned_away(&base, "hub.member", error).await),
        };
        let found = cx.find::<Membership>("user", user).await?;
        if let Some(mut member) = found.filter(|m| m.status == MemberStatus::Invited) {
            member.body.status = MemberStatus::Active;
            let work = cx.staging("hub.member", "join");
            work.save(&member)?;
            work.note(AuditDraft::of(&work, "members.join", Outcome::Ok).on(Membership::KIND, member.id()))?;
            match work.flush().await {
                // Another process was first.
                Err(error) if error.code() == "stale_revision" => {}
                other => drop(other?),
            }
        }
        Ok(cx)
    }

    /// The scope of an API key, in the workspace it belongs to.
    ///
    /// # Errors
    /// `Unauthenticated` for a key that is unknown, revoked or expired: which of them is not told.
    pub async fn api_key(&self, secret: &str) -> Result<Scope> {
        let operation = "hub.api_key";
        let prefix = prefix_of(secret).ok_or_else(|| unauthenticated(operation))?;
        let row = self.store().get(Kind::of::<KeyDirectory>(), &WorkspaceId::hub(), prefix).await?;
        let Some(row) = row else { return Err(unauthenticated(operation)) };
        let workspace = Stored::<KeyDirectory>::from_row(&row)?.body.workspace;
        let rows =
            self.store().find_many(Kind::of::<ApiKey>(), &workspace, "prefix", &[prefix.into()]).await?;
        let Some(row) = rows.into_iter().flatten().next() else { return Err(unauthenticated(operation)) };
        let mut key = Stored::<ApiKey>::from_row(&row)?;
        let id = key.id.as_str().to_owned();
        let principal = Principal::ApiKey { id: id.clone(), on_behalf_of: None };
        let base = self.scope_of(workspace, principal, Role::Owner);
        if !key.opens_with(secret) || !key.is_valid(self.now()) {
            return Err(turned_away(&base, operation, unauthenticated(operation)).await);
        }
        let cx = self.authorised(&base, Authority::Key(id.into()), operation).await?;
        if key.last_used_at.is_none_or(|at| at.plus(USED) <= self.now()) {
            key.body.last_used_at = Some(self.now());
            self.overwrite(&cx, &key).await?;
        }
        Ok(cx)
    }

    async fn authorised(&self, base: &Scope, authority: Authority, operation: &'static str) -> Result<Scope> {
        let rights: Held = rights_of(base, &authority).await?;
        rights.check(operation, self.now())?;
        Ok(base.under(authority, &rights))
    }

    /// Stores a record again outside of any operation; another process that was first wins.
    async fn overwrite<R: Record>(&self, cx: &Scope, record: &Stored<R>) -> Result<()> {
        let row = Row::of(&record.body, self.now(), cx.label())?;
        let mut batch = Batch::new(cx.workspace().clone(), self.now());
        batch.writes.push(Write::Put { kind: Kind::of::<R>(), row, expected: Expected::Rev(record.rev) });
        let done = self.store().commit(batch).await;
        self.control().move_on();
        match done {
            Err(error) if error.code() != "stale_revision" => Err(error),
            _ => Ok(()),
        }
    }

    /// The workspace with what stands in it from the beginning, then its line in the directory: a crash between leaves nothing that is
    /// found.
    ///
    /// # Errors
    /// `AlreadyExists` when the slug is taken.
    pub(crate) async fn found(&self, workspace: &Workspace, beside: Vec<Write>, by: &str) -> Result<()> {
        let entry = DirectoryEntry {
            slug: workspace.slug.clone(),
            workspace: workspace.id.clone(),
            organization: workspace.organization.clone(),
        };
        let mut batch = Batch::new(workspace.id.clone(), self.now());
        batch.writes.push(new_record(self, workspace, by)?);
        batch.writes.extend(beside);
        self.store().commit(batch).await?;
        match put_new(self, WorkspaceId::hub(), &entry, by).await {
            Err(error) if error.code() == "stale_revision" => Err(taken()),
            other => other,
        }
    }

    /// The line of a slug.
    pub(crate) async fn entry_of(&self, slug: &str) -> Result<Option<DirectoryEntry>> {
        let row = self.store().get(Kind::of::<DirectoryEntry>(), &WorkspaceId::hub(), slug).await?;
        row.as_ref().map(|r| Stored::<DirectoryEntry>::from_row(r).map(|s| s.body)).transpose()
    }
}

pub(crate) fn taken() -> Error {
    Error::new(ErrorKind::AlreadyExists, "workspaces.create", "this slug is taken")
}

/// Checks the shape of a slug.
///
/// # Errors
/// `InvalidInput` naming the accepted form.
pub(crate) fn check_slug(operation: &'static str, slug: &str) -> Result<()> {
    let is_shaped = (1..=40).contains(&slug.len())
        && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if is_shaped {
        return Ok(());
    }
    Err(Error::invalid(operation, "slug", "expected 1..40 lower-case letters, digits and hyphens"))
}
