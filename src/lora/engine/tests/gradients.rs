//! Gradients against finite differences of the whole loss, tensor by tensor along random directions.

use super::*;

/// Moves a tensor (A or B) of one site along a direction.
fn moved(adapters: &Adapters, site: Site, b: bool, direction: &[f32], by: f32) -> Adapters {
    let mut moved = adapters.clone();
    let adapter = moved.get_mut(&site).unwrap();
    let tensor = if b { &mut adapter.b } else { &mut adapter.a };
    for (number, d) in tensor.iter_mut().zip(direction) {
        *number += by * d;
    }
    moved
}

/// Compares all gradients with the slope of `loss`; how many were compared.
fn check(
    name: &str,
    engine: &mut Engine<Plain>,
    loss: &mut dyn FnMut(&mut Engine<Plain>) -> f64,
) -> usize {
    let adapters = engine.adapters(0).unwrap();
    engine.clear(0).unwrap();
    loss(engine);
    let gradients = engine.gradients(0).unwrap();
    assert!(gradients.keys().eq(adapters.keys()));
    let mut compared = 0;
    for (at, (&site, pair)) in gradients.iter().enumerate() {
        for (b, gradient) in [(false, &pair.a), (true, &pair.b)] {
            let direction = numbers(900 + at as u32, gradient.len());
            let norm = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
            let direction: Vec<f32> = direction.iter().map(|d| d / norm).collect();
            let mut at = |by: f32| {
                let moved = moved(&adapters, site, b, &direction, by);
                engine.equip(&moved, None).unwrap();
                loss(engine)
            };
            let h = 1.0 / 32.0;
            let near = at(h) - at(-h);
            let far = at(2.0 * h) - at(-2.0 * h);
            let slope = (8.0 * near - far) / (12.0 * f64::from(h));
            let products = gradient.iter().zip(&direction);
            let expected: f64 = products.map(|(g, d)| f64::from(g * d)).sum();
            let norm = gradient
                .iter()
                .map(|g| f64::from(g * g))
                .sum::<f64>()
                .sqrt();
            let bound = 2e-4 + 2e-3 * norm;
            assert!(
                (slope - expected).abs() < bound,
                "{name} {site} {}: gradient {expected}, slope {slope}, norm {norm}",
                if b { "B" } else { "A" }
            );
            assert!(norm > 1e-4, "{name} {site}: nothing is learned");
            compared += 1;
        }
    }
    engine.equip(&adapters, None).unwrap();
    compared
}

#[test]
fn of_a_fine_tune() {
    for used in [Use::On, dropout()] {
        for (name, decoder) in models() {
            let (mut engine, batch) = (engine(&decoder), batch(&decoder, 1, &[9, 6]));
            let weight = 1.0 / batch.targets.len() as f32;
            let compared = check(name, &mut engine, &mut |engine| {
                f64::from(weight) * engine.learn(&batch, weight, used).unwrap()
            });
            assert_eq!(compared, 28);
        }
    }
}

#[test]
fn of_preferences() {
    for used in [Use::On, dropout()] {
        for (name, decoder) in models() {
            let (mut engine, pairs) = (engine(&decoder), batch(&decoder, 3, &[7, 8, 5, 9]));
            let compared = check(name, &mut engine, &mut |engine| {
                let found = engine.prefer(&pairs, &STAKE.each(&pairs), &[used]).unwrap();
                found.iter().map(|pair| 0.5 * pair.loss).sum()
            });
            assert_eq!(compared, 28);
        }
    }
}

#[test]
fn of_every_lowest_place() {
    let decoder = llama();
    let batch = batch(&decoder, 1, &[9, 6]);
    let mut whole = engine(&decoder);
    whole.learn(&batch, 0.1, Use::On).unwrap();
    let whole = whole.gradients(0).unwrap();
    for lowest in whole.keys() {
        // Those below stay as they are, merged into the base, so that all above see the same.
        let upper = |site: Site| site >= *lowest;
        let all = adapters(&decoder, |_| true);
        let base = merged(&decoder, &all, |site| !upper(site));
        let own = adapters(&decoder, upper);
        let mut engine = Engine::new(Plain, &decoder, &base, &own).unwrap();
        engine.learn(&batch, 0.1, Use::On).unwrap();
        let found = engine.gradients(0).unwrap();
        let expected = whole.iter().filter(|(site, _)| upper(**site));
        let expected = expected.map(|(site, pair)| (*site, pair.clone())).collect();
        let apart = gradients_apart(&expected, &found);
        assert!(apart < 1e-4, "above {lowest}: {apart}");
    }
}
