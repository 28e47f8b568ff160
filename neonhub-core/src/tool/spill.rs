//! Answers too long for a model: kept aside, sealed, and read piece by piece.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::find;
use crate::op::{Effect, Operation};
use crate::scope::Principal;
use crate::store::Record;
use crate::{Error, Permission, Result, Scope, Sealed};

/// Bytes of the answer shown at either end.
const SHOWN: usize = 2_000;
/// Most bytes of one piece.
const MAX_PIECE: u32 = 64 << 10;
const KIND: &str = "tool_result";

/// An answer kept aside. Its text is sealed: it may hold contact values.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ToolResult {
    /// Its handle.
    pub id: String,
    /// The tool.
    pub tool: String,
    /// Who called, and for an agent on whose behalf; nobody else reads it.
    pub caller: String,
    /// Rights of the caller at the call, so that a narrower scope of the same caller reads nothing more.
    pub rights: Vec<Permission>,
    /// The answer as JSON text.
    pub text: Sealed,
}

impl Record for ToolResult {
    const KIND: &'static str = KIND;
    fn id(&self) -> &str {
        &self.id
    }
}

/// What is told of an answer that was kept aside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpilledResult {
    /// For `tools.read_result`.
    pub handle: String,
    /// Length of the answer as JSON text, in bytes.
    pub size_bytes: u64,
    /// Its beginning.
    pub head: String,
    /// Its end.
    pub tail: String,
}

impl SpilledResult {
    /// What a model reads in the place of the answer.
    pub(crate) fn outline(&self) -> Value {
        let note =
            format!("too long to be read at once: {} gives the rest by this handle", ReadToolResult::NAME);
        json!({
            "is_cut": true,
            "handle": self.handle,
            "size_bytes": self.size_bytes,
            "head": self.head,
            "tail": self.tail,
            "note": note
        })
    }
}

/// An answer that is longer than its tool may give out at once: the record to keep, which the caller stages in the commit of
/// the answer, and what is told of it. None for a shorter one.
pub(crate) fn aside(cx: &Scope, tool: &str, output: &Value) -> Result<Option<(ToolResult, SpilledResult)>> {
    let text = output.to_string();
    if text.len() as u64 <= find::result_cap(cx, tool) {
        return Ok(None);
    }
    let record = ToolResult {
        id: cx.new_id("trs"),
        tool: tool.to_owned(),
        caller: caller(cx),
        rights: cx.permission_words(),
        text: cx.sealer().seal(KIND, "text", &text)?,
    };
    let told = SpilledResult {
        handle: record.id.clone(),
        size_bytes: text.len() as u64,
        head: text.get(..floor(&text, SHOWN)).unwrap_or_default().to_owned(),
        tail: text.get(floor(&text, text.len().saturating_sub(SHOWN))..).unwrap_or_default().to_owned(),
    };
    Ok(Some((record, told)))
}

fn caller(cx: &Scope) -> String {
    match cx.principal() {
        Principal::Agent { acts_for, .. } => format!("{} for {acts_for}", cx.label()),
        _ => cx.label().to_owned(),
    }
}

/// The last boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Reads a piece of a tool's answer that was too long to be given out at once.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReadToolResult {
    /// `handle` of the spilled result.
    pub handle: String,
    /// Where to begin, in bytes of the text; `next` of the piece before. With `query`: where to begin searching.
    pub offset: u64,
    /// Most bytes of the piece, 1..65 536. Default 8 192.
    pub limit: Option<u32>,
    /// Begins a little before the next place that holds this text, in any case of its letters.
    pub query: Option<String>,
}

/// A piece of a tool's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolResultPiece {
    /// The piece; empty when `query` was not found.
    pub text: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// Where the next piece begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// Length of the whole answer, in bytes.
    pub size_bytes: u64,
}

impl Operation for ReadToolResult {
    type Output = ToolResultPiece;
    const NAME: &'static str = "tools.read_result";
    // The handle is bound to its caller and its rights, and an agent whose tool answered at length may hold no others.
    const NEEDS: &'static [Permission] = &[];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<ToolResultPiece> {
        let limit = self.limit.unwrap_or(8_192);
        if !(1..=MAX_PIECE).contains(&limit) {
            return Err(Error::invalid(Self::NAME, "limit", "expected 1..65 536"));
        }
        let stored = cx.need::<ToolResult>(&self.handle).await?;
        let may = stored.caller == caller(cx) && stored.rights.iter().all(|word| cx.permissions().has(*word));
        if !may {
            return Err(cx.missing(KIND));
        }
        let text = cx.sealer().open(KIND, "text", &stored.text)?;
        Ok(piece(text.expose(), self.offset, limit as usize, self.query.as_deref()))
    }

    fn examples() -> Vec<Self> {
        let handle = "trs_01hf7yat00e1h8000000000000".to_owned();
        let query = Some("sencha".to_owned());
        vec![ReadToolResult { handle, offset: 0, limit: Some(4_096), query }]
    }
}

fn piece(text: &str, offset: u64, limit: usize, query: Option<&str>) -> ToolResultPiece {
    let size_bytes = text.len() as u64;
    let mut from = floor(text, usize::try_from(offset).unwrap_or(usize::MAX));
    if let Some(query) = query.filter(|query| !query.is_empty()) {
        // ASCII folding keeps byte positions as they are.
        let rest = text.get(from..).unwrap_or_default().to_ascii_lowercase();
        match rest.find(&query.to_ascii_lowercase()) {
            Some(at) => from = floor(text, (from + at).saturating_sub(200).max(from)),
            None => {
                return ToolResultPiece { text: String::new(), offset: size_bytes, next: None, size_bytes };
            }
        }
    }
    let mut to = floor(text, from.saturating_add(limit));
    if to == from {
        // One character is longer than the limit: it is given out all the same, or reading would stand still.
        to = text.get(from..).and_then(|rest| rest.chars().next()).map_or(from, |c| from + c.len_utf8());
    }
    ToolResultPiece {
        text: text.get(from..to).unwrap_or_default().to_owned(),
        offset: from as u64,
        next: (to < text.len()).then_some(to as u64),
        size_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_whole_at_any_limit() {
        let text = "ein schöner Tee aus Übersee, 20 €";
        for limit in 1..12 {
            let (mut all, mut at) = (String::new(), 0);
            loop {
                let piece = piece(text, at, limit, None);
                all.push_str(&piece.text);
                let Some(next) = piece.next else { break };
                assert!(next > at);
                at = next;
            }
            assert_eq!(all, text, "{limit}");
        }
    }

    #[test]
    fn a_query_finds_its_place() {
        let text = format!("{}Sencha{}", "x".repeat(1000), "y".repeat(1000));
        let found = piece(&text, 0, 300, Some("sencha"));
        assert_eq!(found.offset, 800);
        assert!(found.text.contains("Sencha"));
        assert_eq!(piece(&text, 1100, 300, Some("sencha")).text, "");
    }
}
