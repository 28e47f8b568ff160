//! The shapes of all values that cross to a host language, read from the JSON Schemas of the catalogue.
//!
//! Every language reads the catalogue through a [`Surface`] and writes the shapes in its own words.

mod definitions;
mod schema;

use serde_json::Value;

use schema::Registry;

use super::catalogue::{Catalogue, Operation};
use super::names;
use crate::failure::Result;

/// One operation with its types read.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) arguments: Arguments,
    pub(crate) output: Type,
}

/// Everything that is written.
#[derive(Debug)]
pub(crate) struct Surface<'a> {
    pub(crate) calls: Vec<Call<'a>>,
    /// All named types, sorted by name.
    pub(crate) declarations: Vec<Declaration>,
}

impl<'a> Surface<'a> {
    /// Reads the whole catalogue for a language.
    pub(crate) fn read(catalogue: &'a Catalogue, language: Language) -> Result<Self> {
        let mut registry = Registry::new(catalogue, language)?;
        let mut calls = Vec::new();
        for operation in &catalogue.operations {
            let arguments = registry.arguments(operation)?;
            let output = registry.output(operation)?;
            calls.push(Call { operation, arguments, output });
        }
        for name in catalogue.types.keys() {
            registry.extra(name)?;
        }
        Ok(Surface { calls, declarations: registry.into_declarations() })
    }
}

/// What the reader must know of a language.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Language {
    /// Its name, for messages.
    pub(crate) name: &'static str,
    /// Names that no declared type may take, since generated files use them otherwise.
    pub(crate) taken: &'static [&'static str],
    /// Words that a type may list where it stands; more get a name.
    pub(crate) most_words: usize,
}

impl Language {
    /// The name of a declared type, made from that of the Rust type.
    fn class(self, title: &str) -> String {
        let name = names::class(title);
        if self.taken.contains(&name.as_str()) { format!("{name}_") } else { name }
    }
}

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    /// Any JSON.
    Any,
    /// Nothing.
    Null,
    /// true or false.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// Text.
    Str,
    /// UTC milliseconds.
    Instant,
    /// One of these words, without a name of its own.
    Words(Vec<String>),
    /// Items in order.
    List(Box<Type>),
    /// A fixed number of values.
    Tuple(Vec<Type>),
    /// Values by name.
    Map(Box<Type>),
    /// A value or nothing.
    Optional(Box<Type>),
    /// One of several plain types, told apart by what they are.
    Either(Vec<Type>),
    /// A declared class or union.
    Class(String),
    /// A declared list of words.
    Alias(String),
}

impl Type {
    /// The type with null allowed.
    pub(crate) fn optional(self) -> Self {
        match self {
            Type::Optional(_) | Type::Any | Type::Null => self,
            other => Type::Optional(Box::new(other)),
        }
    }

    /// True when the value of JSON is the value of the host language too.
    pub(crate) fn is_plain(&self) -> bool {
        match self {
            Type::Any | Type::Null | Type::Bool | Type::Int | Type::Float | Type::Str => true,
            Type::Words(_) | Type::Alias(_) => true,
            Type::List(item) | Type::Map(item) | Type::Optional(item) => item.is_plain(),
            Type::Either(types) => types.iter().all(Type::is_plain),
            Type::Instant | Type::Tuple(_) | Type::Class(_) => false,
        }
    }
}

/// A member of a class, or an argument of an operation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// Name in JSON.
    pub(crate) json: String,
    pub(crate) doc: String,
    pub(crate) ty: Type,
    /// False when it may be left out.
    pub(crate) is_required: bool,
    /// What it is when left out.
    pub(crate) default: Option<Value>,
    /// The one word it always is: the tag of a union's variant.
    pub(crate) constant: Option<String>,
}

/// The arguments of an operation: required ones first.
pub(crate) type Arguments = Vec<Field>;

/// A named type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Declaration {
    /// Words with what they mean.
    Words { name: String, doc: String, words: Vec<(String, String)> },
    /// A class.
    Class { name: String, doc: String, fields: Vec<Field> },
    /// One of several classes, told apart by the word of one member: word and class.
    Tagged { name: String, doc: String, tag: String, variants: Vec<(String, String)> },
    /// A word, or one of several classes of one member, told apart by that member's name: name and class.
    Keyed { name: String, doc: String, words: Vec<String>, variants: Vec<(String, String)> },
}

impl Declaration {
    /// The name.
    pub(crate) fn name(&self) -> &str {
        match self {
            Declaration::Words { name, .. }
            | Declaration::Class { name, .. }
            | Declaration::Tagged { name, .. }
            | Declaration::Keyed { name, .. } => name,
        }
    }
}
