//! What a person reads of a sweep, and what never gets into the page.

use super::*;
use crate::training::metrics::{LookRow, StepRow};

fn step(step: u64, loss: f64) -> Row {
    Row::Step(StepRow {
        step,
        epoch: 0.0,
        loss,
        grad_norm: 1.0,
        lr: 1e-4,
        tokens: 1,
        tokens_per_second: 1.0,
        rewards_chosen: None,
        rewards_rejected: None,
        rewards_accuracies: None,
    })
}

fn look(step: u64, eval_loss: f64) -> Row {
    Row::Look(LookRow {
        step,
        epoch: 0.0,
        eval_loss,
        eval_rewards_accuracies: None,
    })
}

fn member<'a>(name: &'a str, r: &str, rows: &'a [Row], result: Option<f64>) -> Member<'a> {
    Member {
        name,
        varied: vec![("r".into(), r.into())],
        rows,
        result,
        base: Some(3.0),
        stopped: None,
        left_out: None,
        finished: true,
        steps: 1200,
    }
}

fn page(members: &[Member]) -> String {
    render(&About {
        name: "<b>",
        members,
        halved: None,
    })
}

/// The cells of the table's rows, without their marks.
fn table(page: &str) -> Vec<String> {
    let body = page.split("<tbody>").nth(1).unwrap();
    let rows = body.split("</tbody>").next().unwrap().lines();
    let plain = |row: &str| {
        let mut text = String::new();
        for piece in row.split('<').filter_map(|piece| piece.split_once('>')) {
            text += piece.1;
            text.push(' ');
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    rows.map(plain).filter(|row| !row.is_empty()).collect()
}

#[test]
fn the_best_is_first_and_the_stopped_last_with_their_sentence() {
    let (a, b) = ([look(0, 3.0), look(9, 2.5)], [look(0, 3.0), look(9, 1.25)]);
    let worse = member("r8", "8", &a, Some(2.5));
    let best = member("r16", "16", &b, Some(1.25));
    let stopped = Member {
        stopped: Some("the loss is <none> at step 7"),
        finished: false,
        steps: 7,
        ..member("r64", "64", &a, Some(0.5))
    };
    let text = page(&[stopped, worse, best]);
    assert_eq!(
        table(&text),
        [
            "1 r16 3.0000 1.2500 1,200 finished 16",
            "2 r8 3.0000 2.5000 1,200 finished 8",
            "3 r64 3.0000 0.5000 7 stopped the loss is &lt;none&gt; at step 7 64",
        ]
    );
    assert!(text.contains("<dd><b>1.2500</b><span>r16: loss on the holdout</span></dd>"));
    assert!(text.contains("<dd><b>3</b><span>1 stopped by itself</span></dd>"));
    assert!(text.contains("<dd><b>2,407</b>"));
    assert!(text.contains("&lt;b&gt;") && !text.contains("<b>:") && !text.contains("<none>"));
    assert_eq!(text.matches("<polyline").count(), 3);
    // Each line has its colour in the table, in the legend and in the picture, and its number at its end.
    assert!(text.contains("<td><i class=\"c1\"></i>1</td>"));
    assert!(text.contains("<li><i class=\"c1\"></i>1 r16</li>"));
    assert!(
        text.contains("class=\"line l1\" points=\"0.00,0.00 100.00,87.50\""),
        "{text}"
    );
    assert!(text.contains(">1</text>") && text.contains(">3</text>"));
    assert!(text.contains("<th scope=\"row\">9</th><td>1.2500</td><td>2.5000</td><td>2.5000</td>"));
}

#[test]
fn without_looks_there_are_the_losses_of_steps() {
    let rows: Vec<Row> = (1..=1000)
        .map(|n| step(n, 3.0 - n as f64 / 1000.0))
        .collect();
    let text = page(&[member("a", "8", &rows, Some(2.0))]);
    assert!(text.contains("Training loss by step") && !text.contains("holdout by step"));
    assert!(text.contains("Means over neighbouring steps"));
    assert!(text.contains("training after"));
    let points = text
        .split("points=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    assert!((40..=60).contains(&points.split(' ').count()), "{points}");
    let text = page(&[member("a", "8", &rows[..3], Some(2.0))]);
    assert!(!text.contains("Means over neighbouring steps"));
}

#[test]
fn losses_that_are_not_finite_are_left_out_and_said() {
    let good = [look(0, 3.0), look(9, 2.0)];
    let bad = [look(0, 3.0), look(5, f64::NAN), look(9, f64::INFINITY)];
    let text = page(&[
        member("<bad>", "64", &bad, Some(f64::NAN)),
        member("good", "8", &good, Some(2.0)),
    ]);
    assert!(
        text.contains("Left out: 2 losses that are not finite, of &lt;bad&gt;."),
        "{text}"
    );
    assert!(table(&text)[1].contains("not finite"), "{:?}", table(&text));
    assert!(!text.contains("NaN") && !text.contains("inf") && !text.contains("<bad>"));
    let text = page(&[member("bad", "64", &bad[1..], None)]);
    assert!(text.contains("No loss was measured"));
    assert!(text.contains("no member has a loss"));
}

#[test]
fn one_that_diverges_does_not_press_the_others_flat() {
    let good = [look(0, 3.0), look(9, 2.0)];
    let bad = [look(0, 3.0), look(9, 4000.0)];
    let stopped = Member {
        stopped: Some("the loss grows"),
        ..member("bad", "64", &bad, None)
    };
    let text = page(&[member("good", "8", &good, Some(2.0)), stopped.clone()]);
    assert!(text.contains("of 2 members, 2 to 3\""), "{text}");
    assert!(text.contains("<svg class=\"clip\"") && text.contains("The scale is that of"));
    // With none that went to its end there is still a picture.
    let text = page(&[stopped]);
    assert!(text.contains("of 1 member, 0 to 4000\""), "{text}");
    assert!(!text.contains("The scale is that of"));
}

#[test]
fn many_members_are_told_apart_and_a_page_stays_small() {
    let rows: Vec<Row> = (0..5000)
        .map(|n| look(n, 2.0 + n as f64 / 9000.0))
        .collect();
    let names: Vec<String> = (0..64).map(|n| format!("seed{n}")).collect();
    let members: Vec<Member> = names
        .iter()
        .map(|name| member(name, "8", &rows, Some(2.5)))
        .collect();
    let text = page(&members[..16]);
    let signs = |text: &str| {
        let signs = text.split("<td><i class=\"").skip(1);
        let mut signs: Vec<String> = signs
            .map(|sign| sign.split('"').next().unwrap().into())
            .collect();
        signs.sort_unstable();
        signs.dedup();
        signs.len()
    };
    assert_eq!(signs(&text), 16, "a colour and a stroke for each");
    assert!(!text.contains("the others grey"));
    let text = page(&members);
    assert_eq!(signs(&text), 17);
    assert!(text.contains("The best 16 in colour, the others grey."));
    assert_eq!(text.matches("<polyline").count(), 64);
    assert!(text.len() < 150_000, "{}", text.len());
}

#[test]
fn settings_that_only_some_members_have_are_columns_of_all() {
    let mut other = member("b", "16", &[], None);
    other.varied = vec![("seed".into(), "<7>".into())];
    let text = page(&[member("a", "8", &[], Some(1.0)), other]);
    assert!(text.contains("<code>r</code>") && text.contains("<code>seed</code>"));
    assert_eq!(
        table(&text),
        [
            "1 a 3.0000 1.0000 1,200 finished 8 –",
            "2 b 3.0000 – 1,200 finished – &lt;7&gt;"
        ]
    );
    assert!(page(&[]).contains("No loss was measured"));
}

#[test]
fn who_was_left_out_where_is_said_and_what_it_saved() {
    let rows = [look(0, 3.0), look(9, 2.5)];
    let run = |name, loss, went_on| Run {
        name,
        loss,
        went_on,
    };
    let rung = |step, runs: &[Run<'static>]| Rung {
        step,
        runs: runs.to_vec(),
    };
    let first = [
        run("a", Some(2.5), true),
        run("<b>", Some(2.25), true),
        run("c", None, false),
        run("d", Some(2.75), false),
    ];
    let last = [run("a", Some(2.5), false), run("<b>", Some(2.0), true)];
    let halved = Halved {
        rungs: vec![rung(9, &first), rung(1200, &last)],
        steps: 2418,
        steps_without: 4800,
    };
    let left_out = Member {
        left_out: Some("left out at step 9: <eval_loss> 2.7500, 2 of 4 went on"),
        ..member("d", "8", &rows, Some(2.75))
    };
    let members = [member("a", "8", &rows, Some(2.5)), left_out];
    let text = render(&About {
        name: "all",
        members: &members,
        halved: Some(halved),
    });
    assert_eq!(
        table(&text)[1],
        "2 d 3.0000 2.7500 1,200 left out left out at step 9: &lt;eval_loss&gt; 2.7500, 2 of 4 went on 8"
    );
    assert!(text.contains("<span>1 left out at a rung</span>"), "{text}");
    let section = text.split("<section id=\"rungs\"").nth(1).unwrap();
    assert_eq!(
        table(section),
        [
            "9 4 &lt;b&gt; 2.2500, a 2.5000 d 2.7500, c no number",
            "1,200 2 &lt;b&gt; 2.0000 a 2.5000"
        ]
    );
    assert!(section.contains("2,418 of at most 4,800 steps were made, 50"));
    assert!(!page(&members).contains("id=\"rungs\""));
}
