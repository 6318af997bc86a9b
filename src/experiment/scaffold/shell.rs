//! Scripts for SLURM. Names and paths are anybody's words: in the shell they stand in single quotes, and in `#SBATCH` lines,
//! which sbatch reads by rules of its own, only what needs none.

use crate::experiment::plan::Resources;

/// A word that the shell takes for itself, whatever is in it.
pub fn quote(word: &str) -> String {
    let plain = |c: char| {
        c.is_ascii_alphanumeric()
            || matches!(c, '_' | '-' | '.' | '/' | '=' | ':' | ',' | '@' | '+')
    };
    if !word.is_empty() && !word.starts_with('-') && word.chars().all(plain) {
        return word.into();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A line of options; a flag stands as it is.
pub fn command(words: &[&str]) -> String {
    let flag = |word: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        word.starts_with('-') && word.chars().all(plain)
    };
    let each = words.iter().map(|word| {
        if flag(word) {
            word.to_string()
        } else {
            quote(word)
        }
    });
    each.collect::<Vec<_>>().join(" ")
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Where it runs, whole.
    pub directory: &'a str,
    /// What it asks for.
    pub resources: &'a Resources,
    /// Lines of the shell, safe already.
    pub lines: Vec<String>,
}

impl Job<'_> {
    /// The script.
    ///
    /// # Errors
    /// A sentence: something that an `#SBATCH` line cannot carry.
    pub fn script(&self) -> Result<String, String> {
        let cpus = self.resources.cpus_per_task.map(|n| n.to_string());
        let mut text = String::from("#!/bin/bash\n");
        let fixed = [("job-name", self.name), ("chdir", self.directory)];
        for (name, value) in fixed {
            text += &directive(name, value)?;
        }
        text += "#SBATCH --output=slurm-%j.out\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n";
        let asked = [
            ("partition", &self.resources.partition),
            ("account", &self.resources.account),
            ("gres", &self.resources.gres),
            ("cpus-per-task", &cpus),
            ("mem", &self.resources.mem),
            ("time", &self.resources.time),
        ];
        for (name, value) in asked {
            if let Some(value) = value {
                text += &directive(name, value)?;
            }
        }
        text += "\nset -euo pipefail\n";
        text += &format!("cd -- {}\n", quote(self.directory));
        for line in &self.lines {
            text += line;
            text.push('\n');
        }
        Ok(text)
    }
}

/// An `#SBATCH` line.
fn directive(name: &str, value: &str) -> Result<String, String> {
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                '_' | '-' | '.' | '/' | '=' | ':' | ',' | '@' | '+' | '(' | ')' | '[' | ']'
            )
    };
    if value.is_empty() || !value.chars().all(|c| plain(c) || c == ' ') {
        return Err(format!("an #SBATCH line cannot carry --{name} {value:?}"));
    }
    Ok(match value.contains(' ') {
        true => format!("#SBATCH --{name}=\"{value}\"\n"),
        false => format!("#SBATCH --{name}={value}\n"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_anybody_stay_words() {
        assert_eq!(quote("/a/b-c_1.5"), "/a/b-c_1.5");
        assert_eq!(quote("$(rm -rf x)'; y"), "'$(rm -rf x)'\\''; y'");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("--help"), "'--help'");
        assert_eq!(
            command(&["a b", "--model", "$x", "-M", "--x$y"]),
            "'a b' --model '$x' -M '--x$y'"
        );
    }

    #[test]
    fn a_line_for_sbatch_carries_only_what_it_can() {
        let resources = Resources {
            time: Some("2-00:00:00".into()),
            ..Resources::default()
        };
        let job = |directory, resources| Job {
            name: "a",
            directory,
            resources,
            lines: vec!["true".into()],
        };
        let text = job("/x y/z", &resources).script().unwrap();
        assert_eq!(
            text,
            "#!/bin/bash\n#SBATCH --job-name=a\n#SBATCH --chdir=\"/x y/z\"\n#SBATCH --output=slurm-%j.out\n#SBATCH --nodes=1\n#SBATCH --ntasks=1\n#SBATCH --time=2-00:00:00\n\nset -euo pipefail\ncd -- '/x y/z'\ntrue\n"
        );
        for bad in [
            "/a\nb", "/a\"b", "/a$b", "/a;b", "/a'b", "", "/a%jb", "/a\\b", "/a#b",
        ] {
            assert!(job(bad, &resources).script().is_err(), "{bad:?}");
        }
        let resources = Resources {
            partition: Some("gpu\n#SBATCH --wrap=x".into()),
            ..Resources::default()
        };
        assert!(job("/a", &resources).script().is_err());
    }
}
