//! The shapes that the surface knows.

use serde_json::Value;

/// The type of a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
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
    /// UTC milliseconds, a `datetime` in Python.
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
    pub(super) fn optional(self) -> Self {
        match self {
            Type::Optional(_) | Type::Any | Type::Null => self,
            other => Type::Optional(Box::new(other)),
        }
    }

    /// True when the value from JSON is the value in Python.
    pub(super) fn is_plain(&self) -> bool {
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
pub(super) struct Field {
    /// Name in JSON.
    pub(super) json: String,
    /// Name in Python.
    pub(super) python: String,
    pub(super) doc: String,
    pub(super) ty: Type,
    /// False when it may be left out.
    pub(super) is_required: bool,
    /// What it is when left out.
    pub(super) default: Option<Value>,
    /// The one word it always is: the tag of a union's variant.
    pub(super) constant: Option<String>,
}

/// The arguments of an operation: required ones first.
pub(super) type Arguments = Vec<Field>;

/// A named type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Declaration {
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
    pub(super) fn name(&self) -> &str {
        match self {
            Declaration::Words { name, .. }
            | Declaration::Class { name, .. }
            | Declaration::Tagged { name, .. }
            | Declaration::Keyed { name, .. } => name,
        }
    }
}

/// How a type is written in an annotation.
#[derive(Debug, Clone, Default)]
pub(super) struct Annotations {
    /// Built-in names that members of the class hide.
    hidden: Vec<&'static str>,
    /// True for arguments, which take any sequence and mapping.
    is_argument: bool,
}

impl Annotations {
    /// For the members of a class with these names.
    pub(super) fn beside<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.into_iter().collect();
        let hidden = super::names::BUILTINS.into_iter().filter(|builtin| names.contains(builtin));
        Annotations { hidden: hidden.collect(), is_argument: false }
    }

    /// The same for arguments.
    pub(super) fn of_arguments(&self) -> Self {
        Annotations { is_argument: true, ..self.clone() }
    }

    /// The annotation.
    pub(super) fn write(&self, ty: &Type) -> String {
        match ty {
            Type::Any => "Any".to_owned(),
            Type::Null => "None".to_owned(),
            Type::Bool => self.builtin("bool"),
            Type::Int => self.builtin("int"),
            Type::Float => self.builtin("float"),
            Type::Str => self.builtin("str"),
            Type::Instant => "datetime".to_owned(),
            Type::Words(words) => {
                let words: Vec<String> = words.iter().map(|word| super::text::literal(word)).collect();
                format!("Literal[{}]", words.join(", "))
            }
            Type::List(item) if self.is_argument => format!("Sequence[{}]", self.write(item)),
            Type::List(item) => format!("{}[{}]", self.builtin("list"), self.write(item)),
            Type::Tuple(types) => {
                let types: Vec<String> = types.iter().map(|ty| self.write(ty)).collect();
                format!("{}[{}]", self.builtin("tuple"), types.join(", "))
            }
            Type::Map(item) if self.is_argument => {
                format!("Mapping[{}, {}]", self.builtin("str"), self.write(item))
            }
            Type::Map(item) => {
                format!("{}[{}, {}]", self.builtin("dict"), self.builtin("str"), self.write(item))
            }
            Type::Optional(inner) => format!("{} | None", self.write(inner)),
            Type::Either(types) => types.iter().map(|ty| self.write(ty)).collect::<Vec<_>>().join(" | "),
            Type::Class(name) | Type::Alias(name) => name.clone(),
        }
    }

    fn builtin(&self, name: &'static str) -> String {
        if self.hidden.contains(&name) { format!("builtins.{name}") } else { name.to_owned() }
    }
}
