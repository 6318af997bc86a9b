//! What a trial says of numbers that are wrong; that the kernels pass one is shown where they are run.

use super::*;
use crate::lora::plain::Plain;

fn said() -> (made::Model, Adapters, Said) {
    let model = made::models().into_iter().next().unwrap();
    let own = made::adapters(&model);
    let said = course::say(Plain, &model, &own).unwrap();
    (model, own, said)
}

fn why(found: Result<Agreement, Failed>) -> String {
    match found.unwrap_err() {
        Failed::Differs(Trouble(why)) => why,
        Failed::Stopped(why) => panic!("{why}"),
    }
}

#[test]
fn the_plain_machine_agrees_and_each_wrong_quantity_is_named() {
    let (model, own, mut said) = said();
    let agreement = judge("it", &model, &own, &said).unwrap();
    assert!(
        agreement.gradient < 1e-4 && agreement.loss < 1e-5,
        "{agreement}"
    );
    assert_eq!(agreement.tokens, 3 * made::ANSWER);
    let site = *said.gradients.keys().next_back().unwrap();

    let right = said.losses[3].1;
    for wrong in [right + 0.2, f32::NAN] {
        said.losses[3].1 = wrong;
        let why = why(judge("it", &model, &own, &said));
        assert!(
            why.contains("the loss of token 3") || why.contains("the mean of all losses"),
            "{why}"
        );
    }
    said.losses[3].1 = right;

    let right = said.norm;
    said.norm *= 1.02;
    let text = why(judge("it", &model, &own, &said));
    assert!(
        text.starts_with("the norm of all gradients is ") && text.contains(" on it and "),
        "{text}"
    );
    assert!(
        text.ends_with("on the processor, 2.0 % apart where 1.0 % is rounding"),
        "{text}"
    );
    said.norm = right;

    let right = said.gradients[&site].clone();
    said.gradients
        .get_mut(&site)
        .unwrap()
        .b
        .iter_mut()
        .for_each(|x| *x *= 1.2);
    let text = why(judge("it", &model, &own, &said));
    assert!(
        text.starts_with(&format!("the gradient of {site}")),
        "{text}"
    );
    said.gradients.remove(&site);
    assert!(why(judge("it", &model, &own, &said)).starts_with("the gradient of"));
    said.gradients.insert(site, right);

    let right = said.adapters[&site].clone();
    said.adapters.insert(site, own[&site].clone());
    let text = why(judge("it", &model, &own, &said));
    assert!(
        text.starts_with(&format!("AdamW's step of {site} (its length) is 0.00000")),
        "{text}"
    );
    said.adapters.insert(site, right);

    said.cached.iter_mut().for_each(|x| *x *= 1.05);
    let text = why(judge("it", &model, &own, &said));
    assert!(
        text.starts_with("attention over a cache (its length) is "),
        "{text}"
    );
    said.cached.iter_mut().for_each(|x| *x /= 1.05);

    let right = said.tokens[1][2];
    said.tokens[1][2] = (right + 1) % 131;
    let text = why(judge("it", &model, &own, &said));
    assert!(
        text.starts_with("the logit of decoded token 2 of answer 1 is "),
        "{text}"
    );
    said.tokens[1].pop();
    let short = judge("it", &model, &own, &said).unwrap_err();
    assert_eq!(
        short,
        Failed::Stopped(Trouble("2 of 3 tokens were decoded".into()))
    );
}

#[test]
fn what_is_said_twice_must_be_the_same_bit() {
    let (_, _, first) = said();
    let (_, _, mut second) = said();
    assert_eq!(twice("it", &first, &second), Ok(()));
    let number = &mut second.adapters.values_mut().next().unwrap().a[0];
    *number = f32::from_bits(number.to_bits() + 1);
    let Err(Failed::Differs(Trouble(why))) = twice("it", &first, &second) else {
        panic!("one bit is another");
    };
    assert!(
        why.starts_with("a number of the adapter of model.layers.0.self_attn.q_proj is "),
        "{why}"
    );
    assert!(why.ends_with(" when it is computed again"), "{why}");
}

#[test]
fn nothing_to_compare_is_no_agreement() {
    assert!(close("it", Vec::new()).is_err());
    assert!(close("it", vec![mean(&[])]).is_err());
}

#[test]
fn a_failure_of_the_gpu_is_one_of_the_kernels_unless_it_may_pass() {
    let stopped = || Err(Failed::Stopped(Trouble("no memory".into())));
    assert_eq!(
        Verdict::of(stopped(), true),
        Verdict::Unavailable(Trouble("no memory".into()))
    );
    let said = "the GPU failed its trial: no memory: report it with the output of `campaignd doctor`, and compute with --device cpu";
    assert_eq!(
        Verdict::of(stopped(), false),
        Verdict::Fails(Trouble(said.into()))
    );
    let differs = Err(Failed::Differs(Trouble("no memory".into())));
    assert_eq!(
        Verdict::of(differs, true),
        Verdict::Fails(Trouble(said.into()))
    );
}
