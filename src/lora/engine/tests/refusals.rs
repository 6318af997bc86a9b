//! What an engine refuses, in a sentence; and what it never hides.

use super::*;

fn refused<T>(done: Done<T>, expected: &str) {
    let Err(Trouble(said)) = done else {
        panic!("not refused: {expected}");
    };
    assert_eq!(said, expected);
}

#[test]
fn batches_that_the_model_cannot_read() {
    let mut decoder = llama();
    decoder.context = 4;
    let mut engine = engine(&decoder);
    let mut batch = Batch::default();
    batch.push(0, &[1, 13], &[false, false]);
    let said = "token 13 is not among the model's 13";
    refused(engine.learn(&batch, 1.0, Use::On), said);
    refused(engine.logits(&batch, Use::On), said);
    let long = "a row has more than the 4 positions that the model knows: 5";
    let mut batch = Batch::default();
    batch.push(0, &[1; 5], &[true; 5]);
    refused(engine.losses(&batch, Use::On), long);
    let prompts = [vec![1; 5]];
    refused(engine.generate(&prompts, 1, &[], Use::On), long);
    let prompts = [vec![1], vec![]];
    refused(
        engine.generate(&prompts, 1, &[], Use::On),
        "prompt 1 has no tokens",
    );
    let mut odd = Batch::default();
    odd.push(0, &[1, 2], &[true; 2]);
    refused(
        engine.prefer(&odd, &[], &[Use::On]),
        "1 documents are no pairs",
    );
}

#[test]
fn adapters_that_do_not_fit() {
    let decoder = llama();
    let mut wrong = adapters(&decoder, |_| true);
    let site = *wrong.keys().next().unwrap();
    wrong.get_mut(&site).unwrap().b.pop();
    let said = "the adapter of model.layers.0.self_attn.q_proj does not fit: rank 2, 32 and 31 numbers for 16 inputs and 16 outputs";
    let random = Random(&decoder);
    refused(Engine::new(Plain, &decoder, &random, &wrong), said);
    let mut engine = engine(&decoder);
    let before = engine.adapters(0).unwrap();
    refused(engine.equip(&wrong, None), said);
    let above = Site { layer: 2, ..site };
    let adapter = before[&site].clone();
    refused(
        engine.equip(&[(above, adapter)].into(), None),
        "an adapter is for model.layers.2.self_attn.q_proj, the model has 2 layers",
    );
    assert_eq!(engine.adapters(0).unwrap(), before);
}

#[test]
fn tensors_of_another_size() {
    struct Short<'a>(&'a Decoder);
    impl Tensors for Short<'_> {
        fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
            let mut numbers = Random(self.0).tensor(name)?;
            if name == "model.layers.1.mlp.up_proj.weight" {
                numbers.pop();
            }
            Ok(numbers)
        }
    }
    let decoder = llama();
    let none = Adapters::new();
    refused(
        Engine::new(Plain, &decoder, &Short(&decoder), &none),
        "tensor model.layers.1.mlp.up_proj.weight has 159 numbers, the model needs 160",
    );
}

#[test]
fn a_nan_is_never_hidden() {
    for (name, decoder) in models() {
        let mut adapters = adapters(&decoder, |_| true);
        adapters.values_mut().next().unwrap().a[3] = f32::NAN;
        let engine = Engine::new(Plain, &decoder, &Random(&decoder), &adapters);
        let (mut engine, batch) = (engine.unwrap(), batch(&decoder, 1, &[6, 7]));
        let loss = engine.learn(&batch, 0.1, Use::On).unwrap();
        assert!(loss.is_nan(), "{name}: {loss}");
        let norm = engine.squares(0).unwrap();
        assert!(norm.is_nan(), "{name}: {norm}");
        let pairs = engine.preferences(&batch, 0.1).unwrap();
        assert!(pairs[0].loss.is_nan(), "{name}: {}", pairs[0].loss);
        let said = "the logit of token 0 is NaN";
        refused(engine.generate(&[vec![1, 2]], 3, &[], Use::On), said);
    }
}

#[test]
fn a_batch_without_supervised_rows_teaches_nothing() {
    let decoder = llama();
    let mut engine = engine(&decoder);
    let mut batch = Batch::default();
    batch.push(0, &[1, 2, 3], &[false; 3]);
    assert_eq!(engine.learn(&batch, 1.0, Use::On).unwrap(), 0.0);
    assert_eq!(engine.squares(0).unwrap(), 0.0);
}
