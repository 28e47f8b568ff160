//! The root of a hash tree over entries.
// RFC 6962, section 2.1: leaves and nodes are hashed with different first bytes.

use sha2::{Digest, Sha256};

/// The root over hashes in their order; of none, the hash of nothing.
pub(super) fn root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [one] => Sha256::new().chain_update([0]).chain_update(one).finalize().into(),
        many => {
            // The largest power of two below the count.
            let half = 1 << (usize::BITS - 1 - (many.len() - 1).leading_zeros());
            let (left, right) = many.split_at(half);
            Sha256::new()
                .chain_update([1])
                .chain_update(root(left))
                .chain_update(root(right))
                .finalize()
                .into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_hang_on_every_leaf_and_their_order() {
        let leaves: Vec<[u8; 32]> = (0..7_u8).map(|n| [n; 32]).collect();
        let whole = root(&leaves);
        for n in 0..7 {
            let mut other = leaves.clone();
            other[n][31] ^= 1;
            assert_ne!(root(&other), whole);
        }
        let mut turned = leaves.clone();
        turned.swap(2, 5);
        assert_ne!(root(&turned), whole);
        assert_ne!(root(&leaves[..6]), whole);
        // RFC 6962: the tree of nothing is the hash of nothing.
        assert_eq!(crate::store_hex(&root(&[]))[..16], *"e3b0c44298fc1c14");
    }
}
