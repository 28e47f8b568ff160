//! Templates of messages: strict, escaped by part, rendered with declared values only.

use std::collections::BTreeSet;

use neonhub_core::prompt::{Engine, Escape};
use neonhub_core::{Error, Faults, Result};
use serde_json::Value;

/// What a part is, and so how values are escaped in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// One line of a header: a value with a line break is refused.
    Header,
    /// Plain text.
    Text,
    /// HTML.
    Html,
}

/// The compiled parts of one message. Compile once, render per recipient.
#[derive(Debug)]
pub struct Template {
    plain: Engine,
    html: Engine,
    parts: Vec<(&'static str, PartKind)>,
}

impl Template {
    /// Compiles `(name, kind, source)` parts.
    ///
    /// # Errors
    /// `InvalidInput` listing every part that does not parse.
    pub fn compile(parts: &[(&'static str, PartKind, &str)]) -> Result<Self> {
        let (mut plain, mut html) = (Engine::new(Escape::Text), Engine::new(Escape::Html));
        let mut faults = Faults::new();
        for (name, kind, source) in parts {
            let engine = if *kind == PartKind::Html { &mut html } else { &mut plain };
            if let Err(error) = engine.add(*name, *source) {
                faults.push(*name, error.message().to_owned());
            }
        }
        faults.into_result("templates.compile")?;
        let parts = parts.iter().map(|(name, kind, _)| (*name, *kind)).collect();
        Ok(Template { plain, html, parts })
    }

    /// The variables all parts together read.
    #[must_use]
    pub fn reads(&self) -> BTreeSet<String> {
        let of = |(name, kind): &(&'static str, PartKind)| self.engine(*kind).reads(name);
        self.parts.iter().flat_map(of).collect()
    }

    /// Renders one part.
    ///
    /// # Errors
    /// `InvalidInput` for a missing value, or a line break in a header; `NotFound` for an unknown part.
    pub fn render(&self, part: &str, vars: &Value) -> Result<String> {
        let kind =
            self.parts.iter().find(|(name, _)| *name == part).map_or(PartKind::Text, |(_, kind)| *kind);
        let out = self.engine(kind).render(part, vars)?;
        if kind == PartKind::Header && out.trim().chars().any(char::is_control) {
            return Err(Error::invalid(
                "templates.render",
                part,
                "expected one line: a value holds a line break",
            ));
        }
        Ok(match kind {
            PartKind::Header => out.trim().to_owned(),
            PartKind::Text => out,
            // The engine escapes slashes too. A link then reads as one only after decoding, which filters and people
            // that look at the source do not do; a slash ends no attribute and no text.
            PartKind::Html => out.replace("&#x2f;", "/"),
        })
    }

    fn engine(&self, kind: PartKind) -> &Engine {
        if kind == PartKind::Html { &self.html } else { &self.plain }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template() -> Template {
        let parts = [
            ("subject", PartKind::Header, "Hi {{ name }}"),
            ("text", PartKind::Text, "{{ name }}: {{ url }}"),
            ("html", PartKind::Html, "<a href=\"{{ url }}\">{{ name }}</a>"),
        ];
        Template::compile(&parts).unwrap()
    }

    #[test]
    fn values_are_escaped_by_part() {
        let vars = json!({ "name": "<b>&\"{{ url }}", "url": "https://shop.example/?a=1&b=2" });
        assert_eq!(
            template().render("text", &vars).unwrap(),
            "<b>&\"{{ url }}: https://shop.example/?a=1&b=2"
        );
        let html = template().render("html", &vars).unwrap();
        assert!(html.starts_with("<a href=\"https://shop.example/?a=1&amp;b=2\">"), "{html}");
        assert!(
            !html.contains("<b>") && html.contains("{{ url }}"),
            "a value never acts as template code: {html}"
        );
        assert_eq!(template().reads().into_iter().collect::<Vec<_>>(), ["name", "url"]);
    }

    #[test]
    fn missing_values_and_header_line_breaks_are_errors() {
        assert!(template().render("text", &json!({ "name": "x" })).is_err());
        let err = template().render("subject", &json!({ "name": "x\r\nBcc: y@z.example" })).unwrap_err();
        assert_eq!(err.field_faults()[0].field, "subject");
        let bad =
            Template::compile(&[("text", PartKind::Text, "{{ name"), ("html", PartKind::Html, "{% if %}")]);
        assert_eq!(bad.unwrap_err().field_faults().len(), 2);
    }
}
