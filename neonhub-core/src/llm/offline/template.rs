//! Templates with seeded choices, and answers that differ.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Rest, Value as Item};
use serde_json::Value;

use super::shingle::{self, Shingles};
use super::{Made, unsupported};
use crate::llm::OfflineTemplate;
use crate::prompt::{Engine, Escape, refuse};
use crate::{Error, Result, Rng, Seed};

/// Most answers of one request.
const MAX_VARIANTS: u32 = 16;
/// Draws per wanted answer, and on top of all.
const DRAWS: (u32, u32) = (8, 16);
/// Two answers whose overlap reaches this are the same answer said again.
// `voice.compose`: pairwise trigram-shingle Jaccard below 0.8.
const TOO_ALIKE: f64 = 0.8;

/// Fills the template once per wanted answer, dropping draws that are too long or too alike.
pub(super) fn fill(task: &OfflineTemplate, seed: u64) -> Result<Made> {
    let wanted = task.variants.max(1);
    if wanted > MAX_VARIANTS {
        return Err(Error::invalid("llm.offline", "offline.variants", "expected 1 to 16"));
    }
    if !task.vars.is_object() && !task.vars.is_null() {
        return Err(Error::invalid("llm.offline", "offline.vars", "expected an object"));
    }
    let mut drawn = Drawn { kept: Vec::new(), shortest: usize::MAX };
    let grammar = Grammar::new(task, seed)?;
    for draw in 0..wanted * DRAWS.0 + DRAWS.1 {
        drawn.offer(grammar.draw(draw)?, task.max_chars);
        if drawn.kept.len() == wanted as usize || (wanted == 1 && task.max_chars.is_none()) {
            break;
        }
    }
    let found = drawn.kept.len();
    if found == 0 {
        let limit = task.max_chars.unwrap_or(0);
        return Err(unsupported(&format!(
            "say this in {limit} characters (the shortest draw has {})",
            drawn.shortest
        )));
    }
    let made = Made { texts: drawn.kept.into_iter().map(|(t, _)| t).collect(), ..Made::default() };
    if found < wanted as usize {
        let message = format!("the template gives {found} answers that differ, {wanted} were asked for");
        return Ok(made.warn("fewer_variants", message));
    }
    Ok(made)
}

/// Answers kept so far.
struct Drawn {
    kept: Vec<(String, Shingles)>,
    shortest: usize,
}

impl Drawn {
    fn offer(&mut self, text: String, max_chars: Option<u32>) {
        let chars = text.chars().count();
        self.shortest = self.shortest.min(chars);
        if max_chars.is_some_and(|limit| chars > limit as usize) {
            return;
        }
        let shingles = shingle::shingles(&text);
        if self.kept.iter().all(|(_, other)| shingle::jaccard(&shingles, other) < TOO_ALIKE) {
            self.kept.push((text, shingles));
        }
    }
}

/// A compiled template and its source of choices.
struct Grammar {
    engine: Engine,
    vars: Item,
    chance: Arc<Mutex<Chance>>,
}

impl Grammar {
    fn new(task: &OfflineTemplate, seed: u64) -> Result<Self> {
        let vars = serde_json_canonicalizer::to_vec(&task.vars)
            .map_err(|_| Error::invalid("llm.offline", "offline.vars", "expected only finite numbers"))?;
        let seed = Seed::from_number(seed).split(&[b"offline-template", task.template.as_bytes(), &vars]);
        let chance = Arc::new(Mutex::new(Chance { seed, draw: 0, call: 0 }));
        let mut engine = Engine::new(Escape::Text);
        add_functions(&mut engine, &chance);
        engine.add("offline template", task.template.as_str())?;
        let vars = match &task.vars {
            Value::Null => Item::from(minijinja::value::Serde(serde_json::Map::new())),
            vars => Item::from(minijinja::value::Serde(vars)),
        };
        Ok(Grammar { engine, vars, chance })
    }

    fn draw(&self, draw: u32) -> Result<String> {
        {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            (chance.draw, chance.call) = (draw, 0);
        }
        let text = self.engine.render_item("offline template", self.vars.clone())?;
        Ok(tidy(&text))
    }
}

/// Choices: each call of a function in a template is a stream of its own, dealt without repeats from draw to draw.
struct Chance {
    seed: Seed,
    draw: u32,
    call: u32,
}

impl Chance {
    fn next_call(&mut self) -> u32 {
        self.call += 1;
        self.call
    }

    fn rng(&self, call: u32, round: u32) -> Rng {
        self.seed.split(&[&call.to_le_bytes(), &round.to_le_bytes()]).rng()
    }

    /// Deals one of `n` cards: every card once before any comes again.
    fn deal(&mut self, n: usize) -> usize {
        let call = self.next_call();
        let n32 = u32::try_from(n).unwrap_or(u32::MAX).max(1);
        let order = shuffled(n, &mut self.rng(call, self.draw / n32));
        order.get((self.draw % n32) as usize).copied().unwrap_or(0)
    }
}

fn shuffled(n: usize, rng: &mut Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        // Fisher and Yates, in Durstenfeld's form (1964).
        let other = usize::try_from(rng.below(last as u64 + 1)).unwrap_or(0);
        order.swap(last, other);
    }
    order
}

type Answered = std::result::Result<Item, minijinja::Error>;

fn add_functions(engine: &mut Engine, chance: &Arc<Mutex<Chance>>) {
    let with = |chance: &Arc<Mutex<Chance>>| {
        let chance = Arc::clone(chance);
        move |f: &mut dyn FnMut(&mut Chance)| f(&mut chance.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let deal = with(chance);
    engine.function("pick", move |items: Item| -> Answered {
        let items = list(&items, "pick")?;
        let mut at = 0;
        deal(&mut |c| at = c.deal(items.len()));
        items.get(at).cloned().ok_or_else(|| refuse("pick expects at least one item"))
    });
    let order = with(chance);
    engine.function("shuffle", move |items: Item| -> Answered {
        let items = list(&items, "shuffle")?;
        let mut at = Vec::new();
        order(&mut |c| {
            let call = c.next_call();
            at = shuffled(items.len(), &mut c.rng(call, c.draw));
        });
        Ok(at.into_iter().filter_map(|i| items.get(i).cloned()).collect::<Vec<Item>>().into())
    });
    let flip = with(chance);
    engine.function("chance", move |share: f64| -> Answered {
        let mut yes = false;
        flip(&mut |c| {
            let call = c.next_call();
            yes = c.rng(call, c.draw).unit() < share;
        });
        Ok(yes.into())
    });
    let turn = with(chance);
    engine.function("seq", move |items: Rest<Item>| -> Answered {
        let mut draw = 0;
        turn(&mut |c| draw = c.draw as usize);
        items.get(draw % items.len().max(1)).cloned().ok_or_else(|| refuse("seq expects at least one item"))
    });
    engine.function("json", |value: Item| -> std::result::Result<String, minijinja::Error> {
        serde_json::to_string(&value).map_err(|_| refuse("json expects a value that JSON can carry"))
    });
}

fn list(items: &Item, name: &str) -> std::result::Result<Vec<Item>, minijinja::Error> {
    if items.as_str().is_some() {
        return Err(refuse(format_args!("{name} expects a list")));
    }
    Ok(items.try_iter().map_err(|_| refuse(format_args!("{name} expects a list")))?.collect())
}

/// Line ends without blanks, no more than one empty line in a row, no blanks around the whole.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        empty = if line.is_empty() { empty + 1 } else { 0 };
        if empty < 2 {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const POST: &str = "{{ pick(['Fresh on the shelf', 'Just in', 'New this week', 'Hot off the press']) }}: \
        {{ product }}. {{ pick(['Come by and taste it', 'Try a cup on the house', 'See you at the counter']) }}. \
        {{ pick(['Until Sunday only', 'While it lasts', 'All month long', 'From today']) }}.";

    #[test]
    fn variants_differ_and_repeat_by_seed() {
        let task = OfflineTemplate::new(POST, json!({"product": "first flush Darjeeling"})).variants(4);
        let a = fill(&task, 7).unwrap();
        assert_eq!(a.texts.len(), 4);
        assert_eq!(a.texts, fill(&task, 7).unwrap().texts);
        assert_ne!(a.texts, fill(&task, 8).unwrap().texts);
        for (i, x) in a.texts.iter().enumerate() {
            for y in &a.texts[..i] {
                assert!(shingle::jaccard(&shingle::shingles(x), &shingle::shingles(y)) < 0.8);
            }
        }
    }

    #[test]
    fn values_are_written_as_json() {
        let vars = json!({ "said": "a \"b\"\n{{ c }}", "list": [1, null] });
        let task =
            OfflineTemplate::new(r#"{"said": {{ json(said) }}, "list": {{ json(list) }}}"#, vars.clone());
        let text = fill(&task, 1).unwrap().texts.remove(0);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), vars);
    }

    #[test]
    fn more_values_change_the_draw() {
        let of = |name: &str| fill(&OfflineTemplate::new(POST, json!({ "product": name })), 7).unwrap().texts;
        let openers: std::collections::BTreeSet<String> = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .map(|p| of(p)[0].split(':').next().unwrap_or_default().to_owned())
            .collect();
        assert!(openers.len() > 1);
    }

    #[test]
    fn limits_choose_shorter_draws_or_say_so() {
        let task = OfflineTemplate::new("{{ pick(['a very long opening line', 'short']) }}", json!({}));
        for seed in 0..8 {
            assert_eq!(fill(&task.clone().max_chars(10), seed).unwrap().texts, ["short"]);
        }
        let err = fill(&task.max_chars(3), 1).unwrap_err();
        assert!(err.message().contains("shortest draw has 5"), "{err}");
    }

    #[test]
    fn too_few_choices_are_a_warning() {
        let task = OfflineTemplate::new("the same words every time", json!({})).variants(3);
        let made = fill(&task, 1).unwrap();
        assert_eq!((made.texts.len(), made.warnings[0].0.as_str()), (1, "fewer_variants"));
    }

    #[test]
    fn values_are_data_also_in_choices() {
        let vars = json!({"lines": ["{{ secret }}"], "secret": "s"});
        let made = fill(&OfflineTemplate::new("{{ pick(lines) }}", vars), 1).unwrap();
        assert_eq!(made.texts, ["{{ secret }}"]);
        for bad in ["{{ pick('abc') }}", "{{ pick([]) }}", "{{ seq() }}", "{{ nothing }}"] {
            assert!(fill(&OfflineTemplate::new(bad, json!({})), 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pick_deals_every_item_before_one_comes_again() {
        let mut chance = Chance { seed: Seed::from_number(3), draw: 0, call: 0 };
        let mut seen: Vec<usize> = (0..5)
            .map(|draw| {
                (chance.draw, chance.call) = (draw, 0);
                chance.deal(5)
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}
