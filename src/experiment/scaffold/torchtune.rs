//! Fine-tunes for torchtune's recipe `lora_finetune_single_device`: `finetune.yaml` with the keys of the recipe's own configs
//! and no others, and the job.

use super::{
    File, Place,
    shell::{Job, command, quote},
};
use crate::{
    experiment::{
        plan::{Plan, Run},
        vocabulary::{KnownModel, Vocabulary},
        yaml::Node,
    },
    parameters::{Domain, Value},
    words::words,
};
use serde_json::Value as Json;

/// Where a run's checkpoints will be, below its directory.
pub const OUTPUT: &str = "output";

words! {
    /// How rows say what is to be learned.
    pub enum RowShape {
        /// `messages` with `role` and `content`.
        Messages = "messages",
        /// `conversations` with `from` and `value`.
        Conversations = "conversations",
        /// `instruction` and `output`.
        Instruction = "instruction",
    }
}

/// What is there: the base model's directory and the first row of the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// `config.json` of the model.
    pub config: Json,
    /// Files of the model's directory, below it.
    pub files: Vec<String>,
    /// How the rows are.
    pub rows: RowShape,
}

/// How rows are that look like this one.
///
/// # Errors
/// A sentence.
pub fn shape(row: &Json) -> Result<RowShape, String> {
    let has = |key: &str| row.get(key).is_some();
    match () {
        () if has("messages") => Ok(RowShape::Messages),
        () if has("conversations") => Ok(RowShape::Conversations),
        () if has("instruction") && has("output") => Ok(RowShape::Instruction),
        () => Err(
            "its rows have neither messages nor conversations nor instruction and output".into(),
        ),
    }
}

/// The recipe's word for the model, by its `config.json`.
///
/// # Errors
/// A sentence with the models that are known.
pub fn known<'a>(words: &'a Vocabulary, config: &Json) -> Result<&'a KnownModel, String> {
    let text = config["model_type"].as_str().unwrap_or("");
    let whole = |key: &str| config[key].as_u64();
    let fits = |one: &&KnownModel| {
        one.model_type == text
            && whole("hidden_size") == Some(one.hidden_size)
            && whole("num_hidden_layers") == Some(one.num_hidden_layers)
            && (one.vocab_size.is_none() || one.vocab_size == whole("vocab_size"))
    };
    words.models.iter().find(fits).ok_or_else(|| {
        let names = words.models.iter().map(|one| one.component.rsplit(".lora_").next().unwrap_or(&one.component));
        format!(
            "torchtune's builder for a model of type {text:?}, width {} and {} layers is not known; known are {}",
            config["hidden_size"],
            config["num_hidden_layers"],
            names.collect::<Vec<_>>().join(", ")
        )
    })
}

/// The files of a run's fine-tune.
///
/// # Errors
/// What is missing, or cannot be said in a config or a script; all of it.
pub fn files(
    plan: &Plan,
    words: &Vocabulary,
    run: &Run,
    place: &Place,
    inputs: &Inputs,
) -> Result<Vec<File>, Vec<String>> {
    let document = document(plan, words, run, inputs)?;
    let script = script(plan, words, run, place).map_err(|why| vec![why])?;
    let file = |name: &str, text: String| File {
        path: format!("{}/{name}", run.name),
        text,
    };
    let remark = format!("torchtune 0.6, recipe {}", words.recipe);
    Ok(vec![
        file("finetune.yaml", document.document(&remark)),
        file("finetune.slurm", script),
    ])
}

/// `finetune.yaml`.
fn document(
    plan: &Plan,
    words: &Vocabulary,
    run: &Run,
    inputs: &Inputs,
) -> Result<Node, Vec<String>> {
    let mut problems = Vec::new();
    let Some(model) = plan.model.as_deref() else {
        return Err(vec!["no model is named: --model DIR".into()]);
    };
    let known = known(words, &inputs.config).map_err(|why| vec![why])?;
    let weights = weights(&inputs.files);
    if weights.is_empty() {
        problems.push(format!("{model} has no *.safetensors and no *.bin"));
    }
    for file in known.tokenizer_files.values() {
        if !inputs.files.contains(file) {
            problems.push(format!(
                "{model} has no {file}, which torchtune's tokenizer is read from"
            ));
        }
    }
    if plan.data.is_empty() {
        problems.push("no rows are named to learn from: --data FILE".into());
    }
    // OmegaConf would put something else in the place of `${...}`.
    for path in plan.data.iter().map(String::as_str).chain([model]) {
        if path.contains("${") {
            problems.push(format!(
                "a config of torchtune cannot carry the path {path:?}"
            ));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut node = recipe(plan, model, known, weights, inputs.rows);
    for (name, value) in plan.settings(run) {
        let at = words.at.get(&name).unwrap_or(&name);
        let set = match words.set(&name, &value) {
            Some(members) => Node::texts(members),
            None => Node::Scalar(plain(words, &name, value)),
        };
        node.set(at, set);
    }
    Ok(node)
}

fn plain(words: &Vocabulary, name: &str, value: Value) -> Value {
    let domain = words.schema.parameter(name).map(|one| &one.domain);
    match (domain, &value) {
        (Some(Domain::Range { whole: true, .. }), Value::Number(number)) => {
            Value::Whole(*number as i64)
        }
        _ => value,
    }
}

/// Weights in the order of their names: of the safer format where there are both.
fn weights(files: &[String]) -> Vec<String> {
    let of = |ending: &str| {
        let own = |name: &&String| {
            name.ends_with(ending) && !name.contains('/') && !name.starts_with("adapter")
        };
        let mut found: Vec<String> = files.iter().filter(own).cloned().collect();
        found.sort();
        found
    };
    match of(".safetensors") {
        found if found.is_empty() => of(".bin"),
        found => found,
    }
}

/// The recipe's config without what is set by parameters.
fn recipe(
    plan: &Plan,
    model: &str,
    known: &KnownModel,
    weights: Vec<String>,
    rows: RowShape,
) -> Node {
    let component = |name: &str| ("_component_", Node::text(name));
    let model_file = |file: &String| Node::text(format!("{}/{file}", model.trim_end_matches('/')));
    let mut tokenizer = vec![component(&known.tokenizer)];
    tokenizer.extend(
        known
            .tokenizer_files
            .iter()
            .map(|(argument, file)| (argument.as_str(), model_file(file))),
    );
    tokenizer.push(("max_seq_len", Node::Null));
    let output = "${output_dir}";
    Node::map([
        ("output_dir", Node::text(format!("./{OUTPUT}"))),
        ("model", Node::map([component(&known.component)])),
        ("tokenizer", Node::map(tokenizer)),
        (
            "checkpointer",
            Node::map([
                component("torchtune.training.FullModelHFCheckpointer"),
                ("checkpoint_dir", Node::text(model)),
                ("checkpoint_files", Node::texts(weights)),
                ("recipe_checkpoint", Node::Null),
                ("output_dir", Node::text(output)),
                ("model_type", Node::text(&known.checkpoint)),
            ]),
        ),
        ("resume_from_checkpoint", Node::flag(false)),
        ("save_adapter_weights_only", Node::flag(false)),
        ("dataset", dataset(plan, rows)),
        ("seed", Node::Null),
        ("shuffle", Node::flag(true)),
        ("batch_size", Node::whole(4)),
        (
            "optimizer",
            Node::map([component("torch.optim.AdamW"), ("fused", Node::flag(true))]),
        ),
        (
            "lr_scheduler",
            Node::map([component(
                "torchtune.training.lr_schedulers.get_cosine_schedule_with_warmup",
            )]),
        ),
        (
            "loss",
            Node::map([component("torchtune.modules.loss.CEWithChunkedOutputLoss")]),
        ),
        ("epochs", Node::whole(1)),
        ("max_steps_per_epoch", Node::Null),
        ("gradient_accumulation_steps", Node::whole(8)),
        ("clip_grad_norm", Node::Null),
        ("compile", Node::flag(false)),
        (
            "metric_logger",
            Node::map([
                component("torchtune.training.metric_logging.DiskLogger"),
                ("log_dir", Node::text(format!("{output}/logs"))),
            ]),
        ),
        ("log_every_n_steps", Node::whole(1)),
        ("log_peak_memory_stats", Node::flag(true)),
        ("device", Node::text("cuda")),
        ("dtype", Node::text("bf16")),
        ("enable_activation_checkpointing", Node::flag(false)),
        ("enable_activation_offloading", Node::flag(false)),
    ])
}

fn dataset(plan: &Plan, rows: RowShape) -> Node {
    let (component, own) = match rows {
        RowShape::Messages => (
            "chat_dataset",
            vec![
                ("conversation_column", Node::text("messages")),
                ("conversation_style", Node::text("openai")),
            ],
        ),
        RowShape::Conversations => (
            "chat_dataset",
            vec![
                ("conversation_column", Node::text("conversations")),
                ("conversation_style", Node::text("sharegpt")),
            ],
        ),
        RowShape::Instruction => {
            let columns = [
                ("input", Node::text("instruction")),
                ("output", Node::text("output")),
            ];
            ("instruct_dataset", vec![("column_map", Node::map(columns))])
        }
    };
    let mut all = vec![
        (
            "_component_",
            Node::text(format!("torchtune.datasets.{component}")),
        ),
        ("source", Node::text("json")),
        ("data_files", Node::texts(&plan.data)),
        ("split", Node::text("train")),
    ];
    all.extend(own);
    all.push(("packed", Node::flag(false)));
    Node::map(all)
}

fn script(plan: &Plan, words: &Vocabulary, run: &Run, place: &Place) -> Result<String, String> {
    let directory = place.of(&run.name, "");
    Job {
        name: &format!("{}-{}", plan.name, run.name),
        directory: &directory,
        resources: &plan.resources,
        lines: vec![
            command(&["tune", "run", &words.recipe, "--config", "finetune.yaml"]),
            "# A checkpoint is whole; with its adapter beside it transformers would load the base model and the adapter anew.".into(),
            format!("for epoch in {}/epoch_*; do", quote(OUTPUT)),
            "  mkdir -p \"$epoch/adapter\"".into(),
            "  for file in \"$epoch\"/adapter_*; do".into(),
            "    if [ -e \"$file\" ]; then mv -- \"$file\" \"$epoch/adapter/\"; fi".into(),
            "  done".into(),
            "done".into(),
        ],
    }
    .script()
}
