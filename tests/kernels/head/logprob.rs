//! log p of targets and its sums over documents.

use crate::counts::Counted;
use crate::ptx::{Counts, Module};
use crate::support::{Chance, int, launch, module};
use campaignd::lora::batch::Batch;
use half::bf16;

/// A batch of documents of these lengths, a share of whose tokens is learned.
fn batch(chance: &mut Chance, lengths: &[usize]) -> Batch {
    let mut batch = Batch::default();
    for (document, &length) in lengths.iter().enumerate() {
        let ids: Vec<u32> = (0..length).map(|_| chance.below(100) as u32).collect();
        let learned: Vec<bool> = (0..length).map(|_| chance.below(3) > 0).collect();
        batch.push(document as u32, &ids, &learned);
    }
    batch
}

fn sums(batch: &Batch, values: &[f32], factor: f32) -> Vec<f64> {
    let (bits, _) = launched(batch, values, factor);
    bits.into_iter().map(f64::from_bits).collect()
}

/// The bits of the sums, and what it took.
fn launched(batch: &Batch, values: &[f32], factor: f32) -> (Vec<u64>, Counts) {
    let documents = batch.documents();
    let supervised = values.len();
    crate::support::run(
        module("logprob").kernel("document_sums"),
        &launch([documents.div_ceil(8), 1, 1], 256, 0),
        |memory| {
            let sums = memory.room::<u64>(documents);
            let args = vec![
                memory.put(values).into(),
                memory.put(&batch.supervised).into(),
                memory.put(&batch.starts).into(),
                sums.into(),
                (supervised as i32).into(),
                (documents as i32).into(),
                factor.into(),
            ];
            (args, sums)
        },
        |memory, &sums| memory.get::<u64>(sums),
    )
    .unwrap()
}

#[test]
fn sums_of_documents() {
    let mut chance = Chance::new(81);
    let many: Vec<usize> = (0..37).map(|_| chance.below(40)).collect();
    for lengths in [
        &[1][..],
        &[5, 0, 9],
        &[0, 0, 2000, 1, 0, 333, 64, 65, 7, 0],
        &many,
    ] {
        let batch = batch(&mut chance, lengths);
        let values = chance.numbers(batch.supervised.len(), 12.0);
        for factor in [1.0, -1.0] {
            let found = sums(&batch, &values, factor);
            assert_eq!(found.len(), lengths.len());
            for (document, found) in found.into_iter().enumerate() {
                let rows = batch.starts[document]..batch.starts[document + 1];
                let own = batch.supervised.iter().zip(&values);
                let own = own.filter(|(row, _)| rows.contains(row));
                let own: Vec<f64> = own.map(|(_, &value)| f64::from(factor * value)).collect();
                let expected: f64 = own.iter().sum();
                let size: f64 = own.iter().map(|value| value.abs()).sum();
                let off = (found - expected).abs();
                assert!(
                    off <= own.len() as f64 * 2f64.powi(-53) * size,
                    "document {document}: off by {off:e}"
                );
            }
        }
    }
}

#[test]
fn documents_without_supervised_rows_sum_to_nothing() {
    let mut batch = Batch::default();
    batch.push(0, &[1, 2, 3], &[false; 3]);
    batch.push(1, &[4], &[true]);
    let values: Vec<f32> = Vec::new();
    assert_eq!(
        sums(&batch, &values, -1.0),
        [0.0, 0.0].map(|zero: f64| -zero)
    );
}

#[test]
fn a_value_that_is_not_a_number_stays_in_its_document() {
    let mut chance = Chance::new(82);
    let batch = batch(&mut chance, &[20, 20]);
    let mut values = chance.numbers(batch.supervised.len(), 1.0);
    values[0] = f32::NAN;
    let found = sums(&batch, &values, 1.0);
    assert!(found[0].is_nan() && found[1].is_finite());
}

/// The bits of losses, or of what has their arguments.
fn of_rows(
    module: &Module,
    name: &str,
    logits: &[bf16],
    targets: &[u32],
    [columns, ld]: [usize; 2],
) -> (Vec<u32>, Counts) {
    let rows = targets.len();
    crate::support::run(
        module.kernel(name),
        &launch([rows, 1, 1], 512, 128),
        |memory| {
            let out = memory.room::<u32>(rows);
            let mut args = vec![
                memory.put(logits).into(),
                memory.put(targets).into(),
                out.into(),
            ];
            args.extend([rows, columns, ld].map(int));
            (args, out)
        },
        |memory, &out| memory.get::<u32>(out),
    )
    .unwrap()
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (mut chance, columns) = (Chance::new(84), 128_256);
    let logits = chance.halves(columns, 9.0);
    let name = "log_probabilities";
    let (_, counts) = of_rows(&module("logprob"), name, &logits, &[7], [columns; 2]);
    let row = Counted::new(name, "1 row of 128,256", counts, 2 * columns + 8);
    let mut batch = Batch::default();
    for document in 0..8 {
        batch.push(document, &[0; 512], &[true; 512]);
    }
    let values = chance.numbers(batch.supervised.len(), 12.0);
    let (_, counts) = launched(&batch, &values, 1.0);
    // Of the supervised rows it needs only where those of a document begin.
    let plan = values.len() * 4 + batch.starts.len() * 4 + batch.documents() * 8;
    let of = "8 documents of 512 tokens";
    vec![row, Counted::new("document_sums", of, counts, plan)]
}

/// The losses of `cross_entropy`, whose numbers its own tests check, with their sign turned.
#[test]
fn log_probabilities_are_losses_turned() {
    let (losses, values) = (module("cross_entropy"), module("logprob"));
    let mut chance = Chance::new(83);
    for columns in [1, 13, 1000, 9001] {
        let ld = usize::next_multiple_of(columns, 8);
        let mut logits = chance.halves(4 * ld, 9.0);
        logits[3 * ld] = bf16::NAN;
        let [first, third] = [0; 2].map(|_| chance.below(columns) as u32);
        let targets = [first, u32::MAX, third, 0];
        let run = |module: &Module, name| {
            let (bits, _) = of_rows(module, name, &logits, &targets, [columns, ld]);
            bits.into_iter().map(f32::from_bits).collect::<Vec<_>>()
        };
        let losses = run(&losses, "cross_entropy");
        let values = run(&values, "log_probabilities");
        for (loss, value) in losses.iter().zip(&values) {
            assert!(
                *value == -loss || (value.is_nan() && loss.is_nan()),
                "{value} for {loss}"
            );
        }
        assert_eq!(values[1], 0.0);
        assert!(values[3].is_nan());
    }
}
