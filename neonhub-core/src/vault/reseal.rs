//! Sealing stored values anew under the current data key, page by page.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::op::{Audit, Effect, Operation};
use crate::permission::Permission;
use crate::seal::Sealed;
use crate::store::{Expected, Key, Kind, Query, Record, Row, canonical_json};
use crate::{Error, ErrorKind, Result, Scope, Timestamp};

/// Rows of one page, and so of one commit.
pub(super) const PAGE: usize = 200;

/// The `(kind, field)` that a value is sealed for.
type Place = (String, String);

/// A kind whose bodies hold sealed values, and what those are sealed for, so that a rotation finds them.
#[derive(Clone, Copy, Debug)]
pub struct SealedColumn {
    pub(super) kind: Kind,
    place: Places,
}

#[derive(Clone, Copy, Debug)]
enum Places {
    Fixed(&'static str, &'static str),
    Of(fn(&Value) -> Option<Place>),
}

impl SealedColumn {
    /// Values of `R` that were sealed with `sealer.seal(kind, field, ..)`, wherever they stand in the body.
    #[must_use]
    pub const fn of<R: Record>(kind: &'static str, field: &'static str) -> Self {
        SealedColumn { kind: Kind::of::<R>(), place: Places::Fixed(kind, field) }
    }

    /// Values whose place hangs on the body.
    #[must_use]
    pub const fn by(kind: Kind, place: fn(&Value) -> Option<Place>) -> Self {
        SealedColumn { kind, place: Places::Of(place) }
    }

    fn place(&self, body: &Value) -> Option<Place> {
        match self.place {
            Places::Fixed(kind, field) => Some((kind.to_owned(), field.to_owned())),
            Places::Of(place) => place(body),
        }
    }
}

/// How far the rotation of a workspace's data key is.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct KeyRotation {
    id: String,
    /// The version that values are sealed with now.
    pub to: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When the last value was sealed anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Values sealed anew so far.
    pub resealed: u64,
}

impl KeyRotation {
    pub(super) const ID: &'static str = "data_key";

    pub(super) fn new(to: u32, at: Timestamp) -> Self {
        KeyRotation { id: Self::ID.to_owned(), to, started_at: at, finished_at: None, resealed: 0 }
    }
}

impl Record for KeyRotation {
    const KIND: &'static str = "key_rotation";
    fn id(&self) -> &str {
        &self.id
    }
}

/// What a walk over sealed values found.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub(super) struct Walked {
    /// The last row; absent at the end.
    pub(super) last: Option<String>,
    /// Values that are sealed with an old version, or were until this page.
    pub(super) old: u64,
    /// Rows looked at.
    pub(super) rows: u64,
    /// Rows with a value that does not open.
    pub(super) closed: Vec<String>,
}

/// One page of a rotation, in a commit of its own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ResealPage {
    /// The kind.
    pub(super) kind: String,
    /// The row before the page.
    pub(super) after: String,
}

impl Operation for ResealPage {
    type Output = Walked;
    const NAME: &'static str = "vault.reseal_page";
    const NEEDS: &'static [Permission] = &[Permission::OwnOrganization];
    const EFFECT: Effect = Effect::Idempotent;
    // The rotation itself leaves one row; its pages leave none.
    const AUDIT: Audit = Audit::None;
    const RERUNS: u8 = 5;
    const INTERNAL: bool = true;

    async fn run(self, cx: &Scope) -> Result<Walked> {
        walk_page(cx, &self.kind, &self.after, true).await
    }
}

/// Walks one page of a kind and, when asked to, stages every old value sealed anew.
pub(super) async fn walk_page(cx: &Scope, kind: &str, after: &str, reseals: bool) -> Result<Walked> {
    let columns: Vec<_> = cx.hub().vault().columns.iter().filter(|c| c.kind.name == kind).copied().collect();
    let Some(first) = columns.first() else { return Ok(Walked::default()) };
    let mut query = Query::by_id().limit(PAGE);
    if !after.is_empty() {
        query = query.after(Key::new(), after);
    }
    let rows = cx.store().query(first.kind, cx.workspace(), &query).await?;
    let mut walked = Walked { rows: rows.len() as u64, ..Walked::default() };
    walked.last = (rows.len() == PAGE).then(|| rows.last().map(|r| r.id.clone())).flatten();
    for row in rows {
        let mut body: Value = serde_json::from_str(&row.body).map_err(|cause| {
            Error::new(ErrorKind::Corrupted, "vault.walk", "a body is no JSON").with_source(cause)
        })?;
        let places: Vec<Place> = columns.iter().filter_map(|c| c.place(&body)).collect();
        let mut values = Values { cx, places: &places, old: 0, closed: 0 };
        values.walk(&mut body)?;
        let (old, closed) = (values.old, values.closed);
        walked.old += old;
        if closed > 0 {
            walked.closed.push(format!("{kind}:{}", row.id));
        }
        if reseals && old > 0 {
            mark_version(cx, first.kind, &mut body);
            let expected = Expected::Rev(row.rev);
            cx.stage_row(first.kind, Row { body: canonical_json(&body)?, ..row }, expected)?;
        }
    }
    Ok(walked)
}

/// A secret tells its key version and what it is bound to in columns of their own.
fn mark_version(cx: &Scope, kind: Kind, body: &mut Value) {
    if kind.name != super::VaultSecret::KIND {
        return;
    }
    let hash = super::secret::place(body).map(|(kind, field)| cx.sealer().aad_hash(&kind, &field));
    if let (Some(map), Some(hash)) = (body.as_object_mut(), hash) {
        map.insert("key_version".to_owned(), cx.sealer().current_version().into());
        map.insert("aad_hash".to_owned(), hash.into());
    }
}

/// The sealed values of one body.
struct Values<'a> {
    cx: &'a Scope,
    places: &'a [Place],
    old: u64,
    closed: u64,
}

impl Values<'_> {
    fn walk(&mut self, value: &mut Value) -> Result<()> {
        match value {
            Value::String(text) => {
                if let Some(anew) = self.anew(text)? {
                    *text = anew;
                }
                Ok(())
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.walk(item)),
            Value::Object(map) => map.values_mut().try_for_each(|item| self.walk(item)),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    /// The text sealed anew when it is a sealed value of an older version.
    fn anew(&mut self, text: &str) -> Result<Option<String>> {
        let Some(sealed) = Sealed::recognise(text) else { return Ok(None) };
        let sealer = self.cx.sealer();
        let is_current = sealed.key_version() == sealer.current_version();
        for (kind, field) in self.places {
            match sealer.open(kind, field, &sealed) {
                Ok(_) if is_current => return Ok(None),
                Ok(plain) => {
                    self.old += 1;
                    let anew = sealer.seal(kind, field, plain.expose())?;
                    return Ok(Some(anew.as_str().to_owned()));
                }
                Err(error) if error.kind() == ErrorKind::Corrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Not every text of this shape is a sealed value: only a version that exists makes it one that is damaged.
        if sealed.key_version().is_some_and(|v| v > 0 && Some(v) <= sealer.current_version()) {
            self.closed += 1;
        }
        Ok(None)
    }
}
