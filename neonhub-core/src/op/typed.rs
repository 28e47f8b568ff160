//! What typed inputs must keep to although they were never JSON: no NaN, no NUL, no bottomless nesting. The bounds on
//! size and number of items hold for calls by name alone: a typed caller is in the same process and owns the memory.

use std::fmt::{self, Display, Write as _};

use serde::Serialize;
use serde::ser::{self, Serializer};

use super::bounds::MAX_DEPTH;
use crate::{Error, Result};

/// Refuses a typed input beyond the bounds, naming path and bound. Copies nothing.
pub(super) fn check_typed(operation: &'static str, input: &impl Serialize) -> Result<()> {
    let mut look = Look { path: String::new(), depth: 0, key: None };
    match input.serialize(&mut look) {
        Ok(()) => Ok(()),
        Err(Misfit::Bound(message)) => {
            let path = if look.path.is_empty() { "input".to_owned() } else { look.path };
            Err(Error::invalid(operation, path, message))
        }
        // An input that does not serialize at all fails where it is needed as JSON, with its cause.
        Err(Misfit::Other) => Ok(()),
    }
}

/// Why the walk ended early.
#[derive(Debug)]
enum Misfit {
    Bound(&'static str),
    Other,
}

impl Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Misfit::Bound(message) => message,
            Misfit::Other => "no form as JSON",
        })
    }
}

impl std::error::Error for Misfit {}

impl ser::Error for Misfit {
    fn custom<T: Display>(_: T) -> Self {
        Misfit::Other
    }
}

type Looked<T = ()> = std::result::Result<T, Misfit>;

/// Walks a value and knows where it is.
struct Look {
    path: String,
    depth: usize,
    /// The key of a map that is being read.
    key: Option<String>,
}

impl Look {
    fn text(&mut self, text: &str) -> Looked {
        if let Some(key) = &mut self.key {
            key.push_str(text);
        }
        if text.contains('\0') { Err(Misfit::Bound("expected text without NUL")) } else { Ok(()) }
    }

    fn inside(&mut self) -> Looked<Group<'_>> {
        if self.depth == MAX_DEPTH {
            return Err(Misfit::Bound("expected at most 64 levels"));
        }
        self.depth += 1;
        Ok(Group { at: self.path.len(), look: self, n: 0 })
    }
}

/// A list, map or struct. After a misfit the path stays where it is.
struct Group<'a> {
    look: &'a mut Look,
    /// Length of the path of the group itself.
    at: usize,
    n: usize,
}

impl Group<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Looked {
        // Writing to text does not fail.
        let _ = write!(self.look.path, "[{}]", self.n);
        self.n += 1;
        self.go(item)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Looked {
        if !self.look.path.is_empty() {
            self.look.path.push('.');
        }
        self.look.path.push_str(name);
        self.go(value)
    }

    fn go<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        value.serialize(&mut *self.look)?;
        self.look.path.truncate(self.at);
        Ok(())
    }

    fn done(self) -> Looked {
        self.look.depth -= 1;
        Ok(())
    }
}

/// Numbers that are always fine.
macro_rules! fine {
    ($($name:ident: $kind:ty),+) => { $(fn $name(self, _: $kind) -> Looked { Ok(()) })+ };
}

impl<'a> Serializer for &'a mut Look {
    type Ok = ();
    type Error = Misfit;
    type SerializeSeq = Group<'a>;
    type SerializeTuple = Group<'a>;
    type SerializeTupleStruct = Group<'a>;
    type SerializeTupleVariant = Group<'a>;
    type SerializeMap = Group<'a>;
    type SerializeStruct = Group<'a>;
    type SerializeStructVariant = Group<'a>;

    fine!(serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_i128: i128, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
        serialize_u128: u128, serialize_bytes: &[u8]);

    fn serialize_f32(self, value: f32) -> Looked {
        self.serialize_f64(f64::from(value))
    }
    fn serialize_f64(self, value: f64) -> Looked {
        if value.is_finite() { Ok(()) } else { Err(Misfit::Bound("expected a finite number")) }
    }
    fn serialize_char(self, value: char) -> Looked {
        if value == '\0' { Err(Misfit::Bound("expected text without NUL")) } else { Ok(()) }
    }
    fn serialize_str(self, value: &str) -> Looked {
        self.text(value)
    }
    fn serialize_none(self) -> Looked {
        Ok(())
    }
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Looked {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Looked {
        Ok(())
    }
    fn serialize_unit_struct(self, _: &'static str) -> Looked {
        Ok(())
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Looked {
        Ok(())
    }
    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Looked {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Looked {
        let mut group = self.inside()?;
        group.field(variant, value)?;
        group.done()
    }
    fn serialize_seq(self, _: Option<usize>) -> Looked<Group<'a>> {
        self.inside()
    }
    fn serialize_tuple(self, _: usize) -> Looked<Group<'a>> {
        self.inside()
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Looked<Group<'a>> {
        self.inside()
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Looked<Group<'a>> {
        self.inside()
    }
    fn serialize_map(self, _: Option<usize>) -> Looked<Group<'a>> {
        self.inside()
    }
    fn serialize_struct(self, _: &'static str, _: usize) -> Looked<Group<'a>> {
        self.inside()
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Looked<Group<'a>> {
        self.inside()
    }
    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Looked {
        self.text(&value.to_string())
    }
}

impl ser::SerializeSeq for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        self.item(value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}

impl ser::SerializeTuple for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        self.item(value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}

impl ser::SerializeTupleStruct for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        self.item(value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}

impl ser::SerializeTupleVariant for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        self.item(value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}

impl ser::SerializeMap for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Looked {
        self.look.key = Some(String::new());
        // A fault in a key is named by its map.
        key.serialize(&mut *self.look)
    }
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Looked {
        let key = self.look.key.take().unwrap_or_default();
        self.field(&key, value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}

impl ser::SerializeStruct for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Looked {
        self.field(name, value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}

impl ser::SerializeStructVariant for Group<'_> {
    type Ok = ();
    type Error = Misfit;
    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Looked {
        self.field(name, value)
    }
    fn end(self) -> Looked {
        self.done()
    }
}
