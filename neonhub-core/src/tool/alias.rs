//! Further names of tools, for prompts written against other systems.

use serde_json::{Value, json};

/// An operation under another name, with some arguments fixed.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: &'static str,
    pub(super) operation: &'static str,
    pub(super) fixed: fn() -> Value,
}

/// In `snake_case`; `camelCase` is the same name. Those whose operation is not in the catalogue do not exist.
pub(super) static ALIASES: &[Alias] = &[
    Alias { name: "send_email", operation: "sends.create", fixed: || json!({ "channel": "email" }) },
    Alias { name: "post_to_twitter", operation: "social.publish", fixed: || json!({ "network": "x" }) },
    Alias { name: "generate_image", operation: "design.generate_image", fixed: || json!({}) },
    Alias { name: "analyze_keywords", operation: "seo.discover_keywords", fixed: || json!({}) },
    Alias { name: "fetch_analytics", operation: "seo.get_metrics", fixed: || json!({}) },
    Alias { name: "schedule_social_post", operation: "social.schedule", fixed: || json!({}) },
];

/// The alias of this name, if it is one.
pub(super) fn alias(name: &str) -> Option<&'static Alias> {
    let name = snake(name);
    ALIASES.iter().find(|alias| alias.name == name)
}

/// `sendEmail` as `send_email`.
fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_one_name() {
        assert_eq!(alias("sendEmail").unwrap().operation, "sends.create");
        assert_eq!(alias("send_email").unwrap().operation, "sends.create");
        assert!(alias("send_emails").is_none());
    }
}
