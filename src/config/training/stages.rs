//! The stages of a fine-tune: `[[stage]]` in `train.toml`, `[[training.run.stage]]` in a campaign file.

use super::{STAGE, keys::OF_A_STAGE};
use crate::{
    config::layers::OneOfSeveral,
    machines::spec::{StageData, StageSpec, TrainingSet},
    training::words::Start,
};
use std::path::Path;

/// What is wrong with a stage: key, message, what would be right.
pub(super) type Wrong = (String, String, String);

/// The stages of a `[[training.run]]`.
///
/// # Errors
/// What is wrong with the first that is not right.
pub(super) fn stages(one: &OneOfSeveral, directory: &Path) -> Result<Vec<StageSpec>, Wrong> {
    let Some(given) = one.values.get(STAGE) else {
        return Ok(Vec::new());
    };
    let right = || "[[training.run.stage]] with name, data, replay_share, start".to_string();
    let wrong = || (STAGE.to_string(), "a stage is a table".to_string(), right());
    let given = given.as_array().ok_or_else(wrong)?;
    let each = given.iter().zip(1..).map(|(values, number)| {
        let values = values.as_table().ok_or_else(wrong)?;
        read_stage(values, number, |text| match text.parse::<TrainingSet>() {
            Ok(set) => StageData::Set(set),
            Err(_) => StageData::File(directory.join(text).display().to_string()),
        })
    });
    each.collect()
}

/// One stage, by its number from 1; `data` says what a text stands for.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_stage(
    values: &toml::Table,
    number: u32,
    data: impl Fn(&str) -> StageData,
) -> Result<StageSpec, Wrong> {
    let wrong = |key: &str, message: &str, right: &str| -> Wrong {
        (
            format!("stage.{key}"),
            format!("stage {number}: {message}"),
            right.into(),
        )
    };
    if let Some(key) = values
        .keys()
        .find(|key| OF_A_STAGE.iter().all(|(known, _)| known != key))
    {
        let known = OF_A_STAGE.map(|(known, _)| known).join(", ");
        return Err(wrong(key, &format!("unknown key `{key}`"), &known));
    }
    let text = |key: &str| match values.get(key) {
        None => Ok(None),
        Some(toml::Value::String(text)) if !text.is_empty() => Ok(Some(text.as_str())),
        Some(_) => Err(wrong(key, &format!("{key} has the wrong type"), "a text")),
    };
    let share = match values.get("replay_share") {
        None => 0.0,
        Some(value) => {
            let number = value
                .as_float()
                .or_else(|| value.as_integer().map(|whole| whole as f64));
            let sound = number.filter(|share| (0.0..1.0).contains(share));
            sound.ok_or_else(|| {
                wrong(
                    "replay_share",
                    "replay_share is out of range",
                    "0 to below 1, such as 0.15",
                )
            })?
        }
    };
    if number == 1 && share > 0.0 {
        let message = "the first stage has none before it to replay";
        return Err(wrong(
            "replay_share",
            message,
            "replay_share in later stages",
        ));
    }
    let start = match text("start")? {
        None => Start::Adapter,
        Some(word) => word
            .parse()
            .map_err(|right: String| wrong("start", "start has no such value", &right))?,
    };
    if number == 1 && values.contains_key("start") {
        let message = "the first stage starts from the model, and from nothing else";
        return Err(wrong("start", message, "start in later stages"));
    }
    Ok(StageSpec {
        name: text("name")?.map_or_else(|| format!("stage{number}"), String::from),
        data: text("data")?.map_or(StageData::OfRun, data),
        replay_share: share,
        start,
    })
}
