//! German. The lines address nobody, so that they fit brands that say "du" and brands that say "Sie".

use super::{Lexicon, Line, l};

/// German.
pub(in super::super) static DE: Lexicon = Lexicon {
    language: "de",
    and: "und",
    cta_default: "Mehr erfahren",
    greeting_default: "Hallo{name},",
    nobody: "",
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
    l("*", 'n', "Neues von {brand}"),
    l("*", 'n', "{Topic}: neu bei {brand}"),
    l("*", 'n', "Eine kurze Nachricht von {brand}"),
    l("S", 'n', "{Offer}"),
    l("E", 'n', "Einladung: {topic}"),
    l("*", 'w', "Herzliche Gr\u{fc}\u{df}e von {brand}"),
    l("*", 't', "{Topic}: die Fakten"),
    l("*", 'n', "{brand}: ein Blick lohnt sich"),
];

const SUBJECT_SECOND: &[Line] = &[
    l("*", 'n', "Mehr von {brand}"),
    l("*", 'n', "{Topic} im Detail"),
    l("*", 'n', "Hinter den Kulissen von {brand}"),
    l("*", 'n', "Was bei {brand} dahintersteckt"),
];

const SUBJECT_LAST: &[Line] = &[
    l("*D", 'n', "Nur noch kurze Zeit: {offer}"),
    l("*", 'n', "Zur Erinnerung: {topic}"),
    l("*", 'n', "Noch einmal kurz von {brand}"),
    l("*", 'n', "Zur Erinnerung von {brand}"),
];

const PREHEADER: &[Line] = &[
    l("*", 'n', "Das Wichtigste in wenigen Zeilen."),
    l("*", 'n', "Die kurze Fassung, mit einem Link zum Rest."),
    l("*", 'n', "Was es ist, was es bringt und wo es losgeht."),
    l("*", 'n', "Eine Minute Lesezeit."),
];

const HEADING: &[Line] = &[
    l("*", 'n', "{Topic}"),
    l("*", 'n', "Gute Gr\u{fc}nde"),
    l("*", 'n', "Auf einen Blick"),
    l("*", 'n', "Gr\u{fc}\u{df}e von {brand}"),
    l("E", 'n', "Einladung von {brand}"),
];

const OPEN_FIRST: &[Line] = &[
    l("*", 'n', "Das Wichtigste zuerst."),
    l("*", 'n', "In aller K\u{fc}rze."),
    l("*", 'w', "Es gibt etwas Sch\u{f6}nes zu erz\u{e4}hlen."),
    l("*", 't', "Hier die Fakten."),
    l("*", 'b', "Ohne lange Vorrede."),
    l("*", 'f', "Wir freuen uns, heute etwas vorzustellen."),
];

const OPEN_SECOND: &[Line] = &[
    l("*", 'n', "Hier die Einzelheiten."),
    l("*", 'n', "Ein genauerer Blick lohnt sich."),
    l("*", 'w', "Wie versprochen gibt es heute mehr dazu."),
];

const OPEN_LAST: &[Line] = &[
    l("*", 'n', "Eine letzte Erinnerung."),
    l("*", 'n', "Zum Schluss noch einmal das Wichtigste."),
    l("*", 'n', "Ein letzter Hinweis von uns."),
];

const ESSENTIALS: &[Line] = &[
    l("*", 'n', "Kurz gesagt: "),
    l("*", 'n', "Auf einen Blick: "),
    l("*", 'n', "Das ist dabei: "),
    l("*", 'n', "Das Wesentliche: "),
];

const NOTES: &[Line] =
    &[l("*", 'n', "Gut zu wissen: "), l("*", 'n', "Kurz gesagt: "), l("*", 'n', "Au\u{df}erdem: ")];

const OFFER: &[Line] = &[
    l("*", 'n', "Das Angebot: {offer}."),
    l("*", 'n', "Jetzt: {offer}."),
    l("*", 'w', "Ein kleines Dankesch\u{f6}n: {offer}."),
    l("*D", 'n', "F\u{fc}r kurze Zeit: {offer}."),
    l("*", 'n', "Das gibt es jetzt: {offer}."),
];

const AUDIENCE: &[Line] =
    &[l("*", 'n', "Gemacht f\u{fc}r {audience}."), l("*", 'n', "Gedacht f\u{fc}r {audience}.")];

const CLOSE_FIRST: &[Line] = &[
    l("*", 'n', "Alle Details stehen auf der Seite."),
    l("*", 'n', "Ein kurzer Blick lohnt sich."),
    l("*", 'n', "Mehr dazu mit einem Klick."),
    l("*", 'w', "Wir freuen uns auf jeden Besuch."),
    l("E", 'n', "Pl\u{e4}tze lassen sich online sichern."),
];

const CLOSE_SECOND: &[Line] = &[
    l("*", 'n', "Der Rest steht auf der Seite."),
    l("*", 'n', "Der n\u{e4}chste Schritt ist ein kleiner."),
    l("*", 'n', "Mehr dazu gibt es online."),
];

const CLOSE_LAST: &[Line] = &[
    l("*", 'n', "Hier noch einmal der Link."),
    l("*", 'n', "Wenn es gerade nicht passt, ist das auch gut."),
    l("*", 'n', "Ein Klick gen\u{fc}gt."),
];

const CTA: &[Line] = &[
    l("ATLR", 'n', "Mehr erfahren"),
    l("AT", 'n', "Jetzt ansehen"),
    l("S", 'n', "Zum Angebot"),
    l("E", 'n', "Platz sichern"),
    l("L", 'n', "Jetzt anmelden"),
    l("*", 't', "Zu den Details"),
];

const SIGN_OFF: &[Line] = &[
    l("*", 'n', "Das Team von {team}"),
    l("*", 'w', "Herzlich, das Team von {team}"),
    l("*", 'f', "Mit freundlichen Gr\u{fc}\u{df}en, das Team von {team}"),
    l("*", 'n', "Bis bald, das Team von {team}"),
];

const GREETING: &[Line] = &[l("*", 'n', "Hallo{name},"), l("*", 'f', "Guten Tag{name},")];

const SMS_OPEN: &[Line] =
    &[l("*", 'n', "{brand}: "), l("*", 'n', "Neues von {brand}: "), l("*", 'n', "Nachricht von {brand}: ")];

const SMS_TOPIC: &[Line] = &[
    l("*", 'n', "Es gibt Neues."),
    l("*", 'n', "Ein Blick lohnt sich."),
    l("E", 'n', "Einladung: {topic}."),
];

const SMS_CTA: &[Line] = &[
    l("*", 'n', "Mehr: "),
    l("S", 'n', "Zum Angebot: "),
    l("E", 'n', "Platz sichern: "),
    l("L", 'n', "Anmelden: "),
];

const SMS_STOP: &[Line] = &[
    l("*", 'n', "Abmelden: Antwort STOP"),
    l("*", 'n', "STOP zum Abmelden"),
    l("*", 'n', "Mit STOP abmelden"),
];

const HOOK: &[Line] = &[
    l("*", 'n', "Neues von {brand}."),
    l("*", 'n', "{Topic}: das Wichtigste in K\u{fc}rze."),
    l("*", 'n', "Kurz notiert."),
    l("*", 'n', "Schon gesehen?"),
    l("E", 'n', "Einladung: {topic}."),
    l("*", 'w', "Gr\u{fc}\u{df}e von {brand}."),
];

const POST_CTA: &[Line] = &[
    l("*", 'n', "Alle Details:"),
    l("*", 'n', "Mehr dazu:"),
    l("*", 'n', "Hier entlang:"),
    l("S", 'n', "Zum Angebot:"),
    l("E", 'n', "Platz sichern:"),
    l("L", 'n', "Zur Anmeldung:"),
];

const AD_HEADLINES: &[Line] = &[
    l("*", 'n', "{brand}"),
    l("*", 'n', "{bare}"),
    l("*", 'n', "{Offer}"),
    l("*", 'n', "Mehr erfahren"),
    l("*", 'n', "Jetzt entdecken"),
    l("*", 'n', "Direkt von {brand}"),
    l("S", 'n', "Zum Angebot"),
    l("*", 'n', "Alle Details online"),
    l("E", 'n', "Platz sichern"),
    l("L", 'n', "Jetzt anmelden"),
    l("*", 'n', "Ein Blick lohnt sich"),
];

const AD_DESCRIPTIONS: &[Line] = &[
    l("*", 'n', "Alle Details mit einem Klick."),
    l("*", 'n', "Mehr \u{fc}ber {brand} auf einer Seite."),
    l("*", 'n', "Jetzt ansehen und in Ruhe entscheiden."),
    l("S", 'n', "Das Angebot von {brand} auf einen Blick."),
];

const BLOG_META: &[Line] = &[
    l("*", 'n', "{Topic}: das Wichtigste im \u{dc}berblick, von {brand}."),
    l("*", 'n', "Was {brand} dazu zu sagen hat, Punkt f\u{fc}r Punkt."),
    l("*", 'n', "Die wichtigsten Punkte in K\u{fc}rze, geschrieben bei {brand}."),
];

const BLOG_TITLE: &[Line] = &[
    l("*", 'n', "{Topic}: das Wichtigste im \u{dc}berblick"),
    l("*", 'n', "Hinter den Kulissen von {brand}"),
    l("*", 'n', "Woran {brand} gerade arbeitet"),
    l("*", 'n', "Neues von {brand}"),
];

const BLOG_INTRO: &[Line] = &[
    l("*", 'n', "Dieser Artikel fasst das Wichtigste zusammen."),
    l("*", 'n', "Alles Wichtige an einem Ort."),
    l("*", 'n', "Worauf es ankommt, in wenigen Minuten gelesen."),
];

const BLOG_WHAT: &[Line] = &[
    l("*", 'n', "Worum es geht"),
    l("*", 'n', "Die wichtigsten Punkte"),
    l("*", 'n', "Die Idee in K\u{fc}rze"),
];

const BLOG_HOW: &[Line] = &[l("*", 'n', "Was dahintersteckt"), l("*", 'n', "So arbeiten wir")];

const BLOG_WHO: &[Line] = &[l("*", 'n', "F\u{fc}r wen es ist")];

const BLOG_START: &[Line] = &[l("*", 'n', "So geht es los"), l("*", 'n', "Der n\u{e4}chste Schritt")];

const BLOG_QUESTIONS: &[Line] = &[
    l("*", 'n', "Ein konkretes Beispiel aus dem Alltag beschreiben."),
    l("*", 'n', "Die erste Frage der Leserinnen und Leser beantworten."),
];
