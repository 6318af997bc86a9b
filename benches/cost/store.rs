//! The store: what a durable transition costs, alone and in bursts, and opening a long journal.

use crate::{
    Plan,
    common::{NOW, World, whole_spec},
    table::Table,
    times::{median, quantile, short, spread, thousands, timed},
};
use campaignd::{
    machines::{
        event::Event,
        spec::Parts,
        step::{Refused, step},
        tree::CampaignTree,
    },
    store::{Draft, History, SEGMENT_LIMIT, Store, changes, load_trees, removal},
};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// As many decisions as the daemon commits together at most.
const BURST: usize = 1024;
/// The journal's aim is over this many entries.
const ENTRIES: u64 = 1_000_000;
/// Ended campaigns that a site keeps before it cleans the oldest.
const KEPT: usize = 100;

/// Campaigns that live one after the other through every phase, as events that the daemon would decide on.
struct Lives {
    number: u64,
    world: World,
    tree: Option<CampaignTree>,
    ended: VecDeque<CampaignTree>,
    waiting: VecDeque<Event>,
}

impl Lives {
    fn new() -> Self {
        Self {
            number: 0,
            world: World::default(),
            tree: None,
            ended: VecDeque::new(),
            waiting: VecDeque::new(),
        }
    }

    /// What happens next.
    fn event(&mut self) -> Event {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event;
            }
            let owed = self
                .tree
                .as_ref()
                .and_then(|tree| Some((tree, tree.outbox.keys().next()?)));
            match owed {
                Some((tree, id)) => self.waiting.extend(self.world.perform(tree, id)),
                None => self.begin(),
            }
        }
    }

    fn begin(&mut self) {
        let mut spec = whole_spec();
        spec.name = format!("campaign-{}", self.number).parse().unwrap();
        self.number += 1;
        self.world = World::default();
        self.ended.extend(self.tree.take());
        self.waiting.push_back(Event::Submitted {
            spec: Box::new(spec),
            parts: Parts::Whole,
        });
    }

    /// What the daemon does with an event before it commits; none when the event comes too late to matter.
    fn decide(&mut self, event: &Event) -> Option<Draft> {
        let outcome = match step(self.tree.as_ref(), event, NOW) {
            Err(Refused::Late) => return None,
            outcome => outcome.unwrap(),
        };
        let mut changes = changes(self.tree.as_ref(), &outcome.tree);
        if self.ended.len() > KEPT {
            let oldest = self.ended.pop_front();
            changes.extend(oldest.iter().flat_map(removal));
        }
        let draft = Draft {
            at_ms: NOW.0,
            uid: None,
            campaign: outcome.tree.campaign.id.to_string(),
            event: event.name().into(),
            what: outcome.what,
            payload: serde_json::to_vec(event).unwrap(),
            changes,
        };
        self.tree = Some(outcome.tree);
        Some(draft)
    }

    fn draft(&mut self) -> Draft {
        loop {
            let event = self.event();
            if let Some(draft) = self.decide(&event) {
                return draft;
            }
        }
    }

    fn burst(&mut self) -> Vec<Draft> {
        (0..BURST).map(|_| self.draft()).collect()
    }
}

/// The bytes that commits add to a journal.
struct Tail {
    state: PathBuf,
    last: PathBuf,
    read: u64,
}

impl Tail {
    fn new(state: &Path) -> Self {
        let mut tail = Self {
            state: state.into(),
            last: PathBuf::new(),
            read: 0,
        };
        tail.news();
        tail
    }

    fn news(&mut self) -> Vec<u8> {
        let (last, _) = last_segment(&self.state);
        if last != self.last {
            (self.last, self.read) = (last, 0);
        }
        let file = File::open(&self.last).unwrap();
        let mut bytes = vec![0; (file.metadata().unwrap().len() - self.read) as usize];
        file.read_exact_at(&mut bytes, self.read).unwrap();
        self.read += bytes.len() as u64;
        bytes
    }
}

fn append(bare: &mut File, bytes: &[u8]) -> Duration {
    timed(|| {
        bare.write_all(bytes).unwrap();
        bare.sync_data().unwrap();
    })
    .1
}

/// Transitions one by one, then in bursts, each beside the bare append of the bytes that it wrote.
pub fn transitions(plan: &Plan, table: &mut Table) {
    let dir = plan.scratch();
    let (mut store, _) = Store::open(&dir.path().join("state"), SEGMENT_LIMIT).unwrap();
    let mut bare = File::create(dir.path().join("bare")).unwrap();
    let mut tail = Tail::new(&dir.path().join("state"));
    let mut lives = Lives::new();
    let (mut ours, mut bares, mut bytes) = (Vec::new(), Vec::new(), 0);
    // Alternating, so that a slow moment of the disk falls on both.
    while ours.len() < plan.size(4_000, 1_000) {
        let event = lives.event();
        let (decided, time) = timed(|| {
            let draft = lives.decide(&event)?;
            Some(store.commit(vec![draft]).unwrap())
        });
        if decided.is_some() {
            let news = tail.news();
            bytes += news.len();
            ours.push(time);
            bares.push(append(&mut bare, &news));
        }
    }
    let (ratio, p99) = (median(&ours) / median(&bares), quantile(&ours, 0.99));
    table.row(
        "durable transition: decided, appended, synced, applied",
        format!("{}; {}x", spread(&ours), short(ratio)),
        format!(
            "append + fdatasync of the same {} bytes: {}",
            bytes / ours.len(),
            spread(&bares)
        ),
        "1.7x; p99 20 ms",
        ratio <= 1.7 && p99 <= 20.0,
    );
    bursts(plan, table, &mut store, &mut lives, &mut tail, &mut bare);
}

fn bursts(
    plan: &Plan,
    table: &mut Table,
    store: &mut Store,
    lives: &mut Lives,
    tail: &mut Tail,
    bare: &mut File,
) {
    let (mut ours, mut bares, mut decided) = (Vec::new(), Vec::new(), Duration::ZERO);
    for _ in 0..plan.size(40, 10) {
        let (drafts, time) = timed(|| lives.burst());
        decided += time;
        ours.push(timed(|| store.commit(drafts).unwrap()).1);
        bares.push(append(bare, &tail.news()));
    }
    let rate = |time: Duration| (BURST * ours.len()) as f64 / time.as_secs_f64();
    let commits = rate(ours.iter().sum());
    table.row(
        "transitions committed in bursts of 1,024",
        format!("{} a second", thousands(commits)),
        format!(
            "append + fdatasync of the same bytes: {} a second; deciding them, before: {} a second",
            thousands(rate(bares.iter().sum())),
            thousands(rate(decided))
        ),
        "50,000",
        commits >= 50_000.0,
    );
}

/// Opens a journal of a million entries whose last segment is nearly full: the most that an opening replays.
pub fn journal(plan: &Plan, table: &mut Table) {
    let dir = plan.scratch();
    let state = dir.path().join("state");
    let (mut store, _) = Store::open(&state, SEGMENT_LIMIT).unwrap();
    // The same lives again and again: deciding a million events would take longer than all else.
    let mut lives = Lives::new();
    let bursts: Vec<_> = (0..20).map(|_| lives.burst()).collect();
    let mut bursts = bursts.iter().cycle();
    while store.last_seq() < ENTRIES || last_segment(&state).1 < SEGMENT_LIMIT * 9 / 10 {
        store.commit(bursts.next().unwrap().clone()).unwrap();
    }
    let entries = store.last_seq();
    drop(store);
    let mut opens = Vec::new();
    for _ in 0..plan.size(5, 3) {
        let (opened, time) = timed(|| {
            let (store, opened) = Store::open(&state, SEGMENT_LIMIT).unwrap();
            load_trees(&store).map(|_| opened).unwrap()
        });
        assert_eq!((opened.last_seq, opened.rebuilt), (entries, None));
        opens.push(time);
    }
    let (read, all) = timed(|| History::at(&state).entries(1).unwrap().count() as u64);
    assert_eq!(read, entries);
    let (path, length) = last_segment(&state);
    let (_, bare) = timed(|| fs::read(&path).unwrap());
    table.row(
        &format!("journal of {} entries opened", thousands(entries as f64)),
        format!(
            "{} s, replaying {} of {} MB",
            short(median(&opens) / 1e3),
            length >> 20,
            segments(&state).map(|(_, length)| length).sum::<u64>() >> 20
        ),
        format!(
            "reading every entry: {} s; reading the last segment's bytes: {} s",
            short(all.as_secs_f64()),
            short(bare.as_secs_f64())
        ),
        "1 s",
        median(&opens) <= 1e3,
    );
}

/// The segments of a store's journal with their lengths.
fn segments(state: &Path) -> impl Iterator<Item = (PathBuf, u64)> {
    let files = fs::read_dir(state.join("journal")).unwrap();
    let found = files.map(|file| {
        let file = file.unwrap();
        (file.path(), file.metadata().unwrap().len())
    });
    // The witness of the last entry is beside them.
    found.filter(|(path, _)| path.extension().is_some_and(|end| end == "log"))
}

fn last_segment(state: &Path) -> (PathBuf, u64) {
    segments(state).max().unwrap()
}
