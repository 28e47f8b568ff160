#![allow(clippy::needless_pass_by_value, reason = "JSON literals of tests")]

use serde_json::{Value, json};

use super::*;

fn text(operations: Value, name: &str) -> String {
    let all =
        json!({ "version": "0.0.0", "operations": operations, "error_kinds": ["internal", "not_found"] });
    let files = files(&serde_json::from_value(all).unwrap()).unwrap();
    files.into_iter().find(|file| file.path.ends_with(name)).unwrap().text
}

fn operation(name: &str, input: Value, output: Value) -> Value {
    json!([{
        "name": name, "doc": "Does */ it.", "input": input, "output": output, "needs": ["read:people"],
        "effect": "read", "errors": ["gone"], "examples": [{}],
    }])
}

#[test]
fn a_function_has_typed_arguments_and_docs() {
    let input = json!({ "type": "object", "title": "Find", "required": ["in"], "properties": {
        "in": { "type": "integer", "description": "First." },
        "has_tags": { "type": "array", "items": { "type": "string" }, "default": [] },
    } });
    let output = json!({ "type": "array", "items": { "type": "string" } });
    let text = text(operation("people.import.find", input, output), "/Operations.kt");
    for line in [
        "public val people: PeopleOperations get() = PeopleOperations(core)",
        "public val import: PeopleImportOperations get() = PeopleImportOperations(core)",
        "     * Does * / it.",
        "     * @param in First.",
        "    public suspend fun find(\n        `in`: Long,\n        hasTags: List<String>? = null,\n    ): List<String> =",
        "core.call(\"people.import.find\", ListSerializer(String.serializer())) {",
        "        give(\"in\", `in`, Long.serializer())\n        offer(\"has_tags\", hasTags, ListSerializer(String.serializer()))",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn unions_are_sealed_and_words_are_enums() {
    let answer = json!({ "title": "Who", "oneOf": [
        { "type": "object", "required": ["kind", "mode"], "properties": {
            "kind": { "type": "string", "const": "user" }, "mode": { "type": "string", "enum": ["a", "b:c"] } } },
        { "type": "object", "required": ["kind"], "properties": { "kind": { "type": "string", "const": "system" } } },
    ] });
    let text = text(operation("scope.who", json!({ "type": "object" }), answer), "/Models.kt");
    for line in [
        "@JsonClassDiscriminator(\"kind\")\npublic sealed interface Who\n",
        "@SerialName(\"user\")\npublic data class WhoUser(\n    val mode: Mode,\n) : Who\n",
        "@SerialName(\"system\")\npublic data object WhoSystem : Who\n",
        "    @SerialName(\"b:c\") BC(\"b:c\"),",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn a_union_of_a_word_and_a_member_has_its_own_serializer() {
    let answer = json!({ "title": "Escape", "oneOf": [
        { "type": "string", "const": "none" },
        { "type": "object", "required": ["html"], "properties": { "html": { "type": "boolean" } } },
    ] });
    let text = text(operation("scope.escape", json!({ "type": "object" }), answer), "/Models.kt");
    for line in [
        "@Serializable(with = EscapeSerializer::class)\npublic sealed interface Escape\n",
        "public data object EscapeNone : Escape\n",
        "public data class EscapeHtml(\n    val html: Boolean,\n) : Escape\n",
        "        \"html\" -> EscapeHtml.serializer()\n",
        "        is EscapeHtml -> PLAIN.encodeToJsonElement(EscapeHtml.serializer(), value)\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn absent_and_null_are_two_things() {
    let answer = json!({ "title": "Row", "type": "object", "required": ["at", "note"], "properties": {
        "at": { "$ref": "#/$defs/Timestamp" }, "note": { "type": ["string", "null"] },
        "until": { "anyOf": [{ "$ref": "#/$defs/Timestamp" }, { "type": "null" }] },
        "n": { "type": "integer", "default": 3 }, "text": { "type": "string", "default": "$5 \"x\"" },
    }, "$defs": { "Timestamp": { "type": "integer" } } });
    let text = text(operation("row.get", json!({ "type": "object" }), answer), "/Models.kt");
    for line in [
        "    val at: Instant,\n",
        "    val n: Long = 3L,\n",
        "    val note: String?,\n",
        "    val text: String = \"\\$5 \\\"x\\\"\",\n",
        "    val until: Instant? = null,\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn every_kind_has_an_exception_and_a_namespace_may_not_hide_the_hub() {
    let errors = text(json!([]), "/NeonHubException.kt");
    assert!(errors.contains("public class NotFound internal constructor(details: Details) : NeonHubException(\"not_found\", details)"));
    let all = json!({ "version": "0", "operations": operation("events.get", json!({}), json!({ "type": "null" })) });
    assert!(files(&serde_json::from_value(all).unwrap()).unwrap_err().to_string().contains("events"));
}
