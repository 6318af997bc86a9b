//! The page holds what the summary says, and nothing of what is in it can break out.

use super::render;
use crate::curation::{
    card::About,
    stats::{Facts, Stats, Summary},
    words::{DataSet, Reason, Split},
};

const HOSTILE: &str = "<script>alert('1')</script>\" onload=\"x' & <!--";

fn about<'a>(name: &'a str, settings: &'a [(String, String)]) -> About<'a> {
    About {
        name,
        generator: Some(name),
        settings,
    }
}

fn facts<'a>(kind: &'a str, outcome: &'a str, n: u64) -> Facts<'a> {
    Facts {
        analysis_type: Some(kind),
        organism: Some(if n.is_multiple_of(2) {
            "human"
        } else {
            "mouse"
        }),
        complexity: Some("simple"),
        outcome: Some(outcome),
        quality: Some(0.7 + 0.001 * n as f64),
        quality_parts: vec![("lint", 1.0), ("code_structure", 0.5)],
        training_value: Some(0.4),
        tokens: Some(1000 + n),
        cost_usd: Some(0.001 * n as f64),
        models: vec![("local-7b", 2)],
        errors: vec!["MEMORY"],
        split: Split::ALL[(n % 4) as usize],
        duplicate_of_score: Some(0.5),
    }
}

/// 1234 rows of 30 analysis types, with something in every plot.
fn full() -> Summary {
    let mut stats = Stats::default();
    for n in 0..1234 {
        let row = facts("", "success", n % 200);
        let kind = format!("type-{}", n % 30);
        stats.add(&Facts {
            analysis_type: Some(&kind),
            outcome: Some(if n % 3 == 0 { "timeout" } else { "success" }),
            ..row.clone()
        });
        for set in DataSet::ALL.iter().filter(|set| **set != DataSet::Samples) {
            stats.row(*set, row.split, 100 + n, 200 + n);
        }
        stats.component(row.split, 1);
    }
    for n in 0..77 {
        stats.removed(Reason::NearDuplicate, Some(0.8 + 0.002 * n as f64));
    }
    stats.removed(Reason::InvalidUtf8, None);
    stats.note("json_array", 1);
    stats.finish()
}

fn hostile() -> Summary {
    let mut stats = Stats::default();
    stats.add(&Facts {
        organism: Some(HOSTILE),
        complexity: Some(HOSTILE),
        quality_parts: vec![(HOSTILE, 1.0)],
        models: vec![(HOSTILE, 1)],
        errors: vec![HOSTILE],
        ..facts(HOSTILE, HOSTILE, 0)
    });
    stats.note(HOSTILE, 1);
    stats.row(DataSet::Samples, Split::Train, 1, 1);
    stats.finish()
}

fn pages() -> Vec<(&'static str, String)> {
    let settings = [(HOSTILE.to_owned(), HOSTILE.to_owned())];
    let empty = Stats::default().finish();
    let mut unsaid = Stats::default();
    unsaid.add(&Facts {
        analysis_type: None,
        organism: None,
        complexity: None,
        outcome: None,
        quality: Some(f64::INFINITY),
        quality_parts: vec![("p", f64::NAN)],
        training_value: None,
        tokens: None,
        cost_usd: None,
        models: Vec::new(),
        errors: Vec::new(),
        split: Split::Train,
        duplicate_of_score: None,
    });
    vec![
        ("full", render(&about("alttp", &settings), &full())),
        ("hostile", render(&about(HOSTILE, &settings), &hostile())),
        ("empty", render(&about("nothing", &[]), &empty)),
        ("unsaid", render(&about("unsaid", &[]), &unsaid.finish())),
    ]
}

/// The page without its style.
fn body(page: &str) -> &str {
    page.split("</style>").nth(1).unwrap()
}

#[test]
fn every_section_and_plot_is_there_with_the_numbers_of_the_summary() {
    let (summary, page) = (full(), render(&about("alttp", &[]), &full()));
    for (id, title) in super::SECTIONS {
        assert!(page.contains(&format!("<section id=\"{id}\"")), "{id}");
        assert!(
            page.contains(&format!("<a href=\"#{id}\">{title}</a>")),
            "{id}"
        );
    }
    for title in [
        "Worth a look",
        "Rows by data set",
        "From raw rows to kept rows",
        "Duplicates removed",
        "How alike near-duplicates were",
        "Outcomes",
        "Complexity",
        "Analysis types by organism",
        "Analysis types",
        "Organisms",
        "Error patterns",
        "Quality",
        "Training value",
        "code structure",
        "Tokens spent",
        "Cost",
        "Length of training rows",
        "Rows by split",
        "Components by split",
        "Size of components",
        "Outcomes in each split",
        "Model usage",
        "Notes on the input",
        "Settings",
    ] {
        assert!(page.contains(&format!(">{title}</h")), "{title}");
    }
    // Rows kept and read, near-duplicates, the median, training rows, requests.
    assert_eq!((summary.kept, summary.rows_in), (1234, 1312));
    for number in [
        "<b>1,234</b>",
        "1,312",
        "−77<",
        "median 0.7",
        "<b>6,170</b>",
        "2,468",
    ] {
        assert!(page.contains(number), "{number}");
    }
    // 30 types: twenty by name, then the rest.
    assert!(page.contains(">others 10<"));
    assert!(page.contains("type-19") && !body(&page).contains("type-29"));
}

#[test]
fn names_from_data_stay_text() {
    for (which, page) in pages() {
        let body = body(&page);
        assert!(
            !body.contains("<script") && !body.contains("</script"),
            "{which}"
        );
        assert!(!body.contains("\" onload=\"x"), "{which}");
        assert!(!body.contains("<!--"), "{which}");
    }
    let (_, page) = &pages()[1];
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)"));
}

#[test]
fn nothing_is_loaded_or_run() {
    for (which, page) in pages() {
        let lower = page.to_lowercase();
        for word in [
            "http://",
            "https://",
            "url(",
            "@import",
            "<link",
            "<img",
            "<script",
            "javascript:",
            " src=",
        ] {
            let found = match word {
                // In the names of the hostile page these are text.
                "<script" | "<img" => body(&lower).contains(word),
                word => lower.contains(word),
            };
            assert!(!found, "{which} has {word}");
        }
        assert!(page.contains("default-src 'none'"));
        assert!(page.len() < 300_000, "{which} has {} bytes", page.len());
    }
}

#[test]
fn what_is_not_there_is_no_number() {
    for (which, page) in pages() {
        for word in ["NaN", ">inf", "\"inf", " inf ", "-inf", "None", "Some("] {
            assert!(!body(&page).contains(word), "{which} has {word}");
        }
    }
    let (_, empty) = &pages()[2];
    for text in [
        "Nothing was kept",
        "No kept row names a model",
        "No kept row has a quality score.",
        "No data set has rows.",
        "There is no kept row.",
    ] {
        assert!(empty.contains(text), "{text}");
    }
}

#[test]
fn every_element_is_closed_and_every_id_is_one() {
    for (which, page) in pages() {
        balanced(which, &page);
        let mut ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{which}");
        for named in page.split("aria-labelledby=\"").skip(1) {
            for id in named.split('"').next().unwrap().split(' ') {
                assert!(ids.binary_search(&id).is_ok(), "{which} has no {id}");
            }
        }
        // Every drawing is named or is beside its numbers.
        for svg in page.split("<svg ").skip(1) {
            let tag = svg.split('>').next().unwrap();
            assert!(
                tag.contains("aria-labelledby") || tag.contains("aria-hidden"),
                "{tag}"
            );
        }
    }
}

fn balanced(which: &str, page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let (tag, text) = piece
            .split_once('>')
            .unwrap_or_else(|| panic!("{which}: <{piece}"));
        assert!(tag == "style" || !text.contains('>'), "{which}: {text}");
        let name = tag.split(' ').next().unwrap();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{which}: </{name}>"),
            None if tag.ends_with('/') || tag.starts_with('!') => {}
            None => open.push(name),
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{which}: <{tag}>");
    }
    assert!(open.is_empty(), "{which}: {open:?} are open");
}
