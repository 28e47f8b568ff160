//! Changing the agents of a workspace.

use neonhub_core::bus::Event;
use neonhub_core::economy::{PutQuota, QuotaSubject, QuotaWindow};
use neonhub_core::op::{Effect, Operation};
use neonhub_core::store::{Expected, Stored};
use neonhub_core::{Error, ErrorKind, Faults, Money, Permission, Result, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::directory::{Directory, unknown};
use super::model::{AgentSpec, AgentState, SpecRow, Standing};
use super::{builtin, check, instruct};

/// Keeps a version of an agent as a draft: a new agent, or one that is to take the place of a built-in one. A draft may
/// be put again; a version that was activated never changes. A prompt of the registry that it names must be there.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutAgent {
    /// What it is; its `state` is not read.
    pub spec: AgentSpec,
}

impl Operation for PutAgent {
    type Output = AgentSpec;
    const NAME: &'static str = "agents.put";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["version_taken"];

    async fn run(self, cx: &Scope) -> Result<AgentSpec> {
        let mut faults = Faults::new();
        check::shape(&self.spec, &mut faults);
        instruct::check(cx, &self.spec, &mut faults).await?;
        faults.into_result(Self::NAME)?;
        let spec = AgentSpec { state: AgentState::Draft, ..self.spec };
        let id = SpecRow::id_of(&spec.name, &spec.version);
        let found = cx.get::<SpecRow>(&id).await?;
        let is_builtin = builtin::find(&spec.name).is_some_and(|own| own.version == spec.version);
        if is_builtin || found.as_ref().is_some_and(|row| row.spec.state != AgentState::Draft) {
            let why = "this version is in use or was: raise the version";
            return Err(Error::new(ErrorKind::Conflict, Self::NAME, why)
                .with_code("version_taken")
                .with_context("version", &spec.version));
        }
        let expected = found.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
        cx.put(&SpecRow { id, spec: spec.clone() }, expected)?;
        Ok(spec)
    }

    fn examples() -> Vec<Self> {
        let mut spec = builtin::all().iter().find(|s| s.name == "support").cloned().unwrap_or_default();
        spec.version = "1.1.0".into();
        spec.state = AgentState::Draft;
        vec![PutAgent { spec }]
    }
}

/// Puts a version of an agent into use, after every tool, operation and prompt it names was found; the one before is
/// kept for the runs that began with it. Without a version: an agent that was switched off is switched on again. Limits of
/// money that a version brings or takes away ask for `manage:billing` as well.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateAgent {
    /// Its name.
    pub name: String,
    /// The version: a draft, one that was used before, or the built-in one. Default: the one in use, or the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Operation for ActivateAgent {
    type Output = AgentSpec;
    const NAME: &'static str = "agents.activate";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["unknown_agent"];

    async fn run(self, cx: &Scope) -> Result<AgentSpec> {
        let directory = Directory::load(cx).await?;
        let names = directory.0.keys().map(String::as_str);
        let agent = directory.0.get(&self.name).ok_or_else(|| unknown(Self::NAME, &self.name, names))?;
        let mut on = agent.clone();
        on.standing.is_off = false;
        let before = on.current().cloned();
        let chosen = match &self.version {
            Some(version) => on.at(version).cloned(),
            None => on.obvious().cloned(),
        };
        let mut spec = chosen.ok_or_else(|| {
            let known: Vec<&str> = agent.versions.iter().map(|spec| spec.version.as_str()).collect();
            Error::new(ErrorKind::NotFound, Self::NAME, "expected `version` to be one that the agent has")
                .with_context("agent", &self.name)
                .with_context("versions", known.join(", "))
        })?;
        let mut faults = Faults::new();
        check::shape(&spec, &mut faults);
        check::parts(cx, &directory, &spec, &mut faults);
        instruct::check(cx, &spec, &mut faults).await?;
        faults.into_result(Self::NAME)?;
        bind_money(cx, before.as_ref(), &spec).await?;
        if let Some(old) = before.filter(|old| old.version != spec.version) {
            turn(cx, &old, AgentState::Deprecated).await?;
        }
        spec.state = AgentState::Active;
        turn(cx, &spec, AgentState::Active).await?;
        let is_builtin = builtin::find(&spec.name).is_some_and(|own| own.version == spec.version);
        let production = (!is_builtin).then(|| spec.version.clone());
        stand(cx, &self.name, |standing| {
            standing.is_off = false;
            standing.production = production;
        })
        .await?;
        emit(cx, "agent.activated", &self.name, Some(&spec.version))?;
        Ok(spec)
    }

    fn examples() -> Vec<Self> {
        vec![ActivateAgent { name: "support".into(), version: Some("1.1.0".into()) }]
    }
}

/// Keeps an agent, or one version of it, from being started. Runs under way go on. Without a version in use an agent
/// falls back to the built-in one, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DisableAgent {
    /// Its name.
    pub name: String,
    /// Only this version of the workspace's own. Default: the agent as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Operation for DisableAgent {
    type Output = Standing;
    const NAME: &'static str = "agents.disable";
    const NEEDS: &'static [Permission] = &[Permission::ManagePolicies];
    const EFFECT: Effect = Effect::Idempotent;
    const RERUNS: u8 = 3;
    const ERRORS: &'static [&'static str] = &["unknown_agent"];

    async fn run(self, cx: &Scope) -> Result<Standing> {
        let directory = Directory::load(cx).await?;
        let names = directory.0.keys().map(String::as_str);
        let agent = directory.0.get(&self.name).ok_or_else(|| unknown(Self::NAME, &self.name, names))?;
        if let Some(version) = &self.version {
            let row = cx.get::<SpecRow>(&SpecRow::id_of(&self.name, version)).await?;
            let row = row.ok_or_else(|| {
                let why = "the workspace has no such version of its own: leave the version out to disable the agent";
                Error::new(ErrorKind::NotFound, Self::NAME, why).with_context("agent", &self.name)
            })?;
            turn(cx, &row.body.spec, AgentState::Disabled).await?;
            let is_used = agent.standing.production.as_ref() == Some(version);
            if is_used {
                let none = AgentSpec { name: self.name.clone(), ..AgentSpec::default() };
                let next = builtin::find(&self.name).unwrap_or(&none);
                bind_money(cx, Some(&row.body.spec), next).await?;
            }
        }
        let standing = stand(cx, &self.name, |standing| match &self.version {
            None => standing.is_off = true,
            Some(version) if standing.production.as_ref() == Some(version) => standing.production = None,
            Some(_) => {}
        })
        .await?;
        emit(cx, "agent.disabled", &self.name, self.version.as_deref())?;
        Ok(standing)
    }

    fn examples() -> Vec<Self> {
        vec![DisableAgent { name: "support".into(), version: Some("1.1.0".into()) }]
    }
}

/// Writes the state of a version of the workspace's own; a built-in one has none to write.
async fn turn(cx: &Scope, spec: &AgentSpec, state: AgentState) -> Result<()> {
    let id = SpecRow::id_of(&spec.name, &spec.version);
    let Some(mut row) = cx.get::<SpecRow>(&id).await? else { return Ok(()) };
    if row.spec.state != state {
        row.body.spec.state = state;
        cx.save(&row)?;
    }
    Ok(())
}

async fn stand(cx: &Scope, name: &str, change: impl FnOnce(&mut Standing)) -> Result<Standing> {
    let found: Option<Stored<Standing>> = cx.get::<Standing>(name).await?;
    let expected = found.as_ref().map_or(Expected::Absent, |row| Expected::Rev(row.rev));
    let mut standing =
        found.map_or_else(|| Standing { id: name.to_owned(), ..Standing::default() }, |row| row.body);
    change(&mut standing);
    cx.put(&standing, expected)?;
    Ok(standing)
}

/// The limits of money that a version brings, as quotas of the agent. Quotas that no version brought are left alone.
async fn bind_money(cx: &Scope, before: Option<&AgentSpec>, now: &AgentSpec) -> Result<()> {
    let limits = |spec: &AgentSpec| [spec.budget, spec.quotas.cost_per_month];
    let old: [Option<Money>; 2] = before.map_or([None, None], limits);
    for ((window, old), new) in [QuotaWindow::Run, QuotaWindow::Month].into_iter().zip(old).zip(limits(now)) {
        if old.is_some() || new.is_some() {
            let subject = QuotaSubject::Agent { name: now.name.clone() };
            cx.call(PutQuota { money: new, ..PutQuota::of(subject, window) }).await?;
        }
    }
    Ok(())
}

fn emit(cx: &Scope, word: &str, name: &str, version: Option<&str>) -> Result<()> {
    cx.emit(Event::new(cx, word, "agent", name, json!({ "agent": name, "version": version })))
}
