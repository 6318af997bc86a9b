//! Parameters that nothing declares, in files that declare theirs.

use super::{super::dsl::token::Kind, Findings, Rule, meant};
use std::collections::HashSet;

pub(super) fn check(findings: &mut Findings<'_, '_>) {
    let tree = findings.tree;
    if !tree.has_entry() || !tree.params.iter().any(|param| param.default) {
        return;
    }
    let names: Vec<&str> = tree.params.iter().map(|param| param.name.text).collect();
    let declared: HashSet<&str> = names.iter().copied().collect();
    let lexed = &tree.lexed;
    for at in 0..lexed.tokens.len() {
        let (name, place) = match lexed.kind(at) {
            Some(Kind::Name) => {
                let text = lexed.of(at);
                let Some(rest) = text.strip_prefix("$params.") else {
                    continue;
                };
                (rest.split('.').next().unwrap_or(rest), at)
            }
            Some(Kind::Word) if read(findings, at) => (lexed.of(at + 2), at),
            _ => continue,
        };
        if !declared.contains(name) {
            let hint = match meant(name, names.iter().copied()) {
                Some(meant) => format!(": did you mean params.{meant}?"),
                None => String::new(),
            };
            let message = format!("nothing declares params.{name}{hint}");
            findings.push(Rule::ParamsUndeclared, place, message);
        }
    }
}

/// `params.name`, not a method of the map.
fn read(findings: &Findings<'_, '_>, at: usize) -> bool {
    let lexed = &findings.tree.lexed;
    let property = at > 0 && lexed.kind(at - 1) == Some(Kind::Dot);
    lexed.is(at, "params")
        && !property
        && lexed.kind(at + 1) == Some(Kind::Dot)
        && lexed.kind(at + 2) == Some(Kind::Word)
        && !matches!(lexed.kind(at + 3), Some(Kind::Paren | Kind::Brace))
}
