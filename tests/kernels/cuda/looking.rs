//! What looking takes of memory, against what was reckoned.

use super::simulated::Simulated;
use crate::ptx::Mode;
use campaignd::lora::{
    backend::{Ask, Use},
    cuda::{
        Cuda,
        budget::looking::{Answers, looking},
        device::Device,
        trial::made::{adapters, batch, models, prompts},
    },
    engine::{Adapters, Engine},
};
use std::rc::Rc;

#[test]
fn looking_takes_what_was_reckoned() {
    for model in models() {
        let own = adapters(&model);
        let prompts = prompts(&model);
        let device = Rc::new(Simulated::new(Mode::ALL[0]));
        let machine = Cuda::shared(device.clone());
        let mut engine = Engine::new(machine, &model.decoder, &model, &Adapters::new()).unwrap();
        let rows = batch(&model, 1, &[9, 30]);
        engine.losses(&rows, Use::Off).unwrap();
        engine.equip(&own, None).unwrap();
        engine.losses(&rows, Use::On).unwrap();
        engine.generate(&prompts, 3, &[], Use::On).unwrap();
        let ask = Ask {
            decoder: &model.decoder,
            ranks: &|site| vec![own.get(&site).map_or(0, |adapter| adapter.rank)],
            tokens: rows.tokens(),
            supervised: rows.supervised.len(),
        };
        let longest = prompts.iter().map(Vec::len).max().unwrap();
        let answers = Answers {
            most: prompts.len(),
            longest,
            capacity: longest + 3,
        };
        let (peak, plan) = (device.peak(), looking(&ask, answers));
        println!("{peak} bytes of {plan}");
        assert!(peak <= plan, "{peak} bytes, {plan} planned");
        assert!(plan < peak + peak / 2, "{peak} bytes, {plan} planned");
    }
}
