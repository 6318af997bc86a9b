//! The shared file system and the nodes: job directories, claims, samples, and what a shim does with them.

use crate::cluster::{Exit as BatchExit, Nodes, Run};
use campaignd::{
    executor::{
        job_dir::{Exit, TRY_AGAIN},
        slurm::{
            handle::Handle,
            queue::{Dirs, SchedulerEnd},
            script::{Batch, render},
        },
    },
    ids::EffectId,
    machines::spec::SlurmSpec,
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A number from 0 to 1, a function of its inputs alone.
pub fn chance(seed: u64, words: &[u64]) -> f64 {
    let mut state = seed ^ 0x9E37_79B9_7F4A_7C15;
    for word in words {
        state = (state ^ word).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        state ^= state >> 27;
        state = state.wrapping_mul(0x94D0_49BB_1331_11EB);
        state ^= state >> 31;
    }
    (state >> 11) as f64 / (1_u64 << 53) as f64
}

/// Who has a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// A run of a SLURM job: its id and its restarts.
    Shim(u64, u32),
    /// It will never run.
    Canceller,
}

/// One task's directory.
#[derive(Clone, Debug, Default)]
pub struct TaskDir {
    pub claim: Option<Claim>,
    pub exit: Option<Exit>,
}

/// One job's directory.
#[derive(Clone, Debug)]
pub struct Dir {
    pub handle: Option<Handle>,
    /// Shards by position.
    pub shards: Vec<u32>,
    pub tasks: BTreeMap<u32, TaskDir>,
    pub slurm: SlurmSpec,
}

/// A command under way.
#[derive(Clone, Debug)]
struct Active {
    job: EffectId,
    shard: u32,
    begun: Timestamp,
    before: u64,
    ends: Timestamp,
    fails: bool,
    told: bool,
}

/// What happened, to be counted.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub commands: u64,
    pub doubles: Vec<String>,
    pub turned_away: u64,
    pub taken_over: u64,
    pub failed: u64,
    pub killed: u64,
    pub terminated: u64,
    pub ends_on_word: u64,
}

/// All of it.
pub struct World {
    pub seed: u64,
    pub now: Timestamp,
    pub dirs: BTreeMap<EffectId, Dir>,
    /// Samples on disk, by shard.
    pub samples: BTreeMap<u32, u64>,
    pub targets: BTreeMap<u32, u64>,
    /// Shards whose completion was acknowledged.
    pub acknowledged: BTreeSet<u32>,
    pub tally: Tally,
    /// The daemon dies at this many further uses of a directory.
    pub dies_in: Option<u32>,
    pub dead: bool,
    pub scripts: BTreeMap<PathBuf, String>,
    pub per_sample: Duration,
    pub failing: f64,
    active: BTreeMap<(u64, u32), Active>,
    begun: BTreeMap<(EffectId, u32), (u64, u32)>,
}

impl World {
    pub fn new(seed: u64, now: Timestamp, targets: BTreeMap<u32, u64>) -> Self {
        Self {
            seed,
            now,
            dirs: BTreeMap::new(),
            samples: BTreeMap::new(),
            targets,
            acknowledged: BTreeSet::new(),
            tally: Tally::default(),
            dies_in: None,
            dead: false,
            scripts: BTreeMap::new(),
            per_sample: Duration::from_millis(1_500),
            failing: 0.05,
            active: BTreeMap::new(),
            begun: BTreeMap::new(),
        }
    }

    /// Commands that run.
    pub fn running(&self) -> usize {
        self.active.len()
    }

    /// A use of a directory by the daemon: whether it is done, and an error when the daemon is dead, then or by then.
    fn touch(&mut self) -> Result<bool, io::Error> {
        let dead = || Err(io::Error::other("the daemon is dead"));
        if self.dead {
            return dead();
        }
        match &mut self.dies_in {
            Some(0) => {
                self.dead = true;
                // Killed before it, or right after it: the next one sees which.
                Ok(chance(self.seed, &[self.now.0 as u64, 77]) < 0.5)
            }
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(true),
        }
    }

    fn task(&mut self, job: &EffectId, shard: u32) -> Option<&mut TaskDir> {
        self.dirs.get_mut(job)?.tasks.get_mut(&shard)
    }

    /// The canceller takes what is free.
    pub fn cancel(&mut self, job: &EffectId) {
        if let Some(dir) = self.dirs.get_mut(job) {
            for task in dir.tasks.values_mut() {
                task.claim.get_or_insert(Claim::Canceller);
            }
        }
    }

    fn place(&self, run: &Run) -> Option<(EffectId, u32)> {
        let (effect, _) = run.name.split_once('.')?;
        let job: EffectId = effect.parse().ok()?;
        let dir = self.dirs.get(&job)?;
        let parts = &dir.handle.as_ref()?.parts;
        let part = parts.iter().find(|part| part.name == run.name)?;
        let position = part.first + run.index.unwrap_or(0);
        Some((job, *dir.shards.get(position as usize)?))
    }

    /// What was made until now goes to disk.
    fn save(&mut self, key: (u64, u32), now: Timestamp) {
        let Some(active) = self.active.get(&key) else {
            return;
        };
        let passed = now.since(active.begun).as_millis() / self.per_sample.as_millis().max(1);
        let most = self.targets[&active.shard];
        let made = (active.before + passed as u64).min(most);
        let saved = self.samples.entry(active.shard).or_default();
        *saved = (*saved).max(made);
    }

    fn tell_exit(&mut self, job: &EffectId, shard: u32, exit: Exit) {
        if let Some(task) = self.task(job, shard) {
            task.exit.get_or_insert(exit);
        }
    }

    /// A shim begins its command, unless somebody else has the task.
    fn shim(&mut self, run: &Run, job: EffectId, shard: u32) -> bool {
        let me = Claim::Shim(run.id, run.restarts);
        let Some(task) = self.task(&job, shard) else {
            return false;
        };
        let earlier =
            matches!(task.claim, Some(Claim::Shim(id, n)) if id == run.id && n < run.restarts);
        let free = task.claim.is_none();
        if task.exit.is_some() || !(free || earlier) {
            self.tally.turned_away += 1;
            return false;
        }
        task.claim = Some(me);
        self.tally.taken_over += u64::from(earlier);
        self.tally.commands += 1;
        let twice = self.active.values().any(|other| other.shard == shard);
        let again = self
            .begun
            .insert((job.clone(), shard), (run.id, run.restarts))
            .is_some_and(|before| before.0 != run.id);
        if twice || again || self.acknowledged.contains(&shard) {
            self.tally.doubles.push(format!(
                "{job} shard {shard} by slurm {} restart {}: beside another {twice}, again {again}",
                run.id, run.restarts
            ));
        }
        true
    }
}

impl Nodes for World {
    fn start(&mut self, run: &Run, now: Timestamp) {
        let Some((job, shard)) = self.place(run) else {
            return;
        };
        if !self.shim(run, job.clone(), shard) {
            return;
        }
        let before = self.samples.get(&shard).copied().unwrap_or(0);
        let left = self.targets[&shard] - before;
        let whole = self.per_sample * u32::try_from(left).unwrap();
        let words = [job.number, u64::from(shard), u64::from(run.restarts)];
        let fails = chance(self.seed, &words) < self.failing;
        let share = if fails {
            chance(self.seed, &[words[0], words[1], 5])
        } else {
            1.0
        };
        let active = Active {
            job,
            shard,
            begun: now,
            before,
            ends: now.after(whole.mul_f64(share)),
            fails,
            told: false,
        };
        self.active
            .insert((run.serial, run.index.unwrap_or(0)), active);
    }

    fn look(&mut self, run: &Run, now: Timestamp) -> Option<BatchExit> {
        let key = (run.serial, run.index.unwrap_or(0));
        let ended = BatchExit {
            status: 0,
            signal: 0,
        };
        let Some(active) = self.active.get(&key) else {
            return Some(ended);
        };
        if now < active.ends {
            return None;
        }
        let (job, shard, fails, at) = (active.job.clone(), active.shard, active.fails, active.ends);
        self.save(key, at);
        self.active.remove(&key);
        self.tally.failed += u64::from(fails);
        let exit = Exit {
            status: Some(if fails { TRY_AGAIN.into() } else { 0 }),
            started_at: at.0,
            ended_at: at.0,
            ..Exit::default()
        };
        self.tell_exit(&job, shard, exit);
        Some(ended)
    }

    fn term(&mut self, run: &Run, now: Timestamp) {
        let key = (run.serial, run.index.unwrap_or(0));
        self.save(key, now);
        if let Some(active) = self.active.remove(&key).filter(|active| !active.told) {
            self.tally.terminated += 1;
            let exit = Exit {
                stopped: true,
                signal: Some(15),
                ..Exit::default()
            };
            self.tell_exit(&active.job, active.shard, exit);
        }
    }

    fn kill(&mut self, run: &Run, now: Timestamp) {
        let key = (run.serial, run.index.unwrap_or(0));
        self.save(key, now);
        self.tally.killed += u64::from(self.active.remove(&key).is_some());
    }
}

impl Dirs for World {
    fn handle(&self, job: &EffectId) -> io::Result<Option<Handle>> {
        Ok(self.dirs.get(job).and_then(|dir| dir.handle.clone()))
    }

    fn write_handle(&mut self, job: &EffectId, handle: &Handle) -> io::Result<()> {
        let done = self.touch()?;
        if let Some(dir) = self.dirs.get_mut(job).filter(|_| done) {
            dir.handle = Some(handle.clone());
        }
        if self.dead {
            return Err(io::Error::other("the daemon is dead"));
        }
        Ok(())
    }

    fn script(&mut self, job: &EffectId, part: u32, handle: &Handle) -> io::Result<PathBuf> {
        self.touch()?;
        let planned = &handle.parts[part as usize];
        let root = format!("/state/jobs/{job}");
        let text = render(&Batch {
            name: &planned.name,
            job_dir: Path::new(&root),
            program: Path::new("/state/bin/campaignd"),
            first: planned.first,
            count: planned.count,
            at_once: 50,
            resources: &self.dirs[job].slurm,
            log: Path::new(&root),
            time_seconds: None,
            umask: None,
        })
        .map_err(io::Error::other)?;
        let path = PathBuf::from(format!("{root}/batch.{part}.sh"));
        self.scripts.insert(path.clone(), text);
        Ok(path)
    }

    fn claimed_by(&self, job: &EffectId, shard: u32) -> io::Result<Option<u64>> {
        let task = self.dirs.get(job).and_then(|dir| dir.tasks.get(&shard));
        Ok(match task.and_then(|task| task.claim) {
            Some(Claim::Shim(id, _)) => Some(id),
            _ => None,
        })
    }

    fn is_over(&self, job: &EffectId, shard: u32) -> io::Result<bool> {
        let task = self.dirs.get(job).and_then(|dir| dir.tasks.get(&shard));
        let over = |task: &TaskDir| task.exit.is_some() || task.claim == Some(Claim::Canceller);
        Ok(task.is_some_and(over))
    }

    fn beat(&self, job: &EffectId, shard: u32) -> io::Result<Option<i64>> {
        let mine = |active: &&Active| active.job == *job && active.shard == shard;
        let running = self.active.values().find(mine);
        Ok(running.map(|active| (self.now.since(active.begun).as_secs() / 30) as i64))
    }

    fn tell_end(&mut self, job: &EffectId, shard: u32, end: &SchedulerEnd) -> io::Result<()> {
        if !self.touch()? {
            return Err(io::Error::other("the daemon is dead"));
        }
        self.tally.ends_on_word += 1;
        let exit = Exit {
            scheduler: Some(end.clone()),
            ..Exit::default()
        };
        self.tell_exit(job, shard, exit);
        Ok(())
    }
}
