//! Who can answer a request, and why the others cannot.

use serde::{Deserialize, Serialize};

use super::{ModelName, Route, Router};
use crate::economy::Worst;
use crate::llm::request::ToolChoice;
use crate::llm::table::ModelRow;
use crate::llm::{Llm, LlmRequest, ModelCaps, PartBody};
use crate::{Error, ErrorKind, Result, Scope};

/// How the reason begins of what was left out for its region.
const REGION: &str = "its region";

/// Why a model is left out that gets no pictures.
const IMAGE: &str = "takes no image part";
/// Why a model is left out that gets no documents.
const DOCUMENT: &str = "takes no document part";

/// A model that was looked at for a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Its provider.
    pub provider: String,
    /// The model; `None` is the provider's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Why it is left out; `None` when it may answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The most that it can cost, in micros; `None` when its price is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_micros: Option<u64>,
    /// The currency of its price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

impl Considered {
    pub(super) fn of(step: &ModelName) -> Self {
        Considered {
            provider: step.provider.clone(),
            model: step.model.clone(),
            skipped: None,
            worst_micros: None,
            currency: None,
        }
    }

    /// What its breaker and its quota go by.
    pub(super) fn target(&self) -> String {
        format!("model:{}/{}", self.provider, self.model.as_deref().unwrap_or("default"))
    }
}

impl Considered {
    /// Leaves it out when it may pass the limit of the route.
    fn limit(&mut self, route: &Route) {
        let (Some((currency, most)), None) = (&route.limit, &self.skipped) else { return };
        let known = self.currency.as_ref().filter(|own| *own == currency).and(self.worst_micros);
        self.skipped = match known {
            Some(worst) if worst > *most => Some(format!("it may cost {worst} micros, the limit is {most}")),
            None if !route.allow_unknown_price => Some("its price is unknown, and a limit is set".into()),
            _ => None,
        };
    }
}

/// The models of a route, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutePlan {
    /// The route.
    pub route: String,
    /// Its models.
    pub considered: Vec<Considered>,
    /// Why another route or order was taken than the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub degraded: Option<String>,
}

impl Router {
    /// Looks at every model of the request's route. Nothing is asked.
    ///
    /// # Errors
    /// `NotFound` for a route or provider that is not here; `InvalidInput` for a wrong request.
    pub fn plan(&self, request: &LlmRequest) -> Result<RoutePlan> {
        request.check()?;
        self.plan_for(&self.route_of(request)?, request)
    }

    pub(super) fn plan_for(&self, route: &Route, request: &LlmRequest) -> Result<RoutePlan> {
        let mut considered = Vec::new();
        for step in &route.steps {
            let mut one = Considered::of(step);
            match self.models.get(&step.provider) {
                None => one.skipped = Some("no such provider is set up".into()),
                Some(model) => self.consider(route, request, model.as_ref(), &mut one)?,
            }
            considered.push(one);
        }
        Ok(RoutePlan { route: route.name.clone(), considered, degraded: None })
    }

    fn consider(
        &self,
        route: &Route,
        request: &LlmRequest,
        model: &dyn Llm,
        one: &mut Considered,
    ) -> Result<()> {
        let name = one.model.as_deref();
        let own = name.and_then(|name| self.table.own_caps(&one.provider, name));
        let sent = model.caps(name);
        // A row of one's own says what a model can read, and not what its adapter can send.
        let caps = own.map_or_else(
            || sent.clone(),
            |own| ModelCaps {
                images_in: own.images_in && sent.images_in,
                documents_in: own.documents_in && sent.documents_in,
                ..own
            },
        );
        // The offline model says by itself what it cannot do: it depends on the task.
        if one.provider == "offline" {
            one.worst_micros = Some(0);
            return Ok(());
        }
        let mut asked = request.clone();
        asked.model.clone_from(&one.model);
        let input = model.count(&asked)?;
        let output = request.max_output_tokens.map_or(caps.max_output_tokens, u64::from);
        // An unset limit does not keep a request out: the answer takes what is left of the window.
        let needed = input.tokens + request.max_output_tokens.map_or(1, u64::from);
        one.skipped = lacks(request, &caps).map(|what| format!("it {what}")).or_else(|| {
            (needed > caps.context_tokens)
                .then(|| format!("it needs about {needed} tokens, the window holds {}", caps.context_tokens))
        });
        let row = self.table.row(&one.provider, one.model.as_deref().unwrap_or_default());
        let prices = row.and_then(|row| row.prices.as_ref());
        one.worst_micros = prices.map(|prices| prices.worst(input.tokens, input.exact, output).micros());
        one.currency = prices.map(|prices| prices.currency.clone());
        one.limit(route);
        Ok(())
    }

    /// Looks at every model of a route for a call that is no text: pictures or verdicts.
    pub(super) fn plan_kind(
        &self,
        route: &Route,
        kind: &str,
        has: impl Fn(&str) -> bool,
        worst: impl Fn(Option<&ModelRow>) -> Worst,
    ) -> RoutePlan {
        let consider = |step: &ModelName| {
            let mut one = Considered::of(step);
            if !has(&step.provider) {
                one.skipped = Some("no such provider is set up".into());
            } else if step.provider == "offline" {
                one.worst_micros = Some(0);
            } else {
                let row = self.table.row(&one.provider, one.model.as_deref().unwrap_or_default());
                if row.is_some_and(|row| row.kinds.iter().all(|of| of != kind)) {
                    one.skipped = Some(format!("it is no model for `{kind}`"));
                }
                let worst = worst(row);
                let prices = row.and_then(|row| row.prices.as_ref());
                let prices = prices.map(|p| if worst.images > 0 { p.of_pictures() } else { p.clone() });
                one.worst_micros =
                    prices.as_ref().map(|prices| prices.worst(worst.input, false, worst.output).micros());
                one.currency = prices.map(|prices| prices.currency);
                one.limit(route);
            }
            one
        };
        let considered = route.steps.iter().map(consider).collect();
        RoutePlan { route: route.name.clone(), considered, degraded: None }
    }
}

impl RoutePlan {
    /// Leaves out what the data of the workspace may not go to. `of` gives the region of a provider.
    pub(super) async fn within(&mut self, cx: &Scope, of: impl Fn(&str) -> Option<String>) -> Result<()> {
        let residency = cx.control().await?.residency.clone();
        for one in self.considered.iter_mut().filter(|one| one.skipped.is_none()) {
            let region = of(&one.provider);
            if !residency.admits(region.as_deref()) {
                let region = region.as_deref().unwrap_or("unknown");
                let wanted = residency.region.as_deref().unwrap_or_default();
                one.skipped = Some(format!("{REGION} is {region}, the workspace wants {wanted}"));
            }
        }
        Ok(())
    }
}

impl RoutePlan {
    /// Leaves out models that failed their health checks three times in a row, as a provider (`model:openai`) or alone
    /// (`model:openai/gpt`). When none would be left they are asked all the same: what a check found minutes ago must not
    /// keep out the only one, and its breaker bounds what that costs.
    pub(super) async fn pass_ill(&mut self, cx: &Scope) -> Result<()> {
        let mut ill = Vec::new();
        for (i, one) in self.considered.iter().enumerate().filter(|(_, one)| one.skipped.is_none()) {
            let provider = format!("model:{}", one.provider);
            if cx.hub().is_unavailable(cx, &provider).await?
                || cx.hub().is_unavailable(cx, &one.target()).await?
            {
                ill.push(i);
            }
        }
        let left = self.considered.iter().filter(|one| one.skipped.is_none()).count();
        if ill.len() < left {
            for i in ill {
                if let Some(one) = self.considered.get_mut(i) {
                    one.skipped = Some("it failed its health checks three times in a row".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// A capability that a request needs and a model lacks.
fn lacks(request: &LlmRequest, caps: &ModelCaps) -> Option<&'static str> {
    let holds = |is: fn(&PartBody) -> bool| request.parts().any(|part| is(&part.body));
    let is_forced = matches!(request.tool_choice, ToolChoice::Required | ToolChoice::Named(_));
    if !request.tools.is_empty() && !caps.tools {
        Some("is not known to call tools")
    } else if !request.tools.is_empty() && is_forced && !caps.forced_choice {
        Some("cannot be made to call a tool")
    } else if request.output_schema.is_some() && !caps.json_schema {
        Some("is not known to answer in JSON of a schema")
    } else if holds(|body| matches!(body, PartBody::Image { .. })) && !caps.images_in {
        Some(IMAGE)
    } else if holds(|body| matches!(body, PartBody::Document { .. })) && !caps.documents_in {
        Some(DOCUMENT)
    } else {
        None
    }
}

/// The kind of part for which every model was left out, and the ability it takes.
fn refused_part(plan: &RoutePlan) -> Option<(&'static str, &'static str)> {
    let all = |why: &str| {
        let is_it = |one: &Considered| one.skipped.as_deref().is_some_and(|skipped| skipped.ends_with(why));
        !plan.considered.is_empty() && plan.considered.iter().all(is_it)
    };
    [(IMAGE, ("image", "images_in")), (DOCUMENT, ("document", "documents_in"))]
        .into_iter()
        .find_map(|(why, part)| all(why).then_some(part))
}

/// Nobody on the route can answer.
pub(super) fn nobody(plan: &RoutePlan) -> Error {
    let is_money = |one: &Considered| {
        one.skipped.as_deref().is_some_and(|why| why.contains("micros") || why.contains("price"))
    };
    let kind = if !plan.considered.is_empty() && plan.considered.iter().all(is_money) {
        ErrorKind::BudgetExceeded
    } else {
        ErrorKind::Unsupported
    };
    let is_away = |one: &Considered| one.skipped.as_deref().is_some_and(|why| why.starts_with(REGION));
    let error = if !plan.considered.is_empty() && plan.considered.iter().all(is_away) {
        let message = "no model of this route is in the region of the workspace: use one that is, or set residency_any \
                       for those of unknown region";
        Error::new(ErrorKind::Blocked, "llm.route", message).with_code("residency")
    } else if let Some((part, capability)) = refused_part(plan) {
        let message = format!("no model of this route takes {part} parts yet: send the text of it");
        Error::new(kind, "llm.route", message).with_context("capability", capability)
    } else {
        Error::new(kind, "llm.route", "no model of this route can answer: add one, or ask for less")
    };
    plan.considered.iter().fold(error.with_context("route", &plan.route), |error, one| {
        error.with_context(one.target(), one.skipped.as_deref().unwrap_or(""))
    })
}
