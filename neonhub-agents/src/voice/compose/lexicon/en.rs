//! English.

use super::{Lexicon, Line, l};

/// English.
pub(in super::super) static EN: Lexicon = Lexicon {
    language: "en",
    and: "and",
    cta_default: "Learn more",
    greeting_default: "Hello{name},",
    nobody: " there",
    subject_first: SUBJECT_FIRST,
    subject_second: SUBJECT_SECOND,
    subject_last: SUBJECT_LAST,
    preheader: PREHEADER,
    heading: HEADING,
    open_first: OPEN_FIRST,
    open_second: OPEN_SECOND,
    open_last: OPEN_LAST,
    essentials: ESSENTIALS,
    notes: NOTES,
    offer: OFFER,
    audience: AUDIENCE,
    close_first: CLOSE_FIRST,
    close_second: CLOSE_SECOND,
    close_last: CLOSE_LAST,
    cta: CTA,
    sign_off: SIGN_OFF,
    greeting: GREETING,
    sms_open: SMS_OPEN,
    sms_topic: SMS_TOPIC,
    sms_cta: SMS_CTA,
    sms_stop: SMS_STOP,
    hook: HOOK,
    post_cta: POST_CTA,
    ad_headlines: AD_HEADLINES,
    ad_descriptions: AD_DESCRIPTIONS,
    blog_meta: BLOG_META,
    blog_title: BLOG_TITLE,
    blog_intro: BLOG_INTRO,
    blog_what: BLOG_WHAT,
    blog_how: BLOG_HOW,
    blog_who: BLOG_WHO,
    blog_start: BLOG_START,
    blog_questions: BLOG_QUESTIONS,
};

const SUBJECT_FIRST: &[Line] = &[
    l("*", 'n', "{Topic}, from {brand}"),
    l("ATS", 'n', "Meet {topic}"),
    l("ATL", 'n', "A closer look at {topic}"),
    l("ATLSN", 'n', "New at {brand}: {topic}"),
    l("ATLSN", 'f', "Introducing {topic}"),
    l("E", 'n', "You are invited: {topic}"),
    l("E", 'n', "Save your place for {topic}"),
    l("E", 'w', "Join us for {topic}"),
    l("S", 'n', "{Offer}"),
    l("S", 'n', "{bare}: the offer inside"),
    l("L", 'n', "Take a first look at {topic}"),
    l("R", 'w', "We would love to see you again"),
    l("R", 'n', "Good reasons to come back to {brand}"),
    l("*", 'w', "Something for you from {brand}"),
    l("*", 'b', "{Topic}: see for yourself"),
    l("*", 't', "{Topic}: the facts in brief"),
    l("*", 'p', "Psst: {topic}"),
    l("*", 'n', "News from {brand}"),
    l("*", 'n', "A short note from {brand}"),
    l("*", 'f', "An invitation to look at {topic}"),
];

const SUBJECT_SECOND: &[Line] = &[
    l("*", 'n', "Why {topic}?"),
    l("*", 'n', "What you get with {topic}"),
    l("*", 'n', "More about {topic}"),
    l("*", 'n', "The details on {topic}"),
    l("*", 'n', "A little more about {topic}"),
    l("*", 'n', "The story behind {brand}"),
    l("*", 'n', "More from {brand}"),
    l("*", 't', "{Topic} in detail"),
    l("*", 'w', "A look behind the scenes at {brand}"),
];

const SUBJECT_LAST: &[Line] = &[
    l("*D", 'n', "Last call: {offer}"),
    l("*D", 'n', "Before it ends: {offer}"),
    l("*", 'n', "A last note on {topic}"),
    l("*", 'n', "Before you decide on {topic}"),
    l("*", 'n', "One more thought on {topic}"),
    l("*", 'n', "A friendly reminder from {brand}"),
    l("*", 'n', "One last note from {brand}"),
    l("E", 'n', "Will you join us for {topic}?"),
];

const PREHEADER: &[Line] = &[
    l("*", 'n', "What it is, what you get and where to start."),
    l("*", 'n', "The short version, with a link to the rest."),
    l("*", 'n', "All you need to know, in a few lines."),
    l("E", 'n', "Your place is one click away."),
    l("S", 'n', "What it is, what it brings you and how to get it."),
    l("L", 'n', "A few lines now, the full picture one click away."),
    l("R", 'w', "A small reason to stop by again."),
    l("*", 't', "The key points, without decoration."),
    l("*", 'w', "A few lines we wanted to share with you."),
    l("*", 'n', "A minute of reading, a link if you want more."),
    l("*", 'f', "The essentials at a glance."),
];

const HEADING: &[Line] = &[
    l("*", 'n', "{Topic}"),
    l("ATLS", 'n', "Say hello to {topic}"),
    l("*", 'n', "{Topic}, at a glance"),
    l("E", 'n', "Come and join us for {topic}"),
    l("E", 'f', "Your invitation to {topic}"),
    l("R", 'w', "Good to see you again"),
    l("R", 'n', "Welcome back to {brand}"),
    l("*", 't', "{Topic}: the key points"),
    l("*", 'b', "Time for {topic}"),
    l("*", 'w', "Hello from all of us at {brand}"),
    l("*", 'n', "A few good reasons"),
    l("*", 'n', "News from {brand}"),
];

const OPEN_FIRST: &[Line] = &[
    l("*", 'n', "Here is the short version."),
    l("*", 'n', "This is about {topic}, and about what you get from it."),
    l("*", 'n', "Today we want to show you {topic}."),
    l("ATLSN", 'n', "It is here: {topic}."),
    l("ATLSN", 'w', "We have been looking forward to this: {topic}."),
    l("*", 'p', "Got a minute? It is worth it."),
    l("*", 'f', "We are pleased to present {topic}."),
    l("*", 'f', "Please allow us to introduce {topic}."),
    l("*", 'b', "No long introduction. Here is what counts."),
    l("*", 't', "Here are the facts on {topic}."),
    l("*", 't', "These are the points that matter."),
    l("E", 'n', "You are invited to join us for {topic}."),
    l("E", 'w', "We would love to have you with us for {topic}."),
    l("E", 'n', "Please keep a place in your calendar for {topic}."),
    l("R", 'w', "It is good to have you with us."),
    l("R", 'n', "We would be glad to welcome you again."),
    l("S", 'n', "{Topic} {is} ready when you are."),
    l("L", 'n', "If {topic} {is} on your list, start here."),
];

const OPEN_SECOND: &[Line] = &[
    l("*", 'n', "Here is a closer look."),
    l("*", 'n', "We wrote to you about {topic}. Here is what is behind it."),
    l("*", 'n', "A few more words on {topic}."),
    l("*", 'w', "We promised to tell you more, so here it is."),
    l("*", 't', "Here are the details."),
    l("*", 'b', "Now the reasons."),
    l("*", 'f', "We would like to add a few details on {topic}."),
    l("*", 'p', "Still curious? Good."),
];

const OPEN_LAST: &[Line] = &[
    l("*", 'n', "This is our last note about {topic}."),
    l("*", 'n', "One last reminder, then we will leave it with you."),
    l("*", 'n', "If you have been thinking it over, here is the short version once more."),
    l("*D", 'n', "A quick reminder, because this one has an end date."),
    l("*", 'w', "We will not keep asking, so here it is one last time."),
    l("*", 'f', "Allow us one final reminder."),
    l("*", 'b', "Last reminder."),
];

/// Before messages that are no sentences, as a list.
const ESSENTIALS: &[Line] = &[
    l("*", 'n', "In short: "),
    l("*", 'n', "What you get: "),
    l("*", 'n', "The essentials: "),
    l("*", 'n', "At a glance: "),
    l("*", 'n', "Good to know: "),
];

/// Before longer items, which may be half sentences.
const NOTES: &[Line] =
    &[l("*", 'n', "Good to know: "), l("*", 'n', "In short: "), l("*", 'n', "Also worth knowing: ")];

/// Before an offer that is no sentence.
const OFFER: &[Line] = &[
    l("*", 'n', "The offer: {offer}."),
    l("*", 'n', "Right now: {offer}."),
    l("*", 'n', "What is in it for you: {offer}."),
    l("*", 'w', "And a little something for you: {offer}."),
    l("*", 'w', "Our thank-you: {offer}."),
    l("*", 't', "Terms of the offer: {offer}."),
    l("*", 'b', "The deal: {offer}."),
    l("*D", 'n', "For a limited time: {offer}."),
];

const AUDIENCE: &[Line] = &[
    l("*", 'n', "Made with {audience} in mind."),
    l("*", 'n', "This one is for {audience}."),
    l("*", 'n', "Made for {audience}."),
];

const CLOSE_FIRST: &[Line] = &[
    l("*", 'n', "Have a look and see whether it suits you."),
    l("*", 'n', "Take a look when you have a moment."),
    l("*", 'n', "Everything else is one click away."),
    l("*", 'n', "The page below has all the details."),
    l("*", 'w', "Come and have a look, we would love to know what you think."),
    l("*", 'w', "Have a look, and take your time."),
    l("*", 'p', "Go on, have a peek."),
    l("*", 'f', "You will find all details on our website."),
    l("*", 'b', "See for yourself."),
    l("*", 't', "The full details are on the page."),
    l("E", 'n', "Book your place and put the date in your calendar."),
    l("E", 'n', "Save your place while you think of it."),
    l("E", 'w', "Tell us you are coming, and we will keep a place for you."),
    l("L", 'n', "Join when you are ready."),
    l("L", 'n', "Start whenever it suits you."),
    l("S", 'n', "Pick what suits you and order when you like."),
    l("S", 'n', "Choose yours in a minute or two."),
    l("R", 'n', "Come back and see what has changed."),
    l("R", 'w', "Stop by again, we would be glad to see you."),
];

const CLOSE_SECOND: &[Line] = &[
    l("*", 'n', "You can read the rest here."),
    l("*", 'n', "There is more on the page, whenever you are ready."),
    l("*", 'n', "If that sounds right, the next step is a short one."),
    l("*", 'w', "If that sounds good to you, come and see."),
    l("*", 't', "The page has the complete picture."),
    l("*", 'b', "Ready when you are."),
    l("E", 'n', "There is still a place for you."),
];

const CLOSE_LAST: &[Line] = &[
    l("*", 'n', "If now is not the moment, that is fine too."),
    l("*", 'n', "Here is the link once more."),
    l("*", 'n', "One click, and you are there."),
    l("*", 'w', "Whatever you decide, thank you for reading."),
    l("*", 'f', "We thank you for your attention."),
    l("*", 'b', "Your move."),
];

const CTA: &[Line] = &[
    l("AT", 'n', "Learn more"),
    l("ATL", 'n', "See how it works"),
    l("AT", 'n', "Take a look"),
    l("AT", 'w', "Come and see"),
    l("L", 'n', "Get started"),
    l("L", 'n', "Join now"),
    l("S", 'n', "See the offer"),
    l("S", 'n', "Order yours"),
    l("S", 'n', "Choose yours"),
    l("R", 'n', "See what is new"),
    l("R", 'w', "Come on in"),
    l("E", 'n', "Save my place"),
    l("E", 'n', "Book your place"),
    l("*", 'f', "View details"),
    l("*", 't', "Read the details"),
];

const SIGN_OFF: &[Line] = &[
    l("*", 'n', "The {team} team"),
    l("*", 'w', "Warmly, the {team} team"),
    l("*", 'w', "With love, the {team} team"),
    l("*", 'p', "Until soon, the {team} team"),
    l("*", 'f', "Kind regards, the {team} team"),
    l("E", 'n', "See you soon, the {team} team"),
];

const GREETING: &[Line] = &[
    l("*", 'n', "Hello{name},"),
    l("*", 'w', "Hi{name},"),
    l("*", 'p', "Hey{name},"),
    l("*", 'f', "Good day{name},"),
];

const SMS_OPEN: &[Line] = &[
    l("*", 'n', "{brand}: "),
    l("*", 'n', "News from {brand}: "),
    l("*", 'w', "Hello from {brand}. "),
    l("*", 'n', "{brand} here. "),
    l("*", 'p', "Hey from {brand}! "),
];

const SMS_TOPIC: &[Line] = &[
    l("*", 'n', "Have a look at {topic}."),
    l("ATLSN", 'n', "{Topic} {is} here."),
    l("E", 'n', "Join us for {topic}."),
    l("E", 'n', "You are invited to {topic}."),
    l("R", 'w', "We would love to see you again."),
    l("S", 'n', "{Topic} {is} ready for you."),
    l("*", 'n', "See what is new with us."),
];

const SMS_CTA: &[Line] = &[
    l("AT", 'n', "More: "),
    l("ATLR", 'n', "See more: "),
    l("L", 'n', "Sign up: "),
    l("S", 'n', "Get yours: "),
    l("S", 'n', "Order: "),
    l("E", 'n', "Your place: "),
    l("E", 'n', "Book here: "),
    l("R", 'n', "Come back: "),
    l("*", 't', "Details: "),
];

const SMS_STOP: &[Line] = &[
    l("*", 'n', "Reply STOP to opt out"),
    l("*", 'n', "Text STOP to opt out"),
    l("*", 'n', "STOP to opt out"),
];

const HOOK: &[Line] = &[
    l("ATLSN", 'n', "{Topic} {is} here."),
    l("ATLSN", 'f', "Introducing {topic}."),
    l("ATLS", 'p', "Have you met {topic}?"),
    l("ATLS", 'w', "Say hello to {topic}."),
    l("*", 't', "{Topic}: the facts in brief."),
    l("*", 'b', "{Topic}. See for yourself."),
    l("*", 'n', "Let us talk about {topic}."),
    l("*", 'n', "A few words about {topic}."),
    l("E", 'n', "You are invited: {topic}."),
    l("E", 'w', "Join us for {topic}."),
    l("E", 'n', "Will we see you at {bare}?"),
    l("S", 'n', "{Topic} {is} waiting for you."),
    l("S", 'n', "Looking for {bare}? Look here."),
    l("R", 'w', "To everyone who has been with us for a while: thank you."),
    l("R", 'n', "A good moment to come back."),
    l("*", 'n', "This one is for {audience}."),
    l("*", 'n', "News from {brand}."),
    l("*", 'w', "Hello from {brand}."),
];

const POST_CTA: &[Line] = &[
    l("*", 'n', "All the details:"),
    l("*", 'n', "Have a look:"),
    l("AT", 'n', "Find out more:"),
    l("*", 'f', "Read more:"),
    l("*", 'w', "Come and see:"),
    l("L", 'n', "Start here:"),
    l("L", 'n', "Sign up here:"),
    l("S", 'n', "Get yours:"),
    l("S", 'n', "See the offer:"),
    l("R", 'n', "See what is new:"),
    l("E", 'n', "Save your place:"),
    l("E", 'n', "Book your place:"),
    l("*", 't', "Details and figures:"),
];

const AD_HEADLINES: &[Line] = &[
    l("*", 'n', "{brand}"),
    l("*", 'n', "{bare}"),
    l("*", 'n', "{Offer}"),
    l("*", 'n', "{bare} by {brand}"),
    l("ATS", 'n', "Meet {topic}"),
    l("*", 'n', "Discover {brand}"),
    l("ATL", 'n', "See How It Works"),
    l("*", 'n', "Take a Closer Look"),
    l("E", 'n', "Book Your Place"),
    l("E", 'n', "Save Your Place"),
    l("E", 'n', "Join Us for {topic}"),
    l("L", 'n', "Get Started Today"),
    l("L", 'n', "Join Online"),
    l("S", 'n', "Order Online"),
    l("S", 'n', "See the Offer"),
    l("S", 'n', "Find Yours Today"),
    l("R", 'n', "Welcome Back to {brand}"),
    l("R", 'n', "See What Is New"),
    l("*", 't', "Read the Details"),
    l("*", 'b', "See for Yourself"),
    l("*", 'n', "Made for {audience}"),
    l("*", 'n', "Straight From {brand}"),
    l("*", 'n', "All Details Online"),
];

const AD_DESCRIPTIONS: &[Line] = &[
    l("*", 'n', "Have a look at {topic} and see whether it suits you."),
    l("*", 'n', "Everything about {topic} on one page. Take a look today."),
    l("*", 'n', "Find out what {brand} can do for you."),
    l("E", 'n', "Join us for {topic}. Book your place online."),
    l("S", 'n', "Choose yours online in a few minutes."),
    l("L", 'n', "Join online whenever it suits you."),
    l("R", 'n', "Come back and see what has changed at {brand}."),
    l("*", 'n', "All the details are one click away."),
    l("*", 't', "The facts about {topic}, in brief and in full."),
];

const BLOG_META: &[Line] = &[
    l("*", 'n', "{Topic}: the main points, how it works and where to start. By {brand}."),
    l("*", 'n', "{Topic} in brief: what it is, what it brings and how to begin, by {brand}."),
    l("*", 'n', "The main points in brief, written by the people at {brand}."),
    l("*", 'n', "What {brand} has to say, point by point."),
];

const BLOG_TITLE: &[Line] = &[
    l("*", 'n', "{Topic}: what it is about and who it is for"),
    l("*", 'n', "What to know about {topic}"),
    l("*", 'n', "A practical guide to {topic}"),
    l("*", 'n', "A closer look at {topic}"),
    l("*", 't', "{Topic} in detail"),
    l("*", 'w', "The story behind {topic}"),
    l("*", 'n', "Behind the scenes at {brand}"),
    l("*", 'n', "What we are working on at {brand}"),
];

const BLOG_INTRO: &[Line] = &[
    l("*", 'n', "This article shows what {topic} {is} about, what you get and how to begin."),
    l("*", 'n', "Here is what {topic} {is} about, point by point."),
    l("*", 'n', "In a few minutes you will know what matters about {topic}."),
    l("*", 'n', "This article puts the most important points in one place."),
    l("*", 'w', "We get asked about this often, so here is the whole story in one place."),
];

/// Headings of the sections: what it is, how it is made, whom it is for, how to begin.
const BLOG_WHAT: &[Line] = &[
    l("*", 'n', "What {topic} {is} about"),
    l("*", 'n', "The idea in brief"),
    l("*", 'n', "The main points"),
    l("*", 'n', "What matters most"),
];
const BLOG_HOW: &[Line] =
    &[l("*", 'n', "How {brand} works"), l("*", 'n', "What is behind it"), l("*", 'n', "How we go about it")];
const BLOG_WHO: &[Line] = &[l("*", 'n', "Who it is for"), l("*", 'n', "Is it right for you?")];
const BLOG_START: &[Line] =
    &[l("*", 'n', "How to begin"), l("*", 'n', "The next step"), l("*", 'n', "Where to go from here")];
/// Questions an article on any topic should answer; an outline lists them for its writer.
const BLOG_QUESTIONS: &[Line] = &[
    l("*", 'n', "Show {topic} in use with one concrete example."),
    l("*", 'n', "Describe a typical day in which {topic} {makes} a difference."),
    l("*", 'n', "Answer the question readers ask first about {topic}."),
    l("*", 'n', "Describe one concrete example from everyday life."),
    l("*", 'n', "Answer the question that readers ask first."),
];
