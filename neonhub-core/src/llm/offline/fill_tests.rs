use proptest::prelude::*;

use super::*;

fn request(schema: Value) -> LlmRequest {
    LlmRequest::new().output_schema(schema)
}

fn filled(request: &LlmRequest, facts: &Value) -> (Value, Vec<(String, String)>) {
    let made = fill(request, facts).unwrap();
    let value: Value = serde_json::from_str(&made.texts[0]).unwrap();
    let schema = request.output_schema.as_ref().unwrap();
    assert_eq!(schema::check(schema, &value).unwrap(), [], "{value} under {schema}");
    (value, made.warnings)
}

#[test]
fn known_values_are_taken_and_unknown_ones_left_open() {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["product", "price", "audience", "slogan", "currency"],
        "properties": {
            "product": {"type": "string"},
            "price": {"type": ["integer", "null"]},
            "currency": {"enum": ["EUR", "USD"]},
            "audience": {"type": ["string", "null"]},
            "slogan": {"type": "string"},
            "remark": {"type": "string"},
        }
    });
    let asked = request(schema).user("Product: Sencha\nPrice: 12\nCurrency: usd");
    let (value, warnings) = filled(&asked, &Value::Null);
    assert_eq!(
        value,
        json!({"product": "Sencha", "price": 12, "currency": "USD", "audience": null,
               "slogan": "[needs input: slogan]"})
    );
    assert_eq!(warnings, [("needs_input".to_owned(), "no fact for audience, slogan".to_owned())]);
}

#[test]
fn nested_objects_lists_and_references_are_filled() {
    let schema = json!({
        "$defs": {"Money": {"type": "object", "required": ["amount", "currency"], "properties": {
            "amount": {"type": "integer"}, "currency": {"type": "string", "pattern": "^[A-Z]{3}$"}}}},
        "type": "object",
        "required": ["budget", "channels", "steps"],
        "properties": {
            "budget": {"$ref": "#/$defs/Money"},
            "limit": {"anyOf": [{"$ref": "#/$defs/Money"}, {"type": "null"}]},
            "channels": {"type": "array", "items": {"enum": ["email", "sms"]}},
            "steps": {"type": "array", "minItems": 2, "items": {"type": "object", "required": ["n"],
                "properties": {"n": {"type": "integer", "minimum": 1}}}},
        }
    });
    let facts = json!({"budget": {"amount": "500", "currency": "EUR"}, "channels": "Email, SMS"});
    let (value, _) = filled(&request(schema), &facts);
    assert_eq!(value["budget"], json!({"amount": 500, "currency": "EUR"}));
    assert_eq!(value["channels"], json!(["email", "sms"]));
    assert_eq!(value["steps"], json!([{"n": 1}, {"n": 1}]));
    assert_eq!(value.get("limit"), None);
}

#[test]
fn hints_and_names_use_the_text() {
    let schema = json!({
        "type": "object",
        "required": ["title", "sentiment", "mail", "topic", "gist", "line", "keywords"],
        "properties": {
            "title": {"type": "string", "maxLength": 30},
            "sentiment": {"enum": ["positive", "neutral", "negative"]},
            "mail": {"type": "string", "format": "email"},
            "topic": {"type": "string"},
            "gist": {"type": "string", "x-offline": {"summary": 1}},
            "line": {"type": "string", "x-offline": {"template": "Hello {{ name }}"}},
            "keywords": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
        }
    });
    let text = "The parcel was delivered damaged and I am disappointed. Write to ann@tea.example please.";
    let (value, warnings) = filled(&request(schema).user(text), &json!({"name": "Ann"}));
    assert_eq!(value["sentiment"], "negative");
    assert_eq!(value["mail"], "ann@tea.example");
    assert_eq!(value["topic"], "delivery");
    assert_eq!(value["line"], "Hello Ann");
    assert!(text.contains(value["gist"].as_str().unwrap()));
    assert_eq!(value["keywords"].as_array().unwrap().len(), 2);
    assert_eq!(warnings, []);
}

#[test]
fn what_cannot_be_filled_is_named() {
    let schema = json!({"type": "object", "required": ["code"],
        "properties": {"code": {"type": "string", "pattern": "^X-[0-9]{9}$"}}});
    let err = fill(&request(schema.clone()), &Value::Null).unwrap_err();
    assert_eq!(err.kind(), crate::ErrorKind::Unsupported);
    assert!(err.message().contains("fill code"), "{err}");
    let (value, _) = filled(&request(schema), &json!({"code": "X-123456789"}));
    assert_eq!(value["code"], "X-123456789");
    let odd = json!({"type": "object", "properties": {"a": {"contains": {}}}});
    assert_eq!(fill(&request(odd), &Value::Null).unwrap_err().kind(), crate::ErrorKind::InvalidInput);
}

#[test]
fn recursive_schemas_end() {
    let tree = json!({"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "required": ["name", "kids"],
        "properties": {"name": {"type": "string"},
                       "kids": {"type": "array", "items": {"$ref": "#/$defs/T"}},
                       "next": {"anyOf": [{"$ref": "#/$defs/T"}, {"type": "null"}]}}}}});
    let (value, _) = filled(&request(tree), &json!({"name": "root"}));
    assert_eq!(value["name"], "root");
    assert_eq!(value["kids"], json!([]));
}

/// Schemas of bounded depth over the keywords that forms use.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "string"})),
        (0u32..20, 0u32..20).prop_map(|(a, b)| json!({"type": "string", "minLength": a, "maxLength": a + b})),
        Just(json!({"type": ["string", "null"], "format": "email"})),
        prop::sample::select(vec!["date", "date-time", "email", "uri", "uuid", "time", "ipv4", "ipv6"])
            .prop_map(|f| json!({"type": "string", "format": f})),
        (-50i64..50, 0i64..50).prop_map(|(a, b)| json!({"type": "integer", "minimum": a, "maximum": a + b})),
        (-50i64..50).prop_map(|a| json!({"type": "number", "exclusiveMinimum": a})),
        (1i64..9, -50i64..50).prop_map(|(m, a)| json!({"type": "integer", "multipleOf": m, "minimum": a})),
        Just(json!({"type": "boolean"})),
        Just(json!({"enum": ["red", "green", 3]})),
        Just(json!({"const": {"a": 1}})),
        Just(json!({"type": "null"})),
        Just(json!(true)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name =
            prop::sample::select(vec!["title", "price", "tags", "mail", "sentiment", "first_name", "x"]);
        prop_oneof![
            (prop::collection::btree_map(name, inner.clone(), 0..4), any::<bool>(), any::<u8>()).prop_map(
                |(props, open, mask)| {
                    let required: Vec<&str> = props
                        .keys()
                        .enumerate()
                        .filter(|(i, _)| mask & (1 << i) != 0)
                        .map(|(_, k)| *k)
                        .collect();
                    json!({"type": "object", "properties": props, "required": required,
                           "additionalProperties": open})
                }
            ),
            (inner.clone(), 0u32..3, 0u32..3).prop_map(|(items, a, b)| {
                json!({"type": "array", "items": items, "minItems": a, "maxItems": a + b})
            }),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({"anyOf": [a, b]})),
            inner.prop_map(|a| json!({"allOf": [a], "description": "x"})),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the schema and facts: the answer fits the schema.
    #[test]
    fn an_answer_always_fits(schema in schemas(), price in any::<i16>(), title in ".{0,30}") {
        let asked = request(schema.clone()).user("Tags: tea, cup\nI love it. Mail: ann@tea.example");
        let made = fill(&asked, &json!({"price": price, "title": title})).unwrap();
        let value: Value = serde_json::from_str(&made.texts[0]).unwrap();
        prop_assert_eq!(schema::check(&schema, &value).unwrap(), vec![]);
        let again = fill(&asked, &json!({"price": price, "title": title})).unwrap();
        prop_assert_eq!(&made.texts, &again.texts);
    }
}
