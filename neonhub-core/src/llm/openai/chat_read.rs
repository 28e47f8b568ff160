//! Chat Completions: what comes back.

use serde_json::Value;

use super::usage::CHAT;
use crate::llm::answer::{Delta, StopKind};
use crate::llm::wire::{Decoder, Fault, Step, arguments, list, object, text, tool_in};

/// One tool call that is being put together.
#[derive(Debug, Default)]
struct Call {
    index: u64,
    id: String,
    name: String,
    /// Arguments that came before the name.
    early: String,
    is_started: bool,
}

/// Reads the chunks of one answer.
#[derive(Debug)]
pub(super) struct ChatReader {
    /// The stream must end with `[DONE]`.
    is_marked: bool,
    calls: Vec<Call>,
    finish: Option<String>,
    refusal: String,
    usage: Option<Value>,
    is_said: bool,
}

impl ChatReader {
    pub(super) fn new(is_marked: bool) -> Self {
        ChatReader {
            is_marked,
            calls: Vec::new(),
            finish: None,
            refusal: String::new(),
            usage: None,
            is_said: false,
        }
    }

    /// The words of a chunk or of a whole message.
    fn words(&mut self, message: &Value, choice: u32, out: &mut Vec<Delta>) {
        for field in ["reasoning_content", "reasoning"] {
            if let Some(thought) = text(message, field) {
                out.push(Delta::Reasoning { text: thought.to_owned() });
                break;
            }
        }
        if let Some(words) = text(message, "content") {
            self.is_said = true;
            out.push(Delta::Text { choice, text: words.to_owned() });
        }
        // Some servers send parts instead of text.
        for part in list(message, "content") {
            if let (Some("text"), Some(words)) = (text(part, "type"), text(part, "text")) {
                self.is_said = true;
                out.push(Delta::Text { choice, text: words.to_owned() });
            }
        }
        if let Some(words) = text(message, "refusal") {
            self.refusal.push_str(words);
        }
        for (position, piece) in list(message, "tool_calls").iter().enumerate() {
            self.call(position as u64, piece, out);
        }
    }

    fn call(&mut self, position: u64, piece: &Value, out: &mut Vec<Delta>) {
        let id = text(piece, "id");
        let function = object(piece, "function").unwrap_or(piece);
        let index = piece.get("index").and_then(Value::as_u64).unwrap_or_else(|| self.place(position, id));
        let at = match self.calls.iter().position(|call| call.index == index) {
            Some(at) => at,
            None => {
                self.calls.push(Call { index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        // The first one that says something counts: some servers repeat both in every piece.
        if let (true, false, Some(id)) = (call.id.is_empty(), call.is_started, id) {
            id.clone_into(&mut call.id);
        }
        if let (true, Some(name)) = (call.name.is_empty(), text(function, "name")) {
            call.name = tool_in(name);
        }
        let json = arguments(function.get("arguments")).unwrap_or_default();
        if call.name.is_empty() {
            call.early.push_str(&json);
            return;
        }
        if !std::mem::replace(&mut call.is_started, true) {
            if call.id.is_empty() {
                call.id = format!("call_{index}");
            }
            out.push(Delta::ToolCallStart { id: call.id.clone(), name: call.name.clone() });
        }
        let json = std::mem::take(&mut call.early) + &json;
        if !json.is_empty() {
            out.push(Delta::ToolCallArgs { id: call.id.clone(), json });
        }
    }

    /// Where a piece without an index belongs: to the call of its id, else to its position, else behind the others.
    fn place(&self, position: u64, id: Option<&str>) -> u64 {
        let known = id.and_then(|id| self.calls.iter().find(|call| call.id == id));
        let is_taken =
            id.is_some() && self.calls.iter().any(|call| call.index == position && !call.id.is_empty());
        match known {
            Some(call) => call.index,
            None if is_taken => self.calls.len() as u64,
            None => position,
        }
    }

    fn choice(&mut self, choice: &Value, message: &str, out: &mut Vec<Delta>) {
        let index = choice.get("index").and_then(Value::as_u64).and_then(|i| u32::try_from(i).ok());
        if let Some(message) = object(choice, message) {
            self.words(message, index.unwrap_or(0), out);
        }
        if let Some(reason) = text(choice, "finish_reason") {
            self.finish = Some(reason.to_owned());
        }
    }

    fn close(&mut self, out: &mut Vec<Delta>) -> Step {
        for call in self.calls.iter().filter(|call| call.is_started) {
            out.push(Delta::ToolCallEnd { id: call.id.clone() });
        }
        if let Some(usage) = &self.usage {
            out.push(Delta::Usage(CHAT.read(usage)));
        }
        let has_calls = self.calls.iter().any(|call| call.is_started);
        let stop = match self.finish.take().as_deref() {
            _ if !self.refusal.is_empty() => StopKind::Refused { why: std::mem::take(&mut self.refusal) },
            Some("content_filter") => StopKind::Refused { why: "content_filter".into() },
            Some("length") => StopKind::Length,
            _ if has_calls => StopKind::ToolCalls,
            None | Some("stop" | "tool_calls" | "function_call") => StopKind::Done,
            Some(other) => StopKind::Other(other.to_owned()),
        };
        out.push(Delta::Done(stop));
        Step::Over
    }
}

impl Decoder for ChatReader {
    fn event(&mut self, event: &Value, out: &mut Vec<Delta>) -> Result<Step, Fault> {
        for choice in list(event, "choices") {
            self.choice(choice, "delta", out);
        }
        if let Some(usage) = object(event, "usage") {
            self.usage = Some(usage.clone());
        }
        Ok(Step::More)
    }

    fn marker(&mut self, out: &mut Vec<Delta>) -> Result<Step, Fault> {
        // Servers that give no reason to stop have at least said something.
        if self.finish.is_none() && !self.is_said && self.calls.is_empty() && self.refusal.is_empty() {
            return Err(Fault::Truncated);
        }
        Ok(self.close(out))
    }

    fn end(&mut self, out: &mut Vec<Delta>) -> Result<(), Fault> {
        if self.is_marked || self.finish.is_none() {
            return Err(Fault::Truncated);
        }
        self.close(out);
        Ok(())
    }

    fn whole(&mut self, body: &Value, out: &mut Vec<Delta>) -> Result<(), Fault> {
        let choices = list(body, "choices");
        if choices.is_empty() {
            return Err(Fault::Undecodable("expected `choices` in the answer"));
        }
        for choice in choices {
            self.choice(choice, "message", out);
        }
        self.usage = object(body, "usage").cloned();
        self.close(out);
        Ok(())
    }
}
