//! The model in virtual time: a world with a clock, and tasks that last as long as they are told.

mod calls;
mod lives;
mod whole;

use crate::cluster::{
    Cluster, Exit, Fault, Faults, Nodes, On, Outage, Rate, Run,
    faults::Fates,
    job::{self, Phase},
};
use campaignd::{
    executor::slurm::{
        calls::{AccountRow, Answer, Call, Indices, Inquiry, QueueRow, Unanswered},
        script::{Batch, render},
        words::State,
    },
    machines::spec::SlurmSpec,
    time::Timestamp,
};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Noon of a day.
const NOON: Timestamp = Timestamp(1_772_452_800_000);

/// Tasks that last as long as they are told.
struct Sim {
    lasts: Duration,
    exit: Exit,
    /// It ends when it is told to.
    obeys: bool,
    running: BTreeMap<(u64, u32), (Timestamp, Option<Exit>)>,
    told: usize,
    killed: usize,
}

impl Sim {
    fn new(seconds: u64) -> Self {
        Self {
            lasts: Duration::from_secs(seconds),
            exit: Exit {
                status: 0,
                signal: 0,
            },
            obeys: true,
            running: BTreeMap::new(),
            told: 0,
            killed: 0,
        }
    }
}

fn key(run: &Run) -> (u64, u32) {
    (run.serial, run.index.unwrap_or(0))
}

impl Nodes for Sim {
    fn start(&mut self, run: &Run, now: Timestamp) {
        let was = self.running.insert(key(run), (now.after(self.lasts), None));
        assert!(was.is_none(), "{run:?} runs twice");
    }

    fn look(&mut self, run: &Run, now: Timestamp) -> Option<Exit> {
        let (until, told) = self.running[&key(run)];
        let exit = told.or((until <= now).then_some(self.exit))?;
        self.running.remove(&key(run));
        Some(exit)
    }

    fn term(&mut self, run: &Run, _: Timestamp) {
        self.told += 1;
        if let Some((_, told)) = self.running.get_mut(&key(run)) {
            *told = self.obeys.then_some(Exit {
                status: 0,
                signal: 15,
            });
        }
    }

    fn kill(&mut self, run: &Run, _: Timestamp) {
        self.killed += 1;
        self.running.remove(&key(run));
    }
}

/// A cluster with its clock.
struct World {
    cluster: Cluster,
    sim: Sim,
    now: Timestamp,
}

impl World {
    fn new(faults: Faults, sim: Sim) -> Self {
        let mut world = Self {
            cluster: Cluster::new(faults, 7),
            sim,
            now: NOON,
        };
        world.pass(0);
        world
    }

    /// Seconds, one by one.
    fn pass(&mut self, seconds: u64) {
        self.cluster.advance(self.now, &mut self.sim);
        for _ in 0..seconds {
            self.now = self.now.after(Duration::from_secs(1));
            self.cluster.advance(self.now, &mut self.sim);
        }
    }

    fn submit(&mut self, name: &str, options: &[&str]) -> Result<u64, Unanswered> {
        let lines = options.iter().map(|option| format!("#SBATCH {option}\n"));
        let text = format!("#!/bin/bash\n{}true\n", lines.collect::<String>());
        let script = Path::new("/s").join(name);
        self.cluster.lay(&script, text);
        let call = Call::Submit {
            name: name.into(),
            script,
        };
        match self.cluster.call(&call, self.now)? {
            Answer::Submitted { id } => Ok(id),
            other => panic!("{other:?}"),
        }
    }

    fn queue(&mut self) -> Vec<QueueRow> {
        match self.cluster.call(&Call::Queue, self.now) {
            Ok(Answer::Queue(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn accounts(&mut self, inquiry: Inquiry) -> Vec<AccountRow> {
        match self.cluster.call(&Call::Accounts(inquiry), self.now) {
            Ok(Answer::Accounts(rows)) => rows,
            other => panic!("{other:?}"),
        }
    }

    fn by_id(&mut self, id: u64) -> Vec<AccountRow> {
        self.accounts(Inquiry {
            ids: [id].into(),
            ..Inquiry::default()
        })
    }

    fn cancel(&mut self, id: u64) {
        let call = Call::Cancel {
            ids: [id].into(),
            names: Default::default(),
        };
        assert_eq!(self.cluster.call(&call, self.now), Ok(Answer::Cancelled));
    }

    /// `name state/reason` of each row of the queue.
    fn shown(&mut self) -> Vec<String> {
        let rows = self.queue();
        let text = |row: &QueueRow| format!("{} {}/{}", row.name, row.state, row.reason);
        rows.iter().map(text).collect()
    }
}

fn on(program: &str, first: u64, last: u64, fault: Fault) -> Faults {
    Faults {
        on: vec![On {
            program: program.into(),
            first,
            last,
            fault,
        }],
        ..Faults::default()
    }
}

fn fated(fates: Fates) -> Faults {
    Faults {
        fates,
        fate_seconds: 5,
        ..Faults::default()
    }
}
