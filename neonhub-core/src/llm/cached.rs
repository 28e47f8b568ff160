//! Where the stable prefix of a request may be cached.

use super::{CacheHint, LlmRequest, Role};

impl LlmRequest {
    /// Marks the prefix that the next request begins with as well: after the tools, after the instructions, and after the last
    /// two messages that are not the model's own, so that a conversation that grew finds what it was before. Marks that are
    /// there stay alone.
    #[must_use]
    pub fn cached(mut self) -> Self {
        if !self.cache_hints.is_empty() {
            return self;
        }
        if !self.tools.is_empty() {
            self.cache_hints.push(CacheHint::Tools);
        }
        if !self.system.is_empty() {
            self.cache_hints.push(CacheHint::System);
        }
        let told = self.messages.iter().enumerate().rev().filter(|(_, m)| m.role != Role::Assistant);
        let last = told.filter_map(|(at, _)| u32::try_from(at).ok()).take(2);
        self.cache_hints.extend(last.map(CacheHint::Message));
        self
    }
}
