//! The phrase grammar: one bank of lines per role in a text, in each language.
//!
//! A line says nothing about the world that the brief does not say. Slots: `{topic}` and `{Topic}` (noun phrase with
//! its article), `{bare}` (without), `{is}` (agreeing), `{brand}`, `{offer}`, `{audience}`. `on` holds the objectives it
//! suits (`A`wareness, `T`raffic, `L`eads, `S`ales, `R`etention, `E`vent; `*` all) and what it needs (`N` something new,
//! `D` a deadline in the offer). `voice` is its register: `n`eutral, `w`arm, `p`layful, `f`ormal, `b`old, `t`echnical.

mod de;
mod en;

pub(super) use de::DE;
pub(super) use en::EN;

/// The banks of one language.
#[derive(Debug)]
pub(super) struct Lexicon {
    /// Language code, ISO 639-1.
    pub(super) language: &'static str,
    /// The last link of a list.
    pub(super) and: &'static str,
    /// Button when no line fits.
    pub(super) cta_default: &'static str,
    /// Greeting when no line fits; `{name}` stands for a blank and the name, or for nothing.
    pub(super) greeting_default: &'static str,
    /// What informal greetings put in the place of a name.
    pub(super) nobody: &'static str,
    pub(super) subject_first: &'static [Line],
    pub(super) subject_second: &'static [Line],
    pub(super) subject_last: &'static [Line],
    pub(super) preheader: &'static [Line],
    pub(super) heading: &'static [Line],
    pub(super) open_first: &'static [Line],
    pub(super) open_second: &'static [Line],
    pub(super) open_last: &'static [Line],
    pub(super) essentials: &'static [Line],
    pub(super) notes: &'static [Line],
    pub(super) offer: &'static [Line],
    pub(super) audience: &'static [Line],
    pub(super) close_first: &'static [Line],
    pub(super) close_second: &'static [Line],
    pub(super) close_last: &'static [Line],
    pub(super) cta: &'static [Line],
    pub(super) sign_off: &'static [Line],
    pub(super) greeting: &'static [Line],
    pub(super) sms_open: &'static [Line],
    pub(super) sms_topic: &'static [Line],
    pub(super) sms_cta: &'static [Line],
    pub(super) sms_stop: &'static [Line],
    pub(super) hook: &'static [Line],
    pub(super) post_cta: &'static [Line],
    pub(super) ad_headlines: &'static [Line],
    pub(super) ad_descriptions: &'static [Line],
    pub(super) blog_meta: &'static [Line],
    pub(super) blog_title: &'static [Line],
    pub(super) blog_intro: &'static [Line],
    pub(super) blog_what: &'static [Line],
    pub(super) blog_how: &'static [Line],
    pub(super) blog_who: &'static [Line],
    pub(super) blog_start: &'static [Line],
    pub(super) blog_questions: &'static [Line],
}

/// The banks for a language tag such as `en-GB`; `None` for a language without phrases.
pub(super) fn of(locale: &str) -> Option<&'static Lexicon> {
    let language = locale.split(['-', '_']).next().unwrap_or("").to_lowercase();
    match language.as_str() {
        "" => Some(&EN),
        code => ALL.iter().copied().find(|l| l.language == code),
    }
}

/// Every language there is.
pub(super) static ALL: &[&Lexicon] = &[&EN, &DE];

/// One line of a bank.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) on: &'static str,
    pub(super) voice: char,
    pub(super) text: &'static str,
}

const fn l(on: &'static str, voice: char, text: &'static str) -> Line {
    Line { on, voice, text }
}
