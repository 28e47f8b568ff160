//! Cursors of streams: opaque, signed, bound to their workspace.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::seal::constant_time_eq;
use crate::{Error, ErrorKind, Result, Scope};

/// Bytes of the tag: 96 bits.
const TAG_BYTES: usize = 12;
/// Bytes of the place.
const PLACE_BYTES: usize = 10;

/// The cursor behind a place in the feed.
pub(super) fn make(cx: &Scope, (seq, sub): (u64, u16)) -> String {
    let mut bytes = seq.to_be_bytes().to_vec();
    bytes.extend(sub.to_be_bytes());
    let tag = sign(cx, &bytes);
    bytes.extend(tag.iter().take(TAG_BYTES));
    bytes.extend(cx.workspace().as_str().as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place of a cursor.
///
/// # Errors
/// `InvalidInput` for one that was changed, `PermissionDenied` for one of another workspace.
pub(super) fn open(cx: &Scope, operation: &'static str, cursor: &str) -> Result<(u64, u16)> {
    let bad =
        || Error::invalid(operation, "cursor", "expected the cursor of an item of this stream, unchanged");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    let (place, rest) = bytes.split_first_chunk::<PLACE_BYTES>().ok_or_else(bad)?;
    let (tag, workspace) = rest.split_first_chunk::<TAG_BYTES>().ok_or_else(bad)?;
    if workspace != cx.workspace().as_str().as_bytes() {
        return Err(Error::new(
            ErrorKind::PermissionDenied,
            operation,
            "the cursor belongs to another workspace",
        ));
    }
    if !constant_time_eq(tag, sign(cx, place).get(..TAG_BYTES).unwrap_or_default()) {
        return Err(bad());
    }
    let (seq, sub) = place.split_first_chunk::<8>().ok_or_else(bad)?;
    let sub = <[u8; 2]>::try_from(sub).map_err(|_| bad())?;
    Ok((u64::from_be_bytes(*seq), u16::from_be_bytes(sub)))
}

fn sign(cx: &Scope, place: &[u8]) -> [u8; 32] {
    cx.sealer().blind("stream-cursor", &crate::store_hex(place))
}
