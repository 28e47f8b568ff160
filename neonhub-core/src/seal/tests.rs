use proptest::prelude::*;

use super::*;

fn root() -> RootKey {
    RootKey::from_bytes([7; 32], "test")
}

fn sealer() -> Sealer {
    Sealer::fixed(&root(), &WorkspaceId::hub())
}

fn bytes_of(sealed: &Sealed) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(&sealed.0).unwrap()
}

#[test]
fn what_is_sealed_opens_in_its_place_alone() {
    let sealer = sealer();
    let sealed = sealer.seal("identity", "value", "jane@shop.example").unwrap();
    assert_eq!(sealer.open("identity", "value", &sealed).unwrap().expose(), "jane@shop.example");
    assert_eq!(sealer.open("identity", "key", &sealed).unwrap_err().kind(), ErrorKind::Corrupted);
    assert_ne!(sealed, sealer.seal("identity", "value", "jane@shop.example").unwrap());
    let foreign = Sealer::fixed(&root(), &WorkspaceId::hub_sibling(1));
    assert_eq!(foreign.open("identity", "value", &sealed).unwrap_err().kind(), ErrorKind::Corrupted);
}

#[test]
fn any_flipped_bit_is_refused() {
    let sealer = sealer();
    let bytes = bytes_of(&sealer.seal("identity", "value", "x").unwrap());
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let bad = Sealed(URL_SAFE_NO_PAD.encode(bad));
        let error = sealer.open("identity", "value", &bad).unwrap_err();
        // A flip in the version may name one that another process could just have made: the keys are read again,
        // and then it is found out.
        let error = if error.code() == "keys_stale" {
            sealer.stale.store(false, Ordering::Release);
            sealer.open("identity", "value", &bad).unwrap_err()
        } else {
            error
        };
        assert_eq!(error.kind(), ErrorKind::Corrupted, "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_wrong_key_a_moved_row_or_a_swapped_text_never_opens(
        text in ".{0,64}", other in ".{0,64}", kind in "[a-z_]{1,12}", field in "[a-z_]{1,12}", key in 0_u8..255
    ) {
        let sealer = sealer();
        let sealed = sealer.seal(&kind, &field, &text).unwrap();
        let opened = sealer.open(&kind, &field, &sealed).unwrap();
        prop_assert_eq!(opened.expose(), text.as_str());
        let wrong = Sealer::fixed(&RootKey::from_bytes([key; 32], "wrong"), &WorkspaceId::hub());
        if key != 7 {
            prop_assert_eq!(wrong.open(&kind, &field, &sealed).unwrap_err().kind(), ErrorKind::Corrupted);
        }
        let moved = sealer.open(&field, &format!("{kind}x"), &sealed).unwrap_err();
        prop_assert_eq!(moved.kind(), ErrorKind::Corrupted);
        // The nonce of one value before the ciphertext of another.
        let second = bytes_of(&sealer.seal(&kind, &field, &other).unwrap());
        let mut mixed = bytes_of(&sealed)[..2 + NONCE_BYTES].to_vec();
        mixed.extend(&second[2 + NONCE_BYTES..]);
        let mixed = Sealed(URL_SAFE_NO_PAD.encode(mixed));
        prop_assert_eq!(sealer.open(&kind, &field, &mixed).unwrap_err().kind(), ErrorKind::Corrupted);
    }

    #[test]
    fn no_text_makes_a_sealer_panic(text in "\\PC{0,80}") {
        prop_assert!(sealer().open("a", "b", &Sealed(text)).is_err());
    }
}

#[test]
fn versions_beyond_one_byte_are_written_in_four() {
    let sealer = Sealer::unread(&WorkspaceId::hub());
    let keys = [1, 300].map(|version| Unwrapped { version, key: root().derive(b"k"), seals: 0 });
    sealer.install(keys.into(), root().derive(b"i"));
    let sealed = sealer.seal("a", "b", "text").unwrap();
    assert_eq!(sealed.key_version(), Some(300));
    assert_eq!(sealer.open("a", "b", &sealed).unwrap().expose(), "text");
}

#[test]
fn a_used_up_key_asks_for_the_next_and_then_refuses() {
    let with = |seals| {
        let sealer = Sealer::unread(&WorkspaceId::hub());
        sealer.install(vec![Unwrapped { version: 1, key: root().derive(b"k"), seals }], root().derive(b"i"));
        sealer
    };
    let nearly = with(REPLACE_AT - 2);
    nearly.seal("a", "b", "x").unwrap();
    assert!(!nearly.takes_care());
    nearly.seal("a", "b", "x").unwrap();
    assert!(nearly.takes_care());
    assert_eq!(with(REFUSE_AT).seal("a", "b", "x").unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn secrets_print_stars() {
    let secret = Secret::new("hunter2");
    let bytes = Secret::of([1_u8, 2, 3]);
    let json = serde_json::to_string(&(&secret, &bytes)).unwrap();
    assert_eq!(format!("{secret:?} {secret} {bytes:?} {json}"), "*** *** *** [\"***\",\"***\"]");
    assert_eq!(bytes.expose_value(), &[1, 2, 3]);
}
