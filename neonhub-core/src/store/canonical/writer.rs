//! The serializer behind canonical JSON.

use std::fmt::{self, Display};
use std::io::Write as _;

use serde::ser::{self, Serialize};
use serde_json::Number;

use super::parts::{List, Member, Object};

/// 2^53: from here on doubles, and so RFC 8785 and JavaScript, skip integers.
const EXACT: u128 = 1 << 53;
/// Largest room that is kept for the next value, in bytes.
const KEPT: usize = 1 << 16;

/// Writes values as they come, and puts the members of an object in order at its end.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    /// Members of the objects that are open, those of inner objects last.
    pub(super) members: Vec<Member>,
    /// Their names, without escapes.
    pub(super) names: String,
    /// Room to order members in.
    pub(super) spare: Vec<u8>,
    /// True while the name of a map's member is written: a number there is text.
    pub(super) is_name: bool,
}

/// Why a value cannot be written.
#[derive(Debug)]
pub(super) enum Fault {
    /// A whole number of 2^53 or more.
    Large,
    Other(String),
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Large => "a number of 2^53 or more",
            Fault::Other(why) => why,
        })
    }
}

impl std::error::Error for Fault {}

impl ser::Error for Fault {
    fn custom<T: Display>(why: T) -> Self {
        Fault::Other(why.to_string())
    }
}

pub(super) type Done = Result<(), Fault>;

impl Writer {
    /// The text of a value; the writer is as new after it.
    pub(super) fn text(&mut self, value: &impl Serialize) -> Result<String, Fault> {
        let done = value.serialize(&mut *self);
        let text = done.and_then(|()| std::str::from_utf8(&self.out).map(str::to_owned).map_err(other));
        if self.out.capacity() > KEPT {
            *self = Writer::default();
        }
        self.out.clear();
        self.members.clear();
        self.names.clear();
        self.is_name = false;
        text
    }

    fn push(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn quoted(&mut self, text: &str) -> Done {
        if text.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
            return serde_json::to_writer(&mut self.out, text).map_err(other);
        }
        self.out.push(b'"');
        self.push(text);
        self.out.push(b'"');
        Ok(())
    }

    fn whole(&mut self, number: impl Display, magnitude: u128) -> Done {
        if magnitude >= EXACT && !self.is_name {
            return Err(Fault::Large);
        }
        write!(self.out, "{number}").map_err(other)
    }

    fn fraction(&mut self, number: f64) -> Done {
        self.push(&serde_json_canonicalizer::to_string(&number).map_err(other)?);
        Ok(())
    }

    pub(super) fn number(&mut self, number: &Number) -> Done {
        match (number.as_i128(), number.as_f64()) {
            (Some(n), _) => self.whole(n, n.unsigned_abs()),
            (None, Some(n)) => self.fraction(n),
            (None, None) => Err(Fault::Large),
        }
    }

    /// Begins `{"variant":`.
    fn variant(&mut self, variant: &str) -> Done {
        self.out.push(b'{');
        self.quoted(variant)?;
        self.out.push(b':');
        Ok(())
    }
}

pub(super) fn other(cause: impl Display) -> Fault {
    Fault::Other(cause.to_string())
}

/// Whole numbers, whose functions differ in the type alone.
macro_rules! wholes {
    ($($name:ident $of:ty),*) => {$(
        fn $name(self, value: $of) -> Done {
            self.whole(value, i128::from(value).unsigned_abs())
        }
    )*};
}

impl<'w> ser::Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = List<'w>;
    type SerializeTuple = List<'w>;
    type SerializeTupleStruct = List<'w>;
    type SerializeTupleVariant = List<'w>;
    type SerializeMap = Object<'w>;
    type SerializeStruct = Object<'w>;
    type SerializeStructVariant = Object<'w>;

    fn serialize_bool(self, value: bool) -> Done {
        self.push(if value { "true" } else { "false" });
        Ok(())
    }
    wholes! {
        serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64, serialize_i128 i128,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64
    }
    fn serialize_u128(self, value: u128) -> Done {
        self.whole(value, value)
    }
    fn serialize_f32(self, value: f32) -> Done {
        self.fraction(value.into())
    }
    fn serialize_f64(self, value: f64) -> Done {
        self.fraction(value)
    }
    fn serialize_char(self, value: char) -> Done {
        self.quoted(value.encode_utf8(&mut [0; 4]))
    }
    fn serialize_str(self, value: &str) -> Done {
        self.quoted(value)
    }
    fn serialize_bytes(self, value: &[u8]) -> Done {
        self.collect_seq(value)
    }
    fn serialize_none(self) -> Done {
        self.serialize_unit()
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Done {
        self.push("null");
        Ok(())
    }
    fn serialize_unit_struct(self, _name: &'static str) -> Done {
        self.serialize_unit()
    }
    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> Done {
        self.quoted(variant)
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> Done {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Done {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }
    fn serialize_seq(self, _len: Option<usize>) -> Result<List<'w>, Fault> {
        Ok(List::begin(self, b"]"))
    }
    fn serialize_tuple(self, _len: usize) -> Result<List<'w>, Fault> {
        Ok(List::begin(self, b"]"))
    }
    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<List<'w>, Fault> {
        Ok(List::begin(self, b"]"))
    }
    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<List<'w>, Fault> {
        self.variant(variant)?;
        Ok(List::begin(self, b"]}"))
    }
    fn serialize_map(self, _len: Option<usize>) -> Result<Object<'w>, Fault> {
        Ok(Object::begin(self, b"}"))
    }
    fn serialize_struct(self, name: &'static str, _len: usize) -> Result<Object<'w>, Fault> {
        Ok(Object::of_struct(self, name))
    }
    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Object<'w>, Fault> {
        self.variant(variant)?;
        Ok(Object::begin(self, b"}}"))
    }
}
