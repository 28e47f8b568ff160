//! How blobs lie on disk: compressed with Zstandard (RFC 8878) where that pays.
//!
//! A blob goes by the hash of its plain bytes, and the hash tells the two forms apart: bytes that have it are the blob
//! itself, as all blobs of older stores are, and bytes that have not are a compressed frame of it.

#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
use std::cell::RefCell;

use super::memory::blob_hash;
use crate::{Error, ErrorKind, Result};

/// Bytes below which a blob stays plain: a page of the disk holds it anyway.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
const LEAST: usize = 512;
/// Bytes above which a blob stays plain, and the most that a frame may unpack to.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
const MOST: usize = 256 * 1024 * 1024;
/// The level of the reference implementation that is its default: text shrinks to about a third at 300 MB/s and more.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
const LEVEL: i32 = 3;

/// The form in which a blob is kept: compressed when that saves an eighth at least.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
pub(super) fn pack(bytes: Vec<u8>) -> Vec<u8> {
    if !(LEAST..=MOST).contains(&bytes.len()) {
        return bytes;
    }
    match compress(&bytes) {
        Ok(packed) if packed.len() <= bytes.len() - bytes.len() / 8 => packed,
        _ => bytes,
    }
}

#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    use zstd::bulk::Compressor;
    thread_local! {
        /// Making one costs more than a page of text does; one that had a large blob would hold megabytes.
        static SMALL: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    if bytes.len() > QUICK {
        return zstd::bulk::compress(bytes, LEVEL);
    }
    SMALL.with_borrow_mut(|kept| match kept {
        Some(compressor) => compressor.compress(bytes),
        None => kept.insert(Compressor::new(LEVEL)?).compress(bytes),
    })
}

/// Bytes up to which packing takes a quarter of a millisecond at most, less than a thread of its own is worth.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
const QUICK: usize = 64 * 1024;

/// The same, a large blob beside the async tasks.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) async fn pack_aside(bytes: Vec<u8>) -> Result<Vec<u8>> {
    if bytes.len() <= QUICK {
        return Ok(pack(bytes));
    }
    let done = tokio::task::spawn_blocking(move || pack(bytes)).await;
    done.map_err(|cause| Error::internal("store.blob_put", cause))
}

/// The plain bytes of a blob.
///
/// # Errors
/// `Corrupted` naming the hash when the bytes are neither the blob nor a frame of it.
pub(super) fn unpack(hash: &str, kept: Vec<u8>) -> Result<Vec<u8>> {
    if blob_hash(&kept) == hash {
        return Ok(kept);
    }
    frame(&kept).filter(|plain| blob_hash(plain) == hash).ok_or_else(|| {
        Error::new(ErrorKind::Corrupted, "store.blob_get", "the blob does not match its hash")
            .with_context("hash", hash)
    })
}

/// What a frame holds; none when it is damaged or too large.
#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
fn frame(kept: &[u8]) -> Option<Vec<u8>> {
    let size = zstd::zstd_safe::get_frame_content_size(kept).ok().flatten()?;
    let size = usize::try_from(size).ok().filter(|size| *size <= MOST)?;
    zstd::bulk::decompress(kept, size).ok()
}

/// A build without engines on disk has no frames.
#[cfg(not(any(feature = "postgres", feature = "sled", feature = "sqlite")))]
fn frame(_: &[u8]) -> Option<Vec<u8>> {
    None
}

#[cfg(any(feature = "postgres", feature = "sled", feature = "sqlite"))]
#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        (0..len).map(|n| b"a page of words, "[n % 17]).collect()
    }

    #[test]
    fn what_shrinks_is_kept_small_and_comes_back() {
        let plain = text(100_000);
        let kept = pack(plain.clone());
        assert!(kept.len() < plain.len() / 10, "{}", kept.len());
        assert_eq!(unpack(&blob_hash(&plain), kept).unwrap(), plain);
    }

    #[test]
    fn what_does_not_shrink_stays_as_it_is() {
        // A frame does not shrink again, and looks like one that was made here.
        let frame = pack((0..20_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect());
        for plain in [text(LEAST - 1), frame] {
            let kept = pack(plain.clone());
            assert_eq!(kept, plain);
            assert_eq!(unpack(&blob_hash(&plain), kept).unwrap(), plain);
        }
    }

    #[test]
    fn a_frame_that_claims_too_much_is_not_unpacked() {
        let plain = text(4096);
        let mut kept = pack(plain.clone());
        assert!(frame(&kept).is_some());
        // Descriptor of a single segment with a size of 8 bytes, then that size.
        let header = [&kept[..4], &[0b1110_0000], &(MOST as u64 + 1).to_le_bytes()].concat();
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&header).ok().flatten(), Some(MOST as u64 + 1));
        assert!(frame(&header).is_none());
        let last = kept.len() - 1;
        kept[last] ^= 1;
        let error = unpack(&blob_hash(&plain), kept).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted);
    }
}
