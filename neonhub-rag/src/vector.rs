//! Vectors as text: half-precision numbers, little endian, in base64.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use neonhub_core::{Error, ErrorKind, Result};

use crate::index::{from_half, to_half};

/// A vector as text.
pub(crate) fn encode(vector: &[f32]) -> String {
    let bytes: Vec<u8> = vector.iter().flat_map(|v| to_half(*v).to_le_bytes()).collect();
    BASE64_STANDARD.encode(bytes)
}

/// The vector back, to half precision.
///
/// # Errors
/// `Corrupted` when the text is no vector.
pub(crate) fn decode(text: &str) -> Result<Vec<f32>> {
    let bytes = BASE64_STANDARD.decode(text).map_err(|e| {
        Error::new(ErrorKind::Corrupted, "knowledge.vector", "the stored vector cannot be read")
            .with_source(e)
    })?;
    Ok(bytes.as_chunks::<2>().0.iter().map(|b| from_half(u16::from_le_bytes(*b))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_vector_is_the_same_after_each_round() {
        let vector = crate::OfflineHash::new().vector("our tone is warm");
        let once = decode(&encode(&vector)).unwrap();
        assert!(vector.iter().zip(&once).all(|(a, b)| (a - b).abs() < 1e-3));
        assert_eq!(decode(&encode(&once)).unwrap(), once);
        assert!(decode("no base64!").is_err());
    }
}
