//! Chooses what fits, without I/O.

use neonhub_core::llm::Taint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chunk::count_tokens;

/// Least size of a piece that is cut off an item, in tokens; a shorter one says nothing.
pub(super) const LEAST_CUT: u32 = 100;

/// A part of a context. The order is the one in which the budget is given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// What to do.
    Instructions,
    /// The form of the answer.
    OutputSchema,
    /// How the brand writes.
    BrandVoice,
    /// What it is about.
    TaskInput,
    /// What is known to be so.
    VerifiedFacts,
    /// Passages of documents.
    Retrieved,
    /// What is remembered.
    Memory,
    /// The last messages.
    Conversation,
    /// Good answers of the past.
    Examples,
}

impl PartKind {
    /// Every part, by priority.
    pub const ALL: [Self; 9] = [
        Self::Instructions,
        Self::OutputSchema,
        Self::BrandVoice,
        Self::TaskInput,
        Self::VerifiedFacts,
        Self::Retrieved,
        Self::Memory,
        Self::Conversation,
        Self::Examples,
    ];

    /// Place in the finished context: what stays the same from call to call comes first, so that a provider can keep
    /// it; the talk comes last.
    fn place(self) -> u8 {
        match self {
            Self::Instructions => 0,
            Self::OutputSchema => 1,
            Self::BrandVoice => 2,
            Self::Examples => 3,
            Self::VerifiedFacts => 4,
            Self::Retrieved => 5,
            Self::Memory => 6,
            Self::Conversation => 7,
            Self::TaskInput => 8,
        }
    }

    /// Parts that are whole or wrong: nothing of them is dropped.
    fn is_needed(self) -> bool {
        matches!(self, Self::Instructions | Self::OutputSchema | Self::TaskInput)
    }
}

/// One thing that may stand in a context.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) text: String,
    /// Larger is kept longer.
    pub(super) score: f32,
    pub(super) taint: Taint,
    pub(super) citation: Option<String>,
    /// True when it may be cut at its end.
    pub(super) can_be_cut: bool,
    /// True when it comes before all else of its part: the summary of the talk before.
    pub(super) leads: bool,
}

/// A part with its limits, in tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ContextPart {
    /// Which part.
    pub(super) kind: PartKind,
    /// What it gets before any other takes more than its own least.
    pub(super) min: u32,
    /// What it gets at most.
    pub(super) max: u32,
    pub(super) items: Vec<Item>,
}

/// One block of a finished context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContextBlock {
    /// The part it belongs to.
    pub part: PartKind,
    /// Where it comes from: id of a chunk, memory or message, or the name that was given.
    pub id: String,
    /// The text as the model gets it. Text of others stands between marks that say so.
    pub text: String,
    /// Its size in tokens.
    pub tokens: u32,
    /// How far it can be trusted. The label goes on to what is made from it.
    pub taint: Taint,
    /// Where it stands, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citation: Option<String>,
    /// True when its end was cut off.
    pub cut: bool,
}

/// Something that was left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// The part it would have belonged to.
    pub part: PartKind,
    /// Its id.
    pub id: String,
    /// Why: `budget`, `purpose`, `consent`, or `too_old` for talk before what fits.
    pub reason: String,
}

/// What was chosen.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) blocks: Vec<ContextBlock>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) tokens: u32,
}

/// Fills the budget: first the least of every part, then up to its most, both by priority. Within a part the best
/// scores come first; of a conversation the newest. The sum never exceeds the budget.
///
/// # Errors
/// The tokens that are missing, when a part that is needed does not fit.
pub(super) fn choose(parts: &[ContextPart], budget: u32) -> Result<Chosen, u32> {
    let mut parts: Vec<&ContextPart> = parts.iter().collect();
    parts.sort_by_key(|p| p.kind);
    let mut queues: Vec<Queue<'_>> = parts.iter().map(|part| Queue::of(part)).collect();
    let mut left = budget;
    for queue in queues.iter_mut().filter(|q| q.part.kind.is_needed()) {
        let needed: u32 = queue.rest.iter().map(|(_, item)| tokens(&render(item))).sum();
        left = left.checked_sub(needed).ok_or(needed.saturating_sub(left))?;
        queue.take(needed, true);
    }
    for is_least in [true, false] {
        for queue in queues.iter_mut().filter(|q| !q.part.kind.is_needed()) {
            let most = if is_least { queue.part.min.min(queue.part.max) } else { queue.part.max };
            let limit = most.saturating_sub(queue.used).min(left);
            let before = queue.used;
            queue.take(limit, !is_least);
            left -= queue.used - before;
        }
    }
    Ok(finish(queues))
}

/// The items of a part that wait, best first, and what was taken.
struct Queue<'a> {
    part: &'a ContextPart,
    rest: Vec<(usize, &'a Item)>,
    taken: Vec<(usize, ContextBlock)>,
    used: u32,
}

impl<'a> Queue<'a> {
    fn of(part: &'a ContextPart) -> Self {
        let mut rest: Vec<(usize, &Item)> = part.items.iter().enumerate().collect();
        match part.kind {
            PartKind::Conversation => {
                rest.reverse();
                rest.sort_by_key(|(_, item)| !item.leads);
            }
            kind if kind.is_needed() => {}
            _ => rest.sort_by(|a, b| b.1.score.total_cmp(&a.1.score).then(a.0.cmp(&b.0))),
        }
        Self { part, rest, taken: Vec::new(), used: 0 }
    }

    /// Takes what fits into `limit`. Talk has no gaps: what is older than the first that does not fit waits.
    fn take(&mut self, limit: u32, may_cut: bool) {
        let mut left = limit;
        let mut waiting = Vec::new();
        let mut is_full = false;
        for (at, item) in std::mem::take(&mut self.rest) {
            let text = render(item);
            let size = tokens(&text);
            let is_held = is_full && self.part.kind == PartKind::Conversation;
            let block = if size <= left && !is_held {
                Some(self.block(item, text, size, false))
            } else if may_cut && item.can_be_cut && left >= LEAST_CUT && !is_held {
                cut(item, left).map(|(text, size)| self.block(item, text, size, true))
            } else {
                None
            };
            match block {
                Some(block) => {
                    left -= block.tokens;
                    self.used += block.tokens;
                    self.taken.push((at, block));
                }
                None => {
                    is_full |= !item.leads;
                    waiting.push((at, item));
                }
            }
        }
        self.rest = waiting;
    }

    fn block(&self, item: &Item, text: String, tokens: u32, cut: bool) -> ContextBlock {
        ContextBlock {
            part: self.part.kind,
            id: item.id.clone(),
            text,
            tokens,
            taint: item.taint,
            citation: item.citation.clone(),
            cut,
        }
    }
}

fn finish(queues: Vec<Queue<'_>>) -> Chosen {
    let mut out = Chosen::default();
    for mut queue in queues {
        out.tokens += queue.used;
        if queue.part.kind == PartKind::Conversation {
            queue.taken.sort_by_key(|(at, _)| *at);
        }
        let reason = if queue.part.kind == PartKind::Conversation { "too_old" } else { "budget" };
        out.blocks.extend(queue.taken.into_iter().map(|(_, block)| block));
        out.dropped.extend(queue.rest.into_iter().map(|(_, item)| Dropped {
            part: queue.part.kind,
            id: item.id.clone(),
            reason: reason.to_owned(),
        }));
    }
    out.blocks.sort_by_key(|block| block.part.place());
    out
}

pub(super) fn tokens(text: &str) -> u32 {
    count_tokens(text)
}

/// The start of an item that fits into `limit` with its marks, cut between words, when it is long enough.
fn cut(item: &Item, limit: u32) -> Option<(String, u32)> {
    // Words are cut off at the end until it fits; the first guess is near because a token is about four bytes.
    let mut end = (limit as usize).saturating_mul(4).min(item.text.len());
    loop {
        while !item.text.is_char_boundary(end) {
            end -= 1;
        }
        let head = item.text.get(..end)?;
        let head =
            head.rfind(char::is_whitespace).and_then(|at| head.get(..at)).unwrap_or_default().trim_end();
        let text = render(&Item { text: format!("{head} \u{2026}"), ..item.clone() });
        let size = tokens(&text);
        if size <= limit {
            return (tokens(head) >= LEAST_CUT.min(limit / 2) && size >= LEAST_CUT).then_some((text, size));
        }
        end = head.len();
        if end == 0 {
            return None;
        }
    }
}

/// The text as the model gets it. What others wrote stands between marks with its id, and cannot end them.
pub(super) fn render(item: &Item) -> String {
    if item.taint == Taint::FirstParty {
        return item.text.clone();
    }
    let label = match item.taint {
        Taint::FirstParty => "first_party",
        Taint::User => "user",
        Taint::Model => "model",
        Taint::Retrieved => "retrieved",
        Taint::Web => "web",
        Taint::ThirdPartyTool => "third_party_tool",
    };
    let source: String =
        item.id.chars().map(|c| if c.is_control() || "\"<>".contains(c) { '_' } else { c }).collect();
    let inner =
        item.text.replace("<<<", "\u{2039}\u{2039}\u{2039}").replace(">>>", "\u{203a}\u{203a}\u{203a}");
    format!("<<<data label={label} source=\"{source}\">>>\n{inner}\n<<<end of data>>>")
}
