#![allow(clippy::needless_pass_by_value, reason = "JSON literals of tests")]

use serde_json::{Value, json};

use super::*;

fn catalogue(operations: Value) -> Catalogue {
    let text =
        json!({ "version": "0.0.0", "error_kinds": ["not_found"], "operations": operations, "types": {} });
    serde_json::from_value(text).unwrap()
}

fn operation(name: &str, input: Value, output: Value) -> Value {
    json!({
        "name": name, "doc": "Does it.", "input": input, "output": output, "needs": ["read:people"],
        "effect": "read", "errors": [], "examples": [{}],
    })
}

fn text(catalogue: &Catalogue, name: &str) -> String {
    let files = files(catalogue).unwrap();
    files.into_iter().find(|file| file.path.ends_with(name)).unwrap().text
}

fn brief() -> Value {
    json!({ "type": "object", "required": ["landing_url", "at"], "properties": {
        "landing_url": { "type": "string", "description": "Where to." },
        "at": { "$ref": "#/$defs/Timestamp" },
        "tags": { "type": "array", "items": { "type": "string" }, "default": [] },
        "vars": { "type": "object", "additionalProperties": true, "default": {} },
    } })
}

#[test]
fn answers_have_every_member_and_inputs_may_leave_some_out() {
    let defs = json!({ "Brief": brief(), "Timestamp": { "type": "integer" } });
    let input = json!({ "type": "object", "title": "Create", "required": ["brief"],
        "properties": { "brief": { "$ref": "#/$defs/Brief" } }, "$defs": defs });
    let answer = json!({ "$ref": "#/$defs/Brief", "$defs": defs });
    let catalogue = catalogue(json!([operation("campaign.create", input, answer)]));
    let models = text(&catalogue, "/models.ts");
    for part in [
        "export interface Brief {\n  at: Date;\n  /** Where to. */\n  landingUrl: string;\n  tags: string[];\n",
        "export interface BriefInput {\n",
        "  tags?: string[] | undefined;\n",
        "export interface CampaignCreateInput {\n  brief: BriefInput;\n}\n",
    ] {
        assert!(models.contains(part), "{part} is missing in\n{models}");
    }
    let operations = text(&catalogue, "/operations.ts");
    let method = "create(input: CampaignCreateInput, options?: CallOptions): Promise<Brief> {\n    \
                  return this.#core.call('campaign.create', input, 'CampaignCreateInput', 'Brief', options);";
    assert!(operations.contains(method), "{operations}");
}

#[test]
fn the_input_of_an_operation_keeps_its_name_beside_a_type_called_alike() {
    let defs = json!({ "CampaignReport": brief(), "Timestamp": { "type": "integer" } });
    let report = json!({ "$ref": "#/$defs/CampaignReport", "$defs": defs });
    let id = json!({ "type": "object", "required": ["id"], "properties": { "id": { "type": "string" } } });
    let draw = json!({ "type": "object", "required": ["report"], "$defs": defs,
        "properties": { "report": { "$ref": "#/$defs/CampaignReport" } } });
    let catalogue = catalogue(json!([
        operation("campaign.report", id, report),
        operation("campaign.draw", draw, json!({ "type": "null" })),
    ]));
    let models = text(&catalogue, "/models.ts");
    for part in [
        "export interface CampaignReportInput {\n  id: string;\n}\n",
        "export interface CampaignDrawInput {\n  report: CampaignReportValue;\n}\n",
        "export interface CampaignReportValue {\n",
    ] {
        assert!(models.contains(part), "{part} is missing in\n{models}");
    }
}

#[test]
fn the_table_renames_members_and_leaves_open_maps_alone() {
    let answer =
        json!({ "$ref": "#/$defs/Brief", "$defs": { "Brief": brief(), "Timestamp": { "type": "integer" } } });
    let catalogue = catalogue(json!([operation("campaign.get", json!({ "type": "object" }), answer)]));
    let shapes = text(&catalogue, "/shapes.ts");
    for member in [
        "['landing_url', 'landingUrl', 0],",
        "['at', 'at', 1],",
        "['tags', 'tags', 0, []],",
        "['vars', 'vars', 0, {}],",
        "  CampaignGetInput: [],\n",
    ] {
        assert!(shapes.contains(member), "{member} is missing in\n{shapes}");
    }
}

#[test]
fn unions_are_discriminated() {
    let answer = json!({ "title": "Who", "oneOf": [
        { "type": "object", "required": ["who_kind", "id"],
          "properties": { "who_kind": { "type": "string", "const": "user" }, "id": { "type": "string" } } },
        { "type": "object", "required": ["who_kind"],
          "properties": { "who_kind": { "type": "string", "const": "system" } } },
    ] });
    let catalogue = catalogue(json!([operation("scope.who", json!({ "type": "object" }), answer)]));
    let models = text(&catalogue, "/models.ts");
    assert!(models.contains("export type Who =\n  | WhoUser\n  | WhoSystem;\n"), "{models}");
    assert!(models.contains("  whoKind: 'user';\n"), "{models}");
    let shapes = text(&catalogue, "/shapes.ts");
    let tagged = "Who: { by: ['who_kind', 'whoKind'], of: { 'user': 'WhoUser', 'system': 'WhoSystem' } },";
    assert!(shapes.contains(tagged), "{shapes}");
    assert!(text(&catalogue, "/errors.ts").contains("export class NotFoundError extends NeonHubError {"));
}

#[test]
fn a_namespace_may_not_hide_the_hub_and_members_may_not_meet() {
    let empty = || json!({ "type": "object" });
    let hides = catalogue(json!([operation("events.get", empty(), json!({ "type": "null" }))]));
    assert!(files(&hides).unwrap_err().to_string().contains("events"));
    let input = json!({ "type": "object", "properties": { "a_b": { "type": "string" }, "aB": { "type": "string" } } });
    let meets = catalogue(json!([operation("x.y", input, json!({ "type": "null" }))]));
    assert!(files(&meets).unwrap_err().to_string().contains("aB"));
}
