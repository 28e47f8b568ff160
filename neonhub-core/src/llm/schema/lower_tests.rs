use super::*;
use proptest::prelude::*;

/// Whether a schema is in the subset: no free keys, everything required, no bounds.
fn is_strict(schema: &Value) -> bool {
    let Value::Object(map) = schema else { return false };
    let names = map.get("properties").and_then(Value::as_object);
    let closed = names.is_none_or(|names| {
        let required = map["required"].as_array().unwrap();
        map["additionalProperties"] == false
            && required.len() == names.len()
            && names.keys().all(|name| required.iter().any(|r| r == name))
            && names.values().all(is_strict)
    });
    closed
        && !BOUNDS.iter().chain(REFUSED).chain(&["oneOf", "allOf", "default"]).any(|w| map.contains_key(*w))
        && map.get("items").is_none_or(is_strict)
        && map.get("anyOf").and_then(Value::as_array).is_none_or(|list| list.iter().all(is_strict))
        && map.get("$defs").and_then(Value::as_object).is_none_or(|defs| defs.values().all(is_strict))
}

#[test]
fn what_the_subset_lacks_moves_into_words() {
    let schema = json!({
        "type": "object", "required": ["name"],
        "properties": {
            "name": {"type": "string", "description": "Its name.", "maxLength": 5},
            "price": {"type": "integer", "minimum": 0},
            "kind": {"enum": ["a", "b"]},
            "one": {"const": 1},
            "tree": {"$ref": "#/$defs/Tree"},
            "either": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"x": {"type": "number"}}}]},
        },
        "$defs": {"Tree": {"type": "object", "properties": {
            "kids": {"type": "array", "maxItems": 3, "items": {"$ref": "#/$defs/Tree"}}}}},
    });
    let low = lower(&schema).unwrap();
    assert!(is_strict(&low), "{low}");
    assert_eq!(
        low["properties"]["name"],
        json!({"type": "string", "description": "Its name. (maxLength: 5)"})
    );
    assert_eq!(low["properties"]["price"]["type"], json!(["integer", "null"]));
    assert_eq!(low["properties"]["kind"]["enum"], json!(["a", "b", null]));
    assert_eq!(low["properties"]["tree"]["anyOf"][1], json!({"type": "null"}));
}

#[test]
fn what_cannot_be_said_is_named_by_its_path() {
    let field = |schema: Value| lower(&schema).unwrap_err().field_faults()[0].field.clone();
    assert_eq!(field(json!({"type": "array"})), "output_schema");
    let inside = |inner: Value| field(json!({"type": "object", "properties": {"a": inner}}));
    assert_eq!(inside(json!({"not": {}})), "output_schema.a.not");
    assert_eq!(
        inside(json!({"type": "object", "additionalProperties": {"type": "string"}})),
        "output_schema.a"
    );
    assert_eq!(inside(json!({"allOf": [{}, {}]})), "output_schema.a.allOf");
    let mut deep = json!({"type": "string"});
    for _ in 0..40 {
        deep = json!({"type": "object", "properties": {"a": deep}});
    }
    assert!(lower(&deep).is_err());
}

/// A schema, a value that fits it, and the same value as a provider that knows the lowered schema would write it:
/// with a null for everything left out.
fn case(depth: u32) -> BoxedStrategy<(Value, Value, Value)> {
    let leaf = prop_oneof![
        (0i64..9).prop_map(|n| (json!({"type": "integer", "minimum": 0}), json!(n), json!(n))),
        "[a-z]{0,4}".prop_map(|s| (json!({"type": "string", "maxLength": 4}), json!(s), json!(s))),
        Just((json!({"type": ["string", "null"]}), Value::Null, Value::Null)),
        Just((json!({"enum": ["x", 2]}), json!(2), json!(2))),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let object =
        proptest::collection::vec((case(depth - 1), any::<bool>(), any::<bool>()), 1..4).prop_map(|fields| {
            let (mut properties, mut value, mut wire) = (Map::new(), Map::new(), Map::new());
            let mut required = Vec::new();
            for (i, ((schema, plain, low), is_required, is_there)) in fields.into_iter().enumerate() {
                let name = format!("f{i}");
                let nullable = faults(&schema, &schema, &Value::Null).is_empty();
                if is_required {
                    required.push(name.clone());
                }
                if is_required || is_there || nullable {
                    value.insert(name.clone(), plain);
                    wire.insert(name.clone(), low);
                } else {
                    wire.insert(name.clone(), Value::Null);
                }
                properties.insert(name, schema);
            }
            let schema = json!({"type": "object", "properties": properties, "required": required});
            (schema, value.into(), wire.into())
        });
    let list = (case(depth - 1), 0usize..3).prop_map(|((schema, plain, low), n)| {
        (json!({"type": "array", "items": schema}), vec![plain; n].into(), vec![low; n].into())
    });
    let either = case(depth - 1).prop_map(|(schema, plain, low)| {
        let other = json!({"type": "boolean"});
        (json!({"anyOf": [other, schema]}), plain, low)
    });
    prop_oneof![2 => leaf, 3 => object, 2 => list, 1 => either].boxed()
}

proptest! {
    #[test]
    fn a_value_survives_lowering_and_comes_back((schema, plain, wire) in case(3)) {
        let schema = json!({"type": "object", "required": ["v"], "properties": {"v": schema}});
        let (plain, wire) = (json!({ "v": plain }), json!({ "v": wire }));
        prop_assert!(faults(&schema, &schema, &plain).is_empty());
        let low = lower(&schema).unwrap();
        prop_assert!(is_strict(&low), "{}", low);
        prop_assert!(faults(&low, &low, &wire).is_empty(), "{} {}", low, wire);
        let mut back = wire;
        raise(&schema, &schema, &mut back, 0);
        prop_assert_eq!(back, plain);
    }
}
