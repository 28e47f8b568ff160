//! Names that providers accept, and the way back.

use sha2::{Digest, Sha256};

use crate::llm::hex;

/// A tool's name for a provider: `[a-zA-Z0-9_-]{1,64}`. Ours hold dots and no hyphens, so a hyphen stands for a dot.
pub(crate) fn tool_out(name: &str) -> String {
    name.replace('.', "-")
}

/// A tool's name as we know it.
pub(in crate::llm) fn tool_in(name: &str) -> String {
    name.replace('-', ".")
}

/// The id of a call as any provider takes it. Ids that travelled from another provider or a plan may hold other
/// characters or be longer than 64; they get a stable name of their own, the same for the call and its result.
pub(in crate::llm) fn call_id(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) {
        return id.to_owned();
    }
    let digest = hex(&Sha256::digest(id));
    format!("call_{}", digest.get(..32).unwrap_or(&digest))
}

/// Whose reasoning it is: that of one model, as no other can read it.
pub(in crate::llm) fn bound(provider: &str, model: &str) -> String {
    format!("{provider}/{model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_out_and_come_back() {
        for name in ["weather.get", "a_b.c", "plain"] {
            assert_eq!(tool_in(&tool_out(name)), name);
            assert!(tool_out(name).bytes().all(|b| b != b'.'));
        }
        assert_eq!(call_id("toolu_1"), "toolu_1");
        let (odd, long) = (call_id("step 1/é"), call_id(&"x".repeat(65)));
        assert!(odd.len() <= 64 && odd != long && odd == call_id("step 1/é"));
    }
}
