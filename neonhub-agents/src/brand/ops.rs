//! The operations of brands.

use neonhub_core::op::{Effect, Operation, Page};
use neonhub_core::store::{Key, Query};
use neonhub_core::{Error, Faults, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Brand, BrandId, BrandStatus, SenderId, SenderProfile};
use crate::email::Mailbox;
use crate::gate::{Channel, Week};

/// Creates a brand: the voice and the addresses that messages come from.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBrand {
    /// Display name, 1 to 200 characters.
    pub name: String,
    /// Short name, unique in the workspace: lower-case letters, digits and hyphens. Default: made from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Domains the brand owns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Postal address for the footers of its mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_address: Option<String>,
    /// Language it writes in, BCP 47. Default: that of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Its zone, IANA. Default: that of the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// When it sends marketing, on the recipient's clock. Default: at any hour the law allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Week>,
}

impl CreateBrand {
    fn slug(&self) -> String {
        self.slug.clone().unwrap_or_else(|| slug_of(&self.name))
    }

    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let name = self.name.trim().chars().count();
        faults.check((1..=200).contains(&name), "name", "expected 1 to 200 characters");
        let slug = self.slug();
        let shaped = (1..=64).contains(&slug.len())
            && slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        faults.check(shaped, "slug", "expected 1 to 64 lower-case letters, digits and hyphens");
        if let Some(zone) = &self.timezone {
            let known = neonhub_core::zone("timezone", zone).is_ok();
            faults.check(known, "timezone", "expected an IANA time zone such as Europe/Vienna");
        }
        faults.into_result(Self::NAME)
    }
}

/// Lower-case ASCII letters and digits of a name, joined by hyphens.
pub(crate) fn slug_of(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization as _;
    let plain: String = name.nfkd().filter(char::is_ascii).collect::<String>().to_lowercase();
    let words = plain.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join("-").chars().take(64).collect()
}

impl Operation for CreateBrand {
    type Output = Brand;
    const NAME: &'static str = "brands.create";
    const NEEDS: &'static [Permission] = &[Permission::WriteBrand];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] = &["already_exists"];
    async fn run(self, cx: &Scope) -> Result<Brand> {
        self.check()?;
        let slug = self.slug();
        if cx.find::<Brand>("slug", Key::text(&slug)).await?.is_some() {
            let kind = neonhub_core::ErrorKind::AlreadyExists;
            return Err(Error::new(kind, Self::NAME, "a brand of this workspace has this slug")
                .with_context("slug", slug));
        }
        let locale = match self.locale {
            Some(locale) => locale,
            None => cx.hub().workspace_of(cx).await?.default_locale.clone(),
        };
        let brand = Brand {
            id: BrandId::new(cx),
            name: self.name.trim().to_owned(),
            slug,
            domains: self.domains,
            postal_address: self.postal_address,
            locale,
            timezone: self.timezone,
            window: self.window,
            status: BrandStatus::Active,
        };
        cx.create(&brand)?;
        Ok(brand)
    }
    fn examples() -> Vec<Self> {
        vec![CreateBrand { name: "Bergkaffee".into(), ..CreateBrand::default() }]
    }
}

/// Reads a brand by its id or its slug.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetBrand {
    /// Id or slug.
    pub brand: String,
}

impl Operation for GetBrand {
    type Output = Brand;
    const NAME: &'static str = "brands.get";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Brand> {
        by_id_or_slug(cx, &self.brand).await
    }
    fn examples() -> Vec<Self> {
        vec![GetBrand { brand: "bergkaffee".into() }]
    }
}

/// The brand with this id or slug.
///
/// # Errors
/// `NotFound` when there is none in this workspace.
pub(crate) async fn by_id_or_slug(cx: &Scope, word: &str) -> Result<Brand> {
    let found = if word.starts_with("brd_") {
        cx.get::<Brand>(word).await?
    } else {
        cx.find::<Brand>("slug", Key::text(word)).await?
    };
    found.map(|b| b.body).ok_or_else(|| cx.missing("brand"))
}

/// Lists brands in the order they were made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListBrands {
    /// Most brands of the page, 1..=500. Default 50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<u32>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl Operation for ListBrands {
    type Output = Page<Brand>;
    const NAME: &'static str = "brands.list";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Page<Brand>> {
        let query = Query::by_id().limit(self.limit.unwrap_or(50) as usize);
        let page = cx.page::<Brand>(query, self.cursor.as_deref()).await?;
        Ok(Page { items: page.items.into_iter().map(|b| b.body).collect(), next: page.next })
    }
    fn examples() -> Vec<Self> {
        vec![ListBrands::default()]
    }
}

/// Sets an address, number or account that a brand sends from. The same channel and `from` again changes the
/// profile that is there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSender {
    /// Id or slug of the brand.
    pub brand: String,
    /// The channel it sends on.
    pub channel: Channel,
    /// E-mail address, number, short name or account.
    pub from: String,
    /// Display name. Default: the name of the brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where answers go, if not to `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Postal address for footers. Default: that of the brand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_address: Option<String>,
    /// Where recipients leave the list: an https link that takes a POST; the recipient's token is put behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe_url: Option<String>,
}

impl SetSender {
    fn check(&self) -> Result<()> {
        let mut faults = Faults::new();
        let one_line = |text: &str| !text.chars().any(char::is_control);
        faults.check(
            !self.from.trim().is_empty() && one_line(&self.from),
            "from",
            "expected an address, number or account",
        );
        faults.check(self.name.as_deref().is_none_or(one_line), "name", "expected one line");
        if self.channel == Channel::Email {
            for (field, address) in [("from", Some(&self.from)), ("reply_to", self.reply_to.as_ref())] {
                let valid = address.is_none_or(|a| Mailbox::new(field, "", a).is_ok());
                faults.check(valid, field, "expected an address such as news@shop.example");
            }
        }
        if let Some(link) = &self.unsubscribe_url {
            let valid = url::Url::parse(link).is_ok_and(|u| u.scheme() == "https" && u.has_host());
            faults.check(valid, "unsubscribe_url", "expected an https link");
        }
        faults.into_result(Self::NAME)
    }
}

impl Operation for SetSender {
    type Output = SenderProfile;
    const NAME: &'static str = "brands.set_sender";
    const NEEDS: &'static [Permission] = &[Permission::WriteBrand];
    const EFFECT: Effect = Effect::Idempotent;
    const ERRORS: &'static [&'static str] = &["already_exists"];
    async fn run(self, cx: &Scope) -> Result<SenderProfile> {
        self.check()?;
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let from = self.from.trim().to_owned();
        let known = cx.find::<SenderProfile>("from", Key::text(self.channel.word()).and_text(&from)).await?;
        if known.as_ref().is_some_and(|k| k.brand != brand.id) {
            let kind = neonhub_core::ErrorKind::AlreadyExists;
            return Err(Error::new(
                kind,
                Self::NAME,
                "another brand sends from this address, number or account",
            ));
        }
        let profile = SenderProfile {
            id: known.as_ref().map_or_else(|| SenderId::new(cx), |k| k.id.clone()),
            brand: brand.id,
            channel: self.channel,
            from,
            name: self.name.unwrap_or(brand.name),
            reply_to: self.reply_to,
            postal_address: self.postal_address.or(brand.postal_address),
            unsubscribe_url: self.unsubscribe_url,
        };
        match known {
            Some(known) if known.body == profile => {}
            Some(mut known) => {
                known.body = profile.clone();
                cx.save(&known)?;
            }
            None => cx.create(&profile)?,
        }
        Ok(profile)
    }
    fn examples() -> Vec<Self> {
        vec![SetSender {
            brand: "bergkaffee".into(),
            channel: Channel::Email,
            from: "hallo@bergkaffee.example".into(),
            name: Some("Bergkaffee".into()),
            reply_to: None,
            postal_address: Some("Hauptplatz 1, 1010 Wien".into()),
            unsubscribe_url: Some("https://bergkaffee.example/leave".into()),
        }]
    }
}

/// Lists the addresses, numbers and accounts of a brand.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSenders {
    /// Id or slug of the brand.
    pub brand: String,
}

impl Operation for ListSenders {
    type Output = Vec<SenderProfile>;
    const NAME: &'static str = "brands.senders";
    const NEEDS: &'static [Permission] = &[Permission::ReadContent];
    const EFFECT: Effect = Effect::Read;
    async fn run(self, cx: &Scope) -> Result<Vec<SenderProfile>> {
        let brand = by_id_or_slug(cx, &self.brand).await?;
        let query = Query::index("brand").prefix(Key::text(brand.id.as_str())).limit(500);
        Ok(cx.query::<SenderProfile>(&query).await?.into_iter().map(|s| s.body).collect())
    }
    fn examples() -> Vec<Self> {
        vec![ListSenders { brand: "bergkaffee".into() }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_come_from_names() {
        assert_eq!(slug_of("Bergkaffee & Söhne GmbH"), "bergkaffee-sohne-gmbh");
        assert_eq!(slug_of("  日本 "), "");
    }
}
