//! Writes the data classes, sealed types and enums.

use std::collections::{BTreeMap, BTreeSet};

use super::{annotation, text};
use crate::failure::{Failure, Result};
use crate::generate::prose;
use crate::generate::shapes::{Declaration, Field, Type};

const HEAD: &str = "\
@file:OptIn(ExperimentalSerializationApi::class)
@file:UseSerializers(InstantSerializer::class)

package ai.neonhub.models

import ai.neonhub.InstantSerializer
import ai.neonhub.KeyedSerializer
import ai.neonhub.PLAIN
import java.time.Instant
import kotlinx.serialization.EncodeDefault
import kotlinx.serialization.ExperimentalSerializationApi
import kotlinx.serialization.KSerializer
import kotlinx.serialization.SerialName
import kotlinx.serialization.Serializable
import kotlinx.serialization.UseSerializers
import kotlinx.serialization.json.JsonClassDiscriminator
import kotlinx.serialization.json.JsonElement
";

/// The union that a class is a variant of, and the word that tells it from the others, if a member holds one.
struct Parent<'a> {
    name: &'a str,
    word: Option<&'a str>,
}

/// The file of all named types.
pub(super) fn write(declarations: &[Declaration]) -> Result<String> {
    let mut parents: BTreeMap<&str, Parent<'_>> = BTreeMap::new();
    for declaration in declarations {
        match declaration {
            Declaration::Tagged { name, variants, .. } => {
                parents.extend(
                    variants
                        .iter()
                        .map(|(word, class)| (class.as_str(), Parent { name, word: Some(word.as_str()) })),
                );
            }
            Declaration::Keyed { name, variants, .. } => {
                parents
                    .extend(variants.iter().map(|(_, class)| (class.as_str(), Parent { name, word: None })));
            }
            _ => {}
        }
    }
    let mut out = HEAD.to_owned();
    for declaration in declarations {
        out.push('\n');
        out.push_str(&one(declaration, parents.get(declaration.name()))?);
    }
    Ok(out)
}

fn one(declaration: &Declaration, parent: Option<&Parent<'_>>) -> Result<String> {
    Ok(match declaration {
        Declaration::Words { name, doc, words } => words_enum(name, doc, words)?,
        Declaration::Class { name, doc, fields } => class(name, doc, fields, parent),
        Declaration::Tagged { name, doc, tag, .. } => {
            let doc = text::doc(&prose::wrap(doc, 3), 0);
            let mark = text::literal(tag);
            format!("{doc}@Serializable\n@JsonClassDiscriminator({mark})\npublic sealed interface {name}\n")
        }
        Declaration::Keyed { name, doc, words, variants } => keyed(name, doc, words, variants),
    })
}

fn words_enum(name: &str, doc: &str, words: &[(String, String)]) -> Result<String> {
    let mut out = text::doc(&prose::wrap(doc, 3), 0);
    out.push_str(&format!("@Serializable\npublic enum class {name}(public val word: String) {{\n"));
    let mut seen = BTreeSet::new();
    for (word, doc) in words {
        let entry = text::entry(word);
        if !seen.insert(entry.clone()) {
            return Err(Failure::new(format!("{name} has two words that are {entry} in Kotlin: rename one")));
        }
        let word = text::literal(word);
        out.push_str(&text::doc(&prose::wrap(doc, 7), 4));
        out.push_str(&format!("    @SerialName({word}) {entry}({word}),\n"));
    }
    Ok(out + "    ;\n\n    override fun toString(): String = word\n}\n")
}

fn class(name: &str, doc: &str, fields: &[Field], parent: Option<&Parent<'_>>) -> String {
    let fields: Vec<&Field> =
        fields.iter().filter(|field| parent.is_none() || field.constant.is_none()).collect();
    let mut lines = prose::wrap(if doc.is_empty() { "See the operation that uses it." } else { doc }, 3);
    let documented = fields.iter().filter(|field| !field.doc.is_empty());
    let mut tags =
        documented.flat_map(|field| text::tag("property", &text::member(&field.json), &field.doc)).peekable();
    if tags.peek().is_some() {
        lines.push(String::new());
    }
    lines.extend(tags);
    let mut out = text::doc(&lines, 0) + "@Serializable\n";
    if let Some(word) = parent.and_then(|parent| parent.word) {
        out.push_str(&format!("@SerialName({})\n", text::literal(word)));
    }
    let below = parent.map(|parent| format!(" : {}", parent.name)).unwrap_or_default();
    if fields.is_empty() {
        return out + &format!("public data object {name}{below}\n");
    }
    out.push_str(&format!("public data class {name}(\n"));
    fields.iter().for_each(|field| out.push_str(&property(field)));
    out + &format!("){below}\n")
}

fn property(field: &Field) -> String {
    let name = text::member(&field.json);
    let mut out = String::from("    ");
    if name.trim_matches('`') != field.json {
        out.push_str(&format!("@SerialName({}) ", text::literal(&field.json)));
    }
    let ty = annotation(&field.ty);
    if let Some(word) = &field.constant {
        return out + &format!("@EncodeDefault val {name}: {ty} = {},\n", text::literal(word));
    }
    if field.is_required {
        return out + &format!("val {name}: {ty},\n");
    }
    let default = field.default.as_ref().and_then(|value| text::value(&field.ty, value));
    match default {
        Some(default) => out + &format!("val {name}: {ty} = {default},\n"),
        None => out + &format!("val {name}: {}? = null,\n", ty.trim_end_matches('?')),
    }
}

fn keyed(name: &str, doc: &str, words: &[String], variants: &[(String, String)]) -> String {
    let mut out = text::doc(&prose::wrap(doc, 3), 0);
    out.push_str(&format!("@Serializable(with = {name}Serializer::class)\npublic sealed interface {name}\n"));
    let object = |word: &String| format!("{name}{}", text::entry(word));
    for word in words {
        out.push_str(&format!("\n/** The word `{word}`. */\npublic data object {} : {name}\n", object(word)));
    }
    out.push_str(&format!(
        "\ninternal object {name}Serializer : KeyedSerializer<{name}>({}) {{\n",
        text::literal(name)
    ));
    let table = |function: &str, subject: &str, cases: Vec<String>| {
        let cases = cases.concat();
        format!("    override fun {function} = when ({subject}) {{\n{cases}        else -> null\n    }}\n")
    };
    let of_word = words.iter().map(|word| format!("        {} -> {}\n", text::literal(word), object(word)));
    out.push_str(&table(&format!("ofWord(word: String): {name}?"), "word", of_word.collect()));
    let word_of = words.iter().map(|word| format!("        {} -> {}\n", object(word), text::literal(word)));
    out.push_str(&table(&format!("wordOf(value: {name}): String?"), "value", word_of.collect()));
    let serializers = variants
        .iter()
        .map(|(key, class)| format!("        {} -> {class}.serializer()\n", text::literal(key)));
    out.push_str(&table(
        &format!("serializerOf(key: String): KSerializer<out {name}>?"),
        "key",
        serializers.collect(),
    ));
    let write = variants.iter().map(|(_, class)| {
        format!("        is {class} -> PLAIN.encodeToJsonElement({class}.serializer(), value)\n")
    });
    out.push_str(&table(&format!("write(value: {name}): JsonElement?"), "value", write.collect()));
    out + "}\n"
}

/// The names of types that a type uses, for imports.
pub(super) fn named(ty: &Type, out: &mut BTreeSet<String>) {
    match ty {
        Type::Class(name) | Type::Alias(name) => {
            out.insert(name.clone());
        }
        Type::List(item) | Type::Map(item) | Type::Optional(item) => named(item, out),
        _ => {}
    }
}
