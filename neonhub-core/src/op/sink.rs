//! Where words go out of reach, or stay and speak again.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::llm::Taint;

/// What a call of an operation or tool lets out, or lets in for good. Each declares which words it takes from an agent without a
/// person's yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sink {
    /// A message to people.
    Send,
    /// A post that anybody may read.
    Publish,
    /// Money, or how much of it may be spent.
    Spend,
    /// Records given out as a file or page to keep, or words in an address that is fetched.
    Export,
    /// What later runs are told or do, without knowing where it came from.
    MemoryWrite,
}

impl Sink {
    /// Every sink.
    pub const ALL: &'static [Sink] =
        &[Sink::Send, Sink::Publish, Sink::Spend, Sink::Export, Sink::MemoryWrite];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Sink::Send => "send",
            Sink::Publish => "publish",
            Sink::Spend => "spend",
            Sink::Export => "export",
            Sink::MemoryWrite => "memory_write",
        }
    }

    /// Whether words of this label reach it without a person's yes: those of the host, its users and its models, when
    /// these had read nothing else.
    #[must_use]
    pub const fn accepts(self, taint: Taint) -> bool {
        match self {
            Sink::Send | Sink::Publish | Sink::Spend | Sink::Export | Sink::MemoryWrite => {
                !taint.is_foreign()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sink_takes_foreign_words_and_all_take_those_of_users() {
        for sink in Sink::ALL {
            assert!([Taint::FirstParty, Taint::User, Taint::Model].iter().all(|t| sink.accepts(*t)));
            let foreign = [Taint::Retrieved, Taint::Web, Taint::ThirdPartyTool];
            assert!(!foreign.iter().any(|t| sink.accepts(*t)), "{}", sink.word());
        }
    }
}
