use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::store::Key;

/// A record as an older build knows it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Shop {
    id: String,
    #[serde(default, alias = "title")]
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
    #[serde(default)]
    place: Place,
    #[serde(default)]
    goods: Vec<Good>,
    #[serde(default)]
    rooms: Vec<Place>,
    #[serde(default)]
    stock: BTreeMap<String, Place>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Place {
    #[serde(default)]
    town: String,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Good {
    id: String,
    #[serde(default)]
    price: i64,
}

impl Record for Shop {
    const KIND: &'static str = "keep_shop";
    fn id(&self) -> &str {
        &self.id
    }
    fn keys(&self) -> Vec<Option<Key>> {
        Vec::new()
    }
}

/// The body after a build that knows `Shop` changed the record.
fn changed(old: &Value, change: impl FnOnce(&mut Shop)) -> Value {
    let old = canonical_json(old).unwrap();
    let mut shop: Shop = serde_json::from_str(&old).unwrap();
    change(&mut shop);
    let new = canonical_json(&shop).unwrap();
    parse(&kept::<Shop>(&old, &new).unwrap_or(new)).unwrap()
}

#[test]
fn unknown_fields_stay_at_every_depth() {
    let old = json!({
        "id": "s", "name": "Old", "rating": { "stars": 4 },
        "place": { "town": "Leith", "floor": 2 },
        "stock": { "cellar": { "town": "Leith", "cold": true } },
    });
    let new = changed(&old, |shop| {
        shop.name = "New".into();
        shop.place.town = "Bonn".into();
    });
    assert_eq!((&new["name"], &new["place"]["town"]), (&json!("New"), &json!("Bonn")));
    assert_eq!(new["rating"], json!({ "stars": 4 }));
    assert_eq!(new["place"]["floor"], json!(2));
    assert_eq!(new["stock"]["cellar"]["cold"], json!(true));
}

#[test]
fn what_the_type_leaves_out_does_not_come_back() {
    let old = json!({ "id": "s", "name": "Old", "note": "gone", "rating": 4,
        "stock": { "cellar": { "town": "Leith", "cold": true }, "attic": { "town": "Leith" } } });
    let new = changed(&old, |shop| {
        shop.note = None;
        shop.stock.remove("cellar");
    });
    assert!(new.get("note").is_none(), "{new}");
    assert_eq!(new["stock"], json!({ "attic": { "town": "Leith" } }));
    assert_eq!(new["rating"], json!(4));
}

#[test]
fn an_older_name_of_a_field_is_known() {
    let old = json!({ "id": "s", "title": "Old", "rating": 4 });
    let new = changed(&old, |shop| shop.name = "New".into());
    assert!(new.get("title").is_none(), "{new}");
    assert_eq!((&new["name"], &new["rating"]), (&json!("New"), &json!(4)));
    // Empty, it counts for nothing, and beside its newer name the body could not be read any more.
    let new = changed(&json!({ "id": "s", "title": "" }), |shop| shop.name = "New".into());
    assert!(new.get("title").is_none(), "{new}");
}

#[test]
fn elements_of_lists_are_found_by_their_id_or_by_all_they_hold() {
    let old = json!({
        "id": "s",
        "goods": [{ "id": "a", "price": 1, "vat": 7 }, { "id": "b", "price": 2, "vat": 19 }],
        "rooms": [{ "town": "Leith", "floor": 1 }, { "town": "Bonn", "floor": 2 }],
    });
    let new = changed(&old, |shop| {
        shop.goods.reverse();
        shop.goods[0].price = 9;
        shop.goods.push(Good { id: "c".into(), price: 3 });
        shop.rooms.remove(0);
        shop.rooms.push(Place { town: "Ulm".into() });
    });
    assert_eq!(
        new["goods"],
        json!([{ "id": "b", "price": 9, "vat": 19 }, { "id": "a", "price": 1, "vat": 7 }, { "id": "c", "price": 3 }])
    );
    assert_eq!(new["rooms"], json!([{ "town": "Bonn", "floor": 2 }, { "town": "Ulm" }]));
}

#[test]
fn bodies_that_only_change_values_are_not_looked_at_closely() {
    let one = r#"{"a":{"b":[{"c":1},2]},"d":null}"#;
    assert!(!may_lose(one, r#"{"a":{"b":[{"c":9,"x":0},3,4]},"d":"x"}"#));
    for less in
        [r#"{"a":{"b":[{},2]},"d":null}"#, r#"{"a":{"b":[]},"d":1}"#, r#"{"a":1,"d":1}"#, r#"{"d":1}"#]
    {
        assert!(may_lose(one, less), "{less}");
    }
    assert!(!may_lose("{", one), "a damaged body has nothing to keep");
}

#[test]
fn of_elements_that_look_alike_each_keeps_its_own() {
    let old = json!({ "id": "s", "rooms": [{ "town": "A" }, { "town": "A", "floor": 1 },
        { "town": "A", "floor": 2 }, { "town": "A", "floor": 3 }] });
    let new = changed(&old, |shop| shop.name = "New".into());
    assert_eq!((&new["name"], &new["rooms"]), (&json!("New"), &old["rooms"]));
}
