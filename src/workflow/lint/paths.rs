//! Absolute paths: what is at a place of one machine is nowhere else.

use super::{
    super::dsl::token::{Kind, Quote},
    Findings, Rule,
};

/// Directories that people and clusters keep data in; those of a container's own system are not among them.
fn is_root(word: &str) -> bool {
    matches!(
        word,
        "home"
            | "Users"
            | "data"
            | "mnt"
            | "scratch"
            | "media"
            | "root"
            | "srv"
            | "nfs"
            | "lustre"
            | "gpfs"
            | "beegfs"
            | "work"
            | "project"
            | "projects"
            | "storage"
            | "share"
            | "shared"
            | "archive"
            | "cluster"
            | "group"
            | "groups"
            | "lab"
            | "labs"
            | "export"
            | "volume"
            | "volumes"
            | "Volumes"
            | "genomes"
            | "references"
            | "databases"
            | "ssd"
            | "hpc"
            | "software"
            | "user"
    )
}

/// Whoever takes a file by its name.
fn takes_files(word: &str) -> bool {
    matches!(
        word,
        "file"
            | "files"
            | "path"
            | "fromPath"
            | "fromFilePairs"
            | "publishDir"
            | "storeDir"
            | "watchPath"
    )
}

pub(super) fn check(findings: &mut Findings<'_, '_>) {
    let tree = findings.tree;
    let lexed = &tree.lexed;
    let scripts = tree.processes.iter().flat_map(|process| {
        let script = |label: &str| matches!(label, "script" | "shell" | "stub" | "exec");
        process
            .sections
            .iter()
            .filter(move |s| script(s.label))
            .map(|s| s.span)
    });
    let mut scripts = scripts.peekable();
    let mut defaults: Vec<usize> = tree.params.iter().map(|param| param.value.from).collect();
    defaults.sort_unstable();
    let mut many = false;
    for (at, token) in lexed.tokens.iter().enumerate() {
        let text = match token.kind {
            Kind::Text(Quote::Slashy) => continue,
            Kind::Quoted(quote) => {
                many = quote.many_lines();
                continue;
            }
            Kind::Text(_) | Kind::Literal => lexed.of(at),
            _ => continue,
        };
        while scripts.next_if(|span| span.to <= at).is_some() {}
        let many_lines = match token.kind {
            Kind::Text(quote) => quote.many_lines(),
            _ => many,
        };
        let script = scripts.peek().is_some_and(|span| span.holds(at)) || many_lines;
        let opened =
            token.kind != Kind::Literal || matches!(lexed.kind(at - 1), Some(Kind::Quoted(_)));
        let whole = if token.kind == Kind::Literal {
            at.saturating_sub(1)
        } else {
            at
        };
        let taken =
            !script && opened && (defaults.binary_search(&whole).is_ok() || taken(findings, whole));
        if let Some(place) = find(text, opened, taken, script) {
            let message = format!(
                "{} is a place of one machine: take it from params",
                path(text, place)
            );
            findings.push_at(
                Rule::HardcodedPath,
                token.start as usize + place,
                message,
                Vec::new(),
            );
        }
    }
}

/// Whether a string is what a parameter or a file function is given.
fn taken(findings: &Findings<'_, '_>, at: usize) -> bool {
    let lexed = &findings.tree.lexed;
    let Some(before) = at.checked_sub(1) else {
        return false;
    };
    let word = match lexed.kind(before) {
        Some(Kind::Paren) => before.checked_sub(1),
        Some(Kind::Word) => Some(before),
        _ => None,
    };
    word.is_some_and(|at| takes_files(lexed.of(at)))
}

/// The first absolute path of a text. `opened`: the text begins a string; `taken`: it is a file's name.
fn find(text: &str, opened: bool, taken: bool, script: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'/') {
        return None;
    }
    let mut at = 0;
    while at < bytes.len() {
        let before = at
            .checked_sub(1)
            .map_or(if opened { b'"' } else { b'x' }, |at| bytes[at]);
        match bytes[at] {
            b'#' if script && (before.is_ascii_whitespace() || at == 0) => {
                // A comment of the shell.
                let rest = &bytes[at..];
                at += rest
                    .iter()
                    .position(|&byte| byte == b'\n')
                    .unwrap_or(rest.len());
                continue;
            }
            b'/' if before.is_ascii_whitespace() || b"\"'=(<>`:".contains(&before) => {
                // In code a path is a whole string; one in the middle of a sentence is only talked about.
                let whole = opened && at < 4 && bytes[..at].iter().all(|b| b"\"'".contains(b));
                if (script || whole) && absolute(&text[at + 1..], taken && whole) {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-+~".contains(&byte)
}

/// Whether what follows a slash makes it a path of some machine: below one of the known directories, or, where a file's name
/// is asked, any two names.
fn absolute(rest: &str, taken: bool) -> bool {
    let end = rest
        .bytes()
        .position(|byte| !part(byte))
        .unwrap_or(rest.len());
    let (root, tail) = rest.split_at(end);
    if root.is_empty() || matches!(root, "dev" | "proc" | "sys") {
        return false;
    }
    let mut tail = tail.bytes();
    match (tail.next(), tail.next()) {
        (Some(b'/'), Some(next)) if part(next) || b"*$".contains(&next) => taken || is_root(root),
        // `/data` alone; `/data/ {` is a pattern of awk.
        (None | Some(b' ' | b'\n' | b'"' | b'\'' | b'\\'), _) => is_root(root),
        (Some(b'/'), None) => taken || is_root(root),
        _ => false,
    }
}

fn path(text: &str, place: usize) -> &str {
    let rest = &text[place..];
    let end = rest.bytes().position(|byte| byte != b'/' && !part(byte));
    let end = end.unwrap_or(rest.len());
    &rest[..end.min(80)]
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn places_of_machines_are_found_and_patterns_and_comments_are_not() {
        let script = |text| find(text, true, false, true);
        assert_eq!(script("cat /home/ann/x.fa"), Some(4));
        assert_eq!(script("cp x>/scratch/y"), Some(5));
        assert_eq!(script("cd /data"), Some(3));
        for text in [
            "sed 's/home/work/g'",
            "awk '/data/ {print}'",
            "cmd 2> /dev/null",
            "/usr/bin/env python",
            "# see /home/ann/x",
            "curl https://data/x",
            "x/home/ann",
        ] {
            assert_eq!(script(text), None, "{text}");
        }
        assert_eq!(find("'/refs/hg38.fa'", true, true, false), Some(1));
        assert_eq!(find("'/UCSC/'", true, false, false), None);
    }
}
