//! Greedy decoding: prompts of different lengths side by side, keys and values kept between tokens.

use super::{
    super::{
        backend::{Backend, Done, Shape, Trouble, Use},
        batch::Batch,
    },
    Engine, Pass,
    layer::Attention,
    memory::Room,
};

/// What becomes of one prompt.
struct Answer {
    tokens: Vec<u32>,
    done: bool,
}

impl<B: Backend> Engine<B> {
    /// The likeliest token, again and again: at most `most` an answer, none after one of `stop`, which is not among the
    /// answer's, and no more than the model has positions. Each answer is what it would be alone.
    ///
    /// # Errors
    /// A prompt is empty or longer than the model can read; logits are no numbers; the machine's own.
    pub fn generate(
        &mut self,
        prompts: &[Vec<u32>],
        most: usize,
        stop: &[u32],
        used: Use,
    ) -> Done<Vec<Vec<u32>>> {
        if prompts.is_empty() || most == 0 {
            return Ok(vec![Vec::new(); prompts.len()]);
        }
        let context = self.decoder.context;
        let batch = prefill(prompts)?;
        let pass = self.pass(&batch, &self.all(used))?;
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let capacity = context.min(longest + most);
        let mut caches = self.caches(prompts.len() * capacity)?;
        let mut lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
        let mut likeliest = self.decode(&pass, &mut caches, capacity, None)?;
        let blank = || Answer {
            tokens: Vec::new(),
            done: false,
        };
        let mut answers: Vec<Answer> = prompts.iter().map(|_| blank()).collect();
        loop {
            let room = lengths.iter().map(|&length| length < context);
            for ((answer, &token), room) in answers.iter_mut().zip(&likeliest).zip(room) {
                answer.done |= !room || stop.contains(&token);
                if !answer.done {
                    answer.tokens.push(token);
                    answer.done = answer.tokens.len() == most;
                }
            }
            if answers.iter().all(|answer| answer.done) {
                return Ok(answers.into_iter().map(|answer| answer.tokens).collect());
            }
            // A sequence that is done stays where it is: its place in the batch is its place in the cache.
            let done = answers.iter().map(|answer| answer.done);
            let places: Vec<usize> = lengths
                .iter()
                .zip(done.clone())
                .map(|(&length, done)| {
                    if done {
                        length.min(capacity - 1)
                    } else {
                        length
                    }
                })
                .collect();
            let pass = self.pass(&one_each(&likeliest, &places), &self.all(used))?;
            likeliest = self.decode(&pass, &mut caches, capacity, Some(&places))?;
            for (length, done) in lengths.iter_mut().zip(done) {
                *length += usize::from(!done);
            }
        }
    }

    /// A cache for each layer, for so many tokens.
    fn caches(&self, tokens: usize) -> Done<Vec<Room<B>>> {
        let cache = |layer: &super::Layer<B>| {
            let mut room = Room::new(&self.backend)?;
            room.hold(&self.backend, Shape::of(tokens, 2 * layer.heads.keys()))?;
            Ok(room)
        };
        self.layers.iter().map(cache).collect()
    }

    /// One pass with caches; the likeliest next token of its supervised rows. Without `lengths` it fills them with whole prompts.
    fn decode(
        &mut self,
        pass: &Pass<B>,
        caches: &mut [Room<B>],
        capacity: usize,
        lengths: Option<&[usize]>,
    ) -> Done<Vec<u32>> {
        let (backend, decoder) = (&self.backend, &self.decoder);
        let memory = &mut self.memory;
        memory.lend();
        memory.hold(backend, decoder, &self.layers, [pass.m, pass.s], None)?;
        let (work, saved) = (&mut memory.work, &mut memory.passing);
        backend.embed(&self.table, &pass.placed, decoder.hidden, &mut work.x)?;
        for (layer, cache) in self.layers.iter().zip(caches) {
            let attention: Attention<'_, B> = match lengths {
                None => Attention::Fill { capacity, cache },
                Some(lengths) => Attention::Cached {
                    lengths,
                    capacity,
                    cache,
                },
            };
            layer.forward(backend, decoder, pass, attention, saved, work)?;
        }
        memory.lend();
        self.enter_head(pass)?;
        self.make_logits(pass)?;
        let logits = &self.memory.work.logits;
        self.backend
            .likeliest(logits, pass.s, self.decoder.vocabulary)
    }
}

/// Prompts as a batch whose supervised rows are the last ones.
fn prefill(prompts: &[Vec<u32>]) -> Done<Batch> {
    let mut batch = Batch::default();
    for (number, prompt) in (0..).zip(prompts) {
        if prompt.is_empty() {
            return Err(Trouble(format!("prompt {number} has no tokens")));
        }
        batch.push(number, prompt, &vec![false; prompt.len()]);
        batch.supervised.push(batch.ids.len() as u32 - 1);
        batch.targets.push(0);
    }
    Ok(batch)
}

/// The next token of each sequence, as a document of its own at its place.
fn one_each(tokens: &[u32], places: &[usize]) -> Batch {
    let rows: Vec<u32> = (0..tokens.len() as u32).collect();
    Batch {
        ids: tokens.to_vec(),
        positions: places.iter().map(|&place| place as u32).collect(),
        examples: rows.clone(),
        starts: (0..=tokens.len() as u32).collect(),
        supervised: rows,
        targets: vec![0; tokens.len()],
        spans: Vec::new(),
    }
}
