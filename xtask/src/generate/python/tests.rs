#![allow(clippy::needless_pass_by_value, reason = "JSON literals of tests")]

use serde_json::{Value, json};

use super::*;

fn catalogue(operations: Value) -> Catalogue {
    let text = json!({ "version": "0.0.0", "operations": operations, "types": {} });
    serde_json::from_value(text).unwrap()
}

fn operation(name: &str, input: Value, output: Value) -> Value {
    json!({
        "name": name, "doc": "Does it.", "input": input, "output": output, "needs": ["read:people"],
        "effect": "read", "errors": ["gone"], "examples": [{}],
    })
}

fn text(catalogue: &Catalogue, name: &str) -> String {
    let files = files(catalogue).unwrap();
    files.into_iter().find(|file| file.path.ends_with(name)).unwrap().text
}

#[test]
fn a_method_has_typed_keyword_arguments_and_docs() {
    let input = json!({ "type": "object", "title": "Find", "required": ["from"], "properties": {
        "from": { "type": "integer", "description": "First." },
        "tags": { "type": "array", "items": { "type": "string" }, "default": [] },
        "note": { "type": ["string", "null"], "default": null },
    } });
    let catalogue = catalogue(json!([operation(
        "people.list",
        input,
        json!({ "type": "array", "items": { "type": "string" } })
    )]));
    let blocking = text(&catalogue, "/blocking.py");
    for line in [
        "class PeopleOperations:",
        "        from_: int,",
        "        tags: Sequence[str] | Omit = OMIT,",
        "        note: str | None | Omit = OMIT,",
        ") -> builtins.list[str]:",
        "            from_: First.",
        "        Needs `read:people`. Effect: read. Codes of its own: `gone`.",
    ] {
        assert!(blocking.contains(line), "{line} is missing in\n{blocking}");
    }
    assert!(
        text(&catalogue, "/asynchronous.py")
            .contains("        answer: builtins.list[str] = await self._core.call(")
    );
}

#[test]
fn one_name_with_two_meanings_becomes_two_classes() {
    let answer = |member: &str| {
        json!({ "$ref": "#/$defs/Status", "$defs": { "Status": {
            "type": "object", "required": [member], "properties": { member: { "type": "boolean" } } } } })
    };
    let empty = json!({ "type": "object", "title": "Get" });
    let catalogue = catalogue(json!([
        operation("campaign.get", empty.clone(), answer("open")),
        operation("people.get", empty.clone(), answer("known")),
        operation("people.peek", empty, answer("known")),
    ]));
    let models = text(&catalogue, "/models.py");
    assert!(
        models.contains("class CampaignStatus(Shown):") && models.contains("class PeopleStatus(Shown):"),
        "{models}"
    );
    assert_eq!(models.matches("class PeopleStatus(Shown):").count(), 1);
}

#[test]
fn unions_are_told_apart_by_their_tag() {
    let answer = json!({ "title": "Who", "oneOf": [
        { "type": "object", "required": ["kind", "id"],
          "properties": { "kind": { "type": "string", "const": "user" }, "id": { "type": "string" } } },
        { "type": "object", "required": ["kind"], "properties": { "kind": { "type": "string", "const": "system" } } },
    ] });
    let catalogue = catalogue(json!([operation("scope.who", json!({ "type": "object" }), answer)]));
    let models = text(&catalogue, "/models.py");
    assert!(models.contains("Who: TypeAlias = \"WhoUser | WhoSystem\""), "{models}");
    assert!(models.contains("    kind: Literal[\"user\"] = \"user\""), "{models}");
    let codec = text(&catalogue, "/_codec.py");
    assert!(codec.contains("return _WHO[v[\"kind\"]](v)"), "{codec}");
    assert!(text(&catalogue, "/blocking.py").contains("return c.who(self._core.call(\"scope.who\", {}))"));
}

#[test]
fn instants_become_dates_and_missing_members_their_default() {
    let answer = json!({ "title": "Row", "type": "object", "required": ["at"], "properties": {
        "at": { "$ref": "#/$defs/Timestamp" }, "until": { "anyOf": [{ "$ref": "#/$defs/Timestamp" }, { "type": "null" }] },
        "n": { "type": "integer", "default": 3 },
    }, "$defs": { "Timestamp": { "type": "integer" } } });
    let catalogue = catalogue(json!([operation("row.get", json!({ "type": "object" }), answer)]));
    let codec = text(&catalogue, "/_codec.py");
    assert!(codec.contains("at=_instant(v[\"at\"]),"), "{codec}");
    assert!(codec.contains("until=None if (t1 := v.get(\"until\")) is None else _instant(t1),"), "{codec}");
    assert!(codec.contains("n=v.get(\"n\", 3),"), "{codec}");
}

#[test]
fn a_namespace_may_not_hide_the_hub() {
    let catalogue =
        catalogue(json!([operation("events.get", json!({ "type": "object" }), json!({ "type": "null" }))]));
    assert!(files(&catalogue).unwrap_err().to_string().contains("events"));
}
