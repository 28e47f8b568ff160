//! The four formats: where they are spoken, and how an error is said in them.

use serde_json::{Value, json};

use super::render::{data, line, named};
use super::server::Reaction;

/// The name of every request.
const REQUEST: &str = "req_mock";

/// A wire format, by the address it is spoken at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Chat,
    Responses,
    Messages,
    Ollama,
}

impl Speech {
    /// By the address of a request, without its query.
    pub(crate) fn of(route: &str) -> Option<Self> {
        match route {
            "/v1/chat/completions"
            | "/v1/embeddings"
            | "/v1/images/generations"
            | "/v1/images/edits"
            | "/v1/models"
            | "/v1/moderations" => Some(Speech::Chat),
            "/v1/responses" => Some(Speech::Responses),
            "/v1/messages" | "/v1/messages/count_tokens" => Some(Speech::Messages),
            "/api/chat" | "/api/embed" | "/api/tags" => Some(Speech::Ollama),
            _ => None,
        }
    }

    /// A body with the header that names the request.
    pub(crate) fn json(self, status: u16, body: &Value) -> Reaction {
        let mut reaction = Reaction::json(status, body);
        reaction.headers.extend(self.request_id());
        reaction
    }

    /// The header that names the request.
    pub(super) fn request_id(self) -> Option<(String, String)> {
        let name = match self {
            Speech::Chat | Speech::Responses => "x-request-id",
            Speech::Messages => "request-id",
            Speech::Ollama => return None,
        };
        Some((name.to_owned(), REQUEST.to_owned()))
    }

    /// An error with this status, in the words that the provider has for it.
    pub(crate) fn failed(self, status: u16, message: &str) -> Reaction {
        // Anthropic's error page, and the errors of the `OpenAI` specification 2.3.0, read in 2026.
        let (kind, code) = match (self, status) {
            (Speech::Messages, 400) => ("invalid_request_error", None),
            (Speech::Messages, 401) => ("authentication_error", None),
            (Speech::Messages, 402) => ("billing_error", None),
            (Speech::Messages, 403) => ("permission_error", None),
            (Speech::Messages, 404) => ("not_found_error", None),
            (Speech::Messages, 409) => ("conflict_error", None),
            (Speech::Messages, 413) => ("request_too_large", None),
            (Speech::Messages, 504) => ("timeout_error", None),
            (Speech::Messages, 529) => ("overloaded_error", None),
            (Speech::Messages, _) => ("api_error", None),
            (_, 401) => ("invalid_request_error", Some("invalid_api_key")),
            (_, 404) => ("invalid_request_error", Some("model_not_found")),
            (_, 503) => ("service_unavailable_error", Some("server_is_overloaded")),
            (_, ..500) => ("invalid_request_error", None),
            (_, _) => ("server_error", None),
        };
        self.json(status, &self.error(kind, code, message))
    }

    /// The body of an error.
    pub(crate) fn error(self, kind: &str, code: Option<&str>, message: &str) -> Value {
        match self {
            Speech::Chat | Speech::Responses => {
                json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
            }
            Speech::Messages => {
                let mut error = json!({ "type": kind, "message": message });
                if let (Some(code), Some(map)) =
                    (code.filter(|c| *c != "rate_limit_exceeded"), error.as_object_mut())
                {
                    map.insert("details".into(), json!({ "error_code": code }));
                }
                json!({ "type": "error", "error": error, "request_id": REQUEST })
            }
            Speech::Ollama => json!({ "error": message }),
        }
    }

    /// An error in the middle of a stream: the provider is overloaded.
    ///
    /// `before` events went out.
    pub(crate) fn error_event(self, before: usize) -> Vec<u8> {
        match self {
            Speech::Chat => data(&self.error("server_error", Some("server_error"), "the server broke")),
            Speech::Responses => named(&json!({
                "type": "error", "code": "server_error", "message": "the server broke", "param": null,
                "sequence_number": before,
            })),
            Speech::Messages => named(&self.error("overloaded_error", None, "Overloaded")),
            Speech::Ollama => line(&self.error("", None, "the runner stopped")),
        }
    }
}
