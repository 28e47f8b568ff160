//! Types: what cannot be compared is refused when a policy is put, not when it is asked.

use super::node::{Literal, Local, Node, Relation, What};
use super::token::Fault;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bool,
    Number,
    Text,
    Instant,
    Money,
    Set,
    /// Known only when asked: facts of the open part.
    Open,
}

/// Facts every call has, or may have, with what they say. `input` and `app` are open: anything below them.
pub const VOCABULARY: &[(&str, &str, &str)] = &[
    ("operation", "text", "dotted name of the operation, such as campaigns.launch"),
    ("effect", "text", "pure, read, idempotent, write or compensable"),
    ("cost", "text", "free, cheap, model or money"),
    ("now", "instant", "when it is asked"),
    ("principal.kind", "text", "user, api_key, agent or system"),
    ("principal.id", "text", "its id: of an agent the name"),
    ("principal.acts_for", "text", "whom an agent acts for, such as user:ada"),
    ("agent", "text", "name of the calling agent; missing for others"),
    ("roles", "set", "roles of the principal: owner, admin, member, viewer, agent, system, custom ones"),
    ("permissions", "set", "what it may do"),
    ("channel", "text", "channel the call is about, such as email"),
    ("region", "text", "region the call is about, such as eu"),
    ("workspace.id", "text", "the workspace"),
    ("workspace.mode", "text", "sandbox or production"),
    (
        "sinks",
        "set",
        "where words go out of reach: send, publish, spend, export, memory_write; missing for all else",
    ),
    ("tainted", "bool", "for a sink, or where it holds: an agent calls that had read words from outside"),
    ("input", "open", "the input of the operation: input.budget.minor"),
    ("app", "open", "what the host adds"),
];

fn fault<T>(at: usize, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { position: at, message: message.into() })
}

/// The whole expression must be true or false.
pub(super) fn condition(node: &Node) -> Result<(), Fault> {
    match infer(node)? {
        Type::Bool | Type::Open => Ok(()),
        _ => fault(node.at, "expected a comparison here: this is a value"),
    }
}

fn infer(node: &Node) -> Result<Type, Fault> {
    Ok(match &node.what {
        What::Literal(literal) => of_literal(literal),
        What::Fact(path) => fact(node.at, &path.names)?,
        What::Has(path) => fact(node.at, &path.names).map(|_| Type::Bool)?,
        What::Not(inner) => condition(inner).map(|()| Type::Bool)?,
        What::And(parts) | What::Or(parts) => {
            parts.iter().try_for_each(condition)?;
            Type::Bool
        }
        What::Compare(relation, left, right) => {
            compare(node.at, *relation, infer(left)?, infer(right)?)?;
            Type::Bool
        }
        What::Lower(inner) => need(inner, &[Type::Text], Type::Text)?,
        What::Length(inner) => need(inner, &[Type::Text, Type::Set], Type::Number)?,
        What::Join(_, a, b) => {
            need(a, &[Type::Set], Type::Set)?;
            need(b, &[Type::Set], Type::Set)?
        }
        What::Local(part, of, _) => {
            let answer = if *part == Local::Hour { Type::Number } else { Type::Text };
            need(of, &[Type::Instant], answer)?
        }
        What::DaysBetween(a, b) => {
            need(a, &[Type::Instant], Type::Number)?;
            need(b, &[Type::Instant], Type::Number)?
        }
    })
}

fn need(node: &Node, accepted: &[Type], answer: Type) -> Result<Type, Fault> {
    let found = infer(node)?;
    if found == Type::Open || accepted.contains(&found) {
        return Ok(answer);
    }
    let names: Vec<&str> = accepted.iter().map(|t| name(*t)).collect();
    fault(node.at, format!("expected {}, found {}", names.join(" or "), name(found)))
}

fn of_literal(literal: &Literal) -> Type {
    match literal {
        Literal::Bool(_) => Type::Bool,
        Literal::Number(_) => Type::Number,
        Literal::Text(_) => Type::Text,
        Literal::Instant(_) => Type::Instant,
        Literal::Money(_) => Type::Money,
        Literal::Set(_) => Type::Set,
    }
}

fn name(kind: Type) -> &'static str {
    match kind {
        Type::Bool => "true or false",
        Type::Number => "a number",
        Type::Text => "text",
        Type::Instant => "an instant",
        Type::Money => "money",
        Type::Set => "a set",
        Type::Open => "any value",
    }
}

fn fact(at: usize, path: &[String]) -> Result<Type, Fault> {
    let root = path.first().map_or("", String::as_str);
    let dotted = path.join(".");
    for (known, kind, _) in VOCABULARY {
        if *known == dotted || (*kind == "open" && *known == root) {
            return Ok(match *kind {
                "bool" => Type::Bool,
                "text" => Type::Text,
                "instant" => Type::Instant,
                "set" => Type::Set,
                _ => Type::Open,
            });
        }
    }
    let close = crate::hub::closest(&dotted, VOCABULARY.iter().map(|(known, ..)| *known));
    fault(at, format!("there is no fact `{dotted}`; close: {}", close.join(", ")))
}

fn compare(at: usize, relation: Relation, left: Type, right: Type) -> Result<(), Fault> {
    let is = |found: Type, wanted: &[Type]| found == Type::Open || wanted.contains(&found);
    let fits = match relation {
        Relation::Equal | Relation::Unequal => left == Type::Open || right == Type::Open || left == right,
        r if r.is_ordering() => {
            let ordered = [Type::Number, Type::Text, Type::Instant, Type::Money];
            is(left, &ordered)
                && is(right, &ordered)
                && (left == Type::Open || right == Type::Open || left == right)
        }
        Relation::In | Relation::NotIn => left != Type::Set && is(right, &[Type::Set]),
        Relation::StartsWith | Relation::EndsWith => is(left, &[Type::Text]) && is(right, &[Type::Text]),
        Relation::Contains => match left {
            Type::Text => is(right, &[Type::Text]),
            Type::Set => right != Type::Set,
            Type::Open => right != Type::Set,
            _ => false,
        },
        _ => is(left, &[Type::Set]) && is(right, &[Type::Set]),
    };
    if fits { Ok(()) } else { fault(at, format!("cannot compare {} with {} so", name(left), name(right))) }
}
