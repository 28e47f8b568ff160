use neonhub_core::{ErrorKind, Timestamp};

use super::super::{Brief, CampaignChannel};

const GOOD: &str = r#"
goal = "Win 200 members for the refill club before Christmas"
brand = "Brightmoor Coffee"
audience_text = "People who bought beans from us this year"
key_messages = ["Fresh beans in a bag that comes back", "Roasted on Tuesday, with you by Friday"]
offer = "The first refill at half price"
channels = ["email", "sms", "x", "blog"]
start = 2026-11-24T09:00:00Z
end = "2026-12-15"
must_say = ["Pause or cancel any time"]
must_not_say = ["guaranteed"]
locale = "en-GB"
timezone = "Europe/London"
landing_url = "https://brightmoor.example/refill?src=home#club"
[budget]
amount = 500000
currency = "gbp"
[sender]
email = "hello@brightmoor.example"
name = "Brightmoor Coffee"
postal_address = "12 Kiln Lane, Ashdale"
unsubscribe_url = "https://brightmoor.example/unsubscribe"
"#;

fn faults(text: &str) -> Vec<(String, String)> {
    let err = Brief::from_toml(text).unwrap_err();
    assert_eq!(err.kind(), ErrorKind::InvalidInput);
    err.field_faults().iter().map(|f| (f.field.clone(), f.message.clone())).collect()
}

fn fields(text: &str) -> Vec<String> {
    faults(text).into_iter().map(|(field, _)| field).collect()
}

/// The good brief with one line replaced; an empty `line` removes it.
fn with(key: &str, line: &str) -> String {
    let swap = |l: &str| if l.starts_with(&format!("{key} =")) { line.to_owned() } else { l.to_owned() };
    let text = GOOD.lines().map(swap).collect::<Vec<_>>().join("\n");
    assert_ne!(text, GOOD.trim_end(), "{key} is not in the brief");
    text
}

#[test]
fn good_brief_is_read_whole() {
    let brief = Brief::from_toml(GOOD).unwrap();
    assert_eq!(brief.channels.len(), 4);
    assert!(brief.speaks_on(CampaignChannel::Blog));
    assert_eq!(brief.personal_channels().count(), 2);
    assert_eq!(brief.budget.to_string(), "5000.00 GBP");
    assert_eq!(brief.start, Timestamp::parse("t", "2026-11-24T09:00:00Z").unwrap());
    // The last day counts: the end is the midnight after it, London time.
    assert_eq!(brief.end, Timestamp::parse("t", "2026-12-16T00:00:00Z").unwrap());
}

#[test]
fn every_fault_is_listed_at_once_in_the_order_of_the_brief() {
    let text = r#"
channels = ["email", "fax", 3, "email"]
budget = { amount = 12.5 }
start = 2026-12-01T00:00:00Z
end = 2026-11-01T00:00:00Z
timezone = "Mars/Olympus"
locale = "english"
landing_url = "brightmoor.example"
brandd = "x"
must_say = ["satisfaction Guaranteed today"]
must_not_say = ["guaranteed"]
sender = { email = "hello", name = "A\nB", unsubscribe_url = "http://b.example" }
"#;
    let listed = fields(text);
    let expected = [
        "goal",
        "brand",
        "audience_text",
        "key_messages",
        "channels[1]",
        "channels[2]",
        "budget.currency",
        "budget.amount",
        "end",
        "must_say[0]",
        "locale",
        "timezone",
        "sender.postal_address",
        "sender.email",
        "sender.name",
        "sender.unsubscribe_url",
        "landing_url",
        "brandd",
    ];
    for field in expected {
        assert_eq!(listed.iter().filter(|f| *f == field).count(), 1, "{field} in {listed:?}");
    }
    let at = |field: &str| listed.iter().position(|f| f == field).unwrap();
    assert!(at("goal") < at("channels[1]") && at("channels[1]") < at("landing_url"));
    assert_eq!(at("brandd"), listed.len() - 1);
}

#[test]
fn unknown_channel_names_the_allowed_ones() {
    let found = faults(&with("channels", r#"channels = ["email", "telex"]"#));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "channels[1]");
    assert!(found[0].1.contains("\"telex\"") && found[0].1.contains("linkedin"));
}

#[test]
fn missing_goal_and_empty_goal_are_faults() {
    assert_eq!(fields(&with("goal", "")), ["goal"]);
    assert_eq!(fields(&with("goal", "goal = \"  \"")), ["goal"]);
    assert_eq!(fields(&with("goal", "goal = 7")), ["goal"]);
}

#[test]
fn budget_needs_amount_and_currency() {
    assert_eq!(fields(&with("currency", "")), ["budget.currency"]);
    assert_eq!(fields(&with("currency", "currency = \"EURO\"")), ["budget.currency"]);
    assert_eq!(fields(&with("amount", "")), ["budget.amount"]);
    assert_eq!(fields(&with("amount", "amount = -1")), ["budget.amount"]);
    assert_eq!(fields(&with("amount", "amount = 1000000000000001")), ["budget.amount"]);
    assert_eq!(fields(&with("amount", "amount = \"5000\"")), ["budget.amount"]);
    assert!(Brief::from_toml(&with("amount", "amount = 0")).is_ok());
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    let found = faults(&GOOD.replace("key_messages =", "key_mesages ="));
    assert_eq!(found.iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["key_messages", "key_mesages"]);
    assert!(found[1].1.contains("did you mean key_messages"));
    let found = faults(&GOOD.replace("postal_address =", "postal_adress ="));
    assert!(found.iter().any(|(f, m)| f == "sender.postal_adress" && m.contains("sender.postal_address")));
    let found = faults(&format!("colour = 1\n{GOOD}"));
    assert!(found[0].1.contains("known are goal"));
}

#[test]
fn end_must_follow_start_and_times_may_be_local() {
    assert_eq!(fields(&with("end", "end = 2026-11-24T09:00:00Z")), ["end"]);
    assert_eq!(fields(&with("end", "end = 2206-12-15")), ["end"]);
    assert_eq!(fields(&with("start", "start = \"tomorrow\"")), ["start"]);
    assert_eq!(fields(&with("start", "start = \"2026-11-24T09:00:00+99:00\"")), ["start"]);
    let vienna = with("start", "start = 2026-11-24T09:00:00").replace("Europe/London", "Europe/Vienna");
    let brief = Brief::from_toml(&vienna).unwrap();
    assert_eq!(brief.start, Timestamp::parse("t", "2026-11-24T08:00:00Z").unwrap());
    let spaced = Brief::from_toml(&with("start", "start = \"2026-11-24 09:00:00Z\"")).unwrap();
    assert_eq!(spaced.start, Timestamp::parse("t", "2026-11-24T09:00:00Z").unwrap());
}

#[test]
fn what_is_ordered_may_not_be_forbidden() {
    let clash = with("must_say", r#"must_say = ["Quality guaranteed", "Cancel any time"]"#);
    let found = faults(&clash);
    assert_eq!(found[0].0, "must_say[0]");
    assert!(found[0].1.contains("must_not_say[0]"));
    let brand = with("must_not_say", r#"must_not_say = ["brightmoor"]"#);
    assert_eq!(fields(&brand), ["brand", "sender.name"]);
    // A part of a word is not the phrase.
    assert!(Brief::from_toml(&with("must_not_say", r#"must_not_say = ["pau"]"#)).is_ok());
}

#[test]
fn header_injection_and_bad_addresses_are_refused() {
    assert_eq!(fields(&with("name", r#"name = "A\r\nBcc: b@c.example""#)), ["sender.name"]);
    assert_eq!(fields(&with("email", r#"email = "a@b.example, c@d.example""#)), ["sender.email"]);
    assert_eq!(
        fields(&with("unsubscribe_url", r#"unsubscribe_url = "http://b.example/u""#)),
        ["sender.unsubscribe_url"]
    );
    assert_eq!(fields(&with("landing_url", r#"landing_url = "ftp://b.example""#)), ["landing_url"]);
}

#[test]
fn template_marks_are_refused() {
    assert_eq!(fields(&with("goal", r#"goal = "Hi {{ first_name }}""#)), ["goal"]);
    assert_eq!(fields(&with("must_say", r#"must_say = ["a", "{% raw %}"]"#)), ["must_say[1]"]);
}

#[test]
fn lists_are_bounded() {
    let many = format!("key_messages = [{}]", "\"m\",".repeat(11));
    assert_eq!(fields(&with("key_messages", &many)), ["key_messages"]);
    assert_eq!(fields(&with("key_messages", "key_messages = []")), ["key_messages"]);
    assert_eq!(fields(&with("key_messages", "key_messages = [\"a\", \"\"]")), ["key_messages[1]"]);
    assert_eq!(fields(&with("channels", "channels = []")), ["channels"]);
    assert_eq!(fields(&with("channels", "channels = [\"sms\", \"sms\"]")), ["channels[1]"]);
    assert_eq!(fields(&with("channels", "channels = \"sms\"")), ["channels"]);
}

#[test]
fn syntax_fault_names_its_line() {
    let found = faults("goal = \"a\"\nbrand = \n");
    assert_eq!(found[0].0, "line 2");
    assert!(fields("").contains(&"goal".to_owned()), "an empty file misses every field");
}

#[test]
fn key_ignores_layout_and_follows_content() {
    let key = Brief::from_toml(GOOD).unwrap().key();
    assert_eq!(key.len(), 64);
    let moved = GOOD.replace("goal =", "# a comment\n   goal  =  ").replace("\n", "\r\n");
    assert_eq!(Brief::from_toml(&moved).unwrap().key(), key);
    let bom = format!("\u{feff}{GOOD}").replace("en-GB", "en_gb");
    assert_eq!(Brief::from_toml(&bom).unwrap().key(), key);
    assert_ne!(Brief::from_toml(&with("amount", "amount = 500001")).unwrap().key(), key);
}

#[test]
fn forbidden_messages_are_left_out() {
    let text = with("key_messages", r#"key_messages = ["Taste is guaranteed", "Fresh beans"]"#);
    let brief = Brief::from_toml(&text).unwrap();
    assert_eq!(brief.sayable_messages().collect::<Vec<_>>(), ["Fresh beans"]);
}

#[test]
fn brief_travels_as_json_and_refuses_what_it_does_not_know() {
    let brief = Brief::from_toml(GOOD).unwrap();
    let json = serde_json::to_string(&brief).unwrap();
    assert_eq!(serde_json::from_str::<Brief>(&json).unwrap(), brief);
    assert!(serde_json::from_str::<Brief>(&json.replacen("\"goal\"", "\"aim\"", 1)).is_err());
}
