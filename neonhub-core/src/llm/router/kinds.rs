//! Pictures and verdicts through routes: the same order, failover, quotas and breakers as for text.

use std::sync::{Arc, LazyLock};

use futures_util::StreamExt;

use super::tries::Tries;
use super::{DEFAULT, IMAGE, MODERATION, Route, Router};
use crate::economy::{Made, Worst, metered};
use crate::http::truncated;
use crate::hub::Called;
use crate::llm::image::{ImageDelta, ImageRequest, ImageStream, StoredImage, worst_tokens};
use crate::llm::moderation::{Moderated, ModerationRequest};
use crate::llm::table::{ModelRow, Prices, with_own_rows};
use crate::llm::{ModelCost, Origin, Usage, Warning};
use crate::{Error, ErrorKind, Result, Scope};

/// The router of a hub without one: what is offline.
static BARE: LazyLock<Arc<Router>> = LazyLock::new(|| Arc::new(Router::new()));

/// Which model a call wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Named {
    /// Whatever the route of its kind says.
    #[default]
    Default,
    /// A route, by its name.
    Route(String),
    /// A model of a provider, `provider/model`.
    Model(String),
}

/// Pictures in the blob store, and how they came about.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptImages {
    /// The pictures.
    pub images: Vec<StoredImage>,
    /// Tokens.
    pub usage: Usage,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// What they count as.
    pub origin: Origin,
    /// What was left out.
    pub warnings: Vec<Warning>,
}

impl Router {
    /// The router of a scope, and what a call of an operation names: one of both at most.
    pub(crate) async fn for_call(
        cx: &Scope,
        operation: &'static str,
        route: Option<String>,
        model: Option<String>,
    ) -> Result<(Router, Named)> {
        let named = match (route, model) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid(operation, "model", "expected either a route or a model"));
            }
            (Some(route), None) => Named::Route(route),
            (None, Some(model)) => Named::Model(model),
            (None, None) => Named::Default,
        };
        Ok((Router::of(cx).await?, named))
    }

    /// What an answer cost, by the prices that `of` makes of those in the table.
    pub(crate) fn cost_of(
        &self,
        (provider, model): (&str, &str),
        origin: Origin,
        usage: &Usage,
        of: fn(&Prices) -> Prices,
    ) -> Option<ModelCost> {
        let row = self.table.answered(provider, model);
        let prices = row.and_then(|row| row.prices.as_ref()).map(of);
        ModelCost::priced(origin.is_offline(), prices.as_ref(), usage)
    }

    /// The router of a scope, with the workspace's own rows in its table.
    pub(crate) async fn of(cx: &Scope) -> Result<Router> {
        let router = cx.hub().service::<Router>().unwrap_or_else(|| Arc::clone(&BARE));
        let table = with_own_rows(cx, &router.table).await?;
        Ok(Router::clone(&router).table(table))
    }

    /// The route that a model belongs to by the model table.
    pub(super) fn route_for(&self, provider: &str, model: &str) -> &'static str {
        let row = self.table.row(provider, model);
        match row.and_then(|row| row.kinds.first()).map(String::as_str) {
            Some("image") => IMAGE,
            Some("moderation") => MODERATION,
            _ => DEFAULT,
        }
    }

    fn route_named(&self, named: &Named, default: &str, has: impl Fn(&str) -> bool) -> Result<Route> {
        let missing = |field: &'static str, name: &str, message: &'static str| {
            Err(Error::new(ErrorKind::NotFound, "llm.route", message).with_context(field, name))
        };
        match named {
            Named::Default => {
                let route = self.routes.get(default).cloned();
                Ok(route.unwrap_or_else(|| Route::new(default).offline_last()))
            }
            Named::Route(name) => match self.routes.get(name) {
                Some(route) => Ok(route.clone()),
                None => missing("route", name, "no route has this name"),
            },
            Named::Model(name) => match name.split_once('/') {
                Some((provider, model)) if has(provider) => {
                    Ok(Route::new(name.clone()).then(provider, model))
                }
                _ => missing("model", name, "expected `provider/model` with a provider of this router"),
            },
        }
    }

    /// Makes pictures and keeps their bytes in the blob store, each as it comes.
    ///
    /// # Errors
    /// When no model of the route answered: one error that lists every attempt. Errors of the request itself at once.
    pub async fn images(&self, cx: &Scope, named: &Named, request: ImageRequest) -> Result<KeptImages> {
        request.check()?;
        let has = |provider: &str| self.images.contains_key(provider);
        let route = self.route_named(named, IMAGE, has)?;
        let worst = |row: Option<&ModelRow>| worst_tokens(&request, row.and_then(|row| row.max_output));
        let mut plan = self.plan_kind(&route, "image", has, worst);
        plan.within(cx, |provider| self.images.get(provider)?.region().map(str::to_owned)).await?;
        plan.pass_ill(cx).await?;
        let mut tries = Tries::of(cx, &plan, |provider| Some(self.images.get(provider)?.lane()))?;
        let (router, cx) = (self.clone(), cx.clone());
        tries
            .until(move |one| {
                let (router, cx, mut request) = (router.clone(), cx.clone(), request.clone());
                async move {
                    let model = router.images.get(&one.provider).ok_or_else(gone)?;
                    request.model.clone_from(&one.model);
                    request.deadline = request.deadline.or(cx.deadline());
                    let name = one.model.as_deref().unwrap_or_default();
                    let row = router.table.row(&one.provider, name);
                    let worst = worst_tokens(&request, row.and_then(|row| row.max_output));
                    let call = async { kept(&cx, model.generate(request).await?, worst).await };
                    // Boxed: by value the call would stand on the stack once more in each layer.
                    let call = Box::pin(cx.hub().faulted(Called::Model(&one.provider), "llm.image", call));
                    metered(&cx, (&one.provider, name), "image", worst, call).await
                }
            })
            .await
    }

    /// Judges texts and pictures, batch by batch.
    ///
    /// # Errors
    /// As [`images`](Self::images). When a batch fails on every model, no verdict of an earlier one is given.
    pub async fn moderate(&self, cx: &Scope, named: &Named, request: ModerationRequest) -> Result<Moderated> {
        let has = |provider: &str| self.moderators.contains_key(provider);
        let route = self.route_named(named, MODERATION, has)?;
        let input = request.tokens();
        let mut plan = self.plan_kind(&route, "moderation", has, |_| Worst { input, ..Worst::default() });
        plan.within(cx, |provider| self.moderators.get(provider)?.region().map(str::to_owned)).await?;
        plan.pass_ill(cx).await?;
        let mut tries = Tries::of(cx, &plan, |provider| Some(self.moderators.get(provider)?.lane()))?;
        let (router, cx) = (self.clone(), cx.clone());
        tries
            .until(move |one| {
                let (router, cx, request) = (router.clone(), cx.clone(), request.clone());
                async move {
                    let model = router.moderators.get(&one.provider).ok_or_else(gone)?;
                    let name = one.model.as_deref().unwrap_or_default();
                    let mut all: Option<Moderated> = None;
                    for batch in request.inputs.chunks(model.max_batch().max(1)) {
                        let batch = ModerationRequest {
                            model: one.model.clone(),
                            inputs: batch.to_vec(),
                            deadline: request.deadline.or(cx.deadline()),
                        };
                        let worst = Worst { input: batch.tokens(), ..Worst::default() };
                        let called = Called::Model(&one.provider);
                        let call = Box::pin(cx.hub().faulted(called, "llm.moderate", async {
                            let made = model.classify(&batch).await?;
                            let usage = Usage { input_uncached: batch.tokens(), ..Usage::default() };
                            Ok(Made { usage: Some(usage), model: Some(made.model.clone()), value: made })
                        }));
                        let made = metered(&cx, (&one.provider, name), "moderation", worst, call).await?;
                        match &mut all {
                            Some(all) => all.verdicts.extend(made.verdicts),
                            None => all = Some(made),
                        }
                    }
                    all.ok_or_else(|| {
                        Error::invalid("llm.moderate", "inputs", "expected at least one text or picture")
                    })
                }
            })
            .await
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Config, "llm.route", "no such provider is set up")
}

/// Reads pictures and puts each into the blob store.
async fn kept(cx: &Scope, mut stream: ImageStream, worst: Worst) -> Result<Made<KeptImages>> {
    let mut out = KeptImages {
        images: Vec::new(),
        usage: Usage::default(),
        provider: String::new(),
        model: String::new(),
        origin: Origin::Model,
        warnings: Vec::new(),
    };
    let mut usage = None;
    while let Some(delta) = stream.next().await {
        match delta? {
            ImageDelta::Started { provider, model, origin } => {
                (out.provider, out.model, out.origin) = (provider, model, origin);
            }
            ImageDelta::Warning { code, message } => out.warnings.push(Warning { code, message }),
            ImageDelta::Picture(picture) => {
                let blob = cx.store().blob_put(&picture.bytes).await?;
                let size_bytes = picture.bytes.len() as u64;
                out.images.push(StoredImage { blob, format: picture.format, size_bytes });
            }
            ImageDelta::Usage(counted) if counted.exact => usage = Some(counted),
            ImageDelta::Usage(_) => {}
            ImageDelta::Done => {
                // What was not counted is not nothing: it stands as its worst case.
                let estimate =
                    Usage { input_uncached: worst.input, output_visible: worst.output, ..Usage::default() };
                out.usage =
                    if out.origin.is_offline() { Usage::default() } else { usage.unwrap_or(estimate) };
                let model = Some(out.model.clone());
                return Ok(Made { value: out, usage, model });
            }
        }
    }
    Err(truncated("the pictures ended before their last event: call again").for_operation("llm.image"))
}
