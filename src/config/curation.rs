//! The keys of `[curation]`, and the `[[export]]` tables beside it.

use super::{
    keys::{self, Key, Kind, key},
    layers::{Layers, OneOfSeveral},
    problem::Problem,
};
use crate::{
    artifacts::deliver::Destination,
    curation::{format::Format, words::DataSet},
    machines::spec::{CurationSpec, ExportSpec},
};
use std::path::Path;

/// The keys, in the order in which they are shown.
pub const KEYS: &[Key] = &[
    key(
        "curation.min_quality",
        Kind::Share,
        "0.7",
        "0 to 1",
        "rows below it are removed",
    ),
    key(
        "curation.split",
        Kind::Split,
        "[0.8, 0.1, 0.1]",
        "shares",
        "train, validation, test",
    ),
    key(
        "curation.min_words",
        Kind::Whole(0, 1000),
        "3",
        "words",
        "what asks or says less is trivial",
    ),
    key(
        "curation.near_duplicate",
        Kind::Share,
        "0.85",
        "0 to 1",
        "free text this similar to a better row is removed (Jaccard, 4-grams)",
    ),
    key(
        "curation.same_split",
        Kind::Share,
        "0.7",
        "0 to 1",
        "free texts this similar are never in two splits",
    ),
    key(
        "curation.max_failure_share",
        Kind::Share,
        "0.5",
        "0 to 1",
        "failed trajectories are at most this share",
    ),
    key(
        "curation.max_type_share",
        Kind::Share,
        "0.25",
        "0 to 1",
        "one analysis type is at most this share",
    ),
    key(
        "curation.unseen_templates",
        Kind::Flag,
        "true",
        "",
        "one template of each type is only tested on",
    ),
    key(
        "curation.evaluation_files",
        Kind::List,
        "[]",
        "files",
        "JSON lines; rows that overlap with them are removed",
    ),
    key(
        "curation.frozen",
        Kind::List,
        "[]",
        "files",
        "manifest.json of earlier data sets: their tests stay tests",
    ),
];

/// What `[[export]]` may say.
const EXPORT: [&str; 7] = [
    "name",
    "datasets",
    "domains",
    "types",
    "format",
    "model",
    "destination",
];

/// `[curation]` and what is exported of it. Paths start from `directory`.
pub fn curation(layers: &Layers, directory: &Path) -> Option<CurationSpec> {
    let share = |key: &str| layers.number(&format!("curation.{key}"));
    let files = |key: &str| {
        let given = layers.list(&format!("curation.{key}")).into_iter();
        given.map(|file| within(directory, &file)).collect()
    };
    Some(CurationSpec {
        min_quality: share("min_quality"),
        split: layers.numbers("curation.split").try_into().ok()?,
        min_words: u32::try_from(layers.whole("curation.min_words")).unwrap_or(u32::MAX),
        near_duplicate: share("near_duplicate"),
        same_split: share("same_split"),
        max_failure_share: share("max_failure_share"),
        max_type_share: share("max_type_share"),
        unseen_templates: layers.yes("curation.unseen_templates"),
        evaluation_files: files("evaluation_files"),
        frozen: files("frozen"),
        exports: layers
            .named("export")
            .filter_map(|one| export(one, directory).ok())
            .collect(),
    })
}

fn within(directory: &Path, file: &str) -> String {
    directory.join(file).display().to_string()
}

/// What curation alone is asked for by a campaign file, or by the defaults: settings, seed, and the campaign's name where
/// it has one.
///
/// # Errors
/// All that is wrong with the file, at once.
pub fn load_curation(
    file: Option<&Path>,
    here: &Path,
) -> Result<(CurationSpec, u64, Option<String>), Vec<Problem>> {
    let mut layers = Layers::new(keys::CAMPAIGN);
    layers.may_repeat = keys::SEVERAL;
    let mut directory = here.to_path_buf();
    if let Some(path) = file {
        // The other phases of a whole campaign file are nobody's business here.
        layers.file(path, &[]);
        layers.tables.push(("curation".into(), String::new()));
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        directory = whole.parent().map_or(directory, Path::to_path_buf);
    }
    if !layers.unread {
        finish(&mut layers);
    }
    match curation(&layers, &directory) {
        Some(settings) if layers.problems.is_empty() => {
            let missing = missing(&settings);
            if !missing.is_empty() {
                return Err(missing);
            }
            let name = Some(layers.string("name")).filter(|name| !name.is_empty());
            Ok((settings, layers.whole("seed"), name))
        }
        _ => Err(layers.problems),
    }
}

/// What is wrong with the settings together, and with the exports.
pub fn finish(layers: &mut Layers) {
    let (drop, tie) = (
        layers.number("curation.near_duplicate"),
        layers.number("curation.same_split"),
    );
    if tie > drop {
        layers.complain(
            "curation.same_split",
            format!("same_split is above near_duplicate ({drop})"),
            Some("at most near_duplicate: what is nearly the same is also tied".into()),
        );
    }
    for key in ["curation.near_duplicate", "curation.same_split"] {
        if layers.number(key) <= 0.0 {
            let right = "above 0: at 0 every text is nearly the same as every other";
            layers.complain(key, format!("{key} is 0"), Some(right.into()));
        }
    }
    let asked = layers.tables.iter().any(|(name, _)| name == "curation");
    let mut names: Vec<String> = Vec::new();
    for one in layers.named("export").cloned().collect::<Vec<_>>() {
        match export(&one, Path::new("/")) {
            Err((message, right)) => layers.problems.push(problem(&one, message, right)),
            Ok(export) if names.contains(&export.name) => {
                let message = format!("two exports have the name {}", export.name);
                layers
                    .problems
                    .push(problem(&one, message, "another name".into()));
            }
            Ok(export) => names.push(export.name),
        }
        if !asked {
            let message = "there is nothing to export without curation".into();
            layers
                .problems
                .push(problem(&one, message, "[curation]".into()));
        }
    }
}

fn problem(one: &OneOfSeveral, message: String, right: String) -> Problem {
    let (file, line) = one.place.rsplit_once(':').unwrap_or((&one.place, ""));
    Problem {
        message,
        at: format!("{}   [[{}]]", one.place, one.name),
        right: Some(right),
        file: Some(file.into()),
        line: line.parse().ok(),
        key: Some(one.name.clone()),
        ..Problem::default()
    }
}

/// Files that curation needs and that are not there: found before days of generation, not after.
pub fn missing(settings: &CurationSpec) -> Vec<Problem> {
    let named = |key: &str, path: &str| Problem {
        message: "there is no such file".into(),
        at: path.into(),
        right: Some(format!("{key} names what is there")),
        key: Some(key.into()),
        value: Some(path.into()),
        ..Problem::default()
    };
    let absent = |path: &&String| !Path::new(path.as_str()).exists();
    let evaluation = settings.evaluation_files.iter().filter(absent);
    let frozen = settings.frozen.iter().filter(absent);
    let models = settings
        .exports
        .iter()
        .filter_map(|export| export.model.as_ref());
    evaluation
        .map(|path| named("curation.evaluation_files", path))
        .chain(frozen.map(|path| named("curation.frozen", path)))
        .chain(
            models
                .filter(absent)
                .map(|path| named("export.model", path)),
        )
        .collect()
}

/// One `[[export]]`, or what is wrong with it and what would be right.
fn export(one: &OneOfSeveral, directory: &Path) -> Result<ExportSpec, (String, String)> {
    let unknown = one
        .values
        .keys()
        .find(|key| !EXPORT.contains(&key.as_str()));
    if let Some(key) = unknown {
        return Err((format!("unknown key `export.{key}`"), EXPORT.join(", ")));
    }
    let text = |key: &str| match one.values.get(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err((format!("export.{key} has the wrong type"), "a text".into())),
    };
    let texts = |key: &str| match one.values.get(key) {
        None => Ok(Vec::new()),
        Some(value) => value
            .as_array()
            .and_then(|all| {
                all.iter()
                    .map(|one| one.as_str().map(String::from))
                    .collect()
            })
            .ok_or((
                format!("export.{key} has the wrong type"),
                "a list of texts".into(),
            )),
    };
    let needed = |key: &str, right: &str| {
        text(key)?.ok_or_else(|| (format!("the export has no {key}"), right.to_string()))
    };
    let name = needed("name", "name = \"routing_24k\"")?;
    // It becomes a directory's name.
    if let Err(right) = name.parse::<crate::ids::CampaignId>() {
        return Err((format!("\"{name}\" cannot be an export's name"), right));
    }
    let format = text("format")?.unwrap_or_else(|| Format::Messages.name().into());
    format
        .parse::<Format>()
        .map_err(|right| ("export.format has no such value".into(), right))?;
    let model = text("model")?;
    if (format == Format::Template.name()) != model.is_some() {
        let right = "model = \"DIR\" with format = \"template\", and only there";
        return Err(("format and model do not go together".into(), right.into()));
    }
    let datasets = texts("datasets")?;
    for name in &datasets {
        name.parse::<DataSet>()
            .map_err(|right| ("export.datasets has no such value".into(), right))?;
    }
    let destination = needed(
        "destination",
        "destination = \"/data/sets\" or \"host:path\"",
    )?;
    let resolved = if is_remote(&destination) {
        destination
    } else {
        within(directory, &destination)
    };
    resolved
        .parse::<Destination>()
        .map_err(|right| ("export.destination is none".into(), right))?;
    Ok(ExportSpec {
        name,
        datasets,
        domains: texts("domains")?,
        types: texts("types")?,
        format,
        model: model.map(|dir| within(directory, &dir)),
        destination: resolved,
    })
}

/// As rsync sees it: a colon before any slash.
fn is_remote(destination: &str) -> bool {
    let host = destination.split('/').next().unwrap_or("");
    host.contains(':')
}
