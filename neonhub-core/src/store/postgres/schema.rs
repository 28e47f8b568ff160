//! Schema, roles and tables: numbered migrations of the engine, and one table per record kind.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::error::failed;
use crate::store::Kind;
use crate::{Error, ErrorKind, Result};

/// Role that owns the tables and changes them.
pub(super) const MIGRATE_ROLE: &str = "neonhub_migrate";
/// Role that reads and writes records, and nothing else.
pub(super) const APP_ROLE: &str = "neonhub_app";

/// Numbered migrations, applied in order, each in a transaction of its own; the count is the version. `{s}` is
/// the schema. Never edited once released: a change is a new entry.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE {s}._kind (name text PRIMARY KEY, schema integer NOT NULL, indexes text NOT NULL);
    CREATE TABLE {s}._shard (shard integer PRIMARY KEY, seq bigint NOT NULL) WITH (fillfactor = 10);
    INSERT INTO {s}._shard VALUES (0, 0);
    CREATE TABLE {s}._feed (
        shard integer NOT NULL, seq bigint NOT NULL, workspace_id text NOT NULL, at bigint NOT NULL,
        changes text NOT NULL, xid bigint NOT NULL, PRIMARY KEY (shard, seq)
    );
    CREATE TABLE {s}._chain (
        workspace_id text COLLATE \"C\" NOT NULL, chain text NOT NULL, seq bigint NOT NULL, hash bytea NOT NULL,
        PRIMARY KEY (workspace_id, chain)
    );
    CREATE TABLE {s}._blob (hash text COLLATE \"C\" PRIMARY KEY, bytes bytea NOT NULL, at bigint NOT NULL);
", "
    -- From here on blobs may be compressed, which older builds take for damage. The server need not try as well.
    ALTER TABLE {s}._blob ALTER COLUMN bytes SET STORAGE EXTERNAL;
"];

/// Version that this build works with.
pub(super) const VERSION: u32 = MIGRATIONS.len() as u32;

/// What a workspace's fence looks like: rows of the workspace that the session has named, or of all (`*`).
pub(super) fn fence(schema: &str, table: &str) -> String {
    format!(
        "ALTER TABLE \"{schema}\".\"{table}\" ENABLE ROW LEVEL SECURITY; \
         ALTER TABLE \"{schema}\".\"{table}\" FORCE ROW LEVEL SECURITY; \
         CREATE POLICY neonhub_workspace ON \"{schema}\".\"{table}\" USING ( \
             workspace_id = (SELECT current_setting('neonhub.workspace', true)) \
             OR (SELECT current_setting('neonhub.workspace', true)) = '*'); \
         {}",
        grant(schema, table)
    )
}

pub(super) fn grant(schema: &str, table: &str) -> String {
    format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN \
         GRANT SELECT, INSERT, UPDATE, DELETE ON \"{schema}\".\"{table}\" TO {APP_ROLE}; END IF; END $$;"
    )
}

/// What each connection is told when it is made.
pub(super) fn session_setup(schema: &str, statement_timeout_ms: u128) -> String {
    format!(
        "SET search_path = \"{schema}\"; SET statement_timeout = {statement_timeout_ms}; \
         SET idle_in_transaction_session_timeout = 60000; SET jit = off; \
         DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}' \
             AND pg_has_role(current_user, oid, 'MEMBER')) THEN SET ROLE {APP_ROLE}; END IF; END $$;"
    )
}

/// Brings the tables of the engine to this version; the numbers of the migrations that this call applied.
pub(super) async fn prepare(client: &mut Client, schema: &str) -> Result<Vec<u32>> {
    migrate(client, schema, MIGRATIONS).await
}

async fn migrate(client: &mut Client, schema: &str, migrations: &[&str]) -> Result<Vec<u32>> {
    let ours = migrations.len();
    let mut applied = Vec::new();
    loop {
        let found = version(client, schema).await?;
        if found > ours {
            return Err(newer(found, ours));
        }
        if found == ours {
            return Ok(applied);
        }
        if found == 0 {
            make_schema(client, schema, ours).await?;
        }
        let tx = client.transaction().await.map_err(|e| failed("store.migrate", &e))?;
        lock(&tx, schema).await?;
        act_as_owner(&tx).await?;
        let next = apply_next(&tx, schema, migrations).await?;
        tx.commit().await.map_err(|e| failed("store.migrate", &e))?;
        applied.extend(next);
    }
}

pub(super) fn newer(found: usize, ours: usize) -> Error {
    Error::new(
        ErrorKind::Config,
        "hub.open",
        format!("the store has schema version {found}, this build reads up to {ours}: use a newer neonhub"),
    )
    .with_context("store_version", found)
    .with_context("build_version", ours)
}

fn pending(found: usize, ours: usize) -> Error {
    Error::new(
        ErrorKind::Config,
        "hub.open",
        format!(
            "the store has schema version {found} and needs {ours}, and this user may not change tables: open it once \
             as a member of {MIGRATE_ROLE}"
        ),
    )
    .with_context("store_version", found)
    .with_context("build_version", ours)
}

async fn version(client: &Client, schema: &str) -> Result<usize> {
    let fail = |e| failed("hub.open", &e);
    let table = format!("\"{schema}\"._migration");
    let is_there = client
        .query_one("SELECT to_regclass($1) IS NOT NULL", &[&table])
        .await
        .map_err(fail)?
        .get::<_, bool>(0);
    if !is_there {
        return Ok(0);
    }
    let row = client
        .query_one(&format!("SELECT coalesce(max(version), 0) FROM {table}"), &[])
        .await
        .map_err(fail)?;
    Ok(usize::try_from(row.get::<_, i32>(0)).unwrap_or_default())
}

/// Runs the next migration, unless another process was first; its number.
async fn apply_next(tx: &Transaction<'_>, schema: &str, migrations: &[&str]) -> Result<Option<u32>> {
    let fail = |e| failed("store.migrate", &e);
    let row = tx
        .query_one(&format!("SELECT coalesce(max(version), 0) FROM \"{schema}\"._migration"), &[])
        .await
        .map_err(fail)?;
    let found: i32 = row.get(0);
    let Some(next) = migrations.get(usize::try_from(found).unwrap_or_default()) else { return Ok(None) };
    tx.batch_execute(&next.replace("{s}", &format!("\"{schema}\""))).await.map_err(fail)?;
    if found == 0 {
        for table in ["_kind", "_shard", "_feed", "_blob", "_migration"] {
            tx.batch_execute(&grant(schema, table)).await.map_err(fail)?;
        }
        tx.batch_execute(&fence(schema, "_chain")).await.map_err(fail)?;
    }
    tx.execute(&format!("INSERT INTO \"{schema}\"._migration (version) VALUES ($1)"), &[&(found + 1)])
        .await
        .map_err(fail)?;
    Ok(u32::try_from(found + 1).ok())
}

/// One migrating process at a time, per schema.
pub(super) async fn lock(tx: &Transaction<'_>, schema: &str) -> Result<()> {
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('neonhub.migrate.' || $1, 0))", &[&schema])
        .await
        .map_err(|e| failed("store.migrate", &e))?;
    Ok(())
}

/// Tables belong to the migrating role where there is one, so that the app's user owns nothing.
pub(super) async fn act_as_owner(tx: &Transaction<'_>) -> Result<()> {
    act_as(tx, "SET LOCAL").await
}

/// The same until the connection ends, for statements that allow no transaction around them.
pub(super) async fn act_as_owner_for_session(client: &Client) -> Result<()> {
    act_as(client, "SET").await
}

async fn act_as(client: &impl tokio_postgres::GenericClient, set: &str) -> Result<()> {
    let text = format!(
        "DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{MIGRATE_ROLE}' \
         AND pg_has_role(current_user, oid, 'MEMBER')) THEN {set} ROLE {MIGRATE_ROLE}; END IF; END $$;"
    );
    client.batch_execute(&text).await.map_err(|e| failed("store.migrate", &e))
}

/// Roles as far as the user may make them, the schema, and the list of migrations.
async fn make_schema(client: &mut Client, schema: &str, ours: usize) -> Result<()> {
    let fail = |e| failed("store.migrate", &e);
    for role in [MIGRATE_ROLE, APP_ROLE] {
        // Roles are shared by all databases of a server: another process may make them at the same time. A user that
        // may not make roles goes on without; the fence then holds by FORCE ROW LEVEL SECURITY alone.
        let text = format!(
            "DO $$ BEGIN \
               IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} NOLOGIN; END IF; \
               IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN EXECUTE 'GRANT {role} TO CURRENT_USER'; END IF; \
             EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege OR undefined_object THEN NULL; \
             END $$;"
        );
        client.batch_execute(&text).await.map_err(fail)?;
    }
    let tx = client.transaction().await.map_err(fail)?;
    lock(&tx, schema).await?;
    let owner = format!(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = '{MIGRATE_ROLE}' AND pg_has_role(current_user, oid, 'MEMBER'))"
    );
    let owned: bool = tx.query_one(&owner, &[]).await.map_err(fail)?.get(0);
    let owner = if owned { format!("AUTHORIZATION {MIGRATE_ROLE}") } else { String::new() };
    let made = tx
        .batch_execute(&format!(
            "CREATE SCHEMA IF NOT EXISTS \"{schema}\" {owner}; \
             CREATE TABLE IF NOT EXISTS \"{schema}\"._migration \
                 (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()); \
             DO $$ BEGIN \
               IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{MIGRATE_ROLE}' AND pg_has_role(current_user, oid, 'MEMBER')) \
               THEN ALTER TABLE \"{schema}\"._migration OWNER TO {MIGRATE_ROLE}; END IF; \
               IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') \
               THEN GRANT USAGE ON SCHEMA \"{schema}\" TO {APP_ROLE}; END IF; \
             END $$;"
        ))
        .await;
    match made {
        Err(cause) if cause.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            Err(pending(0, ours).with_source(failed("store.migrate", &cause)))
        }
        Err(cause) => Err(fail(cause)),
        Ok(()) => tx.commit().await.map_err(fail),
    }
}

/// Makes the tables and indexes of kinds that the database does not have yet.
pub(super) async fn declare(client: &mut Client, schema: &str, kinds: &[Kind]) -> Result<()> {
    if missing(client, schema, kinds).await?.is_empty() {
        return Ok(());
    }
    let fail = |e| failed("store.declare", &e);
    let tx = client.transaction().await.map_err(fail)?;
    lock(&tx, schema).await?;
    act_as_owner(&tx).await?;
    let mut absent = Vec::new();
    // Again under the lock: another process may have made them.
    for (kind, found) in missing(&tx, schema, kinds).await? {
        check_name(&kind)?;
        match found {
            Some(found) => super::grow::add_indexes(&tx, schema, &kind, &found).await?,
            None => absent.push(kind),
        }
    }
    make(&tx, schema, &absent).await?;
    tx.commit().await.map_err(fail)
}

/// Makes tables, all in flight at once: one by one each would wait for the server twice.
async fn make(tx: &Transaction<'_>, schema: &str, kinds: &[Kind]) -> Result<()> {
    let note = format!("INSERT INTO \"{schema}\"._kind (name, schema, indexes) VALUES ($1, $2, $3)");
    let note = tx.prepare(&note).await.map_err(|e| failed("store.declare", &e))?;
    let note = &note;
    let made = kinds.iter().map(|kind| async move {
        tx.batch_execute(&ddl(schema, kind)).await?;
        tx.execute(note, &[&kind.name, &i32::from(kind.schema), &index_list(kind)]).await
    });
    let made = futures_util::future::join_all(made).await;
    let faults = kinds.iter().zip(&made).filter_map(|(kind, made)| made.as_ref().err().map(|e| (kind, e)));
    // After the one that failed the server refuses all others.
    match faults.min_by_key(|(_, e)| e.code() == Some(&SqlState::IN_FAILED_SQL_TRANSACTION)) {
        Some((kind, cause)) => Err(refused(kind.name, cause)),
        None => Ok(()),
    }
}

/// Says what a user without the rights to change tables can do.
pub(super) fn refused(kind: &str, cause: &tokio_postgres::Error) -> Error {
    if cause.code() != Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        return failed("store.declare", cause);
    }
    Error::new(
        ErrorKind::Config,
        "hub.open",
        format!(
            "the store has no table or too few indexes for this kind, and this user may not make them: open it once \
             as a member of {MIGRATE_ROLE}"
        ),
    )
    .with_context("kind", kind)
    .with_source(failed("store.declare", cause))
}

/// Kinds without a table, and those whose table has other indexes than this build declares, with their list.
async fn missing(
    client: &impl tokio_postgres::GenericClient,
    schema: &str,
    kinds: &[Kind],
) -> Result<Vec<(Kind, Option<String>)>> {
    let rows = client
        .query(&format!("SELECT name, indexes FROM \"{schema}\"._kind"), &[])
        .await
        .map_err(|e| failed("store.declare", &e))?;
    let found: std::collections::HashMap<String, String> =
        rows.into_iter().map(|r| (r.get(0), r.get(1))).collect();
    let mut out: Vec<(Kind, Option<String>)> = Vec::new();
    for kind in kinds {
        let known = found.get(kind.name);
        let is_there = known.is_some_and(|indexes| *indexes == index_list(kind));
        if !is_there && !out.iter().any(|(k, _)| k.name == kind.name) {
            out.push((*kind, known.cloned()));
        }
    }
    Ok(out)
}

pub(super) fn drifted(kind: &Kind, found: &str) -> Error {
    Error::new(
        ErrorKind::Config,
        "store.declare",
        "the database has other indexes for this kind than this build declares",
    )
    .with_context("kind", kind.name)
    .with_context("store", found)
    .with_context("build", index_list(kind))
}

fn check_name(kind: &Kind) -> Result<()> {
    let word = |w: &str| {
        (1..=40).contains(&w.len())
            && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
    };
    if word(kind.name) && kind.indexes.iter().all(|i| word(i.name)) && !kind.name.starts_with('_') {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Internal,
        "store.declare",
        "kinds and indexes are snake_case words of 1..40 characters",
    )
    .with_context("kind", kind.name))
}

pub(super) fn index_list(kind: &Kind) -> String {
    let words = kind.indexes.iter().map(|i| format!("{}{}", i.name, if i.unique { "!" } else { "" }));
    words.collect::<Vec<_>>().join(" ")
}

/// One table per kind with the body as `jsonb`, a column per declared index, and real indexes over them. Ids and
/// workspaces are compared by their bytes, as in every engine.
pub(super) fn ddl(schema: &str, kind: &Kind) -> String {
    let table = kind.name;
    let mut out = format!(
        "CREATE TABLE \"{schema}\".\"{table}\" (workspace_id text COLLATE \"C\" NOT NULL, id text COLLATE \"C\" NOT NULL, \
         rev bigint NOT NULL, schema integer NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL, \
         created_by text NOT NULL, body jsonb NOT NULL, checksum bigint NOT NULL"
    );
    for index in kind.indexes {
        out.push_str(&format!(", ix_{} bytea", index.name));
    }
    out.push_str(", PRIMARY KEY (workspace_id, id));");
    for n in 0..kind.indexes.len() {
        out.push_str(&index_ddl(schema, kind, n));
    }
    out.push_str(&fence(schema, table));
    out
}

/// The index of a kind at a position.
pub(super) fn index_ddl(schema: &str, kind: &Kind, n: usize) -> String {
    let Some(index) = kind.indexes.get(n) else { return String::new() };
    let (table, name) = (kind.name, index.name);
    let (unique, tail) = if index.unique { ("UNIQUE ", "") } else { ("", ", id") };
    // PostgreSQL cuts names at 63 bytes: the position keeps them apart.
    format!(
        "CREATE {unique}INDEX \"{table}__{n}\" ON \"{schema}\".\"{table}\" (workspace_id, ix_{name}{tail}) \
         WHERE ix_{name} IS NOT NULL;"
    )
}

/// The columns of a kind's table: name, type, whether it may be null.
pub(super) fn columns(kind: &Kind) -> Vec<String> {
    let fixed = [
        "workspace_id text NO",
        "id text NO",
        "rev bigint NO",
        "schema integer NO",
        "created_at bigint NO",
        "updated_at bigint NO",
        "created_by text NO",
        "body jsonb NO",
        "checksum bigint NO",
    ];
    let keys = kind.indexes.iter().map(|i| format!("ix_{} bytea YES", i.name));
    fixed.iter().map(|c| (*c).to_owned()).chain(keys).collect()
}

/// The indexes of a kind's table, and whether they must be unique.
pub(super) fn index_names(kind: &Kind) -> Vec<(String, bool)> {
    kind.indexes.iter().enumerate().map(|(n, i)| (format!("{}__{n}", kind.name), i.unique)).collect()
}
