//! Answers kept by idempotency key, so that a repeated call gives the first answer.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::seal::Sealed;
use crate::store::{Expected, Index, Keep, Key, Kind, Record, Row, Write, canonical_json};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// How long an answer is kept.
// Our choice; the common window of payment providers (Stripe, 2026) is the same 24 h.
pub(crate) const KEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Where answers are sealed.
pub(crate) const PLACE: (&str, &str) = ("idempotency", "output");

/// The stored answer of one call, sealed.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct IdempotencyRecord {
    id: String,
    input_hash: String,
    output: serde_json::Value,
    expires_at: Timestamp,
}

impl Record for IdempotencyRecord {
    const KIND: &'static str = "idempotency";
    const INDEXES: &'static [Index] = &[Index::on("expires_at")];
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.expires_at.into())]
    }
    fn retention() -> Keep {
        Keep::Until("expires_at")
    }
}

/// What is kept under a key.
pub(crate) enum Kept {
    /// Nothing that counts; the record that the answer will replace is as this says.
    Nothing(Expected),
    /// The answer of the first call.
    Answer(serde_json::Value),
}

/// One call's key, bound to workspace (by the record), principal and operation.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    id: String,
    input_hash: String,
}

impl Slot {
    pub(crate) fn new(cx: &Scope, operation: &str, key: &str, input: &impl Serialize) -> Result<Self> {
        if key.is_empty() || key.len() > 255 {
            return Err(Error::invalid(operation.to_owned(), "idempotency_key", "expected 1..255 bytes"));
        }
        let mut hash = Sha256::new();
        for part in [cx.label(), operation, key] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let input = Sha256::digest(canonical_json(input)?.as_bytes());
        Ok(Slot { id: crate::store_hex(&hash.finalize()), input_hash: crate::store_hex(&input) })
    }

    pub(crate) fn lock_name(&self, cx: &Scope) -> String {
        format!("{}|{}", cx.workspace(), self.id)
    }

    /// What is kept under the key now.
    pub(crate) async fn look(&self, cx: &Scope, operation: &'static str) -> Result<Kept> {
        let Some(found) = cx.get::<IdempotencyRecord>(&self.id).await? else {
            return Ok(Kept::Nothing(Expected::Absent));
        };
        if found.expires_at <= cx.now() {
            return Ok(Kept::Nothing(Expected::Rev(found.rev)));
        }
        if found.input_hash != self.input_hash {
            return Err(Error::new(
                ErrorKind::Conflict,
                operation,
                "this idempotency key was used with another input: take a new key",
            )
            .with_code("idempotency_mismatch"));
        }
        open(cx, operation, found.body.output).map(Kept::Answer)
    }

    /// The write that keeps the answer, in the commit of the call itself. Of two processes that make one call at the
    /// same time, one finds something else than it expected, and its commit fails.
    pub(crate) fn write(&self, cx: &Scope, output: &serde_json::Value, expected: Expected) -> Result<Write> {
        // An answer may hold contact values: it is kept sealed.
        let sealed = cx.sealer().seal(PLACE.0, PLACE.1, &output.to_string())?;
        let record = IdempotencyRecord {
            id: self.id.clone(),
            input_hash: self.input_hash.clone(),
            output: sealed.as_str().into(),
            expires_at: cx.now().plus(KEEP),
        };
        let row = Row::of(&record, cx.now(), cx.label())?;
        Ok(Write::Put { kind: Kind::of::<IdempotencyRecord>(), row, expected })
    }
}

/// The answer as it was. Stores of before the vault hold it plain.
fn open(cx: &Scope, operation: &'static str, kept: serde_json::Value) -> Result<serde_json::Value> {
    let Some(sealed) = kept.as_str().and_then(Sealed::recognise) else { return Ok(kept) };
    let text = cx.sealer().open(PLACE.0, PLACE.1, &sealed)?;
    serde_json::from_str(text.expose()).map_err(|cause| Error::internal(operation, cause))
}
