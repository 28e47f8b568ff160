//! Types as Python annotations.

use crate::generate::shapes::Type;

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
    pub(super) fn beside(names: impl IntoIterator<Item = String>) -> Self {
        let names: Vec<String> = names.into_iter().collect();
        let is_hidden = |builtin: &&str| names.iter().any(|name| name == builtin);
        let hidden = super::names::BUILTINS.into_iter().filter(is_hidden);
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
