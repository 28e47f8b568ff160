//! Chance that can be repeated: one seed per hub, split per operation.

use std::fmt;

use rand::{Rng as _, SeedableRng};
use rand_chacha::ChaCha12Rng;
use sha2::{Digest, Sha256};

/// A 256-bit seed. Splitting it by labels gives independent seeds, so that what runs beside an operation
/// never changes the ids or draws inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    /// A seed from the operating system.
    #[must_use]
    pub fn from_entropy() -> Self {
        let mut bytes = [0; 32];
        if getrandom::fill(&mut bytes).is_err() {
            // Without a system source nothing secret is made from it: sealing asks the system itself and fails.
            bytes = Sha256::digest(format!("{:?}", std::time::SystemTime::now())).into();
        }
        Seed(bytes)
    }

    /// The seed that a fixed number stands for: same number, same draws.
    #[must_use]
    pub fn from_number(n: u64) -> Self {
        Seed(Sha256::new().chain_update(b"neonhub-seed-v1").chain_update(n.to_le_bytes()).finalize().into())
    }

    /// The seed of a part: same parent and labels, same child.
    #[must_use]
    pub fn split(&self, labels: &[&[u8]]) -> Self {
        let mut hash = Sha256::new().chain_update(self.0);
        for label in labels {
            hash.update((label.len() as u64).to_le_bytes());
            hash.update(label);
        }
        Seed(hash.finalize().into())
    }

    /// A generator that starts at this seed (ChaCha12, the same on every platform).
    #[must_use]
    pub fn rng(&self) -> Rng {
        Rng(ChaCha12Rng::from_seed(self.0))
    }
}

/// A seeded generator.
#[derive(Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// A number in `0..bound`; 0 when `bound` is 0. Unbiased (rejection).
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let zone = u64::MAX - (u64::MAX % bound) - 1;
        loop {
            let draw = self.next_u64();
            if draw <= zone {
                return draw % bound;
            }
        }
    }

    /// A number in 0..1 with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of `items`, or `None` when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_draws_and_labels_separate() {
        let seed = Seed::from_number(7);
        assert_eq!(seed.rng().next_u64(), seed.rng().next_u64());
        assert_ne!(seed.split(&[b"a", b"b"]), seed.split(&[b"ab"]));
        assert_ne!(seed.split(&[b"a"]), seed.split(&[b"b"]));
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Seed::from_number(1).rng();
        assert!((0..1000).all(|_| rng.below(7) < 7));
        assert_eq!(rng.below(0), 0);
    }
}
