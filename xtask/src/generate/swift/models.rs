//! Writes the structs and enums, with coding that tells absent from null.

use std::collections::BTreeSet;

use super::{annotation, optional, text};
use crate::failure::{Failure, Result};
use crate::generate::prose;
use crate::generate::shapes::{Declaration, Field, Type};

/// The file of all named types.
pub(super) fn write(declarations: &[Declaration]) -> Result<String> {
    let variants: BTreeSet<&str> = declarations.iter().flat_map(variants).collect();
    let mut out = String::from("import Foundation\n");
    for declaration in declarations {
        out.push('\n');
        out.push_str(&match declaration {
            Declaration::Words { name, doc, words } => words_enum(name, doc, words)?,
            Declaration::Class { name, doc, fields } => {
                let is_variant = variants.contains(name.as_str());
                let fields: Vec<&Field> =
                    fields.iter().filter(|field| !is_variant || field.constant.is_none()).collect();
                structure(name, doc, &fields)
            }
            Declaration::Tagged { name, doc, tag, variants } => tagged(name, doc, tag, variants),
            Declaration::Keyed { name, doc, words, variants } => keyed(name, doc, words, variants),
        });
    }
    Ok(out)
}

fn variants(declaration: &Declaration) -> Vec<&str> {
    match declaration {
        Declaration::Tagged { variants, .. } => variants.iter().map(|(_, class)| class.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn words_enum(name: &str, doc: &str, words: &[(String, String)]) -> Result<String> {
    let mut out = text::doc(&prose::wrap(doc, 4), 0);
    out.push_str(&format!("public enum {name}: String, Codable, Sendable, CaseIterable {{\n"));
    let mut seen = BTreeSet::new();
    for (word, doc) in words {
        let case = text::case(word);
        if !seen.insert(case.clone()) {
            return Err(Failure::new(format!("{name} has two words that are {case} in Swift: rename one")));
        }
        out.push_str(&text::doc(&prose::wrap(doc, 8), 4));
        out.push_str(&format!("    case {case} = {}\n", text::literal(word)));
    }
    Ok(out + "}\n")
}

fn structure(name: &str, doc: &str, fields: &[&Field]) -> String {
    let mut out =
        text::doc(&prose::wrap(if doc.is_empty() { "See the operation that uses it." } else { doc }, 4), 0);
    out.push_str(&format!("public struct {name}: Codable, Sendable, Hashable {{\n"));
    if fields.is_empty() {
        return out + "    public init() {}\n}\n";
    }
    for field in fields {
        out.push_str(&text::doc(&prose::wrap(&field.doc, 8), 4));
        out.push_str(&format!("    public var {}: {}\n", text::member(&field.json), member_type(field)));
    }
    let parameters: Vec<String> =
        fields.iter().map(|field| format!("        {}", parameter(field))).collect();
    out.push_str(&format!("\n    public init(\n{}\n    ) {{\n", parameters.join(",\n")));
    for field in fields {
        let name = text::member(&field.json);
        out.push_str(&format!("        self.{} = {name}\n", name.trim_matches('`')));
    }
    out.push_str("    }\n\n    enum CodingKeys: String, CodingKey {\n");
    for field in fields {
        out.push_str(&format!(
            "        case {} = {}\n",
            text::member(&field.json),
            text::literal(&field.json)
        ));
    }
    out.push_str("    }\n\n    public init(from decoder: any Decoder) throws {\n");
    out.push_str("        let values = try decoder.container(keyedBy: CodingKeys.self)\n");
    fields.iter().for_each(|field| out.push_str(&decode(field)));
    out.push_str("    }\n\n    public func encode(to encoder: any Encoder) throws {\n");
    out.push_str("        var values = encoder.container(keyedBy: CodingKeys.self)\n");
    for field in fields {
        let name = text::member(&field.json);
        let key = name.trim_matches('`');
        let how = if is_left_out(field) { "encodeIfPresent" } else { "encode" };
        out.push_str(&format!("        try values.{how}(self.{key}, forKey: .{key})\n"));
    }
    out + "    }\n}\n"
}

fn default(field: &Field) -> Option<String> {
    if let Some(word) = &field.constant {
        return Some(text::literal(word));
    }
    if field.is_required {
        None
    } else {
        field.default.as_ref().and_then(|value| text::value(&field.ty, value))
    }
}

/// True when nothing stands for it in JSON where it is nil; a required member is written as null then.
fn is_left_out(field: &Field) -> bool {
    !field.is_required && default(field).is_none()
}

fn member_type(field: &Field) -> String {
    if is_left_out(field) { optional(&field.ty) } else { annotation(&field.ty) }
}

fn parameter(field: &Field) -> String {
    let (name, ty) = (text::member(&field.json), member_type(field));
    match default(field) {
        Some(default) => format!("{name}: {ty} = {default}"),
        None if is_left_out(field) => format!("{name}: {ty} = nil"),
        None => format!("{name}: {ty}"),
    }
}

fn decode(field: &Field) -> String {
    let name = text::member(&field.json);
    let key = name.trim_matches('`');
    let plain = member_type(field).trim_end_matches('?').to_owned();
    let read = match default(field) {
        Some(default) => {
            format!("try values.decodeIfPresent({plain}.self, forKey: .{key}) ?? {default}")
        }
        // Null and absence are both nil: the type of the member says which of them is written.
        None if is_left_out(field) || matches!(field.ty, Type::Optional(_)) => {
            format!("try values.decodeIfPresent({plain}.self, forKey: .{key})")
        }
        None => format!("try values.decode({plain}.self, forKey: .{key})"),
    };
    format!("        self.{key} = {read}\n")
}

fn tagged(name: &str, doc: &str, tag: &str, variants: &[(String, String)]) -> String {
    let mut out = text::doc(&prose::wrap(doc, 4), 0);
    out.push_str(&format!("public indirect enum {name}: Codable, Sendable, Hashable {{\n"));
    for (word, class) in variants {
        out.push_str(&format!("    case {}({class})\n", text::case(word)));
    }
    out.push_str(&format!(
        "\n    private enum Tag: String, CodingKey {{\n        case word = {}\n    }}\n",
        text::literal(tag)
    ));
    out.push_str("\n    public init(from decoder: any Decoder) throws {\n");
    out.push_str(
        "        let tag = try decoder.container(keyedBy: Tag.self).decode(String.self, forKey: .word)\n",
    );
    out.push_str("        switch tag {\n");
    for (word, class) in variants {
        out.push_str(&format!(
            "        case {}: self = .{}(try {class}(from: decoder))\n",
            text::literal(word),
            text::case(word).trim_matches('`')
        ));
    }
    out.push_str(&format!(
        "        default: throw unknownVariant(\"{name}\", decoder)\n        }}\n    }}\n"
    ));
    out.push_str("\n    public func encode(to encoder: any Encoder) throws {\n");
    out.push_str("        var tag = encoder.container(keyedBy: Tag.self)\n        switch self {\n");
    for (word, _) in variants {
        out.push_str(&format!(
            "        case .{}(let value):\n            try tag.encode({}, forKey: .word)\n            try value.encode(to: encoder)\n",
            text::case(word).trim_matches('`'),
            text::literal(word)
        ));
    }
    out + "        }\n    }\n}\n"
}

fn keyed(name: &str, doc: &str, words: &[String], variants: &[(String, String)]) -> String {
    let bare = |word: &str| text::case(word).trim_matches('`').to_owned();
    let mut out = text::doc(&prose::wrap(doc, 4), 0);
    out.push_str(&format!("public indirect enum {name}: Codable, Sendable, Hashable {{\n"));
    words.iter().for_each(|word| out.push_str(&format!("    case {}\n", text::case(word))));
    variants
        .iter()
        .for_each(|(key, class)| out.push_str(&format!("    case {}({class})\n", text::case(key))));
    out.push_str("\n    public init(from decoder: any Decoder) throws {\n");
    out.push_str("        if let word = try? decoder.singleValueContainer().decode(String.self) {\n            switch word {\n");
    for word in words {
        out.push_str(&format!("            case {}: self = .{}\n", text::literal(word), bare(word)));
    }
    out.push_str(&format!("            default: throw unknownVariant(\"{name}\", decoder)\n            }}\n            return\n        }}\n"));
    out.push_str(
        "        let keys = try decoder.container(keyedBy: Name.self).allKeys.map(\\.stringValue)\n",
    );
    for (key, class) in variants {
        out.push_str(&format!("        if keys.contains({}) {{\n            self = .{}(try {class}(from: decoder))\n            return\n        }}\n", text::literal(key), bare(key)));
    }
    out.push_str(&format!("        throw unknownVariant(\"{name}\", decoder)\n    }}\n"));
    out.push_str("\n    public func encode(to encoder: any Encoder) throws {\n        switch self {\n");
    for word in words {
        out.push_str(&format!("        case .{}:\n            var only = encoder.singleValueContainer()\n            try only.encode({})\n", bare(word), text::literal(word)));
    }
    for (key, _) in variants {
        out.push_str(&format!("        case .{}(let value): try value.encode(to: encoder)\n", bare(key)));
    }
    out + "        }\n    }\n}\n"
}
