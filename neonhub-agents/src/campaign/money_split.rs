//! Sharing the budget out and estimating what a plan costs.

use neonhub_core::{Money, Result};

use super::plan::{BudgetShare, CostRange, PlanFacts};
use super::{Brief, CampaignChannel};

/// The least share of an ad budget that is usually spent, in percent (ours).
const ADS_LOW_PERCENT: i64 = 80;

/// Weight of a channel and what its money pays for. Ours: a cold start until results of the brand's own
/// campaigns are there; paid reach gets most, owned channels what their messages need.
fn weight(channel: CampaignChannel) -> (u32, &'static str) {
    match channel {
        CampaignChannel::Email => (15, "sending the sequence"),
        CampaignChannel::Sms => (15, "message segments"),
        CampaignChannel::X => (8, "boosting the post"),
        CampaignChannel::Linkedin => (10, "boosting the post"),
        CampaignChannel::Instagram => (12, "boosting the post"),
        CampaignChannel::Facebook => (10, "boosting the post"),
        CampaignChannel::Ads => (25, "clicks on search ads"),
        CampaignChannel::Blog => (5, "editing the article"),
    }
}

/// Shares the whole budget out over the channels of the brief; the parts sum to it to the minor unit.
pub(super) fn shares(brief: &Brief) -> Vec<BudgetShare> {
    let weights: Vec<u32> = brief.channels.iter().map(|c| weight(*c).0).collect();
    let parts = brief.budget.split(&weights);
    let share = |(channel, amount): (&CampaignChannel, Money)| {
        let (weight, pays_for) = weight(*channel);
        BudgetShare { channel: *channel, amount, weight, pays_for: pays_for.into() }
    };
    brief.channels.iter().zip(parts).map(share).collect()
}

/// Messages that `channel` sends to each person of the audience.
pub(super) fn messages_per_person(channel: CampaignChannel) -> u64 {
    if channel == CampaignChannel::Email { 3 } else { 1 }
}

/// What the plan costs: paid shares up to their amount, messages by price, and by name what has no price.
///
/// # Errors
/// `InvalidInput` when the sum is over the largest amount there is.
pub(super) fn estimate(brief: &Brief, shares: &[BudgetShare], facts: &PlanFacts) -> Result<CostRange> {
    let zero = Money::new(0, brief.budget.currency)?;
    let mut cost = CostRange { low: zero, estimate: zero, high: zero, unknown: Vec::new() };
    for share in shares {
        let (low, middle) = match (share.channel.is_personal(), price(share.channel, facts)) {
            (false, _) => (percent(share.amount, ADS_LOW_PERCENT)?, share.amount),
            (true, Some(micros)) => {
                let count = facts.people.saturating_mul(messages_per_person(share.channel));
                let sum = from_micros(count.saturating_mul(micros), zero)?;
                // The gate may refuse every message, so the least is nothing.
                (zero, sum)
            }
            (true, None) => {
                let name = share.channel.title();
                cost.unknown.push(format!("{name}: no price per message is known"));
                (zero, zero)
            }
        };
        cost.low = cost.low.plus(low)?;
        cost.estimate = cost.estimate.plus(middle)?;
        cost.high = cost.high.plus(middle)?;
    }
    Ok(cost)
}

fn price(channel: CampaignChannel, facts: &PlanFacts) -> Option<u64> {
    facts.price_micros.iter().find(|(c, _)| *c == channel).map(|(_, micros)| *micros)
}

fn percent(amount: Money, percent: i64) -> Result<Money> {
    Money::new(amount.minor / 100 * percent + amount.minor % 100 * percent / 100, amount.currency)
}

/// Micros of the main unit as minor units, rounded up: what is below one minor unit is still owed.
fn from_micros(micros: u64, zero: Money) -> Result<Money> {
    let per_minor = 10_u64.pow(6_u32.saturating_sub(u32::from(zero.currency.exponent())));
    Money::new(i64::try_from(micros.div_ceil(per_minor)).unwrap_or(i64::MAX), zero.currency)
}
