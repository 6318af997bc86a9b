//! What other programs read of a history.

use super::{csv::csv, plot, sqlite, svg::svg, table};
use crate::{
    curation::schema::Type,
    history::{Experiment, Failure, FailureCause, Status},
    parameters::Value,
    time::Timestamp,
};
use std::collections::BTreeMap;

fn one(n: i64, loss: f64) -> Experiment {
    Experiment {
        experiment_id: format!("e{n}"),
        campaign: "a,b".into(),
        cycle_id: 1,
        status: Status::Completed,
        config: [
            (
                "r".into(),
                if n == 1 {
                    Value::Whole(8)
                } else {
                    Value::Number(0.5)
                },
            ),
            (
                "name".into(),
                if n == 1 {
                    Value::Whole(8)
                } else {
                    Value::Text("say \"so\"\n".into())
                },
            ),
            ("bf16".into(), Value::Flag(true)),
        ]
        .into(),
        metrics: BTreeMap::from([("eval_loss".into(), loss)]),
        duration_seconds: 1.5,
        gpu_hours: 0.0,
        proposal_type: "exploit".into(),
        risk_level: "low".into(),
        proposal: None,
        adapter: None,
        verdict: None,
        failure: None,
        ended_at: Timestamp(n * 1_000),
    }
}

fn three() -> Vec<Experiment> {
    let mut all = vec![one(1, 1.5), one(2, 0.5), one(3, 1.0)];
    all[2].metrics.clear();
    all[2].status = Status::Failed;
    all[2].failure = Some(Failure {
        cause: FailureCause::Memory,
        text: "no room".into(),
    });
    all
}

#[test]
fn the_table_has_the_narrowest_types_and_every_row_fits() {
    let all = three();
    let schema = table::schema(&all);
    let of = |name: &str| {
        schema
            .0
            .iter()
            .find(|field| field.name == name)
            .map(|field| field.of.clone())
    };
    assert_eq!(
        of("config.r"),
        Some(Type::Float),
        "whole numbers among others"
    );
    assert_eq!(
        (of("config.name"), of("config.bf16")),
        (Some(Type::Text), Some(Type::Bool))
    );
    assert_eq!(
        (of("metrics.eval_loss"), of("cycle_id")),
        (Some(Type::Float), Some(Type::Int))
    );
    for one in &all {
        assert_eq!(schema.fits(&table::row(one, &schema)), Ok(()));
    }
}

#[test]
fn csv_is_that_of_rfc_4180() {
    let text = csv(&three());
    assert_eq!(text.matches("\r\n").count(), 4);
    let mut lines = text.split("\r\n");
    let head: Vec<&str> = lines.next().unwrap().split(',').collect();
    assert_eq!(
        (head[0], *head.last().unwrap()),
        ("experiment_id", "metrics.eval_loss")
    );
    let first = lines.next().unwrap();
    assert!(
        first.starts_with("e1,\"a,b\",1,completed,,,exploit,"),
        "{first}"
    );
    assert!(
        first.ends_with("1970-01-01T00:00:01Z,true,8,8.0,1.5"),
        "{first}"
    );
    assert!(lines.next().unwrap().contains(",\"say \"\"so\"\"\n\",0.5,"));
    assert!(
        lines.next().unwrap().ends_with(','),
        "what is missing is empty"
    );
    assert_eq!(csv(&[]).matches("\r\n").count(), 1);
}

#[test]
fn a_database_answers_in_sql() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("h.db");
    let mut all = three();
    all.push(one(1, 0.25));
    assert_eq!(sqlite::write(&path, &all), Ok(3), "an id is there once");
    let database = rusqlite::Connection::open(&path).unwrap();
    let ask = "SELECT e.experiment_id FROM experiments e JOIN parameters p USING (experiment_id) JOIN metrics m USING (experiment_id)
        WHERE p.name = 'r' AND p.value >= 8 AND m.name = 'eval_loss' AND m.value < 1";
    assert_eq!(
        database.query_row(ask, [], |row| row.get::<_, String>(0)),
        Ok("e1".into())
    );
    let cause: String = database
        .query_row(
            "SELECT cause FROM experiments WHERE status = 'failed'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(cause, "memory");
}

#[test]
fn a_plot_is_80_columns_wide_and_has_the_best_so_far() {
    let all: Vec<Experiment> = (1..=300)
        .map(|n| one(n, 2.0 + (n as f64 * 0.7).sin() - n as f64 / 300.0))
        .collect();
    let points = plot::points(&all, "eval_loss");
    assert_eq!(points.len(), 300);
    assert!(
        points.windows(2).all(|pair| pair[1].best <= pair[0].best),
        "a loss falls"
    );
    for unicode in [true, false] {
        let text = plot::plot(&points, "eval_loss", unicode);
        assert_eq!(text.lines().count(), 1 + 16 + 2);
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert_eq!(text.is_ascii(), !unicode);
        assert!(
            text.starts_with("eval_loss of 300 experiments, smaller is better, best 0.0"),
            "{text}"
        );
        assert!(text.ends_with("e300\n"), "{text}");
    }
    let text = plot::plot(&points[..1], "eval_loss", false);
    assert_eq!(text.matches('*').count(), 1, "{text}");
    assert_eq!(plot::plot(&[], "auc", true), "no experiment has auc\n");
    let failed = plot::points(&three()[2..], "eval_loss");
    assert_eq!(failed, []);
}

#[test]
fn numbers_have_four_digits_that_count() {
    for (value, shown) in [
        (0.0, "0"),
        (0.25, "0.25"),
        (1.0 / 3.0, "0.3333"),
        (1234.5, "1234"),
        (99.999, "100"),
        (1e-5, "1.00e-5"),
        (-2.5, "-2.5"),
        (3.2e7, "3.20e7"),
    ] {
        assert_eq!(plot::number(value), shown);
    }
}

#[test]
fn the_picture_says_whose_each_dot_is_and_nothing_of_it_is_markup() {
    let mut points = plot::points(&three(), "eval_loss");
    points[0].id = "<script>&\"".into();
    let text = svg(&points, "a<b");
    assert_eq!(text.matches("<circle").count(), 2);
    assert!(text.contains("&lt;script&gt;&amp;&quot;") && !text.contains("<script"));
    assert!(text.contains("a&lt;b") && !text.contains("NaN"));
    assert!(!svg(&[], "x").contains("NaN"));
}
