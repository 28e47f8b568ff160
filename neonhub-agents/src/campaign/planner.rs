//! From a brief to its plan, by template: no model, no chance.

use neonhub_core::{Error, Result, Timestamp, zone};

use super::plan::{Kpi, Plan, PlanFacts, PlanStep, ScheduleEntry, StepEffect, StepKind, StepParams};
use super::timetable::Window;
use super::{Brief, CampaignChannel, dag, money_split};

/// Mails of the sequence.
const MAILS: u32 = 3;
/// What each mail of the sequence is for, first to last.
const MAIL_PURPOSES: [&str; 3] = ["introduce", "prove", "remind"];

/// See [`Plan::build`].
pub(super) fn build(brief: &Brief, facts: &PlanFacts) -> Result<Plan> {
    brief.check()?;
    let zone = zone("timezone", &brief.timezone)?;
    let window = Window::new(brief.start, brief.end, facts.now, zone).ok_or_else(|| {
        Error::invalid("campaign.plan", "end", "lies in the past, move it after now or make a new brief")
    })?;
    let mut steps = Steps { brief, window: &window, list: Vec::new() };
    steps.research();
    steps.assets();
    steps.launch();
    steps.personal();
    steps.public();
    steps.closing();
    let budget_split = money_split::shares(brief);
    let mut list = steps.list;
    for step in &mut list {
        if step.kind == StepKind::Ad {
            let share = budget_split.iter().find(|s| Some(s.channel) == step.params.channel);
            step.est_cost = share.map(|s| s.amount);
        }
    }
    let ordered = dag::order(&list)?;
    let rollback = ordered.iter().rev().filter_map(|i| list.get(*i));
    Ok(Plan {
        version: 1,
        brief_key: brief.key(),
        planned_at: facts.now,
        schedule: schedule(&list, &window),
        cost: money_split::estimate(brief, &budget_split, facts)?,
        budget_split,
        kpis: kpis(brief),
        assumptions: assumptions(brief, facts, &window),
        risks: risks(brief, facts, &window),
        rollback: rollback.filter(|s| s.undo.is_some()).map(|s| s.key.clone()).collect(),
        steps: ordered.iter().filter_map(|i| list.get(*i)).cloned().collect(),
    })
}

/// Adds the steps of one part of the campaign after the other.
struct Steps<'a> {
    brief: &'a Brief,
    window: &'a Window,
    list: Vec<PlanStep>,
}

impl Steps<'_> {
    fn add(
        &mut self,
        key: &str,
        kind: StepKind,
        who: (&str, &str),
        title: &str,
        needs: &[&str],
    ) -> &mut PlanStep {
        let effect = match kind {
            StepKind::Research | StepKind::Measure | StepKind::Report => StepEffect::Read,
            StepKind::Send => StepEffect::Write,
            StepKind::Publish | StepKind::Ad => StepEffect::Compensable,
            StepKind::Wait | StepKind::Branch => StepEffect::Pure,
            _ => StepEffect::Idempotent,
        };
        let index = self.list.len();
        self.list.push(PlanStep {
            key: key.into(),
            kind,
            agent: who.0.into(),
            intent: who.1.into(),
            title: title.into(),
            depends_on: needs.iter().map(|n| (*n).to_owned()).collect(),
            at: None,
            params: StepParams::default(),
            effect,
            undo: None,
            est_cost: None,
            est_duration_ms: duration_ms(kind),
        });
        // The entry was pushed just now; a slice pattern would need a second lookup all the same.
        self.list.get_mut(index).unwrap_or_else(|| unreachable!("pushed above"))
    }

    fn research(&mut self) {
        let brand = ("brand_voice", "get_context");
        self.add("research.brand", StepKind::Research, brand, "Read the brand's voice and knowledge", &[]);
        let audience = ("insight", "analyze");
        self.add("research.audience", StepKind::Research, audience, "Count whom each channel reaches", &[]);
    }

    fn assets(&mut self) {
        for channel in self.brief.channels.clone() {
            if channel == CampaignChannel::Email {
                (1..=MAILS).for_each(|position| self.asset(channel, position));
            } else {
                self.asset(channel, 1);
            }
        }
    }

    fn asset(&mut self, channel: CampaignChannel, position: u32) {
        let (who, title, purpose) = match channel {
            CampaignChannel::Email => {
                let purpose = MAIL_PURPOSES.get(position as usize - 1).copied().unwrap_or("remind");
                (("email", "sequence"), format!("Write mail {position} of {MAILS}"), purpose)
            }
            CampaignChannel::Sms => (("sms", "compose"), "Write the text message".into(), "introduce"),
            CampaignChannel::Ads => (("ad", "generate_copy"), "Write the search-ad set".into(), "click"),
            CampaignChannel::Blog => (("content", "outline"), "Outline the blog article".into(), "explain"),
            post => {
                (("social", "generate_posts"), format!("Write the post for {}", post.title()), "introduce")
            }
        };
        let messages = self.messages(channel, position);
        let step =
            self.add(&key("asset", channel, position), StepKind::Asset, who, &title, &["research.brand"]);
        step.params = StepParams {
            channel: Some(channel),
            position: Some(position),
            messages,
            purpose: Some(purpose.into()),
        };
    }

    /// The messages of one asset: mails take turns at leading with each, everything else leads with the first.
    fn messages(&self, channel: CampaignChannel, position: u32) -> Vec<String> {
        let mut all: Vec<String> = self.brief.sayable_messages().map(str::to_owned).collect();
        if channel == CampaignChannel::Email && !all.is_empty() {
            let turn = (position as usize - 1) % all.len();
            all.rotate_left(turn);
        }
        all
    }

    fn launch(&mut self) {
        let assets: Vec<String> =
            self.list.iter().filter(|s| s.kind == StepKind::Asset).map(|s| s.key.clone()).collect();
        let assets: Vec<&str> = assets.iter().map(String::as_str).collect();
        let check = ("brand_voice", "check");
        self.add("review.assets", StepKind::Review, check, "Check voice, guardrail and limits", &assets);
        let launch = ("campaign", "launch");
        let needs = ["review.assets", "research.audience"];
        self.add("approve.launch", StepKind::Approve, launch, "Release plan, texts and budget", &needs);
        let plan = ("campaign", "plan");
        self.add(
            "schedule.sends",
            StepKind::Schedule,
            plan,
            "Lay out every send and post",
            &["approve.launch"],
        );
    }

    fn personal(&mut self) {
        if self.brief.speaks_on(CampaignChannel::Email) {
            self.send("send.email.1", ("email", "campaign"), CampaignChannel::Email, 1, "schedule.sends");
            for position in 2..=MAILS {
                let (wait, before) =
                    (format!("wait.email.{position}"), format!("send.email.{}", position - 1));
                let at = self.window.mail(position);
                let title = format!("Wait for the day of mail {position}");
                let step = self.add(&wait, StepKind::Wait, ("campaign", "plan"), &title, &[&before]);
                step.at = Some(at);
                let send = key("send", CampaignChannel::Email, position);
                self.send(&send, ("email", "campaign"), CampaignChannel::Email, position, &wait);
            }
        }
        if self.brief.speaks_on(CampaignChannel::Sms) {
            self.send("send.sms.1", ("sms", "campaign"), CampaignChannel::Sms, 1, "schedule.sends");
        }
    }

    fn send(&mut self, key: &str, who: (&str, &str), channel: CampaignChannel, position: u32, after: &str) {
        let at = self.window.mail(position);
        let title = match channel {
            CampaignChannel::Email => format!("Send mail {position} of {MAILS}"),
            other => format!("Send {}", other.title()),
        };
        let step = self.add(key, StepKind::Send, who, &title, &[after]);
        step.at = Some(at);
        step.params =
            StepParams { channel: Some(channel), position: Some(position), ..StepParams::default() };
    }

    fn public(&mut self) {
        for channel in self.brief.channels.clone() {
            let params = StepParams { channel: Some(channel), position: Some(1), ..StepParams::default() };
            let at = self.window.post(channel);
            if channel.is_post() {
                let title = format!("Post on {}", channel.title());
                let name = key("publish", channel, 1);
                let step =
                    self.add(&name, StepKind::Publish, ("social", "publish"), &title, &["schedule.sends"]);
                step.undo = Some("social.delete_post".into());
                (step.at, step.params) = (Some(at), params);
            } else if channel == CampaignChannel::Ads {
                let title = "Hand over the search-ad set, paused until it is released";
                let from = self.window.from;
                let step =
                    self.add("ad.search.1", StepKind::Ad, ("ad", "launch"), title, &["schedule.sends"]);
                step.undo = Some("ads.pause".into());
                (step.at, step.params) = (Some(from), params);
            }
        }
    }

    fn closing(&mut self) {
        let acts = |s: &&PlanStep| matches!(s.kind, StepKind::Send | StepKind::Publish | StepKind::Ad);
        let mut needs: Vec<String> = self.list.iter().filter(acts).map(|s| s.key.clone()).collect();
        if needs.is_empty() {
            needs.push("schedule.sends".into());
        }
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let end = self.window.to;
        let measure = ("insight", "analyze");
        let step = self.add(
            "measure.results",
            StepKind::Measure,
            measure,
            "Fold what was sent and answered",
            &needs,
        );
        step.at = Some(end);
        let report = ("campaign", "analyze_campaign");
        self.add("report.final", StepKind::Report, report, "Write the report", &["measure.results"]);
    }
}

fn key(verb: &str, channel: CampaignChannel, position: u32) -> String {
    format!("{verb}.{channel}.{position}")
}

/// Working time of a step in milliseconds (ours, measured offline on 500 people; waits do not count).
fn duration_ms(kind: StepKind) -> u64 {
    match kind {
        StepKind::Asset => 50,
        StepKind::Send => 500,
        StepKind::Research | StepKind::Review | StepKind::Publish => 20,
        StepKind::Wait | StepKind::Branch | StepKind::Approve => 0,
        _ => 10,
    }
}

fn schedule(steps: &[PlanStep], window: &Window) -> Vec<ScheduleEntry> {
    let acts = |s: &&PlanStep| matches!(s.kind, StepKind::Send | StepKind::Publish | StepKind::Ad);
    let entry = |step: &PlanStep| {
        Some(ScheduleEntry {
            at: step.at?,
            until: (step.kind == StepKind::Ad).then_some(window.to),
            channel: step.params.channel?,
            step_key: step.key.clone(),
            title: step.title.clone(),
        })
    };
    let mut lines: Vec<_> = steps.iter().filter(acts).filter_map(entry).collect();
    lines.sort_by(|a, b| (a.at, a.channel, &a.step_key).cmp(&(b.at, b.channel, &b.step_key)));
    lines
}

fn kpis(brief: &Brief) -> Vec<Kpi> {
    let baseline = "no baseline yet; the first campaign of the brand measures it";
    let open = |metric: &str| Kpi { metric: metric.into(), target: None, source: baseline.into() };
    let limit = |metric: &str, target: &str, source: &str| Kpi {
        metric: metric.into(),
        target: Some(target.into()),
        source: source.into(),
    };
    let mut kpis = vec![open("conversions")];
    if brief.speaks_on(CampaignChannel::Email) {
        kpis.push(open("email.human_clicks"));
        // Gmail sender guidelines (support.google.com/a/answer/81126, 2024): keep below 0.10 %.
        kpis.push(limit("email.complaint_rate", "below 0.10 %", "Gmail sender guidelines, 2024"));
        kpis.push(limit("email.bounce_rate", "below 5 %", "the bounce brake of the gate"));
    }
    if brief.speaks_on(CampaignChannel::Sms) {
        kpis.push(open("sms.replies_and_clicks"));
    }
    if brief.channels.iter().any(|c| c.is_post()) {
        kpis.push(open("posts.engagement"));
    }
    if brief.speaks_on(CampaignChannel::Ads) {
        kpis.push(open("ads.cost_per_conversion"));
    }
    if brief.speaks_on(CampaignChannel::Blog) {
        kpis.push(open("blog.readers"));
    }
    kpis
}

fn assumptions(brief: &Brief, facts: &PlanFacts, window: &Window) -> Vec<String> {
    let mut list = vec![
        format!("times of day are meant in {}", brief.timezone),
        "links are counted at the landing page by their utm parameters".to_owned(),
        "budget weights are a cold start; measured results replace them".to_owned(),
    ];
    if brief.personal_channels().next().is_some() {
        list.insert(0, format!("the audience is everyone in the workspace at launch ({} now)", facts.people));
        list.push("each send is judged by the gate again at the moment it leaves".to_owned());
    }
    if brief.speaks_on(CampaignChannel::Email) {
        let kept = if window.is_roomy() {
            "after 3 and 7 days at the same time of day"
        } else {
            "at one and two thirds of the window"
        };
        list.push(format!("follow-up mails go out {kept}"));
    }
    list
}

fn risks(brief: &Brief, facts: &PlanFacts, window: &Window) -> Vec<String> {
    let mut list = Vec::new();
    if brief.start > facts.now {
        list.push("start lies ahead: until then every send and post waits".to_owned());
    }
    if brief.speaks_on(CampaignChannel::Email) && !window.is_roomy() {
        list.push(
            "the window is short: three mails follow each other closely, some may meet the frequency cap"
                .to_owned(),
        );
    }
    for message in brief.key_messages.iter().filter(|m| brief.forbids(m)) {
        list.push(format!("left out of every text, for it holds a forbidden phrase: {message:?}"));
    }
    if brief.offer.as_deref().is_some_and(|o| brief.forbids(o)) {
        list.push("the offer holds a forbidden phrase and is left out of every text".to_owned());
    }
    if brief.speaks_on(CampaignChannel::Sms) {
        list.push("text messages wait for legal hours at each recipient".to_owned());
    }
    if brief.budget.minor == 0 {
        list.push("the budget is zero: posts are not boosted and ads cannot run".to_owned());
    }
    let words: usize = brief.must_say.iter().map(|s| s.chars().count()).sum();
    if words > 60 && brief.speaks_on(CampaignChannel::Sms) {
        list.push(
            "the phrases that must be said are too long for one text message and stand in the mails only"
                .to_owned(),
        );
    }
    list
}

/// When mail `position` is due for someone who joins at `now`: as planned, or as long after the first mail.
///
/// `None` when the window is over by then.
pub(super) fn mail_due(brief: &Brief, position: u32, now: Timestamp) -> Option<Timestamp> {
    let zone = zone("timezone", &brief.timezone).ok()?;
    Some(Window::new(brief.start, brief.end, now, zone)?.mail(position))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
