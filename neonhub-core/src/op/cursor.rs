//! Where the next page of a list starts: signed, bound to the workspace and the list, at most 256 bytes.

use std::ops::Bound;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::store::{Key, Kind, Query, Row};
use crate::{Error, ErrorKind, Result, Scope};

const WORKSPACE_BYTES: usize = 8;
const TAG_BYTES: usize = 12;
/// Longest key and id that stand in a cursor: with the rest 192 bytes, 256 as text.
const PLACE_BYTES: usize = 192 - WORKSPACE_BYTES - 2 - TAG_BYTES;
/// In place of the length of a key that is too long: it is read from its record again.
const ABSENT: u16 = u16::MAX;

/// What a cursor is bound to: the list, and what its keys begin with. The ends of a range of instants may move between
/// two pages, as those of "up to now" do.
pub(super) fn label(kind: Kind, query: &Query) -> String {
    let begins = crate::store_hex(&beginning(query));
    format!("cursor|{}|{:?}|{:?}|{begins}", kind.name, query.index, query.order)
}

fn beginning(query: &Query) -> Vec<u8> {
    match (&query.from, &query.to) {
        (Bound::Included(from), Bound::Excluded(to)) if from.after_prefix().as_ref() == Some(to) => {
            from.as_bytes().to_vec()
        }
        (Bound::Included(from), Bound::Included(to)) if from == to => from.as_bytes().to_vec(),
        (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
            let same = from.as_bytes().iter().zip(to.as_bytes()).take_while(|(a, b)| a == b);
            let mut same: Vec<u8> = same.map(|(a, _)| *a).collect();
            // Whole parts only: they end with a zero byte.
            same.truncate(same.iter().rposition(|b| *b == 0).map_or(0, |end| end + 1));
            same
        }
        _ => Vec::new(),
    }
}

fn workspace_tag(cx: &Scope) -> [u8; WORKSPACE_BYTES] {
    xxhash_rust::xxh3::xxh3_64(cx.workspace().as_str().as_bytes()).to_be_bytes()
}

/// Where a row stands in the order of an index.
pub(super) fn place(kind: Kind, index: Option<&str>, row: &Row) -> Result<(Key, String)> {
    Ok((key_of(kind, index, row)?, row.id.clone()))
}

fn key_of(kind: Kind, index: Option<&str>, row: &Row) -> Result<Key> {
    match index {
        Some(name) => Ok(row.keys.get(kind.index(name)?).cloned().flatten().unwrap_or_default()),
        None => Ok(Key::new()),
    }
}

pub(super) fn make(cx: &Scope, label: &str, kind: Kind, index: Option<&str>, row: &Row) -> Result<String> {
    Ok(at(cx, label, &key_of(kind, index, row)?, &row.id))
}

/// The cursor behind a place.
pub(super) fn at(cx: &Scope, label: &str, key: &Key, id: &str) -> String {
    let (len, key) = match u16::try_from(key.as_bytes().len()) {
        Ok(len) if key.as_bytes().len() + id.len() <= PLACE_BYTES => (len, key.as_bytes()),
        _ => (ABSENT, &[][..]),
    };
    let mut bytes = workspace_tag(cx).to_vec();
    bytes.extend(len.to_be_bytes());
    bytes.extend(key);
    bytes.extend(id.as_bytes());
    let tag = cx.sealer().blind(label, &crate::store_hex(&bytes));
    bytes.extend(tag.iter().take(TAG_BYTES));
    URL_SAFE_NO_PAD.encode(bytes)
}

/// # Errors
/// `InvalidInput` for one that was changed, is of another list, or whose record is gone when its key was too long to
/// stand in it; `PermissionDenied` for one of another workspace.
pub(super) async fn open(
    cx: &Scope,
    label: &str,
    kind: Kind,
    index: Option<&str>,
    cursor: &str,
) -> Result<(Key, String)> {
    let bad =
        || Error::invalid(cx.operation(), "cursor", "expected the `next` of a page of this list, unchanged");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let (body, tag) =
        bytes.len().checked_sub(TAG_BYTES).and_then(|n| bytes.split_at_checked(n)).ok_or_else(bad)?;
    let (workspace, place) = body.split_first_chunk::<WORKSPACE_BYTES>().ok_or_else(bad)?;
    if *workspace != workspace_tag(cx) {
        let text = "this cursor belongs to another workspace: begin the list anew";
        return Err(Error::new(ErrorKind::PermissionDenied, cx.operation(), text));
    }
    let made = cx.sealer().blind(label, &crate::store_hex(body));
    if !crate::seal::constant_time_eq(tag, made.get(..TAG_BYTES).unwrap_or_default()) {
        return Err(bad());
    }
    let (len, rest) = place.split_first_chunk::<2>().ok_or_else(bad)?;
    let len = u16::from_be_bytes(*len);
    let (key, id) = match len {
        ABSENT => (None, rest),
        len => rest.split_at_checked(usize::from(len)).map(|(key, id)| (Some(key), id)).ok_or_else(bad)?,
    };
    let id = String::from_utf8(id.to_vec()).map_err(|_| bad())?;
    if let Some(key) = key {
        return Ok((Key::from_encoded(key.to_vec()), id));
    }
    let row = cx.store().get(kind, cx.workspace(), &id).await?.ok_or_else(|| {
        Error::invalid(
            cx.operation(),
            "cursor",
            "the record this page ended with is gone: begin the list anew",
        )
    })?;
    Ok((key_of(kind, index, &row)?, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::Note;
    use crate::store::{Batch, Expected, Record as _, Write};
    use crate::{Hub, Timestamp};

    static KINDS: &[Kind] = &[Kind::of::<Note>()];

    async fn filled() -> (Hub, Scope) {
        let hub = Hub::builder().kinds(KINDS).build().await.unwrap();
        let cx = hub.workspace("default").await.unwrap();
        let mut batch = Batch::new(cx.workspace().clone(), Timestamp::EPOCH);
        for n in 0..9 {
            let name = if n < 5 { format!("n{n}") } else { format!("n{n}{}", "long".repeat(100)) };
            let note = Note { id: format!("n{n}"), name: Some(name), size: n, text: String::new() };
            let row = Row::of(&note, Timestamp::EPOCH, "t").unwrap();
            batch.writes.push(Write::Put { kind: KINDS[0], row, expected: Expected::Absent });
        }
        cx.store().commit(batch).await.unwrap();
        (hub, cx)
    }

    #[tokio::test]
    async fn a_cursor_serves_its_own_list_alone() {
        let (hub, cx) = filled().await;
        let sizes = |from: i64, to: i64| Query::index("size").from(from).up_to(to).limit(2);
        let next = cx.page::<Note>(sizes(0, 8), None).await.unwrap().next.unwrap();
        let page = cx.page::<Note>(sizes(0, 8), Some(&next)).await.unwrap();
        assert_eq!(page.items.iter().map(|n| n.size).collect::<Vec<_>>(), [2, 3]);
        // The end of a range may move on between two pages.
        assert_eq!(cx.page::<Note>(sizes(0, 7), Some(&next)).await.unwrap().items.len(), 2);
        let others = [
            sizes(0, 8).descending(),
            Query::index("name").limit(2),
            Query::by_id().limit(2),
            Query::index("size").equals(3),
        ];
        for other in others {
            let error = cx.page::<Note>(other, Some(&next)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        }
        let bytes = URL_SAFE_NO_PAD.decode(&next).unwrap();
        for at in WORKSPACE_BYTES..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let flipped = URL_SAFE_NO_PAD.encode(flipped);
            let error = cx.page::<Note>(sizes(0, 8), Some(&flipped)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "byte {at}");
        }
        let other = hub.create_workspace("other").await.unwrap();
        let error = other.page::<Note>(sizes(0, 8), Some(&next)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    }

    #[tokio::test]
    async fn a_cursor_stays_short_whatever_the_key() {
        let (_hub, cx) = filled().await;
        let (mut seen, mut next) = (Vec::new(), None);
        loop {
            let page = cx.page::<Note>(Query::index("name").limit(1), next.as_deref()).await.unwrap();
            seen.extend(page.items.iter().map(|n| n.size));
            next = page.next;
            match &next {
                Some(cursor) => assert!(cursor.len() <= 256, "{}", cursor.len()),
                None => break,
            }
        }
        assert_eq!(seen, (0..9).collect::<Vec<_>>());
        assert_eq!(Note::KIND, KINDS[0].name);
    }
}
