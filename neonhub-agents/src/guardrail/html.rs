//! What spam rules need from HTML: visible text, images, links with their text. A scanner, not a parser:
//! it must cope with anything and feeds scores only.

use crate::voice::text::Span;

/// A reading of one HTML part.
#[derive(Debug, Default)]
pub(super) struct Html {
    /// Text outside tags, styles and scripts.
    pub(super) text: String,
    /// Number of images.
    pub(super) images: usize,
    /// Target and text of each link.
    pub(super) links: Vec<(String, String)>,
    /// Some text has the colour of its background.
    pub(super) has_hidden_colour: bool,
}

pub(super) fn read(html: &str) -> Html {
    let mut out = Html::default();
    let mut open_link: Option<(String, usize)> = None;
    let mut at = 0;
    while let Some(found) = Span::new(at, html.len()).of(html).find('<') {
        let from = at + found;
        out.text.push_str(Span::new(at, from).of(html));
        let rest = Span::new(from, html.len()).of(html);
        let Some(len) = rest.find('>') else {
            at = html.len();
            break;
        };
        let tag = rest.get(1..len).unwrap_or("");
        let name = tag
            .split(|c: char| c.is_whitespace() || c == '/')
            .find(|p| !p.is_empty())
            .unwrap_or("")
            .to_ascii_lowercase();
        at = from + len + 1;
        match (name.as_str(), tag.starts_with('/')) {
            ("img", _) => out.images += 1,
            ("a", false) => open_link = attribute(tag, "href").map(|href| (href, out.text.len())),
            ("a", true) => {
                if let Some((href, start)) = open_link.take() {
                    let label = Span::new(start, out.text.len()).of(&out.text).trim().to_owned();
                    out.links.push((href, label));
                }
            }
            ("script" | "style", false) => {
                let close = format!("</{name}");
                let body = Span::new(at, html.len()).of(html).to_ascii_lowercase();
                at += body.find(&close).unwrap_or(body.len());
            }
            ("p" | "br" | "div" | "td" | "tr" | "li" | "h1" | "h2" | "h3", _) => out.text.push('\n'),
            _ => {}
        }
        out.has_hidden_colour |= attribute(tag, "style").is_some_and(|s| same_colours(&s));
    }
    out.text.push_str(Span::new(at, html.len()).of(html));
    out
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.match_indices(name).map(|(p, _)| p).find(|p| {
        let before = lower.get(..*p).and_then(|t| t.chars().next_back());
        before.is_some_and(char::is_whitespace)
            && lower.get(p + name.len()..).is_some_and(|t| t.trim_start().starts_with('='))
    })?;
    let value = tag.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
    let quoted = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    Some(match quoted {
        Some(mark) => value.get(1..)?.split(mark).next()?.to_owned(),
        None => value.split_whitespace().next()?.to_owned(),
    })
}

fn same_colours(style: &str) -> bool {
    let style = style.to_ascii_lowercase();
    let value = |names: &[&str]| {
        style
            .split(';')
            .filter_map(|d| d.split_once(':'))
            .find(|(k, _)| names.contains(&k.trim()))
            .map(|(_, v)| v.trim().to_owned())
    };
    let (ink, paper) = (value(&["color"]), value(&["background-color", "background"]));
    ink.is_some() && ink == paper
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_links_and_images_are_read() {
        let html = read(
            "<style>p{x}</style><p>Hi <a href='https://a.example/x'>a.example</a></p><img src=x><script>1<2</script>Bye<",
        );
        assert!(
            html.text.contains("Hi a.example") && html.text.contains("Bye") && !html.text.contains("1<2")
        );
        assert_eq!(html.links, [("https://a.example/x".to_owned(), "a.example".to_owned())]);
        assert_eq!(html.images, 1);
        assert!(read("<p style=\"color:#fff; background-color:#fff\">x</p>").has_hidden_colour);
        assert!(!read("<p style=\"color:#000\">x</p>").has_hidden_colour);
    }
}
