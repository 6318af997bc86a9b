//! What campaignd adds to three experiments: they are proposed, configured, submitted to an executor that does nothing, and
//! integrated.
//!
//! `cargo bench --bench cycle` runs a campaign of 13 cycles of three proposals on the real planner, machine, config generator
//! and store, in a directory of its own (`-- --dir DIR`: elsewhere), and prints what each part of a cycle takes. Every event
//! is a commit of its own, and every file is durable before the next thing is done: the daemon commits several together.
#![allow(clippy::print_stdout, reason = "a measurement prints what it measured")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]

#[path = "../../tests/common/mod.rs"]
mod common;

use campaignd::{
    artifacts::{create_dir_private, write_atomic},
    history::{Experiment, History},
    ids::EffectId,
    machines::{
        effect::Effect,
        event::Event,
        job::Phase,
        plan::{self, Plan},
        spec::{CampaignSpec, Parts},
        step::step,
        tree::CampaignTree,
    },
    parameters::Domain,
    planning::approval::Risk,
    store::{Draft, SEGMENT_LIMIT, Store, changes},
    time::Timestamp,
};
use common::{NOW, World, experiment, fine_tune, whole_spec};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Fewer than it takes until nothing better is to be expected: the campaign would end by itself.
const CYCLES: u32 = 13;
const EXPERIMENTS: u32 = 3;

fn spec() -> CampaignSpec {
    let mut spec = whole_spec();
    spec.training.as_mut().unwrap().runs = vec![fine_tune("base", 1)];
    (spec.evaluation, spec.curation, spec.execution) = (None, None, None);
    spec.generator.shards = 1;
    let planning = spec.planning.as_mut().unwrap();
    planning.cycles = CYCLES;
    planning.proposals = EXPERIMENTS;
    planning.approval = Some(Risk::High);
    planning.vary = [
        ("r", "4..256:int"),
        ("learning_rate", "1e-5..1e-2:log"),
        ("lora_dropout", "0..0.2"),
        ("weight_decay", "0..0.1"),
    ]
    .map(|(name, domain)| (name.to_string(), Domain::parse(domain).unwrap()))
    .into();
    spec
}

/// The least loss lies at a learning rate of 2e-4 and a rank of 32.
fn loss(one: &campaignd::parameters::Assignment) -> f64 {
    let number = |name: &str| one[name].number().unwrap();
    let rate = (number("learning_rate") / 2e-4).log10();
    let rank = (number("r") / 32.0).log2();
    1.0 + 0.2 * rate * rate + 0.02 * rank * rank + number("lora_dropout")
}

/// A part of a cycle: how much was thought, and how much was waited for the disk.
#[derive(Clone, Copy, Default)]
struct Took {
    thought: Duration,
    kept: Duration,
}

struct Run {
    tree: CampaignTree,
    /// What the daemon remembers of all experiments.
    known: History,
    world: World,
    store: Store,
    dir: PathBuf,
    now: Timestamp,
    took: BTreeMap<&'static str, Took>,
}

impl Run {
    fn take(&mut self, part: &'static str, event: &Event) {
        let began = Instant::now();
        let outcome = step(Some(&self.tree), event, self.now).unwrap();
        let draft = Draft {
            at_ms: self.now.0,
            uid: None,
            campaign: outcome.tree.campaign.id.to_string(),
            event: event.name().into(),
            what: outcome.what,
            payload: serde_json::to_vec(event).unwrap(),
            changes: changes(Some(&self.tree), &outcome.tree),
        };
        let thought = began.elapsed();
        let began = Instant::now();
        self.store.commit(vec![draft]).unwrap();
        self.add(part, thought, began.elapsed());
        self.tree = outcome.tree;
    }

    fn add(&mut self, part: &'static str, thought: Duration, kept: Duration) {
        let took = self.took.entry(part).or_default();
        took.thought += thought;
        took.kept += kept;
    }

    fn perform(&mut self, id: &EffectId, effect: &Effect) {
        match effect {
            Effect::PlanNext { .. } => {
                let began = Instant::now();
                let Plan { proposals, why } = plan::plan(&self.tree, &self.known, self.now);
                self.add("propose", began.elapsed(), Duration::ZERO);
                assert_eq!(proposals.len(), EXPERIMENTS as usize, "{why}");
                let event = Event::Planned {
                    effect: id.clone(),
                    proposals,
                    why,
                };
                self.take("propose", &event);
            }
            Effect::LaunchJob {
                phase: Phase::Train,
            } => {
                self.configure(id);
                self.all("submit", id);
            }
            Effect::WriteRecord { .. } => {
                let event = Event::Recorded {
                    effect: id.clone(),
                    experiments: self.results(),
                };
                self.take("integrate", &event);
                let began = Instant::now();
                self.known = History::new(self.tree.experiments.values().cloned().collect());
                self.add("integrate", began.elapsed(), Duration::ZERO);
            }
            _ => self.all("submit", id),
        }
    }

    fn all(&mut self, part: &'static str, id: &EffectId) {
        for event in self.world.perform(&self.tree, id) {
            self.take(part, &event);
        }
    }

    fn configure(&mut self, id: &EffectId) {
        let began = Instant::now();
        let job = &self.tree.jobs[id];
        let record = &self.tree.runs[job.run.as_ref().unwrap()];
        let known = plan::constraints(&self.tree, &self.known, self.now);
        let config = plan::config(&self.tree, &known, record).unwrap().unwrap();
        let (yaml, json) = (config.yaml(), config.json());
        let thought = began.elapsed();
        let began = Instant::now();
        let dir = self.dir.join("experiments").join(&config.experiment_id);
        create_dir_private(&dir).unwrap();
        write_atomic(&dir.join("config.yaml"), yaml.as_bytes()).unwrap();
        write_atomic(&dir.join("config.json"), json.as_bytes()).unwrap();
        let kept = began.elapsed();
        self.add("configure", thought, kept);
    }

    fn results(&self) -> Vec<Experiment> {
        let of = |run: &campaignd::machines::training_run::TrainingRun| {
            let asked = self.tree.run_spec(&run.name).unwrap();
            let config = plan::settings(asked);
            Experiment {
                experiment_id: run.experiment_id(&self.tree.campaign.id),
                metrics: [("eval_loss".to_string(), loss(&config))].into(),
                config,
                proposal: Some(run.name.clone()),
                ended_at: self.now,
                ..experiment(&self.tree)
            }
        };
        self.tree.present_runs().map(of).collect()
    }
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn measure(dir: &Path) {
    let (store, _) = Store::open(dir, SEGMENT_LIMIT).unwrap();
    let event = Event::Submitted {
        spec: Box::new(spec()),
        parts: Parts::SkipPilot,
    };
    let mut run = Run {
        tree: step(None, &event, NOW).unwrap().tree,
        known: History::default(),
        world: World::default(),
        store,
        dir: dir.into(),
        now: NOW,
        took: BTreeMap::new(),
    };
    let parts = ["propose", "configure", "submit", "integrate"];
    let mut cycles: Vec<BTreeMap<&str, Took>> = Vec::new();
    while let Some((id, owed)) = run.tree.outbox.iter().next() {
        let (id, effect) = (id.clone(), owed.effect.clone());
        // A cycle is from its plan to its record.
        if matches!(effect, Effect::PlanNext { .. }) {
            cycles.push(std::mem::take(&mut run.took));
        }
        run.perform(&id, &effect);
        run.now = run.now.after(Duration::from_secs(1));
    }
    cycles.push(std::mem::take(&mut run.took));
    // The first made data, too.
    cycles.remove(0);
    assert_eq!(cycles.len() as u32 + 1, CYCLES);
    println!(
        "| {EXPERIMENTS} experiments, median of {} cycles | computed | with the disk |",
        cycles.len()
    );
    println!("|---|--:|--:|");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let row = |name: &str, of: &dyn Fn(&BTreeMap<&str, Took>) -> Took| {
        let all: Vec<Took> = cycles.iter().map(of).collect();
        let thought = median(
            &mut all
                .iter()
                .map(|took| ms(took.thought))
                .collect::<Vec<f64>>(),
        );
        let whole = |took: &Took| ms(took.thought + took.kept);
        let whole = median(&mut all.iter().map(whole).collect::<Vec<f64>>());
        println!("| {name} | {thought:.2} ms | {whole:.2} ms |");
    };
    for part in parts {
        row(part, &|cycle| cycle.get(part).copied().unwrap_or_default());
    }
    row("all", &|cycle| {
        parts.iter().fold(Took::default(), |sum, part| {
            let took = cycle.get(part).copied().unwrap_or_default();
            Took {
                thought: sum.thought + took.thought,
                kept: sum.kept + took.kept,
            }
        })
    });
}

fn main() {
    let all: Vec<String> = std::env::args().collect();
    let at = all.iter().position(|one| one == "--dir");
    let place = at.and_then(|at| all.get(at + 1)).map(PathBuf::from);
    let place = place.unwrap_or_else(std::env::temp_dir);
    let dir = tempfile::tempdir_in(place).unwrap();
    measure(dir.path());
}
