//! Which types look different as input and as answer: an answer has every member, an input may leave some out.

use std::collections::{BTreeMap, BTreeSet};

use super::names;
use crate::failure::{Failure, Result};
use crate::generate::shapes::{Declaration, Field, Surface, Type};

/// The side that a type is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Input,
    Answer,
}

/// What is known of all declared types.
#[derive(Debug, Default)]
pub(super) struct Forms {
    inputs: BTreeSet<String>,
    answers: BTreeSet<String>,
    /// Types that differ by side.
    differing: BTreeSet<String>,
    /// Names of the inputs of operations.
    calls: BTreeSet<String>,
}

impl Forms {
    /// Walks the surface.
    pub(super) fn of(surface: &Surface<'_>) -> Result<Self> {
        let declared: BTreeMap<&str, &Declaration> =
            surface.declarations.iter().map(|declaration| (declaration.name(), declaration)).collect();
        let mut forms = Forms::default();
        for call in &surface.calls {
            call.arguments.iter().for_each(|field| reach(&field.ty, &declared, &mut forms.inputs));
            reach(&call.output, &declared, &mut forms.answers);
        }
        for declaration in &surface.declarations {
            // Types outside of operations go to the host.
            if !forms.inputs.contains(declaration.name()) {
                reach(&Type::Class(declaration.name().to_owned()), &declared, &mut forms.answers);
            }
        }
        loop {
            let before = forms.differing.len();
            for declaration in &surface.declarations {
                if forms.has_difference(declaration) {
                    forms.differing.insert(declaration.name().to_owned());
                }
            }
            if forms.differing.len() == before {
                break;
            }
        }
        forms.calls = surface.calls.iter().map(names::input).collect();
        let taken = forms
            .both()
            .map(|name| forms.name(name, Side::Input))
            .find(|name| declared.contains_key(name.as_str()));
        match taken {
            Some(name) => Err(Failure::new(format!("{name} is a type already: rename it"))),
            None => Ok(forms),
        }
    }

    fn both(&self) -> impl Iterator<Item = &String> {
        self.differing.iter().filter(|name| self.inputs.contains(*name) && self.answers.contains(*name))
    }

    fn has_difference(&self, declaration: &Declaration) -> bool {
        match declaration {
            Declaration::Words { .. } => false,
            Declaration::Class { fields, .. } => fields.iter().any(|field| {
                !field.is_required || references(&field.ty).any(|name| self.differing.contains(name))
            }),
            Declaration::Tagged { variants, .. } | Declaration::Keyed { variants, .. } => {
                variants.iter().any(|(_, class)| self.differing.contains(class))
            }
        }
    }

    /// The name of a declared type on a side. The input of an operation has the first right to `...Input`.
    pub(super) fn name(&self, name: &str, side: Side) -> String {
        if side != Side::Input || self.both().all(|other| other != name) {
            return name.to_owned();
        }
        let input = format!("{name}Input");
        if self.calls.contains(&input) { format!("{name}Value") } else { input }
    }

    /// The sides that a declared type is written for.
    pub(super) fn sides(&self, name: &str) -> Vec<Side> {
        match (self.inputs.contains(name), self.answers.contains(name)) {
            (true, true) if self.differing.contains(name) => vec![Side::Answer, Side::Input],
            (true, false) => vec![Side::Input],
            _ => vec![Side::Answer],
        }
    }

    /// The type as TypeScript writes it.
    pub(super) fn write(&self, ty: &Type, side: Side) -> String {
        match ty {
            Type::Any => "unknown".to_owned(),
            Type::Null => "null".to_owned(),
            Type::Bool => "boolean".to_owned(),
            Type::Int | Type::Float => "number".to_owned(),
            Type::Str => "string".to_owned(),
            Type::Instant => "Date".to_owned(),
            Type::Words(words) => {
                words.iter().map(|word| super::text::literal(word)).collect::<Vec<_>>().join(" | ")
            }
            Type::List(item) => {
                let text = self.write(item, side);
                let is_simple = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if is_simple { format!("{text}[]") } else { format!("({text})[]") }
            }
            Type::Tuple(types) => {
                let types: Vec<String> = types.iter().map(|ty| self.write(ty, side)).collect();
                format!("[{}]", types.join(", "))
            }
            Type::Map(item) => format!("Record<string, {}>", self.write(item, side)),
            Type::Optional(inner) => format!("{} | null", self.write(inner, side)),
            Type::Either(types) => {
                types.iter().map(|ty| self.write(ty, side)).collect::<Vec<_>>().join(" | ")
            }
            Type::Class(name) | Type::Alias(name) => self.name(name, side),
        }
    }

    /// A member with its type: an answer has it always, an input may leave it out.
    pub(super) fn member(&self, field: &Field, side: Side) -> String {
        let name = super::names::member(&field.json);
        if let Some(word) = &field.constant {
            return format!("{name}: {}", super::text::literal(word));
        }
        let ty = self.write(&field.ty, side);
        match side {
            Side::Input if !field.is_required => format!("{name}?: {ty} | undefined"),
            _ => format!("{name}: {ty}"),
        }
    }
}

/// Collects every declared type that a type leads to.
fn reach(ty: &Type, declared: &BTreeMap<&str, &Declaration>, out: &mut BTreeSet<String>) {
    for name in references(ty) {
        if !out.insert(name.to_owned()) {
            continue;
        }
        match declared.get(name) {
            Some(Declaration::Class { fields, .. }) => {
                fields.iter().for_each(|field| reach(&field.ty, declared, out));
            }
            Some(Declaration::Tagged { variants, .. } | Declaration::Keyed { variants, .. }) => {
                variants.iter().for_each(|(_, class)| reach(&Type::Class(class.clone()), declared, out));
            }
            _ => {}
        }
    }
}

/// The declared types that a type names.
pub(super) fn references(ty: &Type) -> Box<dyn Iterator<Item = &str> + '_> {
    match ty {
        Type::Class(name) | Type::Alias(name) => Box::new(std::iter::once(name.as_str())),
        Type::List(item) | Type::Map(item) | Type::Optional(item) => references(item),
        Type::Tuple(types) | Type::Either(types) => Box::new(types.iter().flat_map(references)),
        _ => Box::new(std::iter::empty()),
    }
}
