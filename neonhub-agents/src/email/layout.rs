//! A plain, good-looking layout: one column, inline styles, readable without images, with its plain-text twin.
//!
//! Texts may hold template expressions (`{{ first_name }}`): they pass through as they are, everything around them
//! is escaped, and the template engine escapes their values.

use std::fmt::Write as _;

/// A link drawn as a button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// Where it leads.
    pub url: String,
}

/// The end of every marketing mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Name of the sender.
    pub sender: String,
    /// Postal address; line breaks are kept.
    pub postal_address: String,
    /// Link to leave the list.
    pub unsubscribe_url: String,
    /// What the link says: `Unsubscribe`.
    pub unsubscribe_label: String,
    /// Why the reader gets this mail, one sentence.
    pub reason: String,
}

/// What a mail says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Language of the text, BCP 47.
    pub locale: String,
    /// Line that mail programs show beside the subject.
    pub preheader: String,
    /// Heading.
    pub heading: String,
    /// Paragraphs.
    pub paragraphs: Vec<String>,
    /// The one thing to do.
    pub button: Option<Button>,
    /// Greeting at the end, above the footer; line breaks are kept.
    pub sign_off: String,
    /// Footer.
    pub footer: Footer,
    /// Colour of heading bar and button, `#rrggbb`. Anything else falls back to a dark blue.
    pub accent: String,
}

/// Both twins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// HTML document.
    pub html: String,
    /// Plain text.
    pub text: String,
}

const FONT: &str = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";
const DEFAULT_ACCENT: &str = "#1f3a8a";

impl Layout {
    /// Writes both parts.
    #[must_use]
    pub fn render(&self) -> Rendered {
        Rendered { html: self.html(), text: self.text() }
    }

    fn accent(&self) -> &str {
        let digits = self.accent.strip_prefix('#').unwrap_or_default();
        let is_colour = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        if is_colour { &self.accent } else { DEFAULT_ACCENT }
    }

    fn html(&self) -> String {
        let accent = self.accent();
        let mut out = format!(
            "<!doctype html>\n<html lang=\"{lang}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n</head>\n\
             <body style=\"margin:0;padding:0;background:#f3f4f6\">\n\
             <div style=\"display:none;max-height:0;overflow:hidden\">{preheader}</div>\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
             style=\"background:#f3f4f6\"><tr><td align=\"center\" style=\"padding:24px 12px\">\n\
             <table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
             style=\"max-width:600px;background:#ffffff;border-radius:8px;{FONT}\">\n\
             <tr><td style=\"height:6px;background:{accent};border-radius:8px 8px 0 0;font-size:0\">&nbsp;</td></tr>\n\
             <tr><td style=\"padding:32px\">\n\
             <h1 style=\"margin:0 0 16px;font-size:24px;line-height:1.3;color:#111827\">{heading}</h1>\n",
            lang = escape(&self.locale),
            title = escape(&self.heading),
            preheader = escape(&self.preheader),
            heading = escape(&self.heading),
        );
        for paragraph in &self.paragraphs {
            let body = lines(paragraph);
            let _ = writeln!(
                out,
                "<p style=\"margin:0 0 16px;font-size:16px;line-height:1.6;color:#374151\">{body}</p>"
            );
        }
        if let Some(button) = &self.button {
            let _ = writeln!(
                out,
                "<p style=\"margin:24px 0\"><a href=\"{url}\" style=\"display:inline-block;padding:12px 24px;\
                 background:{accent};color:#ffffff;text-decoration:none;border-radius:6px;font-size:16px;\
                 font-weight:600\">{label}</a></p>",
                url = escape(&button.url),
                label = escape(&button.label),
            );
        }
        if !self.sign_off.is_empty() {
            let sign_off = lines(&self.sign_off);
            let _ = writeln!(
                out,
                "<p style=\"margin:24px 0 0;font-size:16px;line-height:1.6;color:#374151\">{sign_off}</p>"
            );
        }
        out.push_str("</td></tr>\n");
        self.html_footer(&mut out);
        out.push_str("</table>\n</td></tr></table>\n</body>\n</html>\n");
        out
    }

    fn html_footer(&self, out: &mut String) {
        let footer = &self.footer;
        let _ = write!(
            out,
            "<tr><td style=\"padding:20px 32px;border-top:1px solid #e5e7eb;font-size:13px;line-height:1.5;\
             color:#6b7280\">\n<p style=\"margin:0 0 8px\">{reason}</p>\n\
             <p style=\"margin:0 0 8px\">{sender}<br>{address}</p>\n\
             <p style=\"margin:0\"><a href=\"{url}\" style=\"color:#4b5563\">{label}</a></p>\n</td></tr>\n",
            reason = escape(&footer.reason),
            sender = escape(&footer.sender),
            address = lines(&footer.postal_address),
            url = escape(&footer.unsubscribe_url),
            label = escape(&footer.unsubscribe_label),
        );
    }

    fn text(&self) -> String {
        let mut blocks = vec![self.heading.trim().to_owned()];
        blocks.extend(self.paragraphs.iter().map(|p| p.trim().to_owned()));
        if let Some(button) = &self.button {
            blocks.push(format!("{}:\n{}", button.label.trim(), button.url));
        }
        blocks.push(self.sign_off.trim().to_owned());
        let footer = &self.footer;
        blocks.push(format!("--\n{}", footer.reason));
        blocks.push(format!("{}\n{}", footer.sender, footer.postal_address.trim()));
        blocks.push(format!("{}: {}", footer.unsubscribe_label, footer.unsubscribe_url));
        blocks.retain(|block| !block.is_empty());
        let mut out = blocks.join("\n\n");
        out.push('\n');
        out
    }
}

/// Plain text as simple HTML: paragraphs at empty lines.
pub(crate) fn html_of(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let mut out =
        format!("<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body style=\"{FONT}\">\n");
    for paragraph in text.split("\n\n").map(str::trim).filter(|p| !p.is_empty()) {
        let mut body = String::new();
        escape_plain(paragraph, &mut body);
        let _ = writeln!(out, "<p>{}</p>", body.replace('\n', "<br>"));
    }
    out.push_str("</body></html>\n");
    out
}

fn lines(text: &str) -> String {
    escape(text.trim()).replace('\n', "<br>")
}

/// Escapes HTML outside `{{ .. }}` and `{% .. %}`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let close = if rest.get(open..).is_some_and(|r| r.starts_with("{{")) { "}}" } else { "%}" };
        let end = rest.get(open..).and_then(|r| r.find(close)).map_or(rest.len(), |i| open + i + 2);
        escape_plain(rest.get(..open).unwrap_or_default(), &mut out);
        out.push_str(rest.get(open..end).unwrap_or_default());
        rest = rest.get(end..).unwrap_or_default();
    }
    escape_plain(rest, &mut out);
    out
}

fn escape_plain(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::{FooterNeeds, inspect_email};

    fn layout() -> Layout {
        Layout {
            locale: "en".into(),
            preheader: "Two weeks only".into(),
            heading: "Beans & more, {{ first_name | default(\"friend\") }}".into(),
            paragraphs: vec!["Fresh <roast>.\nEvery week.".into(), "See you".into()],
            button: Some(Button { label: "Shop".into(), url: "https://shop.example/a?x=1&y=2".into() }),
            sign_off: "The team".into(),
            footer: Footer {
                sender: "Shop & Co".into(),
                postal_address: "Hauptplatz 1\n1010 Wien".into(),
                unsubscribe_url: "{{ unsubscribe_url }}".into(),
                unsubscribe_label: "Unsubscribe".into(),
                reason: "You get this because you signed up.".into(),
            },
            accent: "red; x:expression(1)".into(),
        }
    }

    #[test]
    fn expressions_pass_and_everything_else_is_escaped() {
        let html = layout().render().html;
        assert!(html.contains("Beans &amp; more, {{ first_name | default(\"friend\") }}"));
        assert!(html.contains("Fresh &lt;roast&gt;.<br>Every week."));
        assert!(html.contains("href=\"https://shop.example/a?x=1&amp;y=2\""));
        assert!(html.contains(DEFAULT_ACCENT) && !html.contains("expression("));
    }

    #[test]
    fn both_twins_hold_address_opt_out_and_sender() {
        let out = layout().render();
        let needs = FooterNeeds {
            postal_address: "Hauptplatz 1\n1010 Wien",
            unsubscribe: "{{ unsubscribe_url }}",
            sender: "Shop & Co",
        };
        let seen = inspect_email(&needs, "Hi", &out.html, &out.text);
        assert!(seen.has_postal_address && seen.has_opt_out && seen.has_sender, "{}", out.text);
        assert!(out.text.contains("Shop:\nhttps://shop.example/a?x=1&y=2"));
    }
}
