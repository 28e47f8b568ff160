//! Writes one error class per kind.

use crate::generate::Catalogue;
use crate::generate::names::camel;

/// The module of the error classes.
pub(super) fn write(catalogue: &Catalogue) -> String {
    let mut out = String::from(
        "/** One class per kind of error. Catch the class for what you handle, `NeonHubError` for the rest. */\n\n\
         import { type ErrorDetails, NeonHubError } from '../errors.js';\n",
    );
    let mut table = String::from(
        "\n/** The class of each kind. */\nexport const CLASSES: Readonly<\n  Record<string, new (message: string, details?: ErrorDetails) => NeonHubError>\n> = {\n",
    );
    for kind in &catalogue.error_kinds {
        let class = format!("{}Error", camel(kind));
        out.push_str(&format!(
            "\n/** Errors of the kind `{kind}`. */\nexport class {class} extends NeonHubError {{\n  \
             override get kind(): '{kind}' {{\n    return '{kind}';\n  }}\n}}\n"
        ));
        table.push_str(&format!("  {kind}: {class},\n"));
    }
    let kinds: String = catalogue.error_kinds.iter().map(|kind| format!("\n  | '{kind}'")).collect();
    out.push_str(&format!("\n/** The words of all kinds. */\nexport type ErrorKind ={kinds};\n"));
    out + &table + "};\n"
}
