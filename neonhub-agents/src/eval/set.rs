//! Writing and reading sets of cases.

use std::collections::BTreeSet;

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Expected, Query, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::grade::{self, Grader};
use super::model::{CaseRow, EvalCase, EvalSet, EvalSetHead};
use crate::registry::hash_of;

/// Most cases of a set.
const MOST_CASES: usize = 500;
/// The largest case, in bytes of JSON.
// Ours: the log of a long run with its tool answers.
const MOST_BYTES: usize = 4 << 20;

/// Keeps a set of cases; cases that were in it and are not given are removed. Runs over it stay.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutEvalSet {
    /// The set.
    pub set: EvalSet,
}

impl Operation for PutEvalSet {
    type Output = EvalSetHead;
    const NAME: &'static str = "evals.put";
    const NEEDS: &'static [Permission] = &[Permission::WriteContent];
    const EFFECT: Effect = Effect::Idempotent;
    const MAX_INPUT: usize = 32 << 20;
    const RERUNS: u8 = 3;

    async fn run(self, cx: &Scope) -> Result<EvalSetHead> {
        check_set(&self.set)?;
        let EvalSet { name, agent, note, cases } = self.set;
        let found = cx.get::<EvalSetHead>(&name).await?;
        let expected = found.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
        let mut names: Vec<String> = cases.iter().map(|case| case.name.clone()).collect();
        names.sort();
        let before = found.map(|row| row.body.cases).unwrap_or_default();
        for gone in before.iter().filter(|case| names.binary_search(case).is_err()) {
            cx.delete::<CaseRow>(&CaseRow::id_of(&name, gone), Expected::Any)?;
        }
        for case in cases {
            cx.put(&CaseRow { id: CaseRow::id_of(&name, &case.name), case }, Expected::Any)?;
        }
        let head = EvalSetHead { id: name, agent, note, cases: names };
        cx.put(&head, expected)?;
        Ok(head)
    }

    fn examples() -> Vec<Self> {
        let case = EvalCase {
            name: "return in time".into(),
            intent: "suggest_reply".into(),
            input: json!({ "message": "How long may I return a parcel?" }),
            graders: vec![
                Grader::Schema { schema: Value::Null },
                Grader::Contains { path: "body".into(), text: "30 days".into(), absent: false },
                Grader::Citations { path: "citations".into(), least: 1 },
            ],
            tags: vec!["returns".into()],
            ..EvalCase::default()
        };
        let (name, agent) = ("support/returns".into(), "support".into());
        vec![PutEvalSet { set: EvalSet { name, agent, note: String::new(), cases: vec![case] } }]
    }
}

/// Gives a set with its cases.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetEvalSet {
    /// Its name.
    pub name: String,
}

impl Operation for GetEvalSet {
    type Output = EvalSet;
    const NAME: &'static str = "evals.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    const MAX_OUTPUT: usize = 64 << 20;
    const ERRORS: &'static [&'static str] = &["unknown_set"];

    async fn run(self, cx: &Scope) -> Result<EvalSet> {
        load(cx, Self::NAME, &self.name).await
    }

    fn examples() -> Vec<Self> {
        vec![GetEvalSet { name: "support/returns".into() }]
    }
}

/// Lists sets by name.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ListEvalSets {
    /// Most sets of a page, 1..=500. Default 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListEvalSets {
    type Output = Page<EvalSetHead>;
    const NAME: &'static str = "evals.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;

    async fn run(self, cx: &Scope) -> Result<Page<EvalSetHead>> {
        let query = Query::by_id().limit(self.limit.unwrap_or(50).clamp(1, 500) as usize);
        let page = cx.page::<EvalSetHead>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|row| row.body).collect(), next: page.next })
    }

    fn examples() -> Vec<Self> {
        vec![ListEvalSets::default()]
    }
}

/// A set with its cases.
///
/// # Errors
/// `NotFound`, code `unknown_set`.
pub(super) async fn load(cx: &Scope, operation: &'static str, name: &str) -> Result<EvalSet> {
    let head = cx.get::<EvalSetHead>(name).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, operation, "there is no set of cases with this name")
            .with_code("unknown_set")
            .with_context("set", name)
    })?;
    let ids: Vec<String> = head.cases.iter().map(|case| CaseRow::id_of(name, case)).collect();
    let rows = cx.get_many::<CaseRow>(&ids).await?;
    let EvalSetHead { id, agent, note, .. } = head.body;
    Ok(EvalSet {
        name: id,
        agent,
        note,
        cases: rows.into_iter().flatten().map(|row| row.body.case).collect(),
    })
}

/// Adds one case. The same case again changes nothing.
///
/// # Errors
/// `Conflict`, code `case_taken`, when the name belongs to another case.
pub(super) async fn add(
    cx: &Scope,
    operation: &'static str,
    (set, agent): (&str, &str),
    head: Option<Stored<EvalSetHead>>,
    case: &EvalCase,
) -> Result<()> {
    check_name(operation, set)?;
    let id = CaseRow::id_of(set, &case.name);
    if let Some(known) = cx.get::<CaseRow>(&id).await? {
        if known.case == *case {
            return Ok(());
        }
        let why = "the set has another case of this name: give this one a name of its own";
        return Err(Error::new(ErrorKind::Conflict, operation, why).with_code("case_taken"));
    }
    let expected = head.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
    let fresh = || EvalSetHead { id: set.to_owned(), agent: agent.to_owned(), ..EvalSetHead::default() };
    let mut head = head.map_or_else(fresh, |row| row.body);
    if head.cases.len() >= MOST_CASES {
        return Err(Error::invalid(operation, "set", "expected a set with less than 500 cases"));
    }
    head.cases.push(case.name.clone());
    head.cases.sort();
    cx.create(&CaseRow { id, case: case.clone() })?;
    cx.put(&head, expected)
}

/// The hash by which runs know whether a case is still the same.
///
/// # Errors
/// `InvalidInput` for a number that JSON cannot carry.
pub(super) fn fingerprint(case: &EvalCase) -> Result<String> {
    // How answers were recorded does not change what is asked.
    let mut bare = case.clone();
    bare.context.answers.clear();
    let value = serde_json::to_value(&bare).map_err(|cause| Error::internal("evals.run", cause))?;
    hash_of(&value)
}

fn check_name(operation: &'static str, name: &str) -> Result<()> {
    let is_word = |part: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
        !part.is_empty() && part.bytes().all(fits)
    };
    if name.len() <= 100 && name.split('/').all(is_word) {
        return Ok(());
    }
    let message = "expected words of a-z, 0-9, `_`, `-` and `.` with `/` between, at most 100 bytes";
    Err(Error::invalid(operation, "set", message))
}

fn check_set(set: &EvalSet) -> Result<()> {
    const OPERATION: &str = PutEvalSet::NAME;
    check_name(OPERATION, &set.name)?;
    let mut faults = Faults::new();
    faults.check(!set.agent.is_empty(), "set.agent", "expected the name of an agent");
    let count = set.cases.len();
    faults.check((1..=MOST_CASES).contains(&count), "set.cases", "expected 1 to 500 cases");
    let mut names = BTreeSet::new();
    for (i, case) in set.cases.iter().enumerate() {
        let field = format!("set.cases[{i}]");
        faults.check(names.insert(case.name.as_str()), format!("{field}.name"), "expected each name once");
        look(case, &field, &mut faults);
    }
    faults.into_result(OPERATION)
}

/// # Errors
/// `InvalidInput` with every fault of the case.
pub(super) fn check_case(operation: &'static str, case: &EvalCase) -> Result<()> {
    let mut faults = Faults::new();
    look(case, "case", &mut faults);
    faults.into_result(operation)
}

fn look(case: &EvalCase, field: &str, faults: &mut Faults) {
    let named = (1..=100).contains(&case.name.len()) && !case.name.contains('#');
    faults.check(named, format!("{field}.name"), "expected 1 to 100 bytes without #");
    faults.check(!case.intent.is_empty(), format!("{field}.intent"), "expected an intent of the agent");
    faults.check(case.input.is_object(), format!("{field}.input"), "expected an object");
    faults.check(
        case.context.seed < 1 << 53,
        format!("{field}.context.seed"),
        "expected a number below 2^53",
    );
    let size = serde_json::to_string(case).map_or(usize::MAX, |text| text.len());
    faults.check(size <= MOST_BYTES, field, "expected at most 4 MiB");
    grade::check(case, field, faults);
}
