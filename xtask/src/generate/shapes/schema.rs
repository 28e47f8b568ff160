//! Reads the JSON Schemas that schemars writes into the shapes of the surface.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::definitions::{Root, Schema, base, class_names, object};
use super::{Arguments, Declaration, Field, Language, Type};
use crate::failure::{Failure, Result};
use crate::generate::Catalogue;
use crate::generate::catalogue::Operation;
use crate::generate::names;

/// Reads schemas and collects the named types they use, each once.
#[derive(Debug)]
pub(super) struct Registry {
    language: Language,
    roots: BTreeMap<String, Root>,
    /// Name in the language by Rust name and full content.
    names: BTreeMap<(String, String), String>,
    declared: BTreeMap<String, Declaration>,
    open: BTreeSet<String>,
    /// Names of long lists of words that had none.
    words: BTreeMap<Vec<String>, String>,
}

impl Registry {
    pub(super) fn new(catalogue: &Catalogue, language: Language) -> Result<Self> {
        let mut roots = BTreeMap::new();
        for operation in &catalogue.operations {
            let namespace = operation.name.split('.').next().unwrap_or_default();
            roots.insert(input_key(operation), Root::new(&operation.input, namespace, false)?);
            roots.insert(output_key(operation), Root::new(&operation.output, namespace, true)?);
        }
        for (name, schema) in &catalogue.types {
            roots.insert(format!("type {name}"), Root::new(schema, "hub", true)?);
        }
        let names = class_names(&roots, language);
        Ok(Registry {
            language,
            roots,
            names,
            declared: BTreeMap::new(),
            open: BTreeSet::new(),
            words: BTreeMap::new(),
        })
    }

    /// The arguments of an operation, required ones first.
    pub(super) fn arguments(&mut self, operation: &Operation) -> Result<Arguments> {
        let key = input_key(operation);
        let schema = self.root(&key)?.schema.clone();
        let mut fields = self.fields(&key, &schema, &self.language.class(&operation.name))?;
        fields.sort_by_key(|field| !field.is_required);
        Ok(fields)
    }

    /// What an operation answers.
    pub(super) fn output(&mut self, operation: &Operation) -> Result<Type> {
        let key = output_key(operation);
        let schema = self.root(&key)?.schema.clone();
        self.read(&key, &schema, &self.language.class(&operation.name))
    }

    /// A type outside of operations.
    pub(super) fn extra(&mut self, name: &str) -> Result<Type> {
        let key = format!("type {name}");
        let schema = self.root(&key)?.schema.clone();
        self.read(&key, &schema, name)
    }

    /// All named types, sorted by name.
    pub(super) fn into_declarations(self) -> Vec<Declaration> {
        self.declared.into_values().collect()
    }

    fn root(&self, key: &str) -> Result<&Root> {
        self.roots.get(key).ok_or_else(|| Failure::new(format!("no schema for {key}")))
    }

    /// Reads a schema. `place` names what has no name of its own.
    fn read(&mut self, key: &str, schema: &Schema, place: &str) -> Result<Type> {
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str)
            && !schema.contains_key("properties")
            && !schema.contains_key("oneOf")
        {
            return self.named(key, reference);
        }
        if let Some(Value::Array(all)) = schema.get("allOf")
            && let [Value::Object(only)] = all.as_slice()
        {
            return self.read(key, only, place);
        }
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            return Ok(Type::Words(vec![word.to_owned()]));
        }
        if let Some(words) = enum_words(schema) {
            let is_optional = words.len() < schema.get("enum").and_then(Value::as_array).map_or(0, Vec::len);
            let words = Type::Words(words);
            return Ok(if is_optional { words.optional() } else { words });
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(Value::Array(choices)) = schema.get(choice) {
                return self.choice(key, schema, choices, place);
            }
        }
        match schema.get("type") {
            Some(Value::String(word)) => self.typed(key, schema, word, place),
            Some(Value::Array(words)) => {
                let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
                let mut types = Vec::new();
                for word in words.iter().filter(|word| **word != "null") {
                    types.push(self.typed(key, schema, word, place)?);
                }
                let ty = one_of(types);
                Ok(if words.contains(&"null") { ty.optional() } else { ty })
            }
            _ => Ok(Type::Any),
        }
    }

    fn typed(&mut self, key: &str, schema: &Schema, word: &str, place: &str) -> Result<Type> {
        Ok(match word {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "integer" => Type::Int,
            "number" => Type::Float,
            "string" => Type::Str,
            "array" => return self.array(key, schema, place),
            "object" => return self.object(key, schema, place),
            other => return Err(Failure::new(format!("{place}: the schema has the unknown type {other}"))),
        })
    }

    fn array(&mut self, key: &str, schema: &Schema, place: &str) -> Result<Type> {
        if let Some(Value::Array(items)) = schema.get("prefixItems") {
            let mut types = Vec::new();
            for item in items {
                types.push(self.read(key, object(item)?, place)?);
            }
            return Ok(Type::Tuple(types));
        }
        let item = match schema.get("items") {
            Some(Value::Object(item)) => self.read(key, item, &format!("{place}Item"))?,
            _ => Type::Any,
        };
        Ok(Type::List(Box::new(item)))
    }

    fn object(&mut self, key: &str, schema: &Schema, place: &str) -> Result<Type> {
        if schema.contains_key("properties") {
            let fields = self.fields(key, schema, place)?;
            return self.declare(Declaration::Class { name: place.to_owned(), doc: doc(schema), fields });
        }
        let item = match schema.get("additionalProperties") {
            Some(Value::Object(item)) => self.read(key, item, &format!("{place}Value"))?,
            _ => Type::Any,
        };
        Ok(Type::Map(Box::new(item)))
    }

    /// The members of an object, with those of a flattened type, sorted by name.
    fn fields(&mut self, key: &str, schema: &Schema, place: &str) -> Result<Vec<Field>> {
        let mut fields = Vec::new();
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let flattened = self.definition(key, reference)?;
            fields = self.fields(key, &flattened, place)?;
        }
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                let inner = format!("{place}{}", names::camel(name));
                let field = self.field(key, name, property, required.contains(&name.as_str()), &inner)?;
                fields.retain(|other| other.json != field.json);
                fields.push(field);
            }
        }
        fields.sort_by(|a, b| a.json.cmp(&b.json));
        Ok(fields)
    }

    fn field(
        &mut self,
        key: &str,
        name: &str,
        property: &Value,
        is_required: bool,
        place: &str,
    ) -> Result<Field> {
        let empty = Map::new();
        let schema = property.as_object().unwrap_or(&empty);
        let ty = self.read(key, schema, place)?;
        let mut ty = self.with_short_words(key, ty, name)?;
        let mut default = schema.get("default").cloned().filter(|default| !default.is_null());
        if !is_required && default.is_none() {
            // Left out of the schema where the default itself is not written: the empty value of the type.
            default = match &ty {
                Type::List(_) => Some(Value::Array(Vec::new())),
                Type::Map(_) => Some(Value::Object(Map::new())),
                Type::Bool => Some(Value::Bool(false)),
                _ => None,
            };
        }
        let is_simple = match &default {
            Some(Value::Object(map)) => map.is_empty() && matches!(ty, Type::Map(_)),
            Some(Value::Array(items)) => items.is_empty() || ty.is_plain(),
            Some(_) => !matches!(ty, Type::Class(_)),
            None => false,
        };
        if !is_required && !is_simple {
            default = None;
            ty = ty.optional();
        }
        Ok(Field {
            json: name.to_owned(),
            doc: doc(schema),
            ty,
            is_required,
            default,
            constant: schema.get("const").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// A long list of words gets a name: that of the first member it was met in.
    fn with_short_words(&mut self, key: &str, ty: Type, member: &str) -> Result<Type> {
        Ok(match ty {
            Type::Optional(inner) => self.with_short_words(key, *inner, member)?.optional(),
            Type::List(inner) => Type::List(Box::new(self.with_short_words(key, *inner, member)?)),
            // One word alone is a mark, not a choice.
            Type::Words(words) if words.len() > self.language.most_words.max(1) => {
                if let Some(name) = self.words.get(&words) {
                    return Ok(Type::Alias(name.clone()));
                }
                let plain = self.language.class(member);
                let is_taken = |name: &String| {
                    self.declared.contains_key(name) || self.names.values().any(|other| other == name)
                };
                let namespace = self.root(key)?.namespace.clone();
                let candidates =
                    [plain.clone(), format!("{namespace}{plain}"), format!("{namespace}{plain}Word")];
                let name = candidates.into_iter().find(|name| !is_taken(name));
                let name =
                    name.ok_or_else(|| Failure::new(format!("{key}: no name is free for {member}")))?;
                self.words.insert(words.clone(), name.clone());
                let words = words.into_iter().map(|word| (word, String::new())).collect();
                self.declare(Declaration::Words { name, doc: String::new(), words })?
            }
            other => other,
        })
    }

    fn definition(&self, key: &str, reference: &str) -> Result<Schema> {
        let name = reference.strip_prefix("#/$defs/").unwrap_or(reference);
        let found = self.root(key)?.definitions.get(name);
        found.cloned().ok_or_else(|| Failure::new(format!("{key}: nothing is defined at {reference}")))
    }

    fn named(&mut self, key: &str, reference: &str) -> Result<Type> {
        let schema = self.definition(key, reference)?;
        let name = reference.strip_prefix("#/$defs/").unwrap_or(reference);
        if name == "Timestamp" {
            return Ok(Type::Instant);
        }
        let root = self.root(key)?;
        let class_name = self
            .names
            .get(&(base(name), root.content(name)))
            .cloned()
            .unwrap_or_else(|| self.language.class(name));
        if let Some(declared) = self.declared.get(&class_name) {
            return Ok(reference_to(declared));
        }
        if !self.open.insert(class_name.clone()) {
            // A type that holds itself is a class.
            return Ok(Type::Class(class_name));
        }
        let ty = if schema.get("type") == Some(&Value::from("object"))
            && schema.get("additionalProperties") == Some(&Value::Bool(false))
            && !schema.contains_key("properties")
        {
            self.declare(Declaration::Class {
                name: class_name.clone(),
                doc: doc(&schema),
                fields: Vec::new(),
            })
        } else {
            self.read(key, &schema, &class_name)
        };
        self.open.remove(&class_name);
        self.name_words(ty?, &class_name, &schema)
    }

    /// Words that stand alone under a name get that name.
    fn name_words(&mut self, ty: Type, class_name: &str, schema: &Schema) -> Result<Type> {
        match ty {
            Type::Words(words) => {
                let words = words.into_iter().map(|word| (word, String::new())).collect();
                self.declare(Declaration::Words { name: class_name.to_owned(), doc: doc(schema), words })
            }
            other => Ok(other),
        }
    }

    fn declare(&mut self, declaration: Declaration) -> Result<Type> {
        let name = declaration.name().to_owned();
        let ty = reference_to(&declaration);
        if self.declared.get(&name).is_some_and(|other| *other != declaration) {
            return Err(Failure::new(format!(
                "two different types would be called {name} in {}: rename one",
                self.language.name
            )));
        }
        self.declared.insert(name, declaration);
        Ok(ty)
    }

    fn choice(&mut self, key: &str, schema: &Schema, choices: &[Value], place: &str) -> Result<Type> {
        let choices: Vec<&Schema> = choices.iter().filter_map(Value::as_object).collect();
        let is_null = |choice: &Schema| choice.get("type") == Some(&Value::from("null"));
        let some: Vec<&Schema> = choices.iter().copied().filter(|choice| !is_null(choice)).collect();
        let ty = match some.as_slice() {
            [only] if some.len() < choices.len() => self.read(key, only, place)?,
            _ => self.union(key, schema, &some, place)?,
        };
        Ok(if some.len() < choices.len() { ty.optional() } else { ty })
    }

    fn union(&mut self, key: &str, schema: &Schema, choices: &[&Schema], place: &str) -> Result<Type> {
        let words: Vec<Option<Vec<(String, String)>>> =
            choices.iter().map(|choice| words_of(choice)).collect();
        if let Some(words) = words.iter().cloned().collect::<Option<Vec<_>>>() {
            let words = words.into_iter().flatten().collect();
            return self.declare(Declaration::Words { name: place.to_owned(), doc: doc(schema), words });
        }
        if let Some(tag) = self.tag(key, choices)? {
            return self.tagged(key, schema, choices, &tag, place);
        }
        let objects: Vec<&Schema> =
            choices.iter().zip(&words).filter(|(_, w)| w.is_none()).map(|(c, _)| *c).collect();
        if objects.iter().all(|choice| only_member(choice).is_some()) {
            let words = words.into_iter().flatten().flatten().map(|(word, _)| word).collect();
            return self.keyed(key, schema, &objects, words, place);
        }
        let mut types = Vec::new();
        for (n, choice) in choices.iter().enumerate() {
            types.push(self.read(key, choice, &format!("{place}{}", n + 1))?);
        }
        let ty = one_of(types);
        if ty == Type::Any {
            eprintln!(
                "note: {key}: {place} has no shape of its own in {} and is plain JSON there",
                self.language.name
            );
        }
        Ok(ty)
    }

    /// The member whose word tells the variants apart.
    fn tag(&self, key: &str, choices: &[&Schema]) -> Result<Option<String>> {
        let mut common: Option<BTreeSet<String>> = None;
        for choice in choices {
            let mut tags = constants(choice);
            if let Some(reference) = choice.get("$ref").and_then(Value::as_str) {
                tags.extend(constants(&self.definition(key, reference)?));
            }
            common = Some(match common {
                None => tags,
                Some(known) => known.intersection(&tags).cloned().collect(),
            });
        }
        Ok(common.and_then(|tags| tags.into_iter().next()))
    }

    fn tagged(
        &mut self,
        key: &str,
        schema: &Schema,
        choices: &[&Schema],
        tag: &str,
        place: &str,
    ) -> Result<Type> {
        let shared = self.fields(key, &without_choice(schema), place)?;
        let mut variants = Vec::new();
        for choice in choices {
            let mut fields = self.fields(key, choice, place)?;
            let word = fields.iter().find(|field| field.json == tag).and_then(|field| field.constant.clone());
            let word =
                word.ok_or_else(|| Failure::new(format!("{place}: a variant has no word in {tag}")))?;
            let name = format!("{place}{}", names::camel(&word));
            let fields_of_variant =
                shared.iter().filter(|field| fields.iter().all(|own| own.json != field.json));
            let fields_of_variant: Vec<Field> = fields_of_variant.cloned().collect();
            fields.extend(fields_of_variant);
            fields.sort_by(|a, b| a.json.cmp(&b.json));
            self.declare(Declaration::Class { name: name.clone(), doc: doc(choice), fields })?;
            variants.push((word, name));
        }
        let (name, tag) = (place.to_owned(), tag.to_owned());
        self.declare(Declaration::Tagged { name, doc: doc(schema), tag, variants })
    }

    fn keyed(
        &mut self,
        key: &str,
        schema: &Schema,
        objects: &[&Schema],
        words: Vec<String>,
        place: &str,
    ) -> Result<Type> {
        let mut variants = Vec::new();
        for choice in objects {
            let Some(member) = only_member(choice) else { continue };
            let name = format!("{place}{}", names::camel(member));
            let fields = self.fields(key, choice, &name)?;
            self.declare(Declaration::Class { name: name.clone(), doc: doc(choice), fields })?;
            variants.push((member.to_owned(), name));
        }
        self.declare(Declaration::Keyed { name: place.to_owned(), doc: doc(schema), words, variants })
    }
}

fn input_key(operation: &Operation) -> String {
    format!("{} input", operation.name)
}

fn output_key(operation: &Operation) -> String {
    format!("{} output", operation.name)
}

fn doc(schema: &Schema) -> String {
    schema.get("description").and_then(Value::as_str).unwrap_or_default().trim().to_owned()
}

fn enum_words(schema: &Schema) -> Option<Vec<String>> {
    let values = schema.get("enum")?.as_array()?;
    let words: Vec<String> = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    (words.len() == values.iter().filter(|value| !value.is_null()).count()).then_some(words)
}

/// The words of a choice that is nothing but words, with what they mean.
fn words_of(schema: &Schema) -> Option<Vec<(String, String)>> {
    if let Some(word) = schema.get("const").and_then(Value::as_str) {
        return Some(vec![(word.to_owned(), doc(schema))]);
    }
    Some(enum_words(schema)?.into_iter().map(|word| (word, String::new())).collect())
}

fn constants(schema: &Schema) -> BTreeSet<String> {
    let Some(Value::Object(properties)) = schema.get("properties") else { return BTreeSet::new() };
    let is_constant = |property: &Value| property.get("const").is_some_and(Value::is_string);
    properties.iter().filter(|(_, property)| is_constant(property)).map(|(name, _)| name.clone()).collect()
}

/// The member of an object that has exactly one, and must.
fn only_member(schema: &Schema) -> Option<&str> {
    let required = schema.get("required")?.as_array()?;
    let properties = schema.get("properties")?.as_object()?;
    match (required.as_slice(), properties.len()) {
        ([name], 1) => name.as_str(),
        _ => None,
    }
}

fn without_choice(schema: &Schema) -> Schema {
    let mut rest = schema.clone();
    rest.remove("oneOf");
    rest.remove("anyOf");
    rest
}

/// Several plain types as one; two kinds of object cannot be told apart.
fn one_of(mut types: Vec<Type>) -> Type {
    types.dedup();
    if types.len() == 1 {
        return types.remove(0);
    }
    let shaped = types.iter().filter(|ty| matches!(ty, Type::Class(_) | Type::Map(_))).count();
    let vague = types.iter().any(|ty| matches!(ty, Type::Any | Type::Instant | Type::Tuple(_)));
    let lists = types.iter().filter(|ty| matches!(ty, Type::List(_))).count();
    if shaped > 1 || lists > 1 || vague || types.is_empty() { Type::Any } else { Type::Either(types) }
}

fn reference_to(declaration: &Declaration) -> Type {
    match declaration {
        Declaration::Words { name, .. } => Type::Alias(name.clone()),
        other => Type::Class(other.name().to_owned()),
    }
}
