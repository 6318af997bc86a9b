//! A model made on the spot, an adapter that learned something, and everything that can be wrong with what is asked.

mod choosing;
mod made;

use super::*;
use crate::{
    evaluation::{
        job::{Contender, EvaluationSettings, Metric},
        paired::Shown,
    },
    report::inspect,
    training::words::Device,
};
use made::{Place, answers, row};

fn measure(place: &Place) -> Measure {
    Measure {
        name: "toy".into(),
        model: place.text("model"),
        adapters: vec![Contender {
            name: "tuned".into(),
            directory: place.text("adapter"),
        }],
        data: vec![place.text("test.jsonl")],
        training: vec![place.text("train.jsonl")],
        output: place.text("out"),
        settings: EvaluationSettings {
            generate: 4,
            max_new_tokens: 12,
            resamples: 500,
            ..EvaluationSettings::default()
        },
        device: Device::Cpu,
    }
}

fn silent(_: Told) {}

fn refused(job: &Measure) -> String {
    evaluate(job, false, &mut silent).unwrap_err().text
}

#[test]
fn an_adapter_that_learned_is_improved_and_all_of_it_is_on_disk() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..60);
    place.rows("test.jsonl", 100..148);
    place.trained_adapter("adapter", 60);
    let job = measure(&place);
    let mut told = Vec::new();
    let measured = evaluate(&job, false, &mut |what| told.push(what)).unwrap();

    let loss = measured
        .comparisons
        .iter()
        .find(|c| c.metric == Metric::Loss)
        .unwrap();
    assert_eq!(
        (loss.shown, measured.verdicts["tuned"]),
        (Shown::Improved, Shown::Improved),
        "{loss:?}"
    );
    assert_eq!(
        (measured.items.measured, measured.items.read, loss.items),
        (48, 48, 48)
    );
    assert_eq!(measured.items.clusters, 24, "two rows a trajectory");
    let [base, tuned] = [&measured.arms[0], &measured.arms[1]];
    assert_eq!((base.name.as_str(), tuned.name.as_str()), (BASE, "tuned"));
    assert!(tuned.metrics[&Metric::Loss].value < base.metrics[&Metric::Loss].value - 0.5);
    assert_eq!(base.metrics[&Metric::ExactMatch].items, 4);
    assert_eq!(base.metrics[&Metric::Ranking].items, 48);
    let bigram = measured.bigram.as_ref().unwrap();
    assert!(bigram.loss > 0.0 && bigram.loss < base.metrics[&Metric::Loss].value);
    assert_eq!(bigram.against.len(), 2);

    assert_eq!(
        told.iter()
            .filter(|what| matches!(what, Told::Arm(_)))
            .count(),
        2
    );
    assert!(matches!(told.last(), Some(Told::Step { done, total, .. }) if done == total));

    let out = place.path("out");
    let text = std::fs::read_to_string(out.join("items.jsonl")).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(text.lines().count(), 48);
    assert_eq!(
        first["models"]["base"]["log_likelihood"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    let page = std::fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.contains("improved") && page.contains("Bigram baseline"));
    for arm in ["base", "tuned"] {
        let file = fs::File::open(out.join(format!("logs/{arm}.eval"))).unwrap();
        let log = inspect::read(file).unwrap();
        let scores = log.header.results.unwrap().scores;
        let loss = scores.iter().find(|score| score.name == "loss").unwrap();
        let arm = measured.arms.iter().find(|a| a.name == arm).unwrap();
        assert_eq!(
            loss.metrics["mean"].value,
            Some(arm.metrics[&Metric::Loss].value)
        );
        assert_eq!(log.summaries.len(), 48);
    }
    crate::artifacts::sums::read(&out).unwrap();
}

#[test]
fn the_same_request_gives_the_same_results_and_is_not_made_twice() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..20);
    place.rows("test.jsonl", 100..124);
    place.fresh_adapter("adapter", 0.5);
    let job = measure(&place);
    let made = evaluate(&job, false, &mut silent).unwrap();
    let bytes = |name: &str| std::fs::read(place.path("out").join(name)).unwrap();
    let (results, items) = (bytes("results.json"), bytes("items.jsonl"));
    let mut told = 0;
    let again = evaluate(&job, false, &mut |_| told += 1).unwrap();
    assert_eq!((again, told), (made, 0), "it is read, not made");
    evaluate(&job, true, &mut silent).unwrap();
    assert_eq!(
        (bytes("results.json"), bytes("items.jsonl")),
        (results, items)
    );

    let mut other = job.clone();
    other.settings.seed += 1;
    assert!(refused(&other).contains("another request"));
    place.rows("test.jsonl", 100..125);
    assert!(refused(&job).contains("has changed since"));
    let mut elsewhere = job.clone();
    elsewhere.output = place.text("model");
    assert!(refused(&elsewhere).contains("is no evaluation"));
    let held = evaluate(&elsewhere, true, &mut silent).unwrap_err().text;
    assert!(held.contains("holds more"), "{held}");
}

#[test]
fn an_adapter_that_does_nothing_shows_nothing() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..8);
    place.rows("test.jsonl", 100..130);
    place.fresh_adapter("adapter", 0.0);
    let job = measure(&place);
    // Of an attempt on a GPU that did not end; this one is computed on the processor.
    let plans = Kept::beside(Path::new(&job.output));
    fs::create_dir_all(plans.path().parent().unwrap()).unwrap();
    fs::write(plans.path(), "plans").unwrap();
    let measured = evaluate(&job, false, &mut silent).unwrap();
    assert!(!plans.path().exists(), "nobody goes on with them");
    assert!(!Path::new(&job.output).join(device::PLANS).exists());
    assert_eq!(measured.verdicts["tuned"], Shown::Underpowered);
    for found in &measured.comparisons {
        assert_eq!(
            (found.difference, found.shown),
            (Some(0.0), Shown::Underpowered),
            "{found:?}"
        );
    }
}

#[test]
fn what_cannot_be_measured_is_said_in_a_sentence() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..8);
    place.rows("test.jsonl", 100..110);
    place.fresh_adapter("adapter", 0.1);
    let job = measure(&place);

    let mut short = job.clone();
    short.settings.max_seq_length = 3;
    let text = refused(&short);
    assert!(
        text.contains("no item to measure") && text.contains("10 are longer than 3"),
        "{text}"
    );

    std::fs::write(place.path("empty.jsonl"), "\n").unwrap();
    let mut empty = job.clone();
    empty.data = vec![place.text("empty.jsonl")];
    assert!(refused(&empty).contains("empty.jsonl: there is no row"));

    std::fs::write(
        place.path("broken.jsonl"),
        format!("{}\n{{\"id\": 1\n", row(1)),
    )
    .unwrap();
    let mut broken = job.clone();
    broken.data = vec![place.text("broken.jsonl")];
    assert!(refused(&broken).contains("broken.jsonl: line 2"));

    let mut missing = job.clone();
    missing.data = vec![place.text("none.jsonl")];
    assert!(refused(&missing).contains("none.jsonl"));

    let mut model = job.clone();
    model.model = place.text("nowhere");
    assert!(refused(&model).contains("nowhere"));

    place.other_model("other");
    place.adapter_for("other", "stranger");
    let mut stranger = job.clone();
    stranger.adapters[0].directory = place.text("stranger");
    assert!(!refused(&stranger).is_empty());

    let mut twice = job.clone();
    twice.adapters.push(twice.adapters[0].clone());
    assert!(refused(&twice).contains("two models are called"));

    let mut settings = job.clone();
    settings.settings.confidence = f64::NAN;
    assert!(refused(&settings).contains("confidence = NaN"));

    std::fs::write(
        place.path("mute.jsonl"),
        "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}\n",
    )
    .unwrap();
    let mut mute = job.clone();
    mute.training = vec![place.text("mute.jsonl")];
    assert!(refused(&mute).contains("no baseline"));

    assert!(
        !place.path("out").exists(),
        "nothing is left of what failed"
    );
}

#[test]
fn a_job_directory_is_worked_through() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..8);
    place.rows("test.jsonl", 100..112);
    place.fresh_adapter("adapter", 0.1);
    let (mut first, mut second) = (measure(&place), measure(&place));
    fs::create_dir(place.path("evaluation")).unwrap();
    (first.output, second.output) = (place.text("evaluation/a"), place.text("evaluation/b"));
    second.name = "second".into();
    place.job(vec![first, second]);
    run(&place.path("jobs/j"), 0).unwrap();
    for name in ["a", "b"] {
        assert!(
            place
                .path("evaluation")
                .join(name)
                .join("results.json")
                .exists()
        );
    }
    let progress = std::fs::read_to_string(JobDir::new(place.path("jobs/j")).progress(0)).unwrap();
    assert!(progress.contains("\"evaluation\":\"second\""), "{progress}");
    assert_eq!(answers().len(), 6);
}

#[test]
fn results_are_those_of_the_bytes_that_they_came_from() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..20);
    place.rows("test.jsonl", 100..124);
    place.fresh_adapter("adapter", 0.5);
    let job = measure(&place);
    let made = evaluate(&job, false, &mut silent).unwrap();
    let config = fs::read(place.path("adapter/adapter_config.json")).unwrap();
    type Change<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());
    let changes: [Change<'_>; 4] = [
        (
            "tuned: adapter_model.safetensors has changed",
            &|| place.fresh_adapter("adapter", 0.6),
            &|| place.fresh_adapter("adapter", 0.5),
        ),
        (
            "tuned: adapter_config.json has changed",
            &|| {
                let text = [config.as_slice(), b"\n"].concat();
                fs::write(place.path("adapter/adapter_config.json"), text).unwrap();
            },
            &|| place.fresh_adapter("adapter", 0.5),
        ),
        (
            "train.jsonl has changed",
            &|| place.rows("train.jsonl", 0..21),
            &|| place.rows("train.jsonl", 0..20),
        ),
        (
            "the model's files have changed",
            &|| place.append("model/config.json", "\n"),
            &|| place.cut("model/config.json", 1),
        ),
    ];
    for (said, change, back) in changes {
        change();
        let text = refused(&job);
        assert!(
            text.contains(said) && text.contains("choose another --output"),
            "{text}"
        );
        back();
        assert_eq!(evaluate(&job, false, &mut silent).unwrap(), made, "{said}");
    }
    place.append("model/tokenizer_config.json", "\n");
    assert!(refused(&job).contains("tokenizer_config.json has changed"));
}

#[test]
fn rows_that_were_trained_on_are_counted_and_nothing_else_is_refused() {
    let place = Place::with_model();
    place.rows("train.jsonl", 100..110);
    place.rows("test.jsonl", 100..124);
    place.fresh_adapter("adapter", 0.1);
    let job = measure(&place);
    let measured = evaluate(&job, false, &mut silent).unwrap();
    assert_eq!(
        (measured.items.trained_on, measured.items.measured),
        (10, 24)
    );
    let page = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(page.contains("Not held out"));
    let same = Measure {
        training: job.data.clone(),
        output: place.text("other"),
        ..job
    };
    assert!(refused(&same).contains("is held out: every row"));
    assert!(!place.path("other").exists());
}

#[test]
fn a_model_whose_numbers_overflow_is_not_measured() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..8);
    place.rows("test.jsonl", 100..124);
    place.fresh_adapter("adapter", 0.1);
    place.huge_model("huge");
    let mut job = measure(&place);
    job.model = place.text("huge");
    let text = refused(&job);
    assert!(
        text.starts_with("base: its loss on item row-") && text.contains("overflow"),
        "{text}"
    );
    assert!(!place.path("out").exists());
}

#[test]
fn an_adapter_of_another_model_of_the_same_shapes_is_refused() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..8);
    place.rows("test.jsonl", 100..124);
    place.fresh_adapter("adapter", 0.1);
    let job = measure(&place);
    let said = |model: &str| {
        let training = json!({ "base_model": "another", "identity": { "model": model } });
        fs::write(place.path("adapter/training.json"), training.to_string()).unwrap();
    };
    said("of another");
    assert!(refused(&job).contains("was trained for toy, and not for"));
    said(
        &ModelDir::open(&place.path("model"))
            .unwrap()
            .hash()
            .unwrap(),
    );
    evaluate(&job, false, &mut silent).unwrap();
}

#[test]
fn an_answer_that_fills_the_model_did_not_end_by_itself() {
    let settings = EvaluationSettings {
        max_new_tokens: 5,
        ..EvaluationSettings::default()
    };
    let course = Course {
        items: &[],
        distractors: &[],
        settings: &settings,
        language: &made::Letters,
        context: 10,
        decoded: arm::DECODED,
    };
    let ended = [(4, 3), (4, 5), (6, 4), (5, 5)].map(|(given, said)| course.stopped(given, said));
    let names = ended.map(inspect::Stopped::name);
    assert_eq!(names, ["stop", "max_tokens", "model_length", "max_tokens"]);
}

#[test]
fn two_evaluations_do_not_make_the_same_directory_at_once() {
    let place = Place::with_model();
    place.rows("train.jsonl", 0..8);
    place.rows("test.jsonl", 100..124);
    place.fresh_adapter("adapter", 0.1);
    let job = measure(&place);
    let mut second = None;
    evaluate(&job, false, &mut |told| {
        if matches!(told, Told::Arm(_)) {
            second.get_or_insert_with(|| refused(&job));
        }
    })
    .unwrap();
    let said = second.unwrap();
    assert!(said.contains("another process is making it"), "{said}");
    assert!(place.path("out/results.json").exists());
}
