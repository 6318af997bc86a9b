//! Parses on several threads, and hands over in the order of the files.
//!
//! Block k goes to worker k modulo n and its results are taken from there, each through a channel of its own: the order
//! needs no sorting, and nobody runs ahead of a slow block by more than a block for each worker.

use super::{Batch, Corpus, Item, Tally};
use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

/// What a worker made of a block.
struct Made<T> {
    file: u32,
    tally: Tally,
    made: Vec<T>,
}

impl Corpus {
    /// Calls `map` for every element on `threads` threads, and `each` on this one with what it made, in the order of the
    /// files and of the elements in them. Returns what was read of each file.
    ///
    /// Memory: at most three blocks for each thread, each a little longer than its longest row may be.
    ///
    /// # Errors
    /// Those of reading; the first of `each` ends all.
    pub fn read_parallel<T, E>(
        &self,
        threads: usize,
        map: impl Fn(Item) -> T + Sync,
        mut each: impl FnMut(T) -> Result<(), E>,
    ) -> Result<Vec<Tally>, E>
    where
        T: Send,
        E: From<io::Error>,
    {
        let mut tallies = vec![Tally::default(); self.files().len()];
        thread::scope(|scope| {
            let (mut to, mut from) = (Vec::new(), Vec::new());
            for _ in 0..threads.max(1) {
                let (give, work) = sync_channel(1);
                let (done, take) = sync_channel(1);
                let map = &map;
                scope.spawn(move || parse(&work, &done, map));
                to.push(give);
                from.push(take);
            }
            scope.spawn(move || self.feed(&to));
            // A worker without work ends, and its channel with it: the first silence is the end of all.
            for made in from.iter().cycle().map_while(|take| take.recv().ok()) {
                let Made { file, tally, made } = made?;
                tallies[file as usize] += tally;
                made.into_iter().try_for_each(&mut each)?;
            }
            Ok(tallies)
        })
    }

    /// Deals blocks out until there is no more, or nobody wants more.
    fn feed(&self, to: &[SyncSender<io::Result<Batch>>]) {
        for (batch, give) in self.batches().zip(to.iter().cycle()) {
            if give.send(batch).is_err() {
                return;
            }
        }
    }
}

fn parse<T>(
    work: &Receiver<io::Result<Batch>>,
    done: &SyncSender<io::Result<Made<T>>>,
    map: &impl Fn(Item) -> T,
) {
    for batch in work {
        let made = batch.map(|batch| {
            let mut tally = Tally {
                blank: batch.blank,
                ..Tally::default()
            };
            let items = batch.items().inspect(|item| tally.count(&item.what));
            let made = items.map(map).collect();
            Made {
                file: batch.file,
                tally,
                made,
            }
        });
        if done.send(made).is_err() {
            return;
        }
    }
}
