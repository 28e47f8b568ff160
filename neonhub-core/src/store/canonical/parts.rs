//! The parts of canonical JSON: arrays and objects while they are written.

use std::cmp::Ordering;
use std::ops::Range;

use serde::ser::{self, Serialize};
use serde_json::Value;

use super::writer::{Done, Fault, Writer, other};

/// Names under which `serde_json` hands over what it keeps as text, with features that any crate of a build may turn on.
const AS_TEXT: [&str; 2] = ["$serde_json::private::Number", "$serde_json::private::RawValue"];

/// A member of an object: where its name stands, and its text.
#[derive(Debug)]
pub(super) struct Member {
    name: Range<usize>,
    text: Range<usize>,
}

/// The order of UTF-16 code units, which RFC 8785 asks for.
fn order(a: &str, b: &str) -> Ordering {
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        None => a.len().cmp(&b.len()),
        Some((a, b)) if a.is_ascii() && b.is_ascii() => a.cmp(&b),
        Some(_) => a.encode_utf16().cmp(b.encode_utf16()),
    }
}

fn part<'t>(text: &'t str, at: &Range<usize>) -> &'t str {
    text.get(at.clone()).unwrap_or_default()
}

/// An array that is being written.
#[derive(Debug)]
pub(super) struct List<'w> {
    writer: &'w mut Writer,
    is_first: bool,
    end: &'static [u8],
}

impl<'w> List<'w> {
    pub(super) fn begin(writer: &'w mut Writer, end: &'static [u8]) -> Self {
        writer.out.push(b'[');
        List { writer, is_first: true, end }
    }

    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Done {
        if !std::mem::take(&mut self.is_first) {
            self.writer.out.push(b',');
        }
        item.serialize(&mut *self.writer)
    }

    fn close(self) -> Done {
        self.writer.out.extend_from_slice(self.end);
        Ok(())
    }
}

/// An object that is being written.
#[derive(Debug)]
pub(super) struct Object<'w> {
    writer: &'w mut Writer,
    /// Where its members begin in the text, and in the lists of members and of names.
    start: usize,
    members: usize,
    names: usize,
    is_ordered: bool,
    /// True for what is no object but one value, handed over as text.
    as_text: bool,
    end: &'static [u8],
}

impl<'w> Object<'w> {
    pub(super) fn begin(writer: &'w mut Writer, end: &'static [u8]) -> Self {
        writer.out.push(b'{');
        let (start, members, names) = (writer.out.len(), writer.members.len(), writer.names.len());
        Object { writer, start, members, names, is_ordered: true, as_text: false, end }
    }

    /// A struct, which may stand for a value that is kept as text.
    pub(super) fn of_struct(writer: &'w mut Writer, name: &str) -> Self {
        Object { as_text: AS_TEXT.contains(&name), ..Object::begin(writer, b"}") }
    }

    /// Begins a member; gives where its text begins.
    fn member(&mut self) -> usize {
        if self.writer.members.len() > self.members {
            self.writer.out.push(b',');
        }
        self.writer.out.len()
    }

    fn name(&mut self, name: &str) -> Done {
        let (start, at) = (self.member(), self.writer.names.len());
        self.writer.quoted(name)?;
        self.writer.names.push_str(name);
        self.named(start, at);
        Ok(())
    }

    /// The name of the member that begins at `start` is written, and stands at `at` among the names.
    fn named(&mut self, start: usize, at: usize) {
        let Writer { out, names, members, .. } = &mut *self.writer;
        let name = at..names.len();
        if let Some(last) = members.get(self.members..).and_then(<[Member]>::last) {
            self.is_ordered &= order(part(names, &last.name), part(names, &name)).is_lt();
        }
        out.push(b':');
        members.push(Member { name, text: start..start });
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        value.serialize(&mut *self.writer)?;
        let end = self.writer.out.len();
        if let Some(member) = self.writer.members.last_mut() {
            member.text.end = end;
        }
        Ok(())
    }

    /// The name of a map's member: a text, or what is written as one.
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        let (start, at) = (self.member(), self.writer.names.len());
        self.writer.is_name = true;
        key.serialize(&mut *self.writer)?;
        self.writer.is_name = false;
        let Writer { out, names, .. } = &mut *self.writer;
        match out.get(start..).unwrap_or_default() {
            [b'"', plain @ .., b'"'] if !plain.contains(&b'\\') => {
                names.push_str(std::str::from_utf8(plain).map_err(other)?);
            }
            text @ [b'"', ..] => names.push_str(&serde_json::from_slice::<String>(text).map_err(other)?),
            word @ [b'-' | b'0'..=b'9' | b't' | b'f', ..] => {
                names.push_str(std::str::from_utf8(word).map_err(other)?);
                out.insert(start, b'"');
                out.push(b'"');
            }
            _ => return Err(Fault::Other("the name of a member is no text".to_owned())),
        }
        self.named(start, at);
        Ok(())
    }

    fn close(self) -> Done {
        let Object { writer, start, members: first, names, is_ordered, as_text, end } = self;
        if as_text {
            let text = writer.out.get(start..).unwrap_or_default();
            let text: String = serde_json::from_slice(text).map_err(other)?;
            writer.out.truncate(start - 1);
            return match serde_json::from_str(&text).map_err(other)? {
                Value::Number(number) => writer.number(&number),
                value => value.serialize(writer),
            };
        }
        if !is_ordered {
            writer.put_in_order(start, first);
        }
        writer.members.truncate(first);
        writer.names.truncate(names);
        writer.out.extend_from_slice(end);
        Ok(())
    }
}

impl Writer {
    /// Orders the members of the last object; of those with one name the last one stays.
    fn put_in_order(&mut self, start: usize, first: usize) {
        let Writer { out, members, names, spare, .. } = self;
        let own = members.get_mut(first..).unwrap_or_default();
        let name = |member: &Member| part(names, &member.name);
        own.sort_by(|a, b| order(name(a), name(b)));
        spare.clear();
        let mut own = own.iter().peekable();
        while let Some(member) = own.next() {
            if own.peek().is_some_and(|next| name(next) == name(member)) {
                continue;
            }
            if !spare.is_empty() {
                spare.push(b',');
            }
            spare.extend_from_slice(out.get(member.text.clone()).unwrap_or_default());
        }
        out.truncate(start);
        out.append(spare);
    }
}

/// The parts of arrays and objects, whose traits differ in names alone.
macro_rules! parts {
    ($($trait:ident $of:ident { $part:ident $with:ident })*) => {$(
        impl ser::$trait for $of<'_> {
            type Ok = ();
            type Error = Fault;
            fn $part<T: Serialize + ?Sized>(&mut self, part: &T) -> Done {
                self.$with(part)
            }
            fn end(self) -> Done {
                self.close()
            }
        }
    )*};
}

parts! {
    SerializeSeq List { serialize_element item }
    SerializeTuple List { serialize_element item }
    SerializeTupleStruct List { serialize_field item }
    SerializeTupleVariant List { serialize_field item }
}

impl ser::SerializeMap for Object<'_> {
    type Ok = ();
    type Error = Fault;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Done {
        self.key(key)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Done {
        self.value(value)
    }
    fn end(self) -> Done {
        self.close()
    }
}

/// The fields of structs and of variants like them.
macro_rules! fields {
    ($($trait:ident)*) => {$(
        impl ser::$trait for Object<'_> {
            type Ok = ();
            type Error = Fault;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Done {
                if self.as_text {
                    return value.serialize(&mut *self.writer);
                }
                self.name(name)?;
                self.value(value)
            }
            fn end(self) -> Done {
                self.close()
            }
        }
    )*};
}

fields! { SerializeStruct SerializeStructVariant }
