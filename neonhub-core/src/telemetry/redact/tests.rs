use super::*;

#[test]
fn secrets_and_addresses_are_replaced_and_the_rest_stays() {
    for (text, clean) in [
        ("Bearer abc.def-123 sent", "[redacted:bearer] sent"),
        ("key sk-proj-abcdEFGH1234 used", "key [redacted:key] used"),
        ("re_1234567890ab and whsec_MfKQ9r8GKYqr.", "[redacted:key] and [redacted:key]."),
        ("t eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig_x", "t [redacted:jwt]"),
        ("to <jane.doe+x@mail.shop.example>", "to <[redacted:email]>"),
        ("jörg@müller.example", "[redacted:email]"),
        ("?email=jane%40shop.example&x=1", "?email=[redacted:email]&x=1"),
        (r#"from "jane doe"@shop.example."#, "from [redacted:email]."),
        ("call +1 (202) 555-0123 now", "call [redacted:phone] now"),
        ("+436601234567", "[redacted:phone]"),
        ("tel=%2B436601234567", "tel=[redacted:phone]"),
        ("+49\u{a0}30\u{a0}/\u{a0}1234\u{2011}567", "[redacted:phone]"),
        ("card 4111 1111 1111 1111 end", "card [redacted:card] end"),
        ("n4111111111111111x", "n[redacted:card]x"),
        ("no=4111%201111%201111%201111&x", "no=[redacted:card]&x"),
        ("378282246310005", "[redacted:card]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization=[redacted:field]"),
        ("Basic dXNlcjpwYXNz", "[redacted:bearer]"),
        (r#"{"api_key":"x y","n":1}"#, r#"{"api_key=[redacted:field],"n":1}"#),
        (r#"{\"password\":\"two words\",\"n\":1}"#, r#"{\"password=[redacted:field],\"n\":1}"#),
        (r#"Login { password: "a \" b", n: 1 }"#, "Login { password=[redacted:field], n: 1 }"),
        (r#"("x-api-key", "plain")"#, "(x-api-key=[redacted:field])"),
        ("<password>plain</password>", "<password>[redacted:field]</password>"),
        ("password%3Dplain", "password=[redacted:field]"),
        ("Set-Cookie: a=b; c=d", "Set-Cookie=[redacted:field]"),
        ("postgres://app:hunter2@db:5432/shop", "postgres://app:[redacted:field]@db:5432/shop"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n", "[redacted:key]\n"),
    ] {
        assert_eq!(redact(text), clean, "{text}");
    }
}

#[test]
fn ordinary_text_stays_as_it_is() {
    for text in [
        "4111 1111 1111 1112",
        "at 1795259519123 input_tokens=15",
        "run_01kaf3w0000000000000000000 done in 12.5 s",
        "a bearer token is a bearer certificate; Bearer tokens, bearer of news",
        "basic settings, Basic training and the basic principles of it",
        "task-management for risk-assessment and disk-encryption, sk-learn and sk-compatible",
        "are_something_else re_connect_attempts re_index_started feature_re_embedding_v2",
        "upgrade react@18.20 and lodash@4.17.21, see logo@2x.png and user@localhost",
        "the score is 0.4111111111111111 of 1.0",
        "sha256 4111111111111111aa0a4111111111111111bb0b4111111111111111cc0c2222",
        "uuid 01890a5d-ac96-774b-bcce-b302099a8057 at 2026-11-22T09:00:00+01:00",
        "version 1.4.0+20261121093000 was built",
        "growth of +12 % and 1+2=3, +100 000 people",
        "10.0.0.1:8080 and https://shop.example:8443/a?b=c#d",
        "the token is unknown, no secret is kept, ask for a password",
        "tokens=15 max_output_tokens: 500 secretary: yes keyword=tea",
        "cookies are off; a cookie is set by nobody",
        "Vec<Token> and Option<Secret> are types",
        "order 100-2026-4711 of 3 items for 12.99 EUR, EAN 4006381333931",
        "größer, 価格は1,234,567円です。",
        "",
    ] {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn field_names_count_whole() {
    for name in ["token", "Access-Token", "set-cookie", "smtp.password", "API_KEY", "client_secret"] {
        assert!(is_secret_field(name), "{name}");
    }
    for name in ["input_tokens", "secretary", "keyword", "passwords"] {
        assert!(!is_secret_field(name), "{name}");
    }
}

#[test]
fn errors_keep_names_and_lose_values() {
    assert_eq!(redact_values("token: expected jane@shop.example"), "token: expected [redacted:email]");
}

#[test]
fn what_was_redacted_once_is_redacted_for_good() {
    for text in ["password=abc jane@shop.example +436601234567", r#"{"api_key":"x y"} Bearer abc.def-123"#] {
        let once = redact(text).into_owned();
        assert_eq!(redact(&once), once);
    }
}
