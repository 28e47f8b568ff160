//! Records: quotas, what was used of them, and the use of models.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id_type;
use crate::store::{Index, Key, Record};
use crate::{Money, Timestamp};

id_type!(QuotaId, "quo", "A quota.");
id_type!(UsageId, "use", "One call of a model.");

/// Micros of one unit of a currency.
const MICROS: u64 = 1_000_000;

/// Whose use is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum QuotaSubject {
    /// Everybody's in the workspace.
    Workspace,
    /// One caller's.
    Principal {
        /// As records name it: `user:ada`, `api_key:..`.
        id: String,
    },
    /// An agent's, for whomever it works.
    Agent {
        /// Its name.
        name: String,
    },
    /// That of calls labelled with a campaign.
    Campaign {
        /// Its id.
        id: String,
    },
    /// One run's.
    Run {
        /// Its id.
        id: String,
    },
}

impl QuotaSubject {
    /// One text for it.
    pub(super) fn key(&self) -> String {
        match self {
            QuotaSubject::Workspace => "workspace".to_owned(),
            QuotaSubject::Principal { id } => format!("principal:{id}"),
            QuotaSubject::Agent { name } => format!("agent:{name}"),
            QuotaSubject::Campaign { id } => format!("campaign:{id}"),
            QuotaSubject::Run { id } => format!("run:{id}"),
        }
    }
}

/// How long use adds up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuotaWindow {
    /// Within one run; calls outside of runs are not bounded by it.
    Run,
    /// An hour by UTC.
    Hour,
    /// A day by UTC.
    Day,
    /// A month by UTC.
    Month,
}

impl QuotaWindow {
    pub(super) fn word(self) -> &'static str {
        match self {
            QuotaWindow::Run => "run",
            QuotaWindow::Hour => "hour",
            QuotaWindow::Day => "day",
            QuotaWindow::Month => "month",
        }
    }

    /// The name of the window that an instant lies in; `None` for one of runs outside of a run.
    pub(super) fn at(self, now: Timestamp, run: Option<&str>) -> Option<String> {
        let at = now.in_zone(&jiff::tz::TimeZone::UTC);
        let format = match self {
            QuotaWindow::Run => return run.map(str::to_owned),
            QuotaWindow::Hour => "%Y-%m-%dT%H",
            QuotaWindow::Day => "%Y-%m-%d",
            QuotaWindow::Month => "%Y-%m",
        };
        Some(at.strftime(format).to_string())
    }
}

/// What a call that would pass the limit ends with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HardLimit {
    /// A run asks whether more is allowed and waits for the answer. Every other caller gets `BudgetExceeded` with the code
    /// `budget_paused`: worth another try after the quota was raised.
    #[default]
    Pause,
    /// `BudgetExceeded` with the code `budget_spent`, in runs as well.
    Fail,
}

/// How much a subject may use in a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// Id.
    pub id: QuotaId,
    /// Whose use.
    pub subject: QuotaSubject,
    /// In which window.
    pub window: QuotaWindow,
    /// Most tokens, input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Most money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub money: Option<Money>,
    /// The share of the limit from which `economy.soft_cap` is told, once a window; above 0, at most 1.
    pub soft_share: f64,
    /// What a call that would pass it ends with.
    pub hard: HardLimit,
    /// Whether calls of unknown price may pass a limit of money.
    #[serde(default)]
    pub allow_unknown_price: bool,
}

impl Quota {
    /// The limit of money in micros.
    pub(super) fn limit_micros(&self) -> Option<u64> {
        let money = self.money?;
        let minor = 10_u64.checked_pow(u32::from(money.currency.exponent()))?;
        u64::try_from(money.minor).ok()?.checked_mul(MICROS.checked_div(minor)?)
    }
}

impl Record for Quota {
    const KIND: &'static str = "economy_quota";
    const INDEXES: &'static [Index] = &[Index::unique("subject")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(Key::text(self.subject.key()).and_text(self.window.word()))]
    }
}

/// What was used of a quota in one window, and what calls under way hold of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spend {
    /// Quota and window.
    pub id: String,
    /// Micros that were used.
    pub micros: u64,
    /// Tokens that were used.
    pub tokens: u64,
    /// What calls under way may still use.
    pub holds: Vec<Hold>,
    /// Whether the soft limit was told.
    #[serde(default)]
    pub is_told: bool,
    /// Micros that people allowed beyond the limit.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more_micros: u64,
    /// Tokens that people allowed beyond the limit.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub more_tokens: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(super) fn is_nothing(amount: &u64) -> bool {
    *amount == 0
}

/// The worst case of one call under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The call.
    pub id: UsageId,
    /// In micros.
    pub micros: u64,
    /// In tokens.
    pub tokens: u64,
    /// From here on it counts as used.
    pub until: Timestamp,
}

impl Record for Spend {
    const KIND: &'static str = "economy_spend";
    fn id(&self) -> &str {
        &self.id
    }
}

impl Spend {
    /// Holds of calls whose process died count as used.
    pub(super) fn expire(&mut self, now: Timestamp) {
        let (over, live): (Vec<Hold>, Vec<Hold>) =
            std::mem::take(&mut self.holds).into_iter().partition(|hold| hold.until <= now);
        self.holds = live;
        for hold in over {
            self.micros = self.micros.saturating_add(hold.micros);
            self.tokens = self.tokens.saturating_add(hold.tokens);
        }
    }

    /// The limit of money in this window, in micros, with what people allowed beyond it.
    pub(super) fn micros_of(&self, quota: &Quota) -> Option<u64> {
        Some(quota.limit_micros()?.saturating_add(self.more_micros))
    }

    /// The limit of tokens in this window, with what people allowed beyond it.
    pub(super) fn tokens_of(&self, quota: &Quota) -> Option<u64> {
        Some(quota.tokens?.saturating_add(self.more_tokens))
    }

    /// Micros and tokens that are used or held.
    pub(super) fn taken(&self) -> (u64, u64) {
        self.holds.iter().fold((self.micros, self.tokens), |(micros, tokens), hold| {
            (micros.saturating_add(hold.micros), tokens.saturating_add(hold.tokens))
        })
    }
}

/// One call of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenUsage {
    /// Id.
    pub id: UsageId,
    /// When it ended.
    pub at: Timestamp,
    /// Who called, as records name it.
    pub principal: String,
    /// The agent, if one called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The campaign that the call was labelled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// What the answer was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The provider.
    pub provider: String,
    /// The model that answered, or was asked when none did.
    pub model: String,
    /// Input tokens that were not cached.
    pub input: u64,
    /// Input tokens read from a cache.
    pub cached_read: u64,
    /// Input tokens written to a cache.
    pub cache_write: u64,
    /// Output tokens that can be seen.
    pub output: u64,
    /// Output tokens of reasoning.
    pub reasoning: u64,
    /// Pictures that were asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: u32,
    /// How long it took.
    pub latency_ms: u64,
    /// What it cost, in micros; absent when no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// The currency of the cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The version of the model table that the price is from.
    pub price_version: String,
    /// True when the provider did not count all tokens: the numbers are our estimate.
    pub estimated: bool,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Record for TokenUsage {
    const KIND: &'static str = "token_usage";
    const INDEXES: &'static [Index] = &[Index::on("at"), Index::on("run")];
    fn id(&self) -> &str {
        self.id.as_str()
    }
    fn keys(&self) -> Vec<Option<Key>> {
        vec![Some(self.at.into()), self.run.as_deref().map(|run| Key::text(run).and_int(self.at.as_millis()))]
    }
}
