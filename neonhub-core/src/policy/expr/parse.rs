//! From words to a tree. Recursive descent; depth is bounded, so no source can exhaust the stack.

use super::node::{Join, Literal, Local, Node, Path, Relation, What};
use super::token::{Fault, Token, split};
use crate::{Currency, Money, Timestamp};

/// Deepest nesting of brackets and `not`.
const MAX_DEPTH: usize = 32;

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

/// Reads a whole source.
pub(super) fn parse(source: &str) -> Result<Node, Fault> {
    let mut parser = Parser { tokens: split(source)?, next: 0, depth: 0 };
    let node = parser.any()?;
    match parser.peek() {
        Token::End => Ok(node),
        other => Err(parser.wrong(&format!("expected `and`, `or` or the end, found {}", other.shown()))),
    }
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(_, token)| token)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(1, |(at, _)| *at)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn wrong(&self, message: &str) -> Fault {
        Fault { position: self.at(), message: message.to_owned() }
    }

    fn takes_name(&mut self, name: &str) -> bool {
        let is_it = matches!(self.peek(), Token::Name(n) if n == name);
        self.next += usize::from(is_it);
        is_it
    }

    fn takes_sign(&mut self, sign: &str) -> bool {
        let is_it = matches!(self.peek(), Token::Sign(s) if *s == sign);
        self.next += usize::from(is_it);
        is_it
    }

    fn need_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.takes_sign(sign) {
            return Ok(());
        }
        Err(self.wrong(&format!("expected `{sign}`, found {}", self.peek().shown())))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.wrong("expected at most 32 levels"));
        }
        self.depth += 1;
        let done = inner(self);
        self.depth -= 1;
        done
    }

    fn any(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        let mut parts = vec![self.all()?];
        while self.takes_name("or") {
            parts.push(self.all()?);
        }
        Ok(join(at, parts, What::Or))
    }

    fn all(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        let mut parts = vec![self.negation()?];
        while self.takes_name("and") {
            parts.push(self.negation()?);
        }
        Ok(join(at, parts, What::And))
    }

    fn negation(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        if self.takes_name("not") {
            let inner = self.deeper(Self::negation)?;
            return Ok(Node { at, what: What::Not(Box::new(inner)) });
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Node, Fault> {
        let left = self.term()?;
        let at = self.at();
        let relation = match self.peek() {
            Token::Sign(sign) => Relation::of(sign),
            Token::Name(name) if name == "not" => {
                self.next += 1;
                if !matches!(self.peek(), Token::Name(n) if n == "in") {
                    return Err(self.wrong("expected `in` after `not`"));
                }
                Some(Relation::NotIn)
            }
            Token::Name(name) => Relation::of(name),
            _ => None,
        };
        let Some(relation) = relation else { return Ok(left) };
        self.next += 1;
        let right = self.term()?;
        Ok(Node { at, what: What::Compare(relation, Box::new(left), Box::new(right)) })
    }

    fn term(&mut self) -> Result<Node, Fault> {
        let at = self.at();
        let node = |what| Ok(Node { at, what });
        match self.take() {
            Token::Text(text) => node(What::Literal(Literal::Text(text))),
            Token::Number(number) => node(What::Literal(Literal::Number(number))),
            Token::Sign("(") => {
                let inner = self.deeper(Self::any)?;
                self.need_sign(")")?;
                Ok(inner)
            }
            Token::Sign("[") => node(What::Literal(Literal::Set(self.set()?))),
            Token::Name(name) if name == "true" || name == "false" => {
                node(What::Literal(Literal::Bool(name == "true")))
            }
            Token::Name(name) if matches!(self.peek(), Token::Sign("(")) => {
                self.next += 1;
                let what = self.deeper(|p| p.function(&name, at))?;
                self.need_sign(")")?;
                node(what)
            }
            Token::Name(name) => node(What::Fact(self.path(name)?)),
            other => {
                self.next -= 1;
                Err(self.wrong(&format!("expected a fact or a value, found {}", other.shown())))
            }
        }
    }

    /// The rest of `input.budget.amount` after its first name.
    fn path(&mut self, first: String) -> Result<Path, Fault> {
        let mut names = vec![first];
        while self.takes_sign(".") {
            match self.take() {
                Token::Name(name) => names.push(name),
                _ => {
                    self.next -= 1;
                    return Err(self.wrong("expected a name after the dot"));
                }
            }
        }
        Ok(Path { names, place: None })
    }

    fn set(&mut self) -> Result<Vec<Literal>, Fault> {
        let mut items = Vec::new();
        if self.takes_sign("]") {
            return Ok(items);
        }
        loop {
            let at = self.at();
            match self.deeper(Self::term)?.what {
                What::Literal(literal) if !matches!(literal, Literal::Set(_)) => items.push(literal),
                _ => {
                    let message = "expected values such as \"a\" or 1 in a set".into();
                    return Err(Fault { position: at, message });
                }
            }
            if self.takes_sign("]") {
                return Ok(items);
            }
            self.need_sign(",")?;
        }
    }

    fn function(&mut self, name: &str, at: usize) -> Result<What, Fault> {
        let wrong = |message: String| Fault { position: at, message };
        Ok(match name {
            "has" => match self.take() {
                Token::Name(first) => What::Has(self.path(first)?),
                _ => return Err(wrong("expected a fact in has(..)".into())),
            },
            "lower" => What::Lower(self.one()?),
            "length" => What::Length(self.one()?),
            "union" => self.two(|a, b| What::Join(Join::Union, a, b))?,
            "common" => self.two(|a, b| What::Join(Join::Common, a, b))?,
            "minus" => self.two(|a, b| What::Join(Join::Minus, a, b))?,
            "days_between" => self.two(What::DaysBetween)?,
            "hour" => self.local(Local::Hour)?,
            "weekday" => self.local(Local::Weekday)?,
            "day" => self.local(Local::Day)?,
            "money" => What::Literal(Literal::Money(self.money()?)),
            "instant" => What::Literal(Literal::Instant(self.instant()?)),
            "date" => What::Literal(Literal::Instant(self.date()?)),
            other => return Err(wrong(format!("there is no function `{other}`"))),
        })
    }

    fn one(&mut self) -> Result<Box<Node>, Fault> {
        self.any().map(Box::new)
    }

    fn two(&mut self, make: impl FnOnce(Box<Node>, Box<Node>) -> What) -> Result<What, Fault> {
        let first = self.one()?;
        self.need_sign(",")?;
        Ok(make(first, self.one()?))
    }

    fn local(&mut self, part: Local) -> Result<What, Fault> {
        let of = self.one()?;
        self.need_sign(",")?;
        let (at, zone) = self.text("a zone such as \"Europe/Vienna\"")?;
        let zone = crate::zone("zone", &zone).map_err(|_| unzoned(at))?;
        Ok(What::Local(part, of, zone))
    }

    fn text(&mut self, expected: &str) -> Result<(usize, String), Fault> {
        let at = self.at();
        match self.take() {
            Token::Text(text) => Ok((at, text)),
            _ => Err(Fault { position: at, message: format!("expected {expected}") }),
        }
    }

    fn money(&mut self) -> Result<Money, Fault> {
        let (at, amount) = self.text("an amount such as \"12.50\"")?;
        self.need_sign(",")?;
        let (code_at, code) = self.text("a currency such as \"EUR\"")?;
        let currency = Currency::parse("currency", &code).map_err(|_| Fault {
            position: code_at,
            message: "expected an ISO 4217 code such as EUR".into(),
        })?;
        minor_units(&amount, currency.exponent())
            .and_then(|minor| Money::new(minor, currency).ok())
            .ok_or_else(|| Fault {
                position: at,
                message: format!("expected an amount with at most {} decimals", currency.exponent()),
            })
    }

    fn instant(&mut self) -> Result<i64, Fault> {
        let (at, text) = self.text("an instant such as \"2026-11-21T09:00:00Z\"")?;
        Timestamp::parse("instant", &text).map(Timestamp::as_millis).map_err(|_| Fault {
            position: at,
            message: "expected an RFC 3339 instant with offset, such as \"2026-11-21T09:00:00Z\"".into(),
        })
    }

    fn date(&mut self) -> Result<i64, Fault> {
        let (at, text) = self.text("a date such as \"2026-11-21\"")?;
        self.need_sign(",")?;
        let (zone_at, zone) = self.text("a zone such as \"Europe/Vienna\"")?;
        let zone = crate::zone("zone", &zone).map_err(|_| unzoned(zone_at))?;
        let day: Option<jiff::civil::Date> = text.parse().ok().filter(|_| text.len() == 10);
        let start = day.and_then(|d| d.to_zoned(zone).ok()).map(|z| z.timestamp().as_millisecond());
        start
            .filter(|ms| *ms >= 0)
            .ok_or_else(|| Fault { position: at, message: "expected a date such as \"2026-11-21\"".into() })
    }
}

fn unzoned(position: usize) -> Fault {
    Fault { position, message: "expected an IANA time zone such as \"Europe/Vienna\"".into() }
}

fn join(at: usize, mut parts: Vec<Node>, make: fn(Vec<Node>) -> What) -> Node {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            Node { at, what: make(parts) }
        }
    }
}

/// `12.5` with two digits is 1250; text with more decimals than the currency has is refused.
fn minor_units(text: &str, digits: u8) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_shaped = !whole.trim_start_matches('-').is_empty() && part.len() <= usize::from(digits);
    if !is_shaped || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{part:0<width$}", width = usize::from(digits)).parse().ok()
}
