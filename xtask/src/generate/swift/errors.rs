//! Writes the error: one case per kind.

use super::text;

const HEAD: &str = "\
import Foundation

/// What every failing call throws: one case per kind of error. A model, tool or connector written in Swift may throw
/// these too: kind, code and advice are kept.
public enum NeonHubError: Error, Sendable {
";

/// The file.
pub(super) fn write(kinds: &[String]) -> String {
    let mut out = HEAD.to_owned();
    for kind in kinds {
        out.push_str(&format!("    case {}(Details)\n", text::case(kind)));
    }
    out.push_str("\n    /// The stable word of the kind, the same in every language.\n    public var kind: String {\n        switch self {\n");
    let bare = |kind: &String| text::case(kind).trim_matches('`').to_owned();
    for kind in kinds {
        out.push_str(&format!("        case .{}: return {}\n", bare(kind), text::literal(kind)));
    }
    out.push_str("        }\n    }\n\n    /// Everything else that is known.\n    public var details: Details {\n        switch self {\n        case ");
    let cases: Vec<String> = kinds.iter().map(|kind| format!(".{}(let details)", bare(kind))).collect();
    out.push_str(&cases.join(",\n            "));
    out.push_str(":\n            return details\n        }\n    }\n\n    /// The error of a kind; an unknown word is `internal`.\n    static func of(_ kind: String, _ details: Details) -> NeonHubError {\n        switch kind {\n");
    for kind in kinds.iter().filter(|kind| *kind != "internal") {
        out.push_str(&format!("        case {}: return .{}(details)\n", text::literal(kind), bare(kind)));
    }
    out + "        default: return .internal(details)\n        }\n    }\n}\n"
}
