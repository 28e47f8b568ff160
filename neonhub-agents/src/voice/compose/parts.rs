//! What a composed text consists of, channel by channel.

use neonhub_core::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guardrail::Field;

/// Where a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A mail.
    Email,
    /// A text message.
    Sms,
    /// A post on X.
    X,
    /// A post on LinkedIn.
    Linkedin,
    /// A post on Instagram.
    Instagram,
    /// A post on Facebook.
    Facebook,
    /// A responsive search ad.
    Ads,
    /// The outline of a blog article.
    Blog,
}

impl Channel {
    /// Every channel, in the order of reports.
    pub const ALL: &'static [Channel] = &[
        Channel::Email,
        Channel::Sms,
        Channel::X,
        Channel::Linkedin,
        Channel::Instagram,
        Channel::Facebook,
        Channel::Ads,
        Channel::Blog,
    ];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
            Channel::X => "x",
            Channel::Linkedin => "linkedin",
            Channel::Instagram => "instagram",
            Channel::Facebook => "facebook",
            Channel::Ads => "ads",
            Channel::Blog => "blog",
        }
    }

    /// The channel with this word.
    ///
    /// # Errors
    /// `InvalidInput` naming `field` and the words there are.
    pub fn parse(field: &str, word: &str) -> Result<Self> {
        Channel::ALL.iter().copied().find(|c| c.word() == word).ok_or_else(|| {
            let known: Vec<_> = Channel::ALL.iter().map(|c| c.word()).collect();
            Error::invalid("voice.compose", field, format!("expected one of {}", known.join(", ")))
        })
    }
}

/// A call to action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cta {
    /// Words on the button (1..=30 characters).
    pub label: String,
    /// Where it leads.
    pub url: String,
}

/// A greeting in two forms. The sender renders `personal` when the person's first name is known, else
/// `general`; neither a name nor an open variable ever stands in a sent text by accident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// Template with the one declared variable `first_name`, such as `Hi {{ first_name }},`.
    pub personal: String,
    /// The same without a name, such as `Hi there,`.
    pub general: String,
}

/// A mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EmailParts {
    /// Subject (1..=78 characters).
    pub subject: String,
    /// Text that mail programs show after the subject (at most 110 characters).
    pub preheader: String,
    /// Heading of the body.
    pub heading: String,
    /// Greeting.
    pub greeting: Greeting,
    /// Paragraphs of the body, plain text.
    pub paragraphs: Vec<String>,
    /// The one call to action.
    pub cta: Cta,
    /// Last line, such as `Warmly, the Loaf team`.
    pub sign_off: String,
}

/// A text message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SmsParts {
    /// The whole text, with sender, link and the way to opt out.
    pub body: String,
    /// The link in it.
    pub url: String,
}

/// A public post.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostParts {
    /// The whole text, with link and hashtags.
    pub text: String,
    /// The link in it.
    pub url: String,
    /// Hashtags in it, without the mark.
    pub hashtags: Vec<String>,
}

/// A responsive search ad.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdParts {
    /// 3..=15 headlines of at most 30 characters.
    pub headlines: Vec<String>,
    /// 2..=4 descriptions of at most 90 characters.
    pub descriptions: Vec<String>,
    /// At most 2 path words of at most 15 characters, shown after the domain.
    pub paths: Vec<String>,
    /// Where the ad leads.
    pub url: String,
}

/// A section of an outline.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlogSection {
    /// Heading.
    pub heading: String,
    /// What the section says, point by point.
    pub points: Vec<String>,
}

/// The outline of an article.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlogParts {
    /// Title (at most 70 characters).
    pub title: String,
    /// Summary for search results (at most 155 characters).
    pub meta_description: String,
    /// First paragraph.
    pub intro: String,
    /// Sections in order (2..=8).
    pub sections: Vec<BlogSection>,
    /// The one call to action.
    pub cta: Cta,
}

/// The parts of a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Parts {
    /// A mail.
    Email(EmailParts),
    /// A text message.
    Sms(SmsParts),
    /// A public post.
    Post(PostParts),
    /// A search ad.
    Ads(AdParts),
    /// A blog outline.
    Blog(BlogParts),
}

impl Parts {
    /// Every text a reader sees, by the name of its part. The greeting appears in its general form.
    #[must_use]
    pub fn fields(&self) -> Vec<Field<'_>> {
        let mut out = Vec::new();
        let mut add = |name: String, text| out.push(Field::new(name, text));
        match self {
            Parts::Email(mail) => {
                add("subject".into(), &mail.subject);
                add("preheader".into(), &mail.preheader);
                add("heading".into(), &mail.heading);
                add("greeting".into(), &mail.greeting.general);
                mail.paragraphs.iter().enumerate().for_each(|(i, p)| add(format!("paragraphs[{i}]"), p));
                add("cta".into(), &mail.cta.label);
                add("sign_off".into(), &mail.sign_off);
            }
            Parts::Sms(sms) => add("body".into(), &sms.body),
            Parts::Post(post) => add("text".into(), &post.text),
            Parts::Ads(ad) => {
                ad.headlines.iter().enumerate().for_each(|(i, t)| add(format!("headlines[{i}]"), t));
                ad.descriptions.iter().enumerate().for_each(|(i, t)| add(format!("descriptions[{i}]"), t));
                ad.paths.iter().enumerate().for_each(|(i, t)| add(format!("paths[{i}]"), t));
            }
            Parts::Blog(blog) => {
                add("title".into(), &blog.title);
                add("meta_description".into(), &blog.meta_description);
                add("intro".into(), &blog.intro);
                for (i, section) in blog.sections.iter().enumerate() {
                    add(format!("sections[{i}].heading"), &section.heading);
                    section
                        .points
                        .iter()
                        .enumerate()
                        .for_each(|(k, p)| add(format!("sections[{i}].points[{k}]"), p));
                }
                add("cta".into(), &blog.cta.label);
            }
        }
        out
    }

    /// The running text, as the voice is scored on it: no subject line furniture, no link.
    #[must_use]
    pub fn prose(&self) -> String {
        let mut text = self.running();
        if let Parts::Sms(_) = self {
            for line in super::lexicon::ALL.iter().flat_map(|l| l.sms_stop) {
                text = text.replace(line.text, "");
            }
        }
        text.trim().to_owned()
    }

    fn running(&self) -> String {
        let skip = ["greeting", "sign_off", "cta", "paths"];
        let fields = self.fields();
        let kept = fields.iter().filter(|f| !skip.iter().any(|s| f.name.starts_with(s)));
        let joined = kept.map(|f| f.text).collect::<Vec<_>>().join("\n\n");
        let mut out = String::with_capacity(joined.len());
        let mut at = 0;
        for link in crate::voice::text::links(&joined) {
            out.push_str(crate::voice::text::Span::new(at, link.start).of(&joined));
            at = link.end;
        }
        out.push_str(crate::voice::text::Span::new(at, joined.len()).of(&joined));
        out
    }

    /// What a reader sees first: subject, first line, title.
    #[must_use]
    pub fn lead(&self) -> &str {
        let line = |t: &'_ str| t.lines().next().unwrap_or("").len();
        match self {
            Parts::Email(mail) => &mail.subject,
            Parts::Sms(sms) => sms.body.get(..line(&sms.body)).unwrap_or(""),
            Parts::Post(post) => post.text.get(..line(&post.text)).unwrap_or(""),
            Parts::Ads(ad) => ad.descriptions.first().map_or("", String::as_str),
            Parts::Blog(blog) => &blog.title,
        }
    }

    /// Where it leads.
    #[must_use]
    pub fn url(&self) -> &str {
        match self {
            Parts::Email(mail) => &mail.cta.url,
            Parts::Sms(sms) => &sms.url,
            Parts::Post(post) => &post.url,
            Parts::Ads(ad) => &ad.url,
            Parts::Blog(blog) => &blog.cta.url,
        }
    }
}
