//! Greedy decoding against the argmax of whole passes, prompt by prompt.

use super::*;

/// What `generate` should say, made without a cache: one whole pass a token.
fn slowly(
    engine: &mut Engine<Plain>,
    decoder: &Decoder,
    prompt: &[u32],
    most: usize,
    stop: &[u32],
) -> Vec<u32> {
    let mut ids = prompt.to_vec();
    while ids.len() < prompt.len() + most && ids.len() < decoder.context {
        let mut batch = Batch::default();
        batch.push(0, &ids, &vec![false; ids.len()]);
        let logits = engine.logits(&batch, Use::On).unwrap();
        let last = &logits[logits.len() - decoder.vocabulary..];
        let highest = last.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let token = last.iter().position(|&logit| logit == highest).unwrap() as u32;
        if stop.contains(&token) {
            break;
        }
        ids.push(token);
    }
    ids.split_off(prompt.len())
}

#[test]
fn it_is_the_argmax_of_whole_passes() {
    let mut tokens = 0;
    for (name, mut decoder) in models() {
        decoder.context = 12;
        let mut engine = engine(&decoder);
        let prompts = [4, 1, 11, 12, 7].map(|len| document(&decoder, len as u32, len).0);
        for stop in [vec![], vec![1, 4, 8]] {
            for most in [1, 5, 40] {
                let answers = engine.generate(&prompts, most, &stop, Use::On).unwrap();
                for (prompt, answer) in prompts.iter().zip(&answers) {
                    let expected = slowly(&mut engine, &decoder, prompt, most, &stop);
                    assert_eq!(*answer, expected, "{name}, {most} after {prompt:?}");
                    assert!(prompt.len() + answer.len() <= decoder.context);
                    tokens += answer.len();
                }
            }
        }
    }
    assert!(tokens > 300, "only {tokens} tokens");
}

#[test]
fn an_answer_ends_before_its_stop() {
    let decoder = llama();
    let mut engine = engine(&decoder);
    let prompt = [document(&decoder, 5, 4).0];
    let free = engine.generate(&prompt, 8, &[], Use::On).unwrap().remove(0);
    assert_eq!(free.len(), 8);
    let stop = free[3];
    let end = free.iter().position(|&token| token == stop).unwrap();
    let stopped = engine.generate(&prompt, 8, &[stop], Use::On).unwrap();
    assert_eq!(stopped[0], free[..end]);
}

#[test]
fn nothing_is_asked() {
    let decoder = llama();
    let mut engine = engine(&decoder);
    let none: Vec<Vec<u32>> = vec![];
    assert_eq!(engine.generate(&[], 5, &[], Use::On).unwrap(), none);
    let answers = engine.generate(&[vec![1]], 0, &[], Use::On).unwrap();
    assert_eq!(answers, [Vec::<u32>::new()]);
}
