//! Answers that do not fit their schema: kept for who must look at them, and given back to the model once.

use std::fmt;

use super::part::{Message, Part, Role, Taint};
use super::{Answer, Llm, LlmRequest, Usage};
use crate::{Error, Result};

/// An answer that does not fit the schema of its request: the source of an error with the code `invalid_output`. `Debug` and
/// `Display` say how long it is and no word of it.
pub struct BadAnswer {
    text: String,
    pub(super) usage: Usage,
}

impl BadAnswer {
    pub(super) fn new(text: String, usage: Usage) -> Self {
        BadAnswer { text, usage }
    }

    /// The answer behind an error, if there is one.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// What the model said, word for word. It may speak of people.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BadAnswer({} bytes)", self.text.len())
    }
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an answer of {} bytes", self.text.len())
    }
}

impl std::error::Error for BadAnswer {}

/// What is said to a model whose answer cannot be used: its own words, where they are known, and what is wrong with them.
#[must_use]
pub fn mending(said: Option<&str>, code: &str, message: &str) -> Vec<Message> {
    let said = said.filter(|said| !said.is_empty());
    let own = said.map(|said| Message::new(Role::Assistant, vec![Part::text(said).tainted(Taint::Model)]));
    let words = format!("Your answer cannot be used ({code}): {message}. Answer again and mend just that.");
    own.into_iter().chain([Message::new(Role::User, vec![Part::text(words)])]).collect()
}

/// Answers a request as [`Llm::complete`] does. An answer that does not fit the schema is given back once with all that is
/// wrong with it; the usage is that of both answers.
///
/// # Errors
/// As [`Llm::complete`]; behind `Corrupted`, code `invalid_output`, is the second answer ([`BadAnswer::of`]).
pub async fn repaired(model: &dyn Llm, request: LlmRequest) -> Result<Answer> {
    if request.output_schema.is_none() {
        return model.complete(request).await;
    }
    let error = match model.complete(request.clone()).await {
        Err(error) if error.code() == "invalid_output" => error,
        done => return done,
    };
    let bad = BadAnswer::of(&error);
    let mut again = request;
    again.messages.extend(mending(bad.map(BadAnswer::text), error.code(), error.message()));
    let mut answer = model.complete(again).await?;
    if let Some(bad) = bad {
        answer.usage = answer.usage.plus(&bad.usage);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;
    use crate::llm::Scripted;
    use serde_json::json;

    fn ask() -> LlmRequest {
        let schema = json!({ "type": "object", "required": ["n", "who"], "additionalProperties": false,
            "properties": { "n": { "type": "integer" }, "who": { "type": "string" } } });
        LlmRequest::new().user("how many?").output_schema(schema)
    }

    #[tokio::test]
    async fn a_bad_answer_is_given_back_once_with_all_that_is_wrong() {
        let model = Scripted::new().reply("{\"n\": \"jane\"}").reply("{\"n\": 3, \"who\": \"ada\"}");
        let answer = repaired(&model, ask()).await.unwrap();
        assert_eq!(answer.json, Some(json!({ "n": 3, "who": "ada" })));
        let second = model.requests().pop().unwrap();
        let [_, bad, words] = second.messages.as_slice() else { panic!("{second:?}") };
        assert_eq!((bad.role, bad.text().as_str()), (Role::Assistant, "{\"n\": \"jane\"}"));
        assert!(words.text().contains("n: ") && words.text().contains("who: "), "{}", words.text());
        model.finish();
    }

    #[tokio::test]
    async fn the_second_bad_answer_is_behind_the_error_and_not_in_its_words() {
        let model = Scripted::new().reply("none").reply("{\"n\": 3, \"to\": \"jane@example.org\"}");
        let error = repaired(&model, ask()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Corrupted, "invalid_output"));
        assert_eq!(BadAnswer::of(&error).unwrap().text(), "{\"n\": 3, \"to\": \"jane@example.org\"}");
        assert!(!format!("{error} {error:?}").contains("jane"), "{error:?}");
        model.finish();
    }

    #[tokio::test]
    async fn other_failures_and_answers_without_a_schema_are_not_asked_again() {
        let model = Scripted::new().reply("words");
        assert_eq!(repaired(&model, LlmRequest::new().user("hi")).await.unwrap().text, "words");
        model.finish();
    }
}
