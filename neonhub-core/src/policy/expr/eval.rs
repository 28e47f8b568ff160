//! Judging facts with a checked tree, in three-valued logic.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Json;

use super::facts::Facts;
use super::node::{Join, Literal, Local, Node, Relation, What};
use super::token::Fault;
use crate::{Money, Timestamp};

/// True, false, or unknown for want of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// A fact it needs is missing.
    Unknown,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Truth::True } else { Truth::False }
    }

    fn not(self) -> Self {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        }
    }
}

/// A value while judging.
#[derive(Clone, Debug, PartialEq)]
enum Val<'a> {
    Missing,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    Instant(i64),
    Money(Money),
    Set(Vec<Val<'a>>),
}

const INCOMPARABLE: &str = "these two values cannot be compared so";

type Judged<T> = Result<T, Fault>;

fn fault<T>(at: usize, message: &str) -> Judged<T> {
    Err(Fault { position: at, message: message.to_owned() })
}

/// Judges a condition.
pub(super) fn truth(node: &Node, facts: &Facts<'_>) -> Judged<Truth> {
    Ok(match &node.what {
        What::Not(inner) => truth(inner, facts)?.not(),
        // Every part is judged, so that a fault shows whatever the order of the parts is.
        What::And(parts) => fold(parts, facts, Truth::False, Truth::True)?,
        What::Or(parts) => fold(parts, facts, Truth::True, Truth::False)?,
        What::Has(path) => Truth::of(facts.find(path).is_some()),
        What::Compare(Relation::In, item, set) => is_member(node.at, item, set, facts)?,
        What::Compare(Relation::NotIn, item, set) => is_member(node.at, item, set, facts)?.not(),
        What::Compare(relation, left, right) => {
            compare(node.at, *relation, &value(left, facts)?, &value(right, facts)?)?
        }
        _ => match value(node, facts)? {
            Val::Missing => Truth::Unknown,
            Val::Bool(holds) => Truth::of(holds),
            _ => return fault(node.at, "expected true or false"),
        },
    })
}

/// `decisive` wins; else unknown if any part is; else `rest`.
fn fold(parts: &[Node], facts: &Facts<'_>, decisive: Truth, rest: Truth) -> Judged<Truth> {
    let mut whole = rest;
    for part in parts {
        match truth(part, facts)? {
            found if found == decisive => whole = decisive,
            Truth::Unknown if whole != decisive => whole = Truth::Unknown,
            _ => {}
        }
    }
    Ok(whole)
}

fn value<'v, 'f: 'v>(node: &'v Node, facts: &Facts<'f>) -> Judged<Val<'v>> {
    Ok(match &node.what {
        What::Literal(literal) => of_literal(literal),
        What::Fact(path) => match facts.find(path) {
            None => Val::Missing,
            // The one fact that is an instant by its type; others become one when compared with one.
            Some(Json::Number(ms)) if path.names == ["now"] => Val::Instant(ms.as_i64().unwrap_or_default()),
            Some(found) => of_json(node.at, found)?,
        },
        What::Lower(inner) => match value(inner, facts)? {
            Val::Missing => Val::Missing,
            Val::Text(text) => Val::Text(text.to_lowercase().into()),
            _ => return fault(node.at, "expected text in lower(..)"),
        },
        What::Length(inner) => match value(inner, facts)? {
            Val::Missing => Val::Missing,
            Val::Text(text) => Val::Number(text.chars().count() as f64),
            Val::Set(items) => Val::Number(items.len() as f64),
            _ => return fault(node.at, "expected text or a set in length(..)"),
        },
        What::Join(join, a, b) => joined(node.at, *join, value(a, facts)?, value(b, facts)?)?,
        What::Local(part, of, zone) => match instant(node.at, value(of, facts)?)? {
            None => Val::Missing,
            Some(ms) => local(*part, ms, zone),
        },
        What::DaysBetween(a, b) => {
            let (a, b) = (instant(node.at, value(a, facts)?)?, instant(node.at, value(b, facts)?)?);
            match (a, b) {
                (Some(a), Some(b)) => Val::Number((b - a) as f64 / 86_400_000.0),
                _ => Val::Missing,
            }
        }
        _ => match truth(node, facts)? {
            Truth::Unknown => Val::Missing,
            known => Val::Bool(known == Truth::True),
        },
    })
}

fn of_literal(literal: &Literal) -> Val<'_> {
    match literal {
        Literal::Bool(holds) => Val::Bool(*holds),
        Literal::Number(number) => Val::Number(*number),
        Literal::Text(text) => Val::Text(Cow::Borrowed(text)),
        Literal::Instant(ms) => Val::Instant(*ms),
        Literal::Money(money) => Val::Money(*money),
        Literal::Set(items) => Val::Set(items.iter().map(of_literal).collect()),
    }
}

fn of_json(at: usize, json: &Json) -> Judged<Val<'_>> {
    Ok(match json {
        Json::Null => Val::Missing,
        Json::Bool(holds) => Val::Bool(*holds),
        Json::Number(number) => Val::Number(number.as_f64().unwrap_or_default()),
        Json::String(text) => Val::Text(Cow::Borrowed(text)),
        Json::Array(items) => Val::Set(items.iter().map(|i| of_json(at, i)).collect::<Judged<_>>()?),
        Json::Object(_) => match serde_json::from_value::<Money>(json.clone()) {
            Ok(money) => Val::Money(money),
            Err(_) => return fault(at, "expected a value: this fact is an object"),
        },
    })
}

fn local(part: Local, ms: i64, zone: &jiff::tz::TimeZone) -> Val<'static> {
    let at = Timestamp::from_millis(ms).in_zone(zone);
    match part {
        Local::Hour => Val::Number(f64::from(at.hour())),
        Local::Day => Val::Text(at.date().to_string().into()),
        Local::Weekday => {
            use jiff::civil::Weekday as W;
            Val::Text(Cow::Borrowed(match at.weekday() {
                W::Monday => "mon",
                W::Tuesday => "tue",
                W::Wednesday => "wed",
                W::Thursday => "thu",
                W::Friday => "fri",
                W::Saturday => "sat",
                W::Sunday => "sun",
            }))
        }
    }
}

fn instant(at: usize, value: Val<'_>) -> Judged<Option<i64>> {
    match value {
        Val::Missing => Ok(None),
        Val::Instant(ms) => Ok(Some(ms)),
        // The bounds of a Timestamp hold here too, so that a cast loses nothing.
        Val::Number(ms) if (0.0..=253_402_300_799_999.0).contains(&ms) => Ok(Some(ms as i64)),
        Val::Text(text) => match Timestamp::parse("instant", &text) {
            Ok(found) => Ok(Some(found.as_millis())),
            Err(_) => fault(at, "expected an RFC 3339 instant with offset"),
        },
        _ => fault(at, "expected an instant"),
    }
}

fn joined<'a>(at: usize, join: Join, a: Val<'a>, b: Val<'a>) -> Judged<Val<'a>> {
    let (a, b) = match (a, b) {
        (Val::Missing, _) | (_, Val::Missing) => return Ok(Val::Missing),
        (Val::Set(a), Val::Set(b)) => (a, b),
        _ => return fault(at, "expected two sets"),
    };
    Ok(Val::Set(match join {
        Join::Common => a.into_iter().filter(|item| b.contains(item)).collect(),
        Join::Minus => a.into_iter().filter(|item| !b.contains(item)).collect(),
        Join::Union => {
            let mut all = a;
            for item in b {
                if !all.contains(&item) {
                    all.push(item);
                }
            }
            all
        }
    }))
}

fn compare(at: usize, relation: Relation, left: &Val<'_>, right: &Val<'_>) -> Judged<Truth> {
    if *left == Val::Missing || *right == Val::Missing {
        return Ok(Truth::Unknown);
    }
    let holds = match (relation, left, right) {
        (Relation::Equal, ..) => equal(at, left, right)?,
        (Relation::Unequal, ..) => !equal(at, left, right)?,
        (r, ..) if r.is_ordering() => {
            let order = order(at, left, right)?;
            match r {
                Relation::Less => order.is_lt(),
                Relation::AtMost => order.is_le(),
                Relation::More => order.is_gt(),
                _ => order.is_ge(),
            }
        }
        (Relation::StartsWith, Val::Text(a), Val::Text(b)) => a.starts_with(b.as_ref()),
        (Relation::EndsWith, Val::Text(a), Val::Text(b)) => a.ends_with(b.as_ref()),
        (Relation::Contains, Val::Text(a), Val::Text(b)) => a.contains(b.as_ref()),
        (Relation::Contains, Val::Set(set), item) => holds_item(at, set, item)?,
        (Relation::SubsetOf, Val::Set(a), Val::Set(b)) => a.iter().all(|item| b.contains(item)),
        (Relation::Intersects, Val::Set(a), Val::Set(b)) => a.iter().any(|item| b.contains(item)),
        _ => return fault(at, INCOMPARABLE),
    };
    Ok(Truth::of(holds))
}

/// Whether an item is in a set. The sets that policies name, written out or a fact, are looked through where they lie.
fn is_member(at: usize, item: &Node, set: &Node, facts: &Facts<'_>) -> Judged<Truth> {
    let item = value(item, facts)?;
    let held = match &set.what {
        What::Literal(Literal::Set(items)) => among(at, &item, items.iter().map(|i| Ok(of_literal(i))))?,
        What::Fact(path) => match facts.find(path) {
            None => return Ok(Truth::Unknown),
            Some(Json::Array(items)) => among(at, &item, items.iter().map(|i| of_json(set.at, i)))?,
            Some(_) if item == Val::Missing => return Ok(Truth::Unknown),
            Some(_) => return fault(at, INCOMPARABLE),
        },
        _ => match value(set, facts)? {
            Val::Set(items) => among(at, &item, items.into_iter().map(Ok))?,
            other if item == Val::Missing || other == Val::Missing => return Ok(Truth::Unknown),
            _ => return fault(at, INCOMPARABLE),
        },
    };
    Ok(if item == Val::Missing { Truth::Unknown } else { Truth::of(held) })
}

/// Every element is read, so that one that is no value is a fault wherever it stands.
fn among<'a>(at: usize, item: &Val<'_>, mut set: impl Iterator<Item = Judged<Val<'a>>>) -> Judged<bool> {
    if matches!(item, Val::Set(_)) {
        return fault(at, "expected one value, found a set");
    }
    set.try_fold(false, |held, other| Ok(held | (other? == *item)))
}

fn holds_item(at: usize, set: &[Val<'_>], item: &Val<'_>) -> Judged<bool> {
    if matches!(item, Val::Set(_)) {
        return fault(at, "expected one value, found a set");
    }
    Ok(set.iter().any(|other| other == item))
}

fn equal(at: usize, left: &Val<'_>, right: &Val<'_>) -> Judged<bool> {
    match (left, right) {
        (Val::Set(a), Val::Set(b)) => {
            Ok(a.iter().all(|item| b.contains(item)) && b.iter().all(|item| a.contains(item)))
        }
        (Val::Bool(a), Val::Bool(b)) => Ok(a == b),
        _ => order(at, left, right).map(Ordering::is_eq),
    }
}

fn order(at: usize, left: &Val<'_>, right: &Val<'_>) -> Judged<Ordering> {
    let order = match (left, right) {
        (Val::Number(a), Val::Number(b)) => a.partial_cmp(b),
        (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
        (Val::Money(a), Val::Money(b)) if a.currency == b.currency => Some(a.minor.cmp(&b.minor)),
        (Val::Money(_), Val::Money(_)) => return fault(at, "two currencies are never compared"),
        (Val::Instant(_), _) | (_, Val::Instant(_)) => {
            instant(at, left.clone())?.zip(instant(at, right.clone())?).map(|(a, b)| a.cmp(&b))
        }
        _ => None,
    };
    order.map_or_else(|| fault(at, "these two values have different types"), Ok)
}
