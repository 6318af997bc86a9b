//! The same question through the socket of a daemon that holds these runs, by 32 clients at once.

use super::{READERS, RUNS, ms, tell};
use campaignd::{
    control::{
        client::{Client, Target},
        history::HistoryView,
    },
    history::Experiment,
    machines::{event::Event, spec::Parts, step::step, tree::CampaignTree},
    store::{Draft, SEGMENT_LIMIT, Store, changes, removal},
};
use common::{NOW, whole_spec};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

#[path = "../../tests/common/mod.rs"]
mod common;

/// A daemon of its own, killed when the measurement is over.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A state directory whose daemon remembers these.
fn remember(dir: &Path, all: &[Experiment]) {
    let (mut store, _) = Store::open(dir, SEGMENT_LIMIT).unwrap();
    let event = Event::Submitted {
        spec: Box::new(whole_spec()),
        parts: Parts::Whole,
    };
    let mut tree: CampaignTree = step(None, &event, NOW).unwrap().tree;
    let named = all
        .iter()
        .map(|one| (one.experiment_id.clone(), one.clone()));
    tree.experiments = Arc::new(named.collect());
    // As if the campaign had been cleaned: what it taught stays.
    for changes in [changes(None, &tree), removal(&tree)] {
        let draft = Draft {
            at_ms: NOW.0,
            uid: None,
            campaign: tree.campaign.id.to_string(),
            event: "measured".into(),
            what: String::new(),
            payload: Vec::new(),
            changes,
        };
        store.commit(vec![draft]).unwrap();
    }
}

fn target() -> Target {
    let where_ = "r >= 16 and (eval_loss < 1 or metric_7 >= 0.9) and not status = cancelled and model ~ model-";
    Target::new(&["history"])
        .query("where", where_)
        .query("sort", "-metric_3,eval_loss")
        .query("limit", 20)
}

async fn ask(client: &Client) -> f64 {
    let began = Instant::now();
    let view: HistoryView = client.get(&target()).await.unwrap();
    assert_eq!((view.total, view.experiments.len()), (RUNS, 20));
    ms(began)
}

/// Asks alone, then by bursts of all readers.
pub fn measure(all: &[Experiment], rounds: usize) {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    remember(&state, all);
    let mut command = Command::new(env!("CARGO_BIN_EXE_campaignd"));
    command.arg("serve").arg("--state-dir").arg(&state);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let _daemon = Daemon(command.spawn().unwrap());
    let client = Client::new(state.join("control.sock")).within(Duration::from_secs(60));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let began = Instant::now();
        let deadline = began + Duration::from_secs(120);
        while client.get::<HistoryView>(&target()).await.is_err() {
            assert!(Instant::now() < deadline, "the daemon does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "  the first through the socket, its daemon's start with it: {:.0} ms",
            ms(began)
        );
        let mut alone = Vec::new();
        for _ in 0..rounds {
            alone.push(ask(&client).await);
        }
        tell("  a query through the socket", alone);
        let mut times = Vec::new();
        for _ in 0..rounds {
            let mut readers = JoinSet::new();
            for _ in 0..READERS {
                let client = client.clone();
                readers.spawn(async move { ask(&client).await });
            }
            times.extend(readers.join_all().await);
        }
        tell("  the same, 32 clients at the same instant", times);
    });
}
