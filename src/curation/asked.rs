//! Nothing is asked in two splits: what rows of data sets ask and answer, and to which split a question belongs.
//!
//! Trajectories that differ in template and slots may still teach the same: one plan, one faulty draft, one message of an
//! error. Tying them would tie nearly everything together, so each question of each data set belongs to one of the splits
//! that have it, drawn by its occurrences; rows that ask it elsewhere, and rows that say the same again, are left out.

use super::{
    near::text_key,
    sets::SetRow,
    words::{DataSet, Split},
};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};

/// A row by what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// What is asked, of which data set, hashed.
    pub question: u64,
    /// All that is said, hashed.
    pub whole: u64,
}

impl Said {
    /// Of a row of a data set: the turns that are given are its question.
    pub fn of(row: &SetRow) -> Said {
        Said::of_map(row.set, &row.row)
    }

    /// The same, of a row that was read from a file.
    pub fn of_map(set: DataSet, row: &Map<String, Value>) -> Said {
        let (mut question, mut answer) = (set.name().to_owned(), String::new());
        for (list, given) in [
            ("prompt", true),
            ("messages", false),
            ("chosen", false),
            ("rejected", false),
        ] {
            let turns = row.get(list).and_then(Value::as_array);
            for turn in turns.into_iter().flatten() {
                let text = |key: &str| turn.get(key).and_then(Value::as_str).unwrap_or("");
                let said = if given || (list == "messages" && text("role") != "assistant") {
                    &mut question
                } else {
                    &mut answer
                };
                *said += &format!("\n{list}\n{}\n{}", text("role"), text("content"));
            }
        }
        Said {
            question: text_key(&question) as u64,
            whole: text_key(&(question + &answer)) as u64,
        }
    }

    /// Of a foreign row that a template made.
    pub fn of_foreign(text: u128, content: u64) -> Said {
        Said {
            question: text as u64,
            whole: content,
        }
    }
}

/// Why a row is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Another split has its question.
    AskedElsewhere,
    /// Another row says the same.
    SaidAlready,
}

/// Questions and the splits that have them.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    owners: HashMap<u64, (u64, Split)>,
    written: HashSet<u64>,
}

impl Asked {
    /// An earlier data set tests on this question.
    pub fn tested(&mut self, question: u64) {
        self.owners.insert(question, (0, Split::Test));
    }

    /// A row that stays asks this; `id` is the key of the raw row's id. The draw of the least of all that ask it decides,
    /// whatever the order in which they are told; `frozen` ones come before all others.
    pub fn ask(&mut self, question: u64, id: u128, split: Split, frozen: bool) {
        let drawn = text_key(&format!("{question} {id}")) as u64;
        let drawn = if frozen { 1 } else { drawn.max(2) };
        let owner = self.owners.entry(question).or_insert((drawn, split));
        if (drawn, split) < *owner {
            *owner = (drawn, split);
        }
    }

    /// Whether a row of a split is left out; those that are not are told in the order of their ids.
    pub fn again(&mut self, said: Said, split: Split) -> Option<Again> {
        if self
            .owners
            .get(&said.question)
            .is_some_and(|(_, owner)| *owner != split)
        {
            return Some(Again::AskedElsewhere);
        }
        (!self.written.insert(said.whole)).then_some(Again::SaidAlready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(question: &str, answer: &str) -> SetRow {
        let row = json!({ "messages": [{ "role": "user", "content": question }, { "role": "assistant", "content": answer }] });
        SetRow {
            set: DataSet::Codegen,
            row: row.as_object().unwrap().clone(),
        }
    }

    #[test]
    fn a_question_is_what_is_given_and_the_whole_is_all() {
        let (one, two, three) = (
            Said::of(&row("q", "a")),
            Said::of(&row("q", "b")),
            Said::of(&row("p", "a")),
        );
        assert!(one.question == two.question && one.whole != two.whole);
        assert!(one.question != three.question && one.whole != three.whole);
        let other = SetRow {
            set: DataSet::Validation,
            ..row("q", "a")
        };
        assert_ne!(
            Said::of(&other).question,
            one.question,
            "data sets are trained apart"
        );
        let pair = |chosen: &str, rejected: &str| {
            let list = |text: &str| json!([{ "role": "assistant", "content": text }]);
            let row = json!({ "prompt": [{ "role": "user", "content": "q" }], "chosen": list(chosen), "rejected": list(rejected) });
            Said::of_map(DataSet::ValidationPreferences, row.as_object().unwrap())
        };
        assert_eq!(pair("a", "b").question, pair("b", "a").question);
        assert_ne!(pair("a", "b").whole, pair("b", "a").whole);
    }

    #[test]
    fn each_question_has_one_split_in_any_order_and_each_row_is_said_once() {
        let told = |order: &[usize]| {
            let mut asked = Asked::default();
            for n in order {
                let split = Split::ALL[n % 4];
                for question in 0..50 {
                    asked.ask(question, *n as u128, split, false);
                }
            }
            (0..50)
                .map(|question| asked.owners[&question].1)
                .collect::<Vec<_>>()
        };
        let owners = told(&[0, 1, 2, 3, 4]);
        assert_eq!(owners, told(&[4, 2, 0, 3, 1]));
        for split in Split::ALL {
            assert!(owners.contains(split), "{split} has none of 50");
        }
        let mut asked = Asked::default();
        asked.ask(7, 1, Split::Train, false);
        let said = |whole| Said { question: 7, whole };
        assert_eq!(
            asked.again(said(1), Split::Test),
            Some(Again::AskedElsewhere)
        );
        assert_eq!(asked.again(said(1), Split::Train), None);
        assert_eq!(asked.again(said(1), Split::Train), Some(Again::SaidAlready));
        assert_eq!(asked.again(said(2), Split::Train), None);
    }

    #[test]
    fn what_was_tested_on_is_asked_nowhere_else() {
        let mut asked = Asked::default();
        for id in 0..20 {
            asked.ask(7, id, Split::Train, false);
        }
        asked.ask(7, 99, Split::Test, true);
        assert_eq!(
            asked.again(
                Said {
                    question: 7,
                    whole: 1
                },
                Split::Train
            ),
            Some(Again::AskedElsewhere)
        );
        asked.tested(8);
        asked.ask(8, 1, Split::Train, true);
        assert_eq!(
            asked.again(
                Said {
                    question: 8,
                    whole: 2
                },
                Split::Train
            ),
            Some(Again::AskedElsewhere)
        );
    }
}
