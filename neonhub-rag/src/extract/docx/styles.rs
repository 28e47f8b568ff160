//! What the named styles of a Word document say about headings, lists and hidden text.

use std::collections::BTreeMap;

use neonhub_core::Result;

use super::xml::each_element;

/// The styles by id.
#[derive(Debug, Default)]
pub(super) struct Styles {
    by_id: BTreeMap<String, Style>,
}

#[derive(Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline: Option<u8>,
    is_list: bool,
    is_hidden: Option<bool>,
}

/// Longest chain of styles based on styles; Word itself stops at eleven.
const MAX_CHAIN: usize = 12;

impl Styles {
    /// Reads `word/styles.xml`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut styles = Self::default();
        let mut id = String::new();
        each_element(text, |el| {
            if el.name == "style" {
                id = el.attr("styleId").unwrap_or_default();
                styles.by_id.insert(id.clone(), Style::default());
                return;
            }
            let Some(style) = styles.by_id.get_mut(&id) else { return };
            match el.name {
                "name" => style.name = el.attr("val").unwrap_or_default().to_lowercase(),
                "basedOn" => style.based_on = el.attr("val"),
                "outlineLvl" => style.outline = el.attr("val").and_then(|v| v.parse().ok()),
                "numPr" => style.is_list = true,
                "vanish" | "webHidden" => style.is_hidden = Some(el.is_on()),
                _ => {}
            }
        })?;
        Ok(styles)
    }

    /// Heading level from 1 to 6: by the built-in names, which every language version keeps, else by outline.
    pub(super) fn heading(&self, id: &str) -> Option<u8> {
        self.chain(id).find_map(|style| match style.name.as_str() {
            "title" => Some(1),
            "subtitle" => Some(2),
            name => {
                let number = name.strip_prefix("heading ").and_then(|n| n.trim().parse::<u8>().ok());
                // Outline levels count from 0; 9 stands for body text.
                number.or(style.outline.filter(|o| *o < 9).map(|o| o + 1)).map(|n| n.clamp(1, 6))
            }
        })
    }

    /// True for the style of the document's title.
    pub(super) fn is_title(&self, id: &str) -> bool {
        self.chain(id).any(|style| style.name == "title")
    }

    /// True when paragraphs of this style are list items.
    pub(super) fn is_list(&self, id: &str) -> bool {
        self.chain(id).any(|s| s.is_list || s.name.starts_with("list ") && s.name != "list paragraph")
    }

    /// Whether this style hides its text, when it or one of its bases says so.
    pub(super) fn is_hidden(&self, id: &str) -> Option<bool> {
        self.chain(id).find_map(|style| style.is_hidden)
    }

    fn chain<'a>(&'a self, id: &str) -> impl Iterator<Item = &'a Style> {
        std::iter::successors(self.by_id.get(id), |style| self.by_id.get(style.based_on.as_ref()?))
            .take(MAX_CHAIN)
    }
}
