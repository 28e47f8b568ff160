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
        "name": name, "doc": "Does it.", "input": input, "output": output, "needs": [], "effect": "read",
        "examples": [{}],
    }])
}

#[test]
fn a_function_has_typed_arguments() {
    let input = json!({ "type": "object", "title": "Find", "required": ["in"], "properties": {
        "in": { "type": "integer", "description": "First." }, "has_tag": { "type": ["string", "null"] },
    } });
    let text = text(operation("people.find", input, json!({ "type": "null" })), "/Operations.swift");
    for line in [
        "extension Hub {\n    /// Operations of `people`.\n    public var people: PeopleOperations { PeopleOperations(core: core) }",
        "    public func find(\n        `in`: Int,\n        hasTag: String? = nil\n    ) async throws {",
        "        args.give(\"in\", `in`)\n        args.offer(\"has_tag\", hasTag)\n        _ = try await core.call(\"people.find\", args, JSONValue.self)",
        "    ///   - in: First.",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn unions_are_enums_with_associated_values() {
    let answer = json!({ "title": "Who", "oneOf": [
        { "type": "object", "required": ["kind", "id"],
          "properties": { "kind": { "type": "string", "const": "user" }, "id": { "type": "string" } } },
        { "type": "object", "required": ["kind"], "properties": { "kind": { "type": "string", "const": "self" } } },
    ] });
    let text = text(operation("scope.who", json!({ "type": "object" }), answer), "/Models.swift");
    for line in [
        "public indirect enum Who: Codable, Sendable, Hashable {\n    case user(WhoUser)\n    case `self`(WhoSelf)\n",
        "        case \"user\": self = .user(try WhoUser(from: decoder))\n",
        "            try tag.encode(\"user\", forKey: .word)\n            try value.encode(to: encoder)\n",
        "public struct WhoSelf: Codable, Sendable, Hashable {\n    public init() {}\n}",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn absent_and_null_are_two_things() {
    let answer = json!({ "title": "Row", "type": "object", "required": ["at", "note"], "properties": {
        "at": { "$ref": "#/$defs/Timestamp" }, "note": { "type": ["string", "null"] }, "n": { "type": "integer", "default": 3 },
        "until": { "anyOf": [{ "$ref": "#/$defs/Timestamp" }, { "type": "null" }] },
    }, "$defs": { "Timestamp": { "type": "integer" } } });
    let text = text(operation("row.get", json!({ "type": "object" }), answer), "/Models.swift");
    for line in [
        "        at: Date,\n        n: Int = 3,\n        note: String?,\n        until: Date? = nil\n",
        "        try values.encode(self.note, forKey: .note)\n        try values.encodeIfPresent(self.until, forKey: .until)\n",
        "        self.n = try values.decodeIfPresent(Int.self, forKey: .n) ?? 3\n",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
}

#[test]
fn literals_are_swift() {
    assert_eq!(text::literal("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\n\\u{1}é\"");
    assert!(
        text(json!([]), "/NeonHubError.swift")
            .contains("        case \"not_found\": return .notFound(details)\n")
    );
}
