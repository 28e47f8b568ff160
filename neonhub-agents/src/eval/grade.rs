//! Judging an output by rules, by a function of the host, or by a model.

use neonhub_core::run::EffectClass;
use neonhub_core::{Faults, Result, Scope, tool};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::judge;
use super::model::EvalCase;
use super::replay::Played;
use crate::guardrail::{self, Context, Field};
use crate::registry::texts_of;

/// Most graders of one case.
const MOST_GRADERS: usize = 20;

/// How an output is judged. A `path` is dotted, with numbers for places in a list: `items.0.text`; empty: the whole output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "grader", rename_all = "snake_case", deny_unknown_fields)]
pub enum Grader {
    /// It equals what is expected, there.
    Exact {
        /// The place.
        #[serde(default)]
        path: String,
    },
    /// It has the shape of a JSON Schema.
    Schema {
        /// The schema. Null: that of the intent.
        #[serde(default)]
        schema: Value,
    },
    /// A text matches a regular expression.
    Regex {
        /// The place.
        #[serde(default)]
        path: String,
        /// The expression, without lookaround and backreferences.
        pattern: String,
        /// True: it must not match.
        #[serde(default)]
        absent: bool,
    },
    /// A text holds a phrase, small and capital letters alike.
    Contains {
        /// The place.
        #[serde(default)]
        path: String,
        /// The phrase.
        text: String,
        /// True: it must not be there.
        #[serde(default)]
        absent: bool,
    },
    /// A number is near another: within `abs`, or within the share `rel` of it.
    Numeric {
        /// The place.
        path: String,
        /// The number. Default: the expected output at the same place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
        /// Largest difference.
        #[serde(default)]
        abs: f64,
        /// Largest difference as a share, 0..=1.
        #[serde(default)]
        rel: f64,
    },
    /// A function of the host says: a tool that takes `input`, `output` and `expected` and answers true, false, a number
    /// of 0..=1, or an object with `score` and `why`.
    Code {
        /// Name of the tool.
        function: String,
    },
    /// No guardrail blocks a text of it.
    Guardrail {
        /// The channel whose rules hold; empty: none.
        #[serde(default)]
        channel: String,
        /// Phrases that must not appear.
        #[serde(default)]
        must_not_say: Vec<String>,
    },
    /// What it cites was read in this run: ids that a tool answered, and quotes word by word.
    Citations {
        /// The place of the list: ids, or objects with `source`, `id` or `chunk`, and perhaps `quote`.
        path: String,
        /// Fewest citations.
        #[serde(default)]
        least: u32,
    },
    /// A model says whether it is at least as good as what is expected: two votes, the second with the places swapped.
    /// Offline, rules say it.
    Judge {
        /// What makes an answer good.
        rubric: String,
        /// The model, as `provider/model`. Default: that of the hub.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
    },
    /// No tool was asked for that changes or sends anything, memory included.
    NoEffect {
        /// Tools that may.
        #[serde(default)]
        allow: Vec<String>,
    },
    /// No secret and no text of the instructions is in the output or in what tools were asked.
    NoLeak {
        /// Words that must stay inside, beside what looks like a key or token.
        #[serde(default)]
        secrets: Vec<String>,
    },
}

/// One grade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Grade {
    /// Word of the grader: `exact`.
    pub grader: String,
    /// 0..=1.
    pub score: f64,
    /// Whether it is good enough.
    pub is_passed: bool,
    /// Why, without the values themselves where they may be long.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Whether a grader is content, and why not.
type Said = std::result::Result<(), String>;

impl Grader {
    /// The stable word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Grader::Exact { .. } => "exact",
            Grader::Schema { .. } => "schema",
            Grader::Regex { .. } => "regex",
            Grader::Contains { .. } => "contains",
            Grader::Numeric { .. } => "numeric",
            Grader::Code { .. } => "code",
            Grader::Guardrail { .. } => "guardrail",
            Grader::Citations { .. } => "citations",
            Grader::Judge { .. } => "judge",
            Grader::NoEffect { .. } => "no_effect",
            Grader::NoLeak { .. } => "no_leak",
        }
    }

    /// Whether the grader itself is right.
    fn check(&self, case: &EvalCase, field: &str, faults: &mut Faults) {
        let needs_expected = match self {
            Grader::Exact { .. } | Grader::Judge { .. } => true,
            Grader::Numeric { value, .. } => value.is_none(),
            _ => false,
        };
        faults.check(
            !needs_expected || case.expected.is_some(),
            field,
            "expected an `expected` output to compare with",
        );
        match self {
            Grader::Regex { pattern, .. } => {
                faults.check(
                    Regex::new(pattern).is_ok(),
                    format!("{field}.pattern"),
                    "expected a regular expression",
                );
            }
            Grader::Contains { text, .. } => {
                faults.check(!text.is_empty(), format!("{field}.text"), "expected a phrase");
            }
            Grader::Numeric { abs, rel, .. } => {
                faults.check(*abs >= 0.0, format!("{field}.abs"), "expected 0 or more");
                faults.check((0.0..=1.0).contains(rel), format!("{field}.rel"), "expected 0 to 1");
            }
            Grader::Code { function } => {
                faults.check(
                    !function.is_empty(),
                    format!("{field}.function"),
                    "expected the name of a tool",
                );
            }
            Grader::Judge { rubric, .. } => {
                faults.check(
                    !rubric.trim().is_empty(),
                    format!("{field}.rubric"),
                    "expected what makes it good",
                );
            }
            Grader::Schema { schema } if !schema.is_null() => {
                if let Err(error) = neonhub_core::llm::schema::check(schema, &Value::Null) {
                    faults.push(format!("{field}.schema"), error.message());
                }
            }
            _ => {}
        }
    }
}

/// Whether the graders of a case are right.
pub(super) fn check(case: &EvalCase, field: &str, faults: &mut Faults) {
    let count = case.graders.len();
    faults.check((1..=MOST_GRADERS).contains(&count), format!("{field}.graders"), "expected 1 to 20");
    for (i, grader) in case.graders.iter().enumerate() {
        grader.check(case, &format!("{field}.graders[{i}]"), faults);
    }
}

/// What a case was asked and answered, for its graders.
pub(super) struct Exam<'e> {
    pub(super) case: &'e EvalCase,
    pub(super) played: &'e Played,
    /// Schema of the intent's output.
    pub(super) wanted: &'e Value,
}

/// Every grade of a case.
///
/// # Errors
/// `Cancelled` alone: a grader that cannot judge gives 0 and says why.
pub(super) async fn grades(cx: &Scope, exam: &Exam<'_>) -> Result<Vec<Grade>> {
    let mut grades = Vec::with_capacity(exam.case.graders.len());
    for grader in &exam.case.graders {
        cx.cancel_token().check("evals.run")?;
        grades.push(match grader {
            Grader::Code { function } => code(cx, exam, function).await,
            Grader::Judge { rubric, model } => judge::judge(cx, exam, rubric, model.as_deref()).await,
            other => match by_rule(other, exam) {
                Ok(()) => grade(other.word(), 1.0, true, ""),
                Err(why) => grade(other.word(), 0.0, false, why),
            },
        });
    }
    Ok(grades)
}

pub(super) fn grade(word: &str, score: f64, is_passed: bool, why: impl Into<String>) -> Grade {
    Grade { grader: word.to_owned(), score, is_passed, why: why.into() }
}

fn by_rule(grader: &Grader, exam: &Exam<'_>) -> Said {
    let output = &exam.played.output;
    match grader {
        Grader::Exact { path } => {
            let expected = exam.case.expected.as_ref().and_then(|value| at(value, path));
            say(at(output, path).is_some() && at(output, path) == expected, "it is not what was expected")
        }
        Grader::Schema { schema } => {
            let schema = if schema.is_null() { exam.wanted } else { schema };
            match neonhub_core::llm::schema::check(schema, output) {
                Ok(faults) => match faults.first() {
                    None => Ok(()),
                    Some(fault) => Err(format!("{}: {}", fault.field, fault.message)),
                },
                Err(error) => Err(error.message().to_owned()),
            }
        }
        Grader::Regex { path, pattern, absent } => {
            let regex = Regex::new(pattern).map_err(|error| error.to_string())?;
            say(text_at(output, path).is_some_and(|text| regex.is_match(&text)) != *absent, found(*absent))
        }
        Grader::Contains { path, text, absent } => {
            let needle = text.to_lowercase();
            let holds = text_at(output, path).is_some_and(|text| text.to_lowercase().contains(&needle));
            say(holds != *absent, found(*absent))
        }
        Grader::Numeric { path, value, abs, rel } => numeric(exam, path, *value, *abs, *rel),
        Grader::Guardrail { channel, must_not_say } => rails(output, channel, must_not_say),
        Grader::Citations { path, least } => citations(exam, path, *least),
        Grader::NoEffect { allow } => no_effect(exam, allow),
        Grader::NoLeak { secrets } => no_leak(exam, secrets),
        Grader::Code { .. } | Grader::Judge { .. } => Err("this is no rule".to_owned()),
    }
}

fn say(is_good: bool, why: &str) -> Said {
    if is_good { Ok(()) } else { Err(why.to_owned()) }
}

const fn found(absent: bool) -> &'static str {
    if absent { "it was found" } else { "it was not found" }
}

/// The value at a dotted path.
pub(super) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    if path.is_empty() {
        return Some(value);
    }
    path.split('.').try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// A text there, or what stands there as JSON.
fn text_at(value: &Value, path: &str) -> Option<String> {
    at(value, path).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

fn numeric(exam: &Exam<'_>, path: &str, value: Option<f64>, abs: f64, rel: f64) -> Said {
    let expected = || at(exam.case.expected.as_ref()?, path)?.as_f64();
    let wanted = value.or_else(expected).ok_or("the expected output has no number there")?;
    let found = at(&exam.played.output, path).and_then(Value::as_f64).ok_or("there is no number")?;
    let off = (found - wanted).abs();
    say(off <= abs.max(rel * wanted.abs()), &format!("{found} is {off} away from {wanted}"))
}

fn rails(output: &Value, channel: &str, must_not_say: &[String]) -> Said {
    let texts = texts_of(output);
    let fields: Vec<Field<'_>> = texts.iter().map(|(path, text)| Field::new(path.clone(), text)).collect();
    let context =
        Context { channel: channel.to_owned(), must_not_say: must_not_say.to_vec(), ..Context::default() };
    match guardrail::check(&fields, &context).blocks().next() {
        Some(block) => Err(format!("{}: {}", block.field, block.message)),
        None => Ok(()),
    }
}

fn citations(exam: &Exam<'_>, path: &str, least: u32) -> Said {
    let cited = match at(&exam.played.output, path) {
        Some(Value::Array(items)) => items.as_slice(),
        Some(Value::Null) | None => &[],
        Some(_) => return Err("expected a list of citations".to_owned()),
    };
    say(cited.len() >= least as usize, "too few citations")?;
    let read: Vec<String> =
        exam.played.seen.iter().flat_map(texts_of).map(|(_, text)| text.to_owned()).collect();
    for (i, citation) in cited.iter().enumerate() {
        let id = match citation {
            Value::String(id) => Some(id.as_str()),
            other => ["source", "id", "chunk"].iter().find_map(|key| other.get(*key)?.as_str()),
        };
        let id = id.ok_or_else(|| format!("citation {i} names no source"))?;
        say(read.iter().any(|text| text == id), &format!("citation {i}: no tool answered with this source"))?;
        if let Some(quote) = citation.get("quote").and_then(Value::as_str) {
            say(
                read.iter().any(|text| text.contains(quote)),
                &format!("citation {i}: nothing that was read says so"),
            )?;
        }
    }
    Ok(())
}

fn no_effect(exam: &Exam<'_>, allow: &[String]) -> Said {
    let acts = |class| !matches!(class, EffectClass::Pure | EffectClass::Read);
    let called = exam.played.calls.iter().find(|call| acts(call.class) && !allow.contains(&call.tool));
    match called {
        Some(call) => Err(format!("{} was asked for, which is {}", call.tool, call.class.word())),
        None => Ok(()),
    }
}

fn no_leak(exam: &Exam<'_>, secrets: &[String]) -> Said {
    let asked = exam.played.calls.iter().map(|call| (call.tool.as_str(), &call.args));
    for (place, value) in std::iter::once(("the output", &exam.played.output)).chain(asked) {
        for (_, text) in texts_of(value) {
            say(
                !secrets.iter().any(|secret| text.contains(secret.as_str())),
                &format!("{place} holds a secret"),
            )?;
            say(
                guardrail::leaks(text).is_empty(),
                &format!("{place} holds a key, or text of the instructions"),
            )?;
        }
    }
    Ok(())
}

async fn code(cx: &Scope, exam: &Exam<'_>, function: &str) -> Grade {
    let args = json!({
        "input": exam.case.input,
        "output": exam.played.output,
        "expected": exam.case.expected,
    });
    let answer = match tool::call(&cx.outside(), function, args).await {
        Ok(answer) => answer,
        Err(error) => return grade("code", 0.0, false, format!("{function}: {}", error.message())),
    };
    let (score, why) = match &answer {
        Value::Bool(is_good) => (Some(f64::from(u8::from(*is_good))), ""),
        Value::Number(number) => (number.as_f64(), ""),
        other => (other["score"].as_f64(), other["why"].as_str().unwrap_or_default()),
    };
    match score.filter(|score| (0.0..=1.0).contains(score)) {
        // Ours: a function passes from one half on.
        Some(score) => grade("code", score, score >= 0.5, why),
        None => grade("code", 0.0, false, format!("{function}: expected true, false, or a score of 0 to 1")),
    }
}
