//! The strict template environment: what a template may use and how much.

use std::fmt::Write as _;
use std::io;

use minijinja::value::Value as Item;
use minijinja::{AutoEscape, Environment, Output, UndefinedBehavior};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// Instructions one rendering may take; a loop over 10 000 items fits, an endless nest of loops does not.
const FUEL: u64 = 400_000;
/// Most bytes one rendering may write.
const MAX_OUTPUT: usize = 1 << 20;
/// Most bytes of one template text.
const MAX_TEMPLATE: usize = 1 << 18;
/// Most items of `range()`.
const MAX_RANGE: i64 = 10_000;
/// Depth of nesting: an include costs 10, a macro 4, a loop 1; so about 10 includes inside one another.
const DEPTH: usize = 120;
/// Builtins that would let a value escape its escaping, show all values, or grow without bound.
const NO_FILTERS: &[&str] = &["safe", "format", "pprint", "indent", "batch", "slice"];
const NO_GLOBALS: &[&str] = &["debug", "namespace", "range"];

/// What the output is, and so what must be escaped in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Escape {
    /// Plain text: nothing is escaped.
    #[default]
    Text,
    /// HTML: `< > & " ' /` of values become entities.
    Html,
    /// Part of a URL: everything but `A-Z a-z 0-9 - . _ ~` of values is percent-encoded (RFC 3986, 2005).
    Url,
}

/// A set of templates that may include one another, all of one [`Escape`].
///
/// Limits of one rendering: 1 MiB of output, 400 000 instructions, `range()` of 10 000, about 10 includes deep.
/// Values that are missing or `null` cannot be printed: guard them with `if` or `default`.
#[derive(Debug)]
pub struct Engine {
    env: Environment<'static>,
}

impl Engine {
    /// An engine without templates.
    #[must_use]
    pub fn new(escape: Escape) -> Self {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_recursion_limit(DEPTH);
        // Only so does the engine remember the name of a missing value; nothing of its report is passed on.
        env.set_debug(true);
        env.set_auto_escape_callback(move |_| match escape {
            Escape::Text => AutoEscape::None,
            Escape::Html => AutoEscape::Html,
            Escape::Url => AutoEscape::Custom("url".into()),
        });
        env.set_formatter(print);
        NO_FILTERS.iter().for_each(|name| env.remove_filter(name));
        NO_GLOBALS.iter().for_each(|name| env.remove_global(name));
        env.add_function("range", range);
        env.add_filter("urlencode", |text: String| percent(&text));
        env.add_filter("first_upper", |text: String| first_upper(&text));
        env.add_filter("clip", |text: String, chars: usize| clip(&text, chars).to_owned());
        Engine { env }
    }

    /// Adds a template that is rendered or included by `name`.
    ///
    /// # Errors
    /// `InvalidInput` naming the template and line when it does not parse or is larger than 256 KiB.
    pub fn add(&mut self, name: impl Into<String>, template: impl Into<String>) -> Result<()> {
        let (name, template) = (name.into(), template.into());
        if template.len() > MAX_TEMPLATE {
            return Err(Error::invalid("prompt.parse", name, "expected at most 256 KiB of template text"));
        }
        self.env
            .add_template_owned(name.clone(), template)
            .map_err(|fault| bad_template("prompt.parse", &name, &fault))
    }

    /// As [`add`](Self::add), for building in one expression.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn with(mut self, name: impl Into<String>, template: impl Into<String>) -> Result<Self> {
        self.add(name, template)?;
        Ok(self)
    }

    /// Adds a function that templates may call. Only for parts of core that bring chance by seed.
    pub(crate) fn function<F, Rv, Args>(&mut self, name: &'static str, f: F)
    where
        F: minijinja::functions::Function<Rv, Args>,
        Rv: minijinja::value::FunctionResult,
        Args: for<'a> minijinja::value::FunctionArgs<'a>,
    {
        self.env.add_function(name, f);
    }

    /// Renders the template `name` with the fields of the object `vars`.
    ///
    /// # Errors
    /// `NotFound` when there is no such template; `InvalidInput` naming a missing value, the line of a faulty
    /// expression, or the limit that was passed.
    pub fn render(&self, name: &str, vars: &Value) -> Result<String> {
        self.render_item(name, Item::from(minijinja::value::Serde(vars)))
    }

    pub(crate) fn render_item(&self, name: &str, vars: Item) -> Result<String> {
        let template = self.env.get_template(name).map_err(|fault| {
            let known: Vec<&str> = self.env.templates().map(|(n, _)| n).collect();
            if known.contains(&name) {
                return bad_template("prompt.render", name, &fault);
            }
            Error::new(ErrorKind::NotFound, "prompt.render", "no template of this name")
                .with_context("template", name)
        })?;
        let mut out = Bounded(Vec::new());
        template
            .render_captured_to(vars, &mut out)
            .map_err(|fault| bad_template("prompt.render", name, &fault))?;
        String::from_utf8(out.0).map_err(|cause| Error::internal("prompt.render", cause))
    }

    /// The variables the template reads, with dots for fields, sorted. Functions are left out.
    #[must_use]
    pub fn reads(&self, name: &str) -> Vec<String> {
        let Ok(template) = self.env.get_template(name) else { return Vec::new() };
        let functions: Vec<&str> = self.env.globals().map(|(n, _)| n).collect();
        let mut names: Vec<String> = template
            .undeclared_variables(true)
            .into_iter()
            .filter(|n| !functions.contains(&n.as_str()))
            .collect();
        names.sort();
        names
    }
}

/// Renders one template text with the fields of the object `vars`.
///
/// # Errors
/// As [`Engine::add`] and [`Engine::render`].
pub fn render(template: &str, vars: &Value, escape: Escape) -> Result<String> {
    Engine::new(escape).with("template", template)?.render("template", vars)
}

/// What the engine makes of a template without tags, which is the text but for one line end behind it.
pub(super) fn untagged(template: &str) -> Option<&str> {
    let has_tag = template.as_bytes().windows(2).any(|two| matches!(two, b"{{" | b"{%" | b"{#"));
    let text = template.strip_suffix('\n').unwrap_or(template);
    let text = text.strip_suffix('\r').unwrap_or(text);
    (!has_tag && template.len() <= MAX_TEMPLATE).then_some(text)
}

/// Our error for one of the template engine's: the name of the template, the line and the cause, and no value.
pub(crate) fn bad_template(operation: &'static str, name: &str, fault: &minijinja::Error) -> Error {
    use minijinja::ErrorKind as Kind;
    let detail = fault.detail().unwrap_or_default();
    let message = match fault.kind() {
        Kind::UndefinedError => format!("a value is missing: {}", missing(detail)),
        Kind::OutOfFuel => format!("expected at most {FUEL} instructions: shorten its loops"),
        Kind::WriteFailure => "expected at most 1 MiB of output".to_owned(),
        Kind::SyntaxError
        | Kind::UnknownFilter
        | Kind::UnknownFunction
        | Kind::UnknownTest
        | Kind::UnknownMethod
        | Kind::TemplateNotFound
        | Kind::MissingArgument
        | Kind::TooManyArguments => format!("{}: {detail}", fault.kind()),
        // Details of the other kinds may repeat a value.
        kind if detail.starts_with(OURS) => format!("{kind}: {}", detail.trim_start_matches(OURS)),
        kind => kind.to_string(),
    };
    let line = fault.line().map_or(String::new(), |n| format!(" (line {n})"));
    let field = fault.name().unwrap_or(name).to_owned();
    Error::invalid(operation, field, format!("{message}{line}"))
}

/// Marks details written here, which hold no value.
const OURS: &str = "neonhub: ";

pub(crate) fn refuse(message: impl std::fmt::Display) -> minijinja::Error {
    minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, format!("{OURS}{message}"))
}

fn missing(detail: &str) -> &str {
    if detail.is_empty() { "give every value the template prints" } else { detail }
}

fn print(
    out: &mut Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Item,
) -> std::result::Result<(), minijinja::Error> {
    if value.is_none() {
        return Err(refuse("a value is null: guard it with if or default"));
    }
    if let AutoEscape::Custom(_) = state.auto_escape()
        && !value.is_undefined()
        && !value.is_safe()
    {
        let text = percent(&value.to_string());
        return out.write_str(&text).map_err(minijinja::Error::from);
    }
    if value.is_safe()
        && let Some(text) = value.as_str()
    {
        return out.write_str(text).map_err(minijinja::Error::from);
    }
    minijinja::escape_formatter(out, state, value)
}

fn range(low: i64, high: Option<i64>, step: Option<i64>) -> std::result::Result<Vec<i64>, minijinja::Error> {
    let (low, high) = high.map_or((0, low), |high| (low, high));
    let step = step.unwrap_or(1);
    if step <= 0 {
        return Err(refuse("range expects a step above 0"));
    }
    if high.saturating_sub(low) / step > MAX_RANGE {
        return Err(refuse(format_args!("range expects at most {MAX_RANGE} items")));
    }
    Ok((low..high).step_by(usize::try_from(step).unwrap_or(1)).collect())
}

/// Percent-encodes all but the unreserved characters.
fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
            out.push(char::from(b));
        } else {
            let _ = write!(out, "%{b:02X}");
        }
        out
    })
}

/// The first letter in upper case, the rest as it is.
pub(crate) fn first_upper(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// The longest start of `text` of at most `limit` characters that ends at a word, without trailing marks.
/// A first word longer than that is cut inside.
pub(crate) fn clip(text: &str, limit: usize) -> &str {
    let Some((end, next)) = text.char_indices().nth(limit) else { return text };
    let head = text.get(..end).unwrap_or(text);
    let cut = if next.is_whitespace() { Some(end) } else { head.rfind(char::is_whitespace) };
    let words = cut.and_then(|at| head.get(..at)).unwrap_or(head).trim_end();
    let bare = words.trim_end_matches([',', ';', ':', '-', '–', '(', '&']).trim_end();
    if bare.is_empty() { head } else { bare }
}

/// Takes at most [`MAX_OUTPUT`] bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_OUTPUT {
            return Err(io::Error::other("output limit"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(template: &str, vars: &Value) -> String {
        render(template, vars, Escape::Text).unwrap_err().message().to_owned()
    }

    #[test]
    fn a_missing_value_is_named() {
        assert!(
            message("Hi\n{{ person.frist }}", &json!({"person": {"first": "A"}})).contains("person.frist")
        );
        assert!(message("{% if offer %}x{% endif %}", &json!({})).contains("offer"));
        assert!(message("{{ offer|upper }}", &json!({})).contains("offer"));
        assert!(message("a\n\n{{ offer }}", &json!({})).contains("line 3"));
        assert!(message("{{ offer }}", &json!({"offer": null})).contains("null"));
        assert_eq!(
            render("{{ offer|default('none today') }}", &json!({}), Escape::Text).unwrap(),
            "none today"
        );
    }

    #[test]
    fn a_value_never_acts_as_code() {
        let nasty = "{{ secret }}{% include 'x' %}{# c #}";
        let out = render("{{ v }}", &json!({"v": nasty, "secret": "s"}), Escape::Text).unwrap();
        assert_eq!(out, nasty);
        let out = render("{{ v }}", &json!({"v": "<a href=\"x\">"}), Escape::Html).unwrap();
        assert_eq!(out, "&lt;a href=&quot;x&quot;&gt;");
        let out = render("/q?x={{ v }}", &json!({"v": "a b&c=ä"}), Escape::Url).unwrap();
        assert_eq!(out, "/q?x=a%20b%26c%3D%C3%A4");
    }

    #[test]
    fn values_cannot_be_declared_safe() {
        assert!(message("{{ v|safe }}", &json!({"v": "<b>"})).contains("safe"));
        assert!(message("{{ debug() }}", &json!({"v": "x"})).contains("debug"));
    }

    #[test]
    fn runaway_templates_are_stopped() {
        let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
        assert!(message(loops, &json!({})).contains("instructions"));
        assert!(message("{% for a in range(99999) %}{% endfor %}", &json!({})).contains("10000 items"));
        let big = "{% for a in range(3000) %}{{ v }}{% endfor %}";
        assert!(message(big, &json!({"v": "x".repeat(1000)})).contains("1 MiB"));
        assert_eq!(
            render("{% for a in range(10000) %}.{% endfor %}", &json!({}), Escape::Text).unwrap().len(),
            10_000
        );
        let circle = Engine::new(Escape::Text).with("a", "{% include 'a' %}").unwrap();
        assert_eq!(circle.render("a", &json!({})).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn templates_include_only_what_was_given() {
        let engine = Engine::new(Escape::Html)
            .with("page", "{% include 'footer' %} {{ n }}")
            .unwrap()
            .with("footer", "({{ n }})")
            .unwrap();
        assert_eq!(engine.render("page", &json!({"n": "<"})).unwrap(), "(&lt;) &lt;");
        assert_eq!(engine.reads("page"), ["n"]);
        assert!(message("{% include '/etc/passwd' %}", &json!({})).contains("/etc/passwd"));
        assert_eq!(engine.render("other", &json!({})).unwrap_err().kind(), ErrorKind::NotFound);
    }

    proptest::proptest! {
        #[test]
        fn what_holds_no_tag_is_itself(text in "[ab{}%#<&\\r\\n\\\\ ]{0,8}") {
            if let Some(plain) = untagged(&text) {
                for escape in [Escape::Text, Escape::Html, Escape::Url] {
                    proptest::prop_assert_eq!(plain, render(&text, &json!({}), escape).unwrap());
                }
            }
        }
    }

    #[test]
    fn texts_are_clipped_at_words() {
        assert_eq!(clip("one two, three", 9), "one two");
        assert_eq!(clip("one two", 7), "one two");
        assert_eq!(clip("äöüßäöü", 3), "äöü");
        assert_eq!(render("{{ 'éa b'|first_upper|clip(2) }}", &json!({}), Escape::Text).unwrap(), "Éa");
    }

    #[test]
    fn errors_hold_no_values() {
        let vars = json!({"mail": "ann@tea.example"});
        for template in ["{{ mail + 1 }}", "{{ mail.x.y }}", "{{ mail|first|int }}", "{{ mail|dictsort }}"] {
            let err = render(template, &vars, Escape::Text).unwrap_err();
            assert!(!format!("{err} {err:?}").contains("ann@"), "{err:?}");
        }
    }
}
