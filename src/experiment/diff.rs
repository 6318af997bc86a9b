//! How two texts differ, line by line, as people read it: `-` was, `+` is, with some lines around.

/// Lines around a change that are shown.
const AROUND: usize = 2;
/// Lines of a text that are compared one by one; of longer ones the middle is taken for changed.
const MOST: usize = 2_000;

/// The difference of two texts, in the form of `diff -u`; none where they are the same.
pub fn diff(was: &str, is: &str, names: (&str, &str)) -> Option<String> {
    if was == is {
        return None;
    }
    let (was, is): (Vec<&str>, Vec<&str>) = (was.lines().collect(), is.lines().collect());
    let marked = marked(&was, &is);
    let mut text = format!("--- {}\n+++ {}\n", names.0, names.1);
    if marked.iter().all(|(mark, _)| *mark == ' ') {
        return Some(text + "  only the end of the last line differs\n");
    }
    let changed = |at: usize| marked.get(at).is_some_and(|(mark, _)| *mark != ' ');
    let near = |at: usize| {
        let from = at.saturating_sub(AROUND);
        (from..=at + AROUND).any(changed)
    };
    let mut open = false;
    let (mut old, mut new) = (1, 1);
    for (at, (mark, line)) in marked.iter().enumerate() {
        let shown = near(at);
        if shown && !open {
            text += &format!("@@ -{old} +{new} @@\n");
        }
        open = shown;
        if shown {
            text += &format!("{mark}{line}\n");
        }
        old += usize::from(*mark != '+');
        new += usize::from(*mark != '-');
    }
    Some(text)
}

/// Every line with its mark.
fn marked<'a>(was: &[&'a str], is: &[&'a str]) -> Vec<(char, &'a str)> {
    let same = was.iter().zip(is).take_while(|(a, b)| a == b).count();
    let (was_rest, is_rest) = (&was[same..], &is[same..]);
    let tail = was_rest.iter().rev().zip(is_rest.iter().rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let middle = (
        &was_rest[..was_rest.len() - tail],
        &is_rest[..is_rest.len() - tail],
    );
    let plain = |line: &&'a str| (' ', *line);
    let mut all: Vec<(char, &str)> = was[..same].iter().map(plain).collect();
    all.extend(between(middle.0, middle.1));
    all.extend(was[was.len() - tail..].iter().map(plain));
    all
}

/// The longest common lines stay.
fn between<'a>(was: &[&'a str], is: &[&'a str]) -> Vec<(char, &'a str)> {
    let gone = was.iter().map(|line| ('-', *line));
    let come = is.iter().map(|line| ('+', *line));
    if was.len() > MOST || is.len() > MOST {
        return gone.chain(come).collect();
    }
    // common[a][b]: lines that the texts from a and from b on have in common.
    let mut common = vec![vec![0_u16; is.len() + 1]; was.len() + 1];
    for a in (0..was.len()).rev() {
        for b in (0..is.len()).rev() {
            common[a][b] = match was[a] == is[b] {
                true => common[a + 1][b + 1] + 1,
                false => common[a + 1][b].max(common[a][b + 1]),
            };
        }
    }
    let (mut a, mut b, mut all) = (0, 0, Vec::new());
    while a < was.len() || b < is.len() {
        if a < was.len() && b < is.len() && was[a] == is[b] {
            all.push((' ', was[a]));
            (a, b) = (a + 1, b + 1);
        } else if a < was.len() && (b == is.len() || common[a + 1][b] >= common[a][b + 1]) {
            all.push(('-', was[a]));
            a += 1;
        } else {
            all.push(('+', is[b]));
            b += 1;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_are_shown_with_their_neighbours() {
        let was = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let is = "a\nb\nc\nD\ne\nf\ng\nh\ni\n";
        assert_eq!(diff(was, was, ("x", "y")), None);
        assert_eq!(
            diff(was, is, ("was", "is")).unwrap(),
            "--- was\n+++ is\n@@ -2 +2 @@\n b\n c\n-d\n+D\n e\n f\n g\n h\n+i\n"
        );
        let far: String = (0..40).map(|n| format!("{n}\n")).collect();
        let changed = far.replace("\n3\n", "\n").replace("\n30\n", "\nx\n");
        let told = diff(&far, &changed, ("a", "b")).unwrap();
        assert_eq!(told.matches("@@ -").count(), 2);
        assert!(
            told.contains("@@ -29 +28 @@\n 28\n 29\n-30\n+x\n"),
            "{told}"
        );
    }

    #[test]
    fn odd_ends_and_empty_texts_are_told_too() {
        assert!(
            diff("a", "a\n", ("x", "y"))
                .unwrap()
                .contains("end of the last line")
        );
        assert_eq!(
            diff("", "a\n", ("x", "y")).unwrap(),
            "--- x\n+++ y\n@@ -1 +1 @@\n+a\n"
        );
        assert_eq!(
            diff("a\n", "", ("x", "y")).unwrap(),
            "--- x\n+++ y\n@@ -1 +1 @@\n-a\n"
        );
    }
}
