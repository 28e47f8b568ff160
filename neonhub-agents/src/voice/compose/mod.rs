//! The composer: a brief, a voice and quoted brand text become mails, text messages, posts, search ads and blog
//! outlines.
//!
//! Every text passes one acceptance, whoever wrote it: channel limits, required and ruled-out phrases, no
//! repeated sentence, no open placeholder, guardrail, alignment. Offline, a seeded phrase grammar writes; with a
//! model configured the model writes, and the same acceptance decides.

mod accept;
mod ads;
mod ask;
mod blog;
mod brief;
mod draft;
mod email;
mod facts;
mod fit;
mod lexicon;
mod offline;
mod parts;
mod polish;
mod post;
mod quote;
mod run;
mod sentence;
mod sms;
mod topic;

pub use accept::{Accepted, Problem, accept, is_distinct};
pub use brief::{Brief, Objective};
pub use fit::Count;
pub use offline::Draft;
pub use parts::{
    AdParts, BlogParts, BlogSection, Channel, Cta, EmailParts, Greeting, Parts, PostParts, SmsParts,
};
pub use quote::{Chunk, Cited};
pub use run::{Composition, Task, Variant, compose};

#[cfg(test)]
mod tests;
