//! Calls of models that answer with pictures, vectors or verdicts: held and counted as those that write text.

use std::future::Future;

use super::meter::{Need, check, reserve};
use crate::llm::Usage;
use crate::{Error, ErrorKind, Result, Scope};

/// The most that a call can use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Worst {
    /// Tokens of input.
    pub input: u64,
    /// Tokens of output, pictures among them.
    pub output: u64,
    /// Pictures that are asked for.
    pub images: u32,
}

/// What a call made, and what it used for it.
#[derive(Clone, Debug)]
pub(crate) struct Made<T> {
    /// The answer.
    pub value: T,
    /// Tokens; `None` when the provider did not count, which settles the estimate.
    pub usage: Option<Usage>,
    /// The model that answered, when it said so.
    pub model: Option<String>,
}

/// Holds the worst case of a call from every quota, makes the call, and settles what it used.
///
/// # Errors
/// Those of holding, with [`RESERVE`](super::RESERVE) as their operation; those of the call.
pub(crate) async fn metered<T>(
    cx: &Scope,
    (provider, model): (&str, &str),
    purpose: &str,
    worst: Worst,
    call: impl Future<Output = Result<Made<T>>>,
) -> Result<T> {
    // What is offline is free and not counted.
    if provider == "offline" {
        return Ok(call.await?.value);
    }
    let ticket = reserve(cx, need(cx, (provider, model), purpose, worst).await?).await?;
    match cx.in_trace(call).await {
        Ok(made) => {
            ticket.settle(made.usage, made.model).await;
            Ok(made.value)
        }
        Err(error) if may_be_paid(&error) => {
            ticket.settle(None, None).await;
            Err(error)
        }
        Err(error) => {
            ticket.release().await;
            Err(error)
        }
    }
}

/// Checks that the quotas of a scope would hold calls that use so much in all. Nothing is held: each call is metered.
///
/// # Errors
/// Those of holding.
pub(crate) async fn affordable(
    cx: &Scope,
    (provider, model): (&str, &str),
    purpose: &str,
    worst: Worst,
) -> Result<()> {
    if provider == "offline" {
        return Ok(());
    }
    check(cx, need(cx, (provider, model), purpose, worst).await?).await
}

async fn need(cx: &Scope, (provider, model): (&str, &str), purpose: &str, worst: Worst) -> Result<Need> {
    let table = cx.model_table().await?;
    let prices = table.answered(provider, model).and_then(|row| row.prices.as_ref());
    let prices = prices.map(|prices| if worst.images > 0 { prices.of_pictures() } else { prices.clone() });
    // Inputs are estimates here, which count with a tenth more.
    let input = worst.input.saturating_add(worst.input.div_ceil(10));
    Ok(Need {
        provider: provider.to_owned(),
        model: model.to_owned(),
        input: worst.input,
        output: worst.output,
        tokens: input.saturating_add(worst.output),
        micros: prices.as_ref().map(|prices| prices.worst(worst.input, false, worst.output).micros()),
        prices,
        campaign: None,
        purpose: Some(purpose.to_owned()),
        price_version: table.version().to_owned(),
        images: worst.images,
    })
}

/// Whether a failed call may have been billed: no answer came, or one that was broken.
fn may_be_paid(error: &Error) -> bool {
    use ErrorKind as K;
    matches!(error.kind(), K::Timeout | K::OutcomeUnknown | K::Corrupted) || error.code() == "truncated"
}
