//! What the tests of this room share.

use super::{BackEnd, Vocabulary};
use crate::parameters::{Domain, Parameter, Schema, SumRule, Value};

/// A small vocabulary.
pub fn words() -> Vocabulary {
    let of = |name: &str, domain: &str| Parameter {
        name: name.into(),
        domain: Domain::parse(domain).unwrap(),
        about: String::new(),
    };
    let text = |all: &[(&str, &str)]| {
        all.iter()
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect()
    };
    Vocabulary {
        back_end: BackEnd::Builtin,
        schema: Schema {
            parameters: vec![
                of("r", "1..256:int"),
                of("learning_rate", "1e-6..1"),
                of("note", "x,y"),
                of("seed", "0..1000:int"),
                of("train_split", "0.5..0.95"),
                of("val_split", "0.05..0.5"),
            ],
            sums: vec![SumRule {
                parameters: vec!["train_split".into(), "val_split".into()],
                equals: 1.0,
                tolerance: 0.01,
            }],
        },
        short: text(&[("r", "rank"), ("learning_rate", "lr")]),
        also: text(&[("rank", "r"), ("lr", "learning_rate")]),
        defaults: [
            ("r".to_string(), Value::Whole(16)),
            ("learning_rate".to_string(), Value::Number(2e-4)),
        ]
        .into(),
        at: Default::default(),
        sets: Default::default(),
        keys: Vec::new(),
        recipe: String::new(),
        models: Vec::new(),
    }
}
