"""Parses Swift files with tree-sitter and fails at the first error or missing node of any of them."""

import re
import sys

import tree_sitter_swift
from tree_sitter import Language, Node, Parser


def faults(node: Node) -> list[str]:
    if not node.has_error:
        return []
    own = [f"{node.start_point.row + 1}:{node.start_point.column + 1}"] if node.is_error or node.is_missing else []
    return own + [fault for child in node.children for fault in faults(child)]


# The grammar knows no condition around a single attribute, which UniFFI writes above its helpers.
CONDITION = re.compile(rb"#if swift\([^)]*\)\n( *@[^\n]*)\n *#endif")

parser = Parser(Language(tree_sitter_swift.language()))
broken = 0
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        found = faults(parser.parse(CONDITION.sub(rb"\n\1\n", file.read())).root_node)
    for fault in found[:5]:
        print(f"{path}:{fault}: does not parse")
    broken += bool(found)
print(f"{len(sys.argv) - 1} Swift files, {broken} do not parse")
sys.exit(1 if broken or len(sys.argv) < 2 else 0)
