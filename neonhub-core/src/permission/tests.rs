use super::*;

const REFUND: Permission = Permission::app("app:orders.refund");
const SHIP: Permission = Permission::app("app:orders.ship");

#[test]
fn roles_nest() {
    let all: Vec<_> = Role::ALL.iter().map(|r| r.permissions()).collect();
    for pair in all.windows(2) {
        assert!(pair[0].covers(&pair[1]), "a lower role holds nothing more");
    }
    assert!(!Role::Admin.permissions().has(Permission::OwnOrganization));
    assert!(!Role::Viewer.permissions().has(Permission::ReadPii));
    assert!(Role::Admin.permissions().has(REFUND) && !Role::Member.permissions().has(REFUND));
}

#[test]
fn a_word_of_a_host_has_one_shape() {
    let longest = format!("app:{}", "a".repeat(60));
    for word in ["app:a", "app:orders.refund", "app:a1_.b_2", longest.as_str()] {
        assert_eq!(Permission::from_word(word).map(|p| p.word().to_owned()).as_deref(), Some(word));
    }
    let long = format!("{longest}a");
    for word in [
        "app:",
        "app",
        "orders.refund",
        "App:a",
        "app:A",
        "app:.a",
        "app:a.",
        "app:a..b",
        "app:1a",
        "app:a b",
        "app:*",
        "app:a:b",
        "app:ä",
        "",
        &long,
    ] {
        assert_eq!(Permission::from_word(word), None, "{word}");
    }
}

#[test]
fn words_cross_json_and_what_is_none_is_told() {
    let json = r#"["read:people","app:orders.refund"]"#;
    let words: Vec<Permission> = serde_json::from_str(json).unwrap();
    assert_eq!(words, [Permission::ReadPeople, REFUND]);
    assert_eq!(serde_json::to_string(&words).unwrap(), json);
    let error = serde_json::from_str::<Permission>(r#""read:all""#).unwrap_err().to_string();
    assert!(error.contains("read:people") && error.contains("app:orders.refund"), "{error}");
    assert!(serde_json::from_str::<Permission>("7").is_err());
}

#[test]
fn sets_hold_what_no_list_names() {
    let (none, all) = (PermissionSet::NONE, PermissionSet::all());
    let (refund, ship) = (PermissionSet::of(&[REFUND]), PermissionSet::of(&[SHIP, Permission::ReadPii]));
    let but_refund = all.without(&refund);
    assert!(!but_refund.has(REFUND) && but_refund.has(SHIP) && but_refund.has(Permission::ReadPii));
    assert_eq!(but_refund.without(&all), none, "nothing is left, and that is the empty set");
    assert_eq!(refund.without(&but_refund), refund);
    assert_eq!(but_refund.intersection(&refund), none);
    assert_eq!(ship.intersection(&but_refund), ship);
    let but_both = but_refund.intersection(&all.without(&ship));
    assert!(!but_both.has(REFUND) && !but_both.has(SHIP) && !but_both.has(Permission::ReadPii));
    assert!(but_both.has(Permission::app("app:orders.see")));
    assert!(all.covers(&ship) && !refund.covers(&ship) && !ship.covers(&all) && ship.covers(&none));
    assert_eq!(ship.iter().collect::<Vec<_>>(), [Permission::ReadPii, SHIP]);
    assert_eq!(all.iter().count(), Permission::ALL.len());
    assert!(format!("{but_refund:?}").contains("!app:orders.refund"));
}
