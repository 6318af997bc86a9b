//! `[[member]]` tables as members: every combination of a table's lists over what the top says, each with a name of its own.

use super::{
    TABLE,
    names::{RIGHT, is_name, name},
};
use crate::{
    config::{
        keys::{Key, Kind},
        layers::{Layers, OneOfSeveral},
        problem::Problem,
        training::{keys::MEMBER, settings},
    },
    training::settings::Settings,
};
use std::sync::LazyLock;
use toml::Value;

/// The most members of one run: each has an optimiser's state and rows of its own beside the base.
const MOST: usize = 64;

/// A key, and the values that it takes one after the other.
type List<'a> = (&'a str, &'a [Value]);

/// A member, and what it was read from: its table with one value of each list.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) settings: Settings,
    from: OneOfSeveral,
}

/// Every member in the order written. What is wrong is complained of, and a member with something wrong left out.
pub(super) fn members(layers: &mut Layers) -> Vec<Member> {
    let tables = layers.several.clone();
    let each: Vec<usize> = tables.iter().map(|one| count(&lists(one))).collect();
    let all = each.iter().fold(0_usize, |sum, n| sum.saturating_add(*n));
    let found: Vec<Member> = tables
        .iter()
        .flat_map(|one| of_table(layers, one))
        .collect();
    if all <= MOST {
        compare(layers, &found);
        return found;
    }
    let mut asked = 0_usize;
    let over = each.iter().position(|n| {
        asked = asked.saturating_add(*n);
        asked > MOST
    });
    let message = format!("the sweep has {all} members");
    let right = format!("at most {MOST}");
    let one = over.map(|at| of_itself(&tables[at], message, &right));
    layers.problems.extend(one);
    found
}

/// The members that a table stands for.
fn of_table(layers: &mut Layers, one: &OneOfSeveral) -> Vec<Member> {
    let (lists, empty): (Vec<List>, Vec<List>) = lists(one)
        .into_iter()
        .partition(|(_, list)| !list.is_empty());
    for (key, _) in &empty {
        let message = format!("{key} is an empty list");
        let right = "values, of which each makes a member; or one value";
        layers
            .problems
            .push(one.problem(key, message, right.into()));
    }
    let mut rest = one.clone();
    for (key, _) in &empty {
        rest.values.remove(*key);
    }
    let whole = empty.is_empty();
    let mut seen: Vec<Problem> = Vec::new();
    let mut members = Vec::new();
    // The rest of too many is refused with them.
    for at in 0..count(&lists).min(MOST) {
        let (member, problems) = member(layers, &rest, &choose(&lists, at), whole);
        if problems.is_empty() && whole {
            members.push(member);
            continue;
        }
        for problem in problems {
            // What several members have from one place is said once, of the first.
            if !seen.contains(&problem) {
                seen.push(problem.clone());
                layers.problems.push(named(problem, &member.name));
            }
        }
    }
    members
}

/// The keys of a table with a list where one value belongs, in the order written.
fn lists(one: &OneOfSeveral) -> Vec<List<'_>> {
    let kind = |key: &str| {
        let named = |known: &&Key| short(known.name) == key;
        MEMBER[1].iter().find(named).map(|key| key.kind)
    };
    let list = |(key, _): &'_ &'_ (String, u32)| -> Option<List<'_>> {
        let (key, value) = one.values.get_key_value(key)?;
        let list = value.as_array()?;
        let several = match kind(key)? {
            Kind::List => list.iter().any(Value::is_array),
            _ => true,
        };
        several.then_some((key, list))
    };
    one.lines.iter().filter_map(|line| list(&line)).collect()
}

/// How many members lists stand for; an empty one for as many as none.
fn count(lists: &[List]) -> usize {
    let each = lists.iter().map(|(_, list)| list.len().max(1));
    each.fold(1, usize::saturating_mul)
}

/// The values of a combination by its number from 0: the last list changes fastest.
fn choose<'a>(lists: &[List<'a>], number: usize) -> Vec<(&'a str, &'a Value)> {
    let mut rest = number;
    let mut chosen: Vec<(&str, &Value)> = Vec::new();
    for (key, list) in lists.iter().rev() {
        chosen.push((key, &list[rest % list.len()]));
        rest /= list.len();
    }
    chosen.reverse();
    chosen
}

/// One member, and what is wrong with it. Of a table that is not `whole` the name cannot be judged.
fn member(
    layers: &Layers,
    one: &OneOfSeveral,
    chosen: &[(&str, &Value)],
    whole: bool,
) -> (Member, Vec<Problem>) {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| MEMBER.concat());
    let mut from = one.clone();
    for (key, value) in chosen {
        from.values.insert((*key).into(), (*value).clone());
    }
    let mut own = Layers::new(&KEYS);
    for (key, set) in layers.all() {
        own.inherit(&format!("{TABLE}.{}", key.name), set);
    }
    own.repeated(&from, &[]);
    let settings = settings(&mut own, &format!("{TABLE}."));
    // A name made of values that are wrong themselves is not complained of as well.
    let (name, wrong) = called(&from, chosen, whole && own.problems.is_empty());
    own.problems.extend(wrong);
    let member = Member {
        name,
        settings,
        from,
    };
    (member, own.problems)
}

/// What a member is called, and what is wrong with the name it was given, or with the `whole` of it.
fn called(one: &OneOfSeveral, chosen: &[(&str, &Value)], whole: bool) -> (String, Option<Problem>) {
    let given = one.values.get("name").and_then(Value::as_str);
    let called = match (given, chosen) {
        (None, []) => name(None, &all(one)),
        _ => name(given, chosen),
    };
    let said = Some(called.as_str()).filter(|_| whole);
    let mut names = given.into_iter().chain(said);
    let wrong = names.find(|name| !is_name(name)).map(|wrong| {
        let message = format!("no directory can be called {wrong:?}");
        let right = format!("name = \"base\": {RIGHT}");
        one.problem("name", message, right)
    });
    (called, wrong)
}

/// All that a table sets, in the order written.
fn all(one: &OneOfSeveral) -> Vec<(&str, &Value)> {
    let keys = one.lines.iter().map(|(key, _)| key.as_str());
    keys.filter_map(|key| Some((key, one.values.get(key)?)))
        .collect()
}

/// Keys as they stand in the table, and whose they are.
fn named(mut problem: Problem, member: &str) -> Problem {
    let table = format!("{TABLE}.");
    let message = problem.message.replacen(&table, "", 1);
    problem.message = if is_name(member) {
        format!("member {member}: {message}")
    } else {
        message
    };
    problem.right = problem.right.map(|right| right.replace(&table, ""));
    problem
}

fn short(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// A problem with a table, and none of its keys.
fn of_itself(one: &OneOfSeveral, message: String, right: &str) -> Problem {
    Problem {
        key: Some(TABLE.into()),
        ..one.problem("", message, right.into())
    }
}

/// Complains of members that are too much alike, or too different for one run.
fn compare(layers: &mut Layers, members: &[Member]) {
    for (member, at) in members.iter().zip(0..) {
        let before = &members[..at];
        let refused = |key: &str, message: String, right: &str| {
            member.from.problem(key, message, right.into())
        };
        let name = &member.name;
        if before.iter().any(|other| other.name == *name) {
            let message = format!("two members have the name {name}");
            let problem = refused("name", message, "name = \"another\"");
            layers.problems.push(problem);
        }
        let same = |other: &&Member| other.settings == member.settings;
        if let Some(other) = before.iter().find(same) {
            let message = format!("members {} and {name} ask for the same", other.name);
            let right = "another seed, or one of the two";
            let problem = of_itself(&member.from, message, right);
            layers.problems.push(problem);
        }
        let (loss, first) = (member.settings.loss, &members[0]);
        if loss != first.settings.loss {
            let other = first.settings.loss;
            let message = format!(
                "member {name} has the loss {loss}, member {} {other}",
                first.name
            );
            let right = "one loss for all members of a run";
            layers.problems.push(refused("loss", message, right));
        }
    }
}
