//! Phrases that are flagged when said plainly, by category. English, ours, 2026. Data, no logic: they are hateful and
//! violent because they are what must be found.

/// Every category of a verdict: those of OpenAI's moderation (API specification 2.3.0, 2026), and `profanity`.
pub(crate) const CATEGORIES: &[&str] = &[
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "profanity",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
];

/// Groups that hatred is aimed at. `{group}` of a phrase stands for each.
pub(super) const GROUPS: &[&str] = &[
    "asians",
    "blacks",
    "black people",
    "christians",
    "disabled people",
    "foreigners",
    "gays",
    "gay people",
    "gypsies",
    "immigrants",
    "jews",
    "lesbians",
    "migrants",
    "muslims",
    "refugees",
    "roma",
    "trans people",
    "women",
];

/// Category, weight in hundredths, phrases divided by `|`. From 50 on one alone is flagged.
#[rustfmt::skip]
pub(super) const PHRASES: &[(&str, u32, &str)] = &[
    ("harassment", 60, "you are an idiot|you idiot|you are stupid|you are worthless|you are pathetic|you are a loser|\
        you are disgusting|nobody likes you|shut up you|piece of shit|you moron|you are a moron|you dumbass|scumbag|\
        go to hell you|you are trash|fuck you|you bitch|you bastard|you are ugly"),
    ("harassment/threatening", 90, "i will kill you|i am going to kill you|gonna kill you|i will hurt you|\
        i will find you and|i will beat you|i will rape you|i know where you live|you will pay with your life|\
        i will murder you|i will shoot you|i will stab you|watch your back or"),
    ("violence", 60, "i will kill you|i am going to kill you|gonna kill you|i will murder you|i will shoot you|\
        i will stab you|kill them all|beat him to death|beat her to death|shoot up the school|shoot up a school|\
        burn them alive|kill him|kill her|slit his throat|slit her throat|behead them|massacre them|kill all {group}|\
        death to {group}|bash his skull|bash her skull"),
    ("violence/graphic", 70, "guts spilled|intestines spilled|blood everywhere and|severed head|severed limbs|\
        brains splattered|disemboweled|disembowelled|mutilated corpse|gouged out his eyes|gouged out her eyes"),
    ("hate", 80, "{group} are vermin|{group} are animals|{group} are parasites|{group} are subhuman|{group} are scum|\
        {group} are filth|{group} are inferior|{group} are a plague|{group} should not exist|hate all {group}|\
        i hate {group}|get rid of all {group}|filthy {group}|dirty {group}|faggot|faggots|kike|kikes|tranny|trannies"),
    ("hate/threatening", 95, "kill all {group}|death to {group}|gas the {group}|exterminate the {group}|\
        exterminate all {group}|{group} must die|{group} should die|{group} deserve to die|shoot all {group}|lynch them"),
    ("illicit", 65, "how to make meth|cook meth|buy cocaine|sell cocaine|buy heroin|sell heroin|fake passport for sale|\
        stolen credit cards|hack into someone s account|steal a car without|counterfeit money for sale|\
        launder the money|how to shoplift|buy fake id"),
    ("illicit/violent", 90, "how to make a bomb|how to build a bomb|build a pipe bomb|make a pipe bomb|make explosives at home|\
        hire a hitman|make a nerve agent|make ricin|buy an illegal gun|build a ghost gun"),
    ("profanity", 60, "fuck|fucking|fucked|fucker|motherfucker|shit|shitty|bullshit|asshole|arsehole|cunt|bitch|bastard|\
        dickhead|wanker|prick|twat|ass hat|goddamn"),
    ("self-harm", 70, "kill myself|killing myself|end my life|hurt myself|cut myself on purpose|cutting myself|\
        commit suicide|i want to die|starve myself|overdose on purpose|you should kill yourself|kill yourself|kys"),
    ("self-harm/intent", 80, "i want to die|i want to kill myself|i am going to kill myself|gonna kill myself|\
        i will kill myself|i want to end my life|i am going to end my life|i want to hurt myself|i am suicidal"),
    ("self-harm/instructions", 90, "how to kill myself|best way to kill myself|how to commit suicide|painless way to die|\
        how to cut myself|how many pills to die|how to tie a noose|how to hide self harm|how to starve myself"),
    ("sexual", 70, "blowjob|blow job|cumshot|deepthroat|gangbang|hardcore porn|porn video|porn videos|nude pics|send nudes|\
        hot horny|horny singles|pussy pics|anal sex|oral sex for|masturbate|dick pic|dick pics|fuck me hard|escort for sex"),
    ("sexual/minors", 99, "child porn|kiddie porn|preteen porn|underage sex|sex with a minor|sex with minors|\
        sex with children|sex with a child|nude children|naked children pics|jailbait pics|lolita porn"),
];
