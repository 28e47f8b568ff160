//! Words of the expression language, with where they stand.

/// One word of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name: `operation`, `and`, `has`.
    Name(String),
    /// Quoted text, unescaped.
    Text(String),
    /// A number.
    Number(f64),
    /// A comparison or punctuation: `==`, `<=`, `(`, `,`, `.`.
    Sign(&'static str),
    /// The end of the source.
    End,
}

impl Token {
    /// How it is named in an error.
    pub(super) fn shown(&self) -> String {
        match self {
            Token::Name(name) => format!("`{name}`"),
            Token::Text(_) => "text".into(),
            Token::Number(number) => format!("`{number}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::End => "the end".into(),
        }
    }
}

/// What is wrong with an expression, and where: the character it starts at, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Number of the character, from 1.
    pub position: usize,
    /// What was expected.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "at character {}: {}", self.position, self.message)
    }
}

/// Longest signs first, so that `<=` is not read as `<`.
const SIGNS: &[&str] = &["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", "."];

/// Splits a source into words.
pub(super) fn split(source: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let mut tokens = Vec::new();
    let mut rest = source.char_indices().peekable();
    let mut count = 0;
    while let Some((at, first)) = rest.next() {
        count += 1;
        let position = count;
        let token = match first {
            c if c.is_whitespace() => continue,
            '"' => Token::Text(text(&mut rest, &mut count, position)?),
            c if c.is_ascii_digit() || c == '-' => {
                let number = run(source, at, |c| c.is_ascii_digit() || c == '.');
                for _ in 1..number.len() {
                    rest.next();
                    count += 1;
                }
                let value = number.parse().ok().filter(|n: &f64| n.is_finite());
                Token::Number(value.ok_or_else(|| fault(position, "expected a number such as 12 or -0.5"))?)
            }
            c if c.is_ascii_alphabetic() || c == '_' => {
                let name = run(source, at, |c| c.is_ascii_alphanumeric() || c == '_');
                for _ in 1..name.len() {
                    rest.next();
                    count += 1;
                }
                Token::Name(name.to_owned())
            }
            other => {
                let found = source.get(at..).and_then(|tail| SIGNS.iter().find(|s| tail.starts_with(**s)));
                let Some(sign) = found else {
                    return Err(fault(position, format!("{other:?} has no meaning here")));
                };
                for _ in 1..sign.len() {
                    rest.next();
                    count += 1;
                }
                Token::Sign(sign)
            }
        };
        tokens.push((position, token));
    }
    tokens.push((count + 1, Token::End));
    Ok(tokens)
}

fn fault(position: usize, message: impl Into<String>) -> Fault {
    Fault { position, message: message.into() }
}

/// The first character and all that follow it and fit.
fn run(source: &str, at: usize, fits: impl Fn(char) -> bool) -> &str {
    let tail = source.get(at..).unwrap_or_default();
    let end = tail.char_indices().skip(1).find(|(_, c)| !fits(*c)).map_or(tail.len(), |(n, _)| n);
    tail.get(..end).unwrap_or_default()
}

/// Quoted text after its first quote; a backslash takes the next quote or backslash as it is.
fn text(
    rest: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    count: &mut usize,
    start: usize,
) -> Result<String, Fault> {
    let mut out = String::new();
    while let Some((_, c)) = rest.next() {
        *count += 1;
        match c {
            '"' => return Ok(out),
            '\\' => {
                *count += 1;
                match rest.next() {
                    Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                    _ => return Err(fault(*count, "expected a quote or a backslash after a backslash")),
                }
            }
            other => out.push(other),
        }
    }
    Err(fault(start, "this text has no closing quote"))
}
