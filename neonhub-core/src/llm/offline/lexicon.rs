//! Word lists of the offline model. Ours, 2026; chosen for marketing and support texts. Data, no logic.

/// Frequent function words by language, for language guesses and as stop words.
#[rustfmt::skip]
pub(super) const FUNCTION_WORDS: &[(&str, &str)] = &[
    ("de", "aber als am an auch auf aus bei bin bis bitte da damit das dass dein deine dem den der des die dies \
        diese dir doch du durch ein eine einem einen einer er es euch für gegen gibt hat habe haben hier ich ihr ihre im \
        in ist ja jetzt kann kein keine mehr mein meine mich mir mit nach nicht noch nun nur oder ohne sehr sein seine \
        sich sie sind so über um und uns unser unsere vom von vor war was weil wenn werden wer wie wir wird wo zu zum zur"),
    ("en", "a about after all also am an and any are as at be because been but by can could did do does for from get \
        had has have he her here him his how i if in into is it its just me more most my no not now of on only or other \
        our out over please she should so some than that the their them then there these they this those to too under \
        until up us very was we were what when where which while who why will with would you your"),
    ("es", "a al algo como con cuando de del desde donde el ella ellos en entre era es esa ese esta este esto está \
        están fue ha hay la las le les lo los me mi muy más nada ni no nos nosotros o para pero por porque que quien qué \
        se ser si sin sobre su sus también te tiene todo tu tus un una uno y ya yo"),
    ("fr", "à au aussi aux avec avez avons bien ce ces cet cette comme dans de des du elle elles en est et être eu \
        fait il ils je la le les leur lui mais me mes moi mon même ne nos notre nous on ont ou où par pas plus pour \
        qu que qui sa sans se ses si son sont sur ta te tes toi ton tout très tu un une vos votre vous y"),
    ("it", "a ai al alla anche che chi ci come con da dal dalla dei del della delle di dove e ed è gli ha hanno ho i \
        il in io la le lei li lo loro lui ma me mi mia mio nel nella noi non nostro o per perché più quando quello \
        questa questo se sei si sia sono su sua suo ti tra tu un una uno vi voi"),
    ("nl", "aan al als bij dan dat de deze die dit doen door dus een en er geen had heb hebben heeft het hij hoe hun \
        ik in is ja je kan maar me meer met mij mijn naar niet nog nu of om omdat ons onze ook op over te tot u uit uw \
        van veel voor waar want was wat we wel werd wie wij worden wordt ze zich zij zijn zo"),
    ("pl", "a ale bardzo bez bo być był była było ci co czy dla do gdy gdzie go i ich ile ja jak jako je jego jej jest \
        jestem już każdy kiedy kto ma mi mnie może my na nam nas nie nim niż o od on ona oni po pod przez przy są się \
        tak tam te tego ten to tu tylko ty tym w we więc wszystko z za ze że"),
    ("pt", "a ao aos as até com como da das de dela dele depois do dos e ela eles em entre era essa esse esta este eu \
        foi há isso isto já lhe mais mas me mesmo meu minha muito na nas nem no nos nossa nosso não o os ou para pela \
        pelo por quando que quem se sem ser seu sua são só também te tem um uma você"),
];

/// Words of good and bad feeling, by weight 1 or 2.
#[rustfmt::skip]
pub(super) const GOOD: &[(&str, u8)] = &[
    ("amazing", 2), ("awesome", 2), ("beautiful", 1), ("best", 1), ("brilliant", 2), ("delicious", 2), ("delighted", 2),
    ("easy", 1), ("enjoy", 1), ("enjoyed", 1), ("excellent", 2), ("fantastic", 2), ("fast", 1), ("favorite", 1),
    ("favourite", 1), ("fine", 1), ("friendly", 1), ("glad", 1), ("good", 1), ("great", 2), ("happy", 2), ("helpful", 1),
    ("impressed", 2), ("kind", 1), ("like", 1), ("love", 2), ("loved", 2), ("lovely", 2), ("nice", 1), ("perfect", 2),
    ("pleasant", 1), ("pleased", 1), ("quick", 1), ("recommend", 2), ("reliable", 1), ("satisfied", 1), ("smooth", 1),
    ("superb", 2), ("thank", 1), ("thanks", 1), ("wonderful", 2), ("worth", 1),
    ("danke", 1), ("fein", 1), ("freundlich", 1), ("froh", 1), ("gern", 1), ("gerne", 1), ("großartig", 2), ("gut", 1),
    ("gute", 1), ("guter", 1), ("herrlich", 2), ("hilfreich", 1), ("lecker", 2), ("liebe", 1), ("perfekt", 2),
    ("prima", 1), ("schnell", 1), ("schön", 1), ("super", 2), ("toll", 2), ("tolle", 2), ("wunderbar", 2), ("zufrieden", 1),
    ("bueno", 1), ("excelente", 2), ("feliz", 2), ("genial", 2), ("gracias", 1), ("bien", 1), ("bon", 1), ("merci", 1),
    ("parfait", 2), ("ravi", 2), ("superbe", 2),
];

/// Words of bad feeling.
#[rustfmt::skip]
pub(super) const BAD: &[(&str, u8)] = &[
    ("angry", 2), ("annoyed", 2), ("annoying", 2), ("awful", 2), ("bad", 1), ("boring", 1), ("broken", 2), ("cold", 1),
    ("complaint", 2), ("confusing", 1), ("damaged", 2), ("defective", 2), ("delayed", 1), ("dirty", 1), ("disappointed", 2),
    ("disappointing", 2), ("expensive", 1), ("fail", 1), ("failed", 1), ("faulty", 2), ("frustrated", 2),
    ("frustrating", 2), ("hate", 2), ("horrible", 2), ("late", 1), ("missing", 1), ("never", 1), ("poor", 1),
    ("problem", 1), ("ridiculous", 2), ("rude", 2), ("sad", 1), ("scam", 2), ("slow", 1), ("spam", 2), ("stale", 1),
    ("terrible", 2), ("unacceptable", 2), ("unfriendly", 2), ("unhappy", 2), ("useless", 2), ("waste", 2), ("worse", 2),
    ("worst", 2), ("wrong", 1),
    ("beschädigt", 2), ("enttäuscht", 2), ("enttäuschend", 2), ("falsch", 1), ("fehlt", 1), ("furchtbar", 2), ("kaputt", 2),
    ("langsam", 1), ("leider", 1), ("mangelhaft", 2), ("schlecht", 2), ("schlechte", 2), ("schrecklich", 2), ("spät", 1),
    ("teuer", 1), ("unfreundlich", 2), ("unverschämt", 2), ("verärgert", 2), ("ärgerlich", 2),
    ("malo", 1), ("mala", 1), ("roto", 2), ("horrible", 2), ("lento", 1), ("mauvais", 2), ("déçu", 2), ("cassé", 2),
];

/// Words that turn the next feeling around.
pub(super) const NOT: &[&str] = &[
    "not", "no", "never", "don't", "doesn't", "didn't", "isn't", "wasn't", "won't", "can't", "without",
    "hardly", "nicht", "kein", "keine", "nie", "ohne", "sin", "pas", "jamais",
];

/// Cue phrases by intent; the first label is what is assumed when no cue is found.
#[rustfmt::skip]
pub(super) const INTENTS: &[(&str, &[&str])] = &[
    ("other", &[]),
    ("cancel", &["cancel", "cancellation", "terminate", "kündigen", "kündigung", "stornieren", "annuler", "cancelar"]),
    ("complaint", &["complaint", "broken", "damaged", "disappointed", "not working", "doesn't work", "unacceptable",
        "still waiting", "wrong item", "beschwerde", "kaputt", "beschädigt", "enttäuscht", "reklamation"]),
    ("meeting", &["meeting", "call me", "schedule a call", "appointment", "book a demo", "demo", "termin", "anrufen"]),
    ("praise", &["thank you", "thanks", "great job", "love it", "well done", "danke", "toll", "merci", "gracias"]),
    ("pricing", &["price", "pricing", "how much", "cost", "quote", "discount", "preis", "kostet", "angebot", "rabatt"]),
    ("purchase", &["buy", "order", "purchase", "in stock", "available", "checkout", "kaufen", "bestellen", "lieferbar"]),
    ("refund", &["refund", "money back", "return", "reimburse", "rückerstattung", "geld zurück", "retoure", "umtausch"]),
    ("support", &["help", "how do i", "how can i", "problem", "issue", "error", "can't log in", "password", "hilfe",
        "wie kann ich", "passwort", "fehler"]),
    ("unsubscribe", &["unsubscribe", "stop sending", "stop", "remove me", "opt out", "no more mails", "no more emails",
        "abmelden", "abbestellen", "austragen", "keine mails"]),
];

/// Cue phrases by topic.
#[rustfmt::skip]
pub(super) const TOPICS: &[(&str, &[&str])] = &[
    ("other", &[]),
    ("account", &["account", "log in", "login", "password", "profile", "sign in", "konto", "anmelden", "passwort"]),
    ("delivery", &["delivery", "deliver", "shipping", "ship", "parcel", "tracking", "courier", "lieferung", "versand",
        "paket", "envío", "livraison"]),
    ("event", &["event", "workshop", "webinar", "tasting", "invitation", "opening", "veranstaltung", "einladung"]),
    ("payment", &["payment", "pay", "invoice", "card", "charge", "billing", "zahlung", "rechnung", "bezahlen"]),
    ("price", &["price", "discount", "sale", "offer", "cheap", "expensive", "preis", "rabatt", "angebot"]),
    ("privacy", &["privacy", "data", "consent", "gdpr", "delete my", "datenschutz", "einwilligung", "dsgvo"]),
    ("product", &["product", "quality", "size", "colour", "color", "material", "taste", "produkt", "qualität"]),
    ("returns", &["return", "refund", "exchange", "warranty", "rückgabe", "umtausch", "garantie"]),
];

/// True for a function word of any listed language.
pub(super) fn is_stop(word: &str) -> bool {
    let word = word.to_lowercase();
    FUNCTION_WORDS.iter().any(|(_, list)| list.split_ascii_whitespace().any(|w| w == word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_clean() {
        for (_, list) in FUNCTION_WORDS {
            let words: Vec<_> = list.split_ascii_whitespace().collect();
            assert!(words.len() > 60);
            assert!(words.iter().all(|w| *w == w.to_lowercase()));
        }
        assert!(GOOD.iter().all(|(w, _)| !BAD.iter().any(|(b, _)| b == w)));
        assert!(is_stop("The") && !is_stop("tea"));
    }
}
