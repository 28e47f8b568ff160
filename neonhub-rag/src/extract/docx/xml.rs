//! The little of XML that Word documents need, over quick-xml.

use neonhub_core::{Error, Result};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::format::broken;

/// An element with its local name.
pub(super) struct Element<'a> {
    pub(super) name: &'a str,
    start: &'a BytesStart<'a>,
}

impl<'a> Element<'a> {
    pub(super) fn new(start: &'a BytesStart<'a>) -> Self {
        Self { name: start.local_name().into_inner(), start }
    }

    /// The value of the attribute with this local name, entities resolved.
    pub(super) fn attr(&self, local: &str) -> Option<String> {
        let mut attributes = self.start.attributes();
        attributes.with_checks(false);
        attributes.flatten().find(|a| a.key.local_name().into_inner() == local).map(|a| {
            a.normalized_value(XmlVersion::Implicit1_0)
                .map_or_else(|_| a.value.to_string(), |v| v.to_string())
        })
    }

    /// An on/off property (ISO 29500-1, 17.17.4): present means on, unless its value says otherwise.
    pub(super) fn is_on(&self) -> bool {
        !self.attr("val").is_some_and(|v| matches!(v.as_str(), "0" | "false" | "off"))
    }
}

/// A reader over a part.
pub(super) fn reader(text: &str) -> Reader<&[u8]> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    reader
}

/// `Corrupted` for a part that is not well formed.
pub(super) fn malformed(cause: quick_xml::Error) -> Error {
    broken("the XML of the document is damaged: save it again and upload it").with_source(cause)
}

/// The character that a reference stands for: numbered ones and the five of XML; entities of a DTD are not
/// resolved, since that is how a small file grows to gigabytes.
pub(super) fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c);
    }
    match reference.xml10_content().as_ref() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// Calls `each` for every start tag.
pub(super) fn each_element(text: &str, mut each: impl FnMut(&Element<'_>)) -> Result<()> {
    let mut reader = reader(text);
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) | Event::Empty(start) => each(&Element::new(&start)),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// Local name and text of every element that holds text.
pub(super) fn texts(text: &str) -> Result<Vec<(String, String)>> {
    let mut reader = reader(text);
    let mut out: Vec<(String, String)> = Vec::new();
    let mut open: Option<(String, String)> = None;
    loop {
        match reader.read_event().map_err(malformed)? {
            Event::Start(start) => open = Some((Element::new(&start).name.to_owned(), String::new())),
            Event::Text(text) => {
                if let Some((_, into)) = &mut open {
                    into.push_str(&text.xml10_content());
                }
            }
            Event::GeneralRef(reference) => {
                if let Some((_, into)) = &mut open {
                    into.extend(resolve(&reference));
                }
            }
            Event::End(_) => out.extend(open.take()),
            Event::Eof => return Ok(out),
            _ => {}
        }
    }
}
