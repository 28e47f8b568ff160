//! The tree of an expression.

use jiff::tz::TimeZone;

use crate::Money;

/// A value that stands in the source.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Number(f64),
    Text(String),
    /// UTC milliseconds.
    Instant(i64),
    Money(Money),
    Set(Vec<Literal>),
}

/// A comparison of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
    In,
    NotIn,
    StartsWith,
    EndsWith,
    Contains,
    SubsetOf,
    Intersects,
}

impl Relation {
    /// The relation a word or sign stands for.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "==" => Relation::Equal,
            "!=" => Relation::Unequal,
            "<" => Relation::Less,
            "<=" => Relation::AtMost,
            ">" => Relation::More,
            ">=" => Relation::AtLeast,
            "in" => Relation::In,
            "starts_with" => Relation::StartsWith,
            "ends_with" => Relation::EndsWith,
            "contains" => Relation::Contains,
            "subset_of" => Relation::SubsetOf,
            "intersects" => Relation::Intersects,
            _ => return None,
        })
    }

    /// True for the four that need an order.
    pub(super) fn is_ordering(self) -> bool {
        matches!(self, Relation::Less | Relation::AtMost | Relation::More | Relation::AtLeast)
    }
}

/// What is read off an instant in a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Local {
    /// Hour of the day, 0..=23.
    Hour,
    /// `mon` to `sun`.
    Weekday,
    /// `2026-11-21`.
    Day,
}

/// A function of two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    Union,
    Common,
    Minus,
}

/// A fact by its names, such as `input` and `budget`, and its place among the facts of a set of conditions.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) names: Vec<String>,
    pub(super) place: Option<usize>,
}

/// One part of an expression, with where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Character it starts at, from 1.
    pub(super) at: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Literal(Literal),
    Fact(Path),
    Has(Path),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Compare(Relation, Box<Node>, Box<Node>),
    Lower(Box<Node>),
    Length(Box<Node>),
    Join(Join, Box<Node>, Box<Node>),
    Local(Local, Box<Node>, TimeZone),
    DaysBetween(Box<Node>, Box<Node>),
}

impl Node {
    pub(super) fn always() -> Self {
        Node { at: 1, what: What::Literal(Literal::Bool(true)) }
    }

    /// Every fact that is named here and below.
    pub(super) fn each_path(&mut self, see: &mut impl FnMut(&mut Path)) {
        match &mut self.what {
            What::Literal(_) => {}
            What::Fact(path) | What::Has(path) => see(path),
            What::Not(inner) | What::Lower(inner) | What::Length(inner) | What::Local(_, inner, _) => {
                inner.each_path(see);
            }
            What::And(parts) | What::Or(parts) => parts.iter_mut().for_each(|part| part.each_path(see)),
            What::Compare(_, a, b) | What::Join(_, a, b) | What::DaysBetween(a, b) => {
                a.each_path(see);
                b.each_path(see);
            }
        }
    }
}
