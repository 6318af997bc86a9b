//! The plain machine against numbers that PyTorch and transformers gave for the same inputs.

use super::*;

fn near(found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let apart = (f64::from(*found) - expected).abs();
        assert!(apart < 2e-6, "{found}, not {expected}");
    }
}

/// A group of one projection, 1 x 2, with an adapter of rank 1.
fn group(a: [f32; 2], b: f32) -> Group {
    let adapter = Adapter {
        rank: 1,
        scale: 2.0,
        a: a.to_vec(),
        b: vec![b],
    };
    let projection = Projection {
        outputs: 1,
        inputs: 2,
        weight: vec![3.0, 5.0],
        bias: Some(vec![100.0]),
        adapters: vec![Some(adapter)],
    };
    Plain.linear(0, vec![projection]).unwrap()
}

#[test]
fn three_steps_of_adamw() {
    let mut group = group([0.5, -1.25], 2.0);
    let gradients = [[0.3, -0.02, 5.0], [-0.1, 0.04, 1.0], [0.0, 0.5, -2.0]];
    for (step, [x, y, b]) in (1..).zip(gradients) {
        Plain.clear(&mut [&mut group], 0).unwrap();
        let gradient = &mut group.members[0][0].as_mut().unwrap().gradient;
        linear::add(gradient, &[2.0 * x, 2.0 * y], &[2.0 * b]);
        let step = AdamStep {
            step,
            learning_rate: 0.01,
            beta1: 0.9,
            beta2: 0.95,
            epsilon: 1e-8,
            weight_decay: 0.1,
            gradient_scale: 0.5,
        };
        Plain.adamw(&mut [&mut group], 0, &step).unwrap();
    }
    let adapter = Plain.adapters(&group, 0).unwrap().remove(0).unwrap();
    near(&adapter.a, &[0.481_316_745, -1.246_358_752]);
    near(&adapter.b, &[1.972_403_765]);
    let moments = Plain.moments(&group, 0).unwrap().remove(0).unwrap();
    near(&moments.first.a, &[0.015_300_001, 0.051_98]);
    near(&moments.second.b, &[1.375_625_014]);
}

#[test]
fn a_projection_by_hand() {
    let mut group = group([0.5, -1.0], 3.0);
    let mut batch = Batch::default();
    batch.push(0, &[0], &[false]);
    let x = vec![2.0, 4.0];
    let (mut h, mut y) = (vec![0.0], vec![1000.0]);
    // 2 * 3 + 4 * 5 + 100, and 2 * 3 * (2 * 0.5 - 4).
    Plain
        .forward(&group, &batch, &[Use::On], &x, 1, &mut h, true, &mut y)
        .unwrap();
    assert_eq!((h[0], y[0]), (-3.0, 1000.0 + 126.0 - 18.0));
    let mut dx = vec![7.0; 2];
    for _ in 0..2 {
        Plain
            .backward(
                &mut group,
                &batch,
                &[Use::On],
                &x,
                &h,
                &vec![0.5],
                1,
                Some(&mut dx),
            )
            .unwrap();
    }
    assert_eq!(dx, [0.5 * 3.0 + 3.0 * 0.5, 0.5 * 5.0 - 3.0]);
    let pair = Plain.gradients(&group, 0).unwrap().remove(0).unwrap();
    assert_eq!((pair.a, pair.b), (vec![12.0, 24.0], vec![-6.0]));
    assert_eq!(Plain.squares(&[&group], 0).unwrap(), 144.0 + 576.0 + 36.0);
}

#[test]
fn rows_as_transformers_has_them() {
    let x = vec![0.3, -1.2, 2.5, 0.7];
    let (mut rstd, mut y) = (vec![0.0], vec![0.0; 4]);
    let gain = vec![1.0, 2.0, 0.5, -1.0];
    Plain
        .norm(&x, &gain, 1, 4, 1e-5, &mut rstd, &mut y)
        .unwrap();
    near(
        &y,
        &[0.208_639_95, -1.669_119_596, 0.869_333_088, -0.486_826_509],
    );
    let mut act = vec![0.0; 4];
    let gu = [x.clone(), vec![1.0; 4]].concat();
    Plain.swiglu(&gu, 1, 4, &mut act).unwrap();
    near(
        &act,
        &[0.172_332_764, -0.277_770_281, 2.310_354_471, 0.467_731_416],
    );
    let rope = Rope {
        frequencies: vec![1.0, 0.1],
        attention_factor: 1.0,
    };
    let mut turned = x.clone();
    rows::rotate(&rope, 7, false, &mut turned);
    near(
        &turned,
        &[-1.416_295_886, -1.368_762_97, 2.081_851_482, -0.237_671_673],
    );
    rows::rotate(&rope, 7, true, &mut turned);
    let before: Vec<f64> = x.iter().copied().map(f64::from).collect();
    near(&turned, &before);
}
