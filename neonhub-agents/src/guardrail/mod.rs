//! What must not leave the house: personal data, spam, claims without a source, injected instructions, and
//! phrases that were ruled out. Checks are pure and run cheap ones first; `safe` means that nothing blocks.

mod check;
mod compliance;
mod finding;
mod html;
mod injection;
mod phrases;
pub mod pii;
mod spam;

pub use check::{Context, Field, check};
pub use compliance::Category;
pub use finding::{Finding, FindingKind, Level, Report};
pub use injection::{injections, is_hostile, leaks};
pub use phrases::{must_not_say, must_say_missing};
pub use spam::{SpamMail, spam_mail, spam_text};
