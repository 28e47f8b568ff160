//! Errors of the server in our words, with the cure where there is one.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::{Error, ErrorKind, Retry};

/// Finer word for a server that is not there.
const AWAY: &str = "server_away";
/// What a server says that is stopping, was killed, or is starting.
const ENDING: [SqlState; 3] =
    [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];

/// An answer of the server. Its detail line is left out: it may quote keys and values.
pub(super) fn failed(operation: &'static str, cause: &tokio_postgres::Error) -> Error {
    let Some(db) = cause.as_db_error() else {
        return unreachable(operation, describe(cause));
    };
    let shown = format!("{} {}", db.code().code(), db.message());
    if ENDING.contains(db.code()) {
        return away(operation, "the database server is stopping or starting: try again in a moment")
            .with_source(shown);
    }
    let (kind, message, retry) = classify(db.code());
    Error::new(kind, operation, message).with_retry(retry).with_source(shown)
}

/// A server that is not there now and will be again.
pub(super) fn away(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, message).with_code(AWAY).with_retry(Retry::Backoff)
}

/// True for errors that a restart of the server explains.
pub(super) fn is_away(error: &Error) -> bool {
    error.code() == AWAY
}

fn classify(code: &SqlState) -> (ErrorKind, &'static str, Retry) {
    let word = code.code();
    if *code == SqlState::QUERY_CANCELED {
        let text = "the database took longer than the statement timeout: narrow the query or raise `statement_timeout_ms`";
        return (ErrorKind::Timeout, text, Retry::Backoff);
    }
    if *code == SqlState::DISK_FULL {
        let text =
            "the disk of the database server is full: free space there and try again; nothing was written";
        return (ErrorKind::Unavailable, text, Retry::Backoff);
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        let text = "the database is read-only: name the primary server in the store URL";
        return (ErrorKind::Unavailable, text, Retry::Backoff);
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let text = "the database user lacks rights: open once with a user that may create tables, or grant it the role neonhub_app";
        return (ErrorKind::Config, text, Retry::Never);
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        let text = "the database does not exist: create it first with CREATE DATABASE";
        return (ErrorKind::Config, text, Retry::Never);
    }
    if *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
        let text = "a key or value is too large for the database: index keys hold about 2,600 bytes";
        return (ErrorKind::InvalidInput, text, Retry::Never);
    }
    match word.get(..2).unwrap_or_default() {
        "28" => {
            let text = "the database refused the user: check name and password in the store URL";
            (ErrorKind::Config, text, Retry::Never)
        }
        "08" | "53" | "57" => {
            let text = "the database server cannot serve now: check that it runs and has free connections";
            (ErrorKind::Unavailable, text, Retry::Backoff)
        }
        "40" => (ErrorKind::Unavailable, "the commit lost a race: try again", Retry::Backoff),
        "XX" if word == "XX001" || word == "XX002" => {
            let text = "the database reports damaged data: restore it from a backup";
            (ErrorKind::Corrupted, text, Retry::Never)
        }
        _ => (ErrorKind::Internal, "the database failed", Retry::Never),
    }
}

/// The cause and what stands behind it, on one line.
fn describe(cause: &(dyn std::error::Error + 'static)) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(inner) = next {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        next = inner.source();
    }
    text
}

fn unreachable(operation: &'static str, shown: String) -> Error {
    away(
        operation,
        "the database server cannot be reached: check that it runs and that the store URL names it",
    )
    .with_source(shown)
}

/// An error of the pool.
pub(super) fn no_connection(operation: &'static str, cause: &PoolError) -> Error {
    match cause {
        PoolError::Backend(inner) => failed(operation, inner),
        PoolError::PostCreateHook(deadpool_postgres::HookError::Backend(inner)) => failed(operation, inner),
        PoolError::Closed => closed(),
        PoolError::Timeout(_) => Error::new(
            ErrorKind::Unavailable,
            operation,
            "no database connection became free in time: raise `pool` in the store URL or try again",
        )
        .with_retry(Retry::Backoff),
        other => unreachable(operation, other.to_string()),
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "store", "the store is closed: open the hub again")
}

/// True when repeating the transaction may succeed: another one was first.
pub(super) fn is_race(cause: &tokio_postgres::Error) -> bool {
    cause.code().is_some_and(|code| {
        [
            SqlState::UNIQUE_VIOLATION,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::LOCK_NOT_AVAILABLE,
        ]
        .contains(code)
    })
}

/// True when the connection went away, so that nobody knows whether what was sent took effect.
pub(super) fn is_lost(cause: &tokio_postgres::Error) -> bool {
    match cause.as_db_error() {
        None => true,
        Some(db) => ENDING.contains(db.code()),
    }
}
