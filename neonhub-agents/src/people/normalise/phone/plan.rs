//! The numbering plans of libphonenumber, with every pattern compiled at most once.

use std::sync::{LazyLock, OnceLock};

use phonenumber::Type;
use phonenumber::metadata::{DATABASE, Metadata};
use regex::{Regex, RegexBuilder};

/// Country codes have one to three digits.
const CODES: usize = 1_000;
/// Lengths of a national number when the plan says nothing (ITU-T E.164: at most 15 with the code).
const ANY_LENGTH: std::ops::RangeInclusive<usize> = 4..=14;

const TYPES: [Type; 10] = [
    Type::FixedLine,
    Type::Mobile,
    Type::TollFree,
    Type::PremiumRate,
    Type::SharedCost,
    Type::PersonalNumber,
    Type::Voip,
    Type::Pager,
    Type::Uan,
    Type::Voicemail,
];

/// A pattern that must match a whole number, compiled at first use.
#[derive(Debug)]
struct Pattern {
    source: String,
    /// Lengths it is for; empty: any.
    lengths: Vec<u16>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    fn new(source: &str, lengths: &[u16]) -> Self {
        Pattern { source: format!("^(?:{source})$"), lengths: lengths.to_vec(), compiled: OnceLock::new() }
    }

    fn is_match(&self, national: &str) -> bool {
        let fits = self.lengths.is_empty() || self.lengths.iter().any(|l| usize::from(*l) == national.len());
        fits && self.compiled().is_some_and(|r| r.is_match(national))
    }

    fn compiled(&self) -> Option<&Regex> {
        let build = || RegexBuilder::new(&self.source).ignore_whitespace(true).unicode(false).build().ok();
        self.compiled.get_or_init(build).as_ref()
    }
}

#[derive(Debug)]
struct RegionPlan {
    general: Pattern,
    types: Vec<Pattern>,
}

impl RegionPlan {
    fn new(meta: &Metadata) -> Self {
        let general = meta.descriptors().general();
        RegionPlan {
            general: Pattern::new(general.national_number().as_str(), &[]),
            types: TYPES
                .into_iter()
                .filter_map(|t| meta.descriptors().get(t))
                .map(|d| Pattern::new(d.national_number().as_str(), d.possible_length()))
                .collect(),
        }
    }

    fn is_valid(&self, national: &str) -> bool {
        self.general.is_match(national) && self.types.iter().any(|t| t.is_match(national))
    }
}

/// The plans of one country code, the main region first.
#[derive(Debug)]
struct CodePlan {
    lengths: Vec<u16>,
    regions: Vec<RegionPlan>,
}

static PLANS: LazyLock<Vec<OnceLock<Option<CodePlan>>>> =
    LazyLock::new(|| (0..CODES).map(|_| OnceLock::new()).collect());

fn plan(code: u16) -> Option<&'static CodePlan> {
    let load = || {
        let regions = DATABASE.by_code(&code)?;
        let lengths = regions.first()?.descriptors().general().possible_length().to_vec();
        Some(CodePlan { lengths, regions: regions.into_iter().map(RegionPlan::new).collect() })
    };
    PLANS.get(usize::from(code))?.get_or_init(load).as_ref()
}

/// Country code and national number of a full number. No country code begins another one.
pub(super) fn split(digits: &str) -> Option<(u16, &str)> {
    (1..=3).find_map(|len| {
        let (code, national) = digits.split_at_checked(len)?;
        let code = code.parse().ok().filter(|c: &u16| *c > 0 && !digits.starts_with('0'))?;
        plan(code).map(|_| (code, national))
    })
}

/// True when the number belongs to a range that some region of the code has given out.
pub(super) fn is_valid(code: u16, national: &str) -> bool {
    plan(code).is_some_and(|p| p.regions.iter().any(|r| r.is_valid(national)))
}

/// True when numbers of the code can have this length.
pub(super) fn is_possible(code: u16, national: &str) -> bool {
    plan(code).is_some_and(|p| {
        if p.lengths.is_empty() {
            ANY_LENGTH.contains(&national.len())
        } else {
            p.lengths.iter().any(|l| usize::from(*l) == national.len())
        }
    })
}
