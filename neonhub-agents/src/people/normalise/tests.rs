//! The table of kinds in people.md 2, line by line.

use proptest::prelude::*;

use super::*;

fn mail(value: &str) -> Result<String, Refusal> {
    email(value).map(|n| n.key.text.into())
}

fn key(kind: IdentityKind, value: &str, namespace: Option<&str>) -> Result<String, Refusal> {
    let given = Identifier { kind, value: value.into(), namespace: namespace.map(Into::into), region: None };
    normalise(&given, Regions::default()).map(|n| n.key.text.into())
}

fn number(value: &str, region: &str) -> Result<(String, Quality), Refusal> {
    phone(value, Region::parse(region)).map(|n| (n.key.text.into(), n.quality))
}

#[test]
fn rule_1_case_spaces_and_display_names_make_no_difference() {
    for same in [
        "jane@ex.example",
        "Jane@Ex.example",
        "  jane@ex.example\t",
        "Jane Doe <JANE@ex.example>",
        "\"Doe, Jane\" <jane@ex.example>",
        "<jane@ex.example>",
        "jane@ex.example.",
        "mailto:jane@ex.example",
        "ja\u{200b}ne@ex.exa\u{200d}mple\u{feff}",
    ] {
        assert_eq!(mail(same).unwrap(), "jane@ex.example", "{same}");
    }
}

#[test]
fn rule_2_plus_tags_and_dots_are_kept() {
    assert_eq!(mail("Jane.Doe+news@ex.example").unwrap(), "jane.doe+news@ex.example");
}

#[test]
fn domains_become_a_labels_and_local_parts_nfc() {
    assert_eq!(mail("info@B\u{fc}cher.example").unwrap(), "info@xn--bcher-kva.example");
    assert_eq!(mail("info@XN--BCHER-KVA.example").unwrap(), "info@xn--bcher-kva.example");
    assert_eq!(mail("info@bu\u{308}cher.example").unwrap(), "info@xn--bcher-kva.example");
    // Nameprep of the sharp s: UTS-46 keeps it (non-transitional).
    assert_eq!(mail("a@stra\u{df}e.example").unwrap(), "a@xn--strae-oqa.example");
    assert_eq!(mail("JOSE\u{301}@ex.example").unwrap(), "jos\u{e9}@ex.example");
    assert_eq!(mail("a@ex\u{3002}example").unwrap(), "a@ex.example");
}

#[test]
fn the_last_at_splits_and_quoted_local_parts_live() {
    assert_eq!(mail("\"a@b\"@ex.example").unwrap(), "\"a@b\"@ex.example");
    assert!(mail("a@b@ex.example").is_err());
}

#[test]
fn malformed_addresses_are_refused() {
    for bad in [
        "plain",
        "@ex.example",
        "a@",
        "a@localhost",
        "a@.example",
        "a@ex..example",
        "a b@ex.example",
        ".a@ex.example",
        "a.@ex.example",
        "a..b@ex.example",
        "a@-ex.example",
        "a@ex_1.example",
        "a@10.0.0.1",
        "a@[10.0.0.1]",
        "a@xn--a.example",
        "a,b@ex.example",
        "a@ex.example,b@ex.example",
        "a@ex example.example",
        "\"@ex.example",
    ] {
        assert!(matches!(mail(bad), Err(Refusal::Malformed(_))), "{bad}");
    }
    assert_eq!(mail("  \u{200b} "), Err(Refusal::Empty));
    assert!(mail("a\r\nBcc: b@ex.example").is_err());
}

#[test]
fn address_lengths_are_those_of_rfc_5321() {
    let domain = format!("{}.example", "d".repeat(60));
    assert!(mail(&format!("{}@{domain}", "l".repeat(64))).is_ok());
    assert!(mail(&format!("{}@{domain}", "l".repeat(65))).is_err());
    let long = |n: usize| {
        format!("{}@{}.{}.{}.example", "l".repeat(60), "a".repeat(60), "b".repeat(60), "c".repeat(n))
    };
    assert_eq!(long(63).len(), 254);
    assert!(mail(&long(63)).is_ok());
    assert!(mail(&format!("l{}", long(63))).is_err());
}

#[test]
fn phones_become_e164_with_the_best_region() {
    let us = Ok(("+12025550143".to_owned(), Quality::Valid));
    assert_eq!(number("+1 202 555 0143", ""), us);
    assert_eq!(number("(202) 555-0143", "US"), us);
    assert_eq!(number("1-202-555-0143", "us"), us);
    assert_eq!(number("tel:+1-202-555-0143", ""), us);
    assert_eq!(number("\u{ff0b}\u{ff11}2025550143", ""), us);
    assert_eq!(number("011 1 202 555 0143", "US"), us);
    let regions = Regions { input: Some("??"), person: Some("US"), workspace: Some("AT") };
    assert_eq!(regions.best(), Region::parse("US"));
    assert_eq!(number("01 234567890", "AT").unwrap().0, "+431234567890");
    assert_eq!(number("0664 1234567", "AT"), Ok(("+436641234567".to_owned(), Quality::Valid)));
    // A leading zero that belongs to the number stays.
    assert_eq!(number("+39 06 6982 1234", "").unwrap().0, "+390669821234");
}

#[test]
fn rule_3_possible_is_kept_apart_from_valid_and_impossible_is_refused() {
    // 07700 900xxx is reserved for fiction, so that libphonenumber knows no owner of it.
    assert_eq!(number("+44 7700 900123", ""), Ok(("+447700900123".to_owned(), Quality::Possible)));
    assert_eq!(number("07700 900123", "GB"), Ok(("+447700900123".to_owned(), Quality::Possible)));
    for bad in
        ["+1 202", "+1 202 555 0143 0143 0143", "12", "hello", "+", "+999 123456", "not a 1", "0664/1234567"]
    {
        assert!(matches!(number(bad, ""), Err(Refusal::Malformed(_))), "{bad}");
    }
}

#[test]
fn extensions_go_beside_the_number() {
    let normal = phone("+1 202 555 0143 ext. 12", None).unwrap();
    assert_eq!(&*normal.key.text, "+12025550143");
    assert_eq!(normal.extension.as_deref(), Some("12"));
}

#[test]
fn country_without_numbering_plan_is_no_region() {
    assert_eq!(Region::parse("AQ"), None);
    assert_eq!(Region::parse("Austria"), None);
    assert!(Region::parse(" at ").is_some());
}

#[test]
fn handles_lose_marks_and_profile_addresses() {
    let x = |v: &str| key(IdentityKind::Handle, v, Some("x"));
    for same in [
        "Ada_L",
        "@ada_l",
        "https://x.com/Ada_L?s=20",
        "twitter.com/ada_l/status/1",
        "www.x.com/@ada_l",
        "\u{ff20}ada_l",
    ] {
        assert_eq!(x(same).unwrap(), "x:ada_l", "{same}");
    }
    assert_eq!(key(IdentityKind::Handle, "u/ada-l", Some("reddit")).unwrap(), "reddit:ada-l");
    assert!(x("ada.l").is_err());
    assert!(x("sixteen_letters_").is_err());
    assert!(key(IdentityKind::Handle, "ada", None).is_err());
}

#[test]
fn namespaced_ids_keep_their_case_and_their_namespace() {
    assert_eq!(key(IdentityKind::UserId, " AbC ", None).unwrap(), "default:AbC");
    assert_eq!(key(IdentityKind::External, "42", Some("Shop")).unwrap(), "shop:42");
    let page = Some("instagram:17841400000000000");
    assert_eq!(key(IdentityKind::PlatformId, "99", page).unwrap(), "instagram:17841400000000000:99");
    assert!(key(IdentityKind::PlatformId, "99", Some("instagram")).is_err());
    assert!(key(IdentityKind::External, "42", None).is_err());
    assert_eq!(key(IdentityKind::AnonymousId, " anon-1 ", None).unwrap(), "anon-1");
    assert!(key(IdentityKind::AnonymousId, &"a".repeat(256), None).is_err());
}

#[test]
fn rule_4_blocked_values_are_told_from_malformed_ones() {
    assert_eq!(key(IdentityKind::UserId, "null", None), Err(Refusal::Blocked));
    assert_eq!(key(IdentityKind::Phone, "0000", None), Err(Refusal::Blocked));
    assert_eq!(key(IdentityKind::External, "-1", Some("crm")), Err(Refusal::Blocked));
    assert_eq!(key(IdentityKind::Handle, "@anonymous", Some("x")), Err(Refusal::Blocked));
}

proptest! {
    #[test]
    fn email_is_idempotent_and_bounded(text in "[ -~\u{e4}\u{f6}\u{200b}]{0,30}@[a-zA-Z0-9.\u{fc}-]{1,30}\\.example") {
        if let Ok(once) = mail(&text) {
            prop_assert!(once.len() <= 254);
            prop_assert_eq!(mail(&once), Ok(once.clone()));
        }
    }

    #[test]
    fn any_text_is_read_without_panic(text in any::<String>(), region in prop::sample::select(vec!["", "US", "GB", "AT", "RU", "AR", "MX", "IT"])) {
        let _ = mail(&text);
        let _ = number(&text, region);
        for kind in IdentityKind::ALL {
            let _ = key(kind, &text, Some("x"));
        }
    }

    #[test]
    fn odd_phones_never_panic(text in "[+0-9 ()x;=#*,./:a-cptelhonxw-]{1,40}", region in prop::sample::select(vec!["", "US", "GB", "AT", "RU", "AR", "MX", "IT", "BR", "CN"])) {
        if let Ok((e164, quality)) = number(&text, region) {
            prop_assert!(e164.len() <= 16);
            // The key of a key is the key.
            prop_assert_eq!(number(&e164, region), Ok((e164.clone(), quality)));
        }
    }
}
