//! A schema in the words of the Hugging Face `datasets` library: in a card's YAML, and as JSON in a Parquet file.
//!
//! The forms are those that its releases before and after the type `List` both read: a plain list, not a named type.

use super::{Field, Schema, Type};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The features as JSON, for the key `huggingface` of a Parquet file.
pub fn features_json(schema: &Schema) -> Value {
    fields_json(&schema.0)
}

fn fields_json(fields: &[Field]) -> Value {
    let pairs = fields
        .iter()
        .map(|field| (field.name.clone(), type_json(&field.of)));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn type_json(of: &Type) -> Value {
    match of {
        Type::List(of) => json!([type_json(of)]),
        Type::Struct(fields) => fields_json(fields),
        scalar => json!({ "dtype": dtype(scalar), "_type": "Value" }),
    }
}

fn dtype(of: &Type) -> &'static str {
    match of {
        Type::Bool => "bool",
        Type::Int => "int64",
        Type::Float => "float64",
        Type::Text => "string",
        Type::List(_) => "list",
        Type::Struct(_) => "struct",
    }
}

/// The features as a YAML list, indented by two as it stands below `features:` in an entry of `dataset_info`.
pub fn features_yaml(schema: &Schema) -> String {
    let mut text = String::new();
    fields_yaml(&schema.0, 2, &mut text);
    text
}

fn fields_yaml(fields: &[Field], indent: usize, text: &mut String) {
    for field in fields {
        // JSON's quoting is YAML's: a key may hold a colon, or look like a number.
        let _ = writeln!(text, "{:indent$}- name: {}", "", quoted(&field.name));
        type_yaml(&field.of, indent + 2, text);
    }
}

fn type_yaml(of: &Type, indent: usize, text: &mut String) {
    let _ = match of {
        Type::List(of) => match &**of {
            // The library reads the fields of a list's struct without a word between.
            Type::Struct(fields) => {
                let done = writeln!(text, "{:indent$}list:", "");
                fields_yaml(fields, indent, text);
                done
            }
            Type::List(_) => {
                let done = writeln!(text, "{:indent$}list:", "");
                type_yaml(of, indent + 2, text);
                done
            }
            scalar => writeln!(text, "{:indent$}list: {}", "", dtype(scalar)),
        },
        Type::Struct(fields) => {
            let done = writeln!(text, "{:indent$}struct:", "");
            fields_yaml(fields, indent, text);
            done
        }
        scalar => writeln!(text, "{:indent$}dtype: {}", "", dtype(scalar)),
    };
}

fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    // Words that YAML takes for something else: "y" and "no" are truth, "null" is nothing.
    let word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"].contains(&name);
    if !name.is_empty() && name.chars().all(plain) && !word {
        name.to_owned()
    } else {
        Value::from(name).to_string().chars().map(escaped).collect()
    }
}

/// YAML refuses some of the characters that JSON takes as they are.
fn escaped(c: char) -> String {
    match u32::from(c) {
        0..0x7f => c.to_string(),
        code @ 0x7f..=0xffff => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}

/// What a card says of one data set so that it can be loaded by name.
pub struct Config<'a> {
    /// The data set's name, which is also its folder.
    pub name: &'a str,
    /// Its columns.
    pub schema: &'a Schema,
    /// Its splits that have rows; each has the file `NAME/SPLIT.parquet`.
    pub splits: &'a [&'a str],
}

/// The part of a card's front matter by which the library finds files and types: `configs` and `dataset_info`. The first
/// data set is what is loaded where no name is given.
pub fn configs_yaml(configs: &[Config]) -> String {
    let (mut files, mut info) = ("configs:\n".to_owned(), "dataset_info:\n".to_owned());
    for (number, config) in configs.iter().enumerate() {
        let name = quoted(config.name);
        let _ = writeln!(files, "- config_name: {name}");
        if number == 0 {
            files += "  default: true\n";
        }
        files += "  data_files:\n";
        for split in config.splits {
            let path = quoted(&format!("{}/{split}.parquet", config.name));
            let _ = writeln!(files, "  - split: {split}\n    path: {path}");
        }
        let _ = writeln!(info, "- config_name: {name}\n  features:");
        info += &features_yaml(config.schema);
    }
    files + &info
}

#[cfg(test)]
mod tests {
    use super::super::chat;
    use super::*;

    #[test]
    fn the_yaml_and_the_json_are_those_of_the_library() {
        let schema = Schema(vec![
            Field::new("id", Type::Text),
            Field::new("messages", chat()),
            Field::new("größe 🧬", Type::Int),
            Field::new("no", Type::List(Box::new(Type::List(Box::new(Type::Int))))),
            Field::new(
                "parts: all",
                Type::Struct(vec![
                    Field::new("ok", Type::Bool),
                    Field::new("score", Type::Float),
                ]),
            ),
        ]);
        let yaml = "  - name: id
    dtype: string
  - name: messages
    list:
    - name: role
      dtype: string
    - name: content
      dtype: string
  - name: \"gr\\u00f6\\u00dfe \\U0001f9ec\"
    dtype: int64
  - name: \"no\"
    list:
      list: int64
  - name: \"parts: all\"
    struct:
    - name: ok
      dtype: bool
    - name: score
      dtype: float64
";
        assert_eq!(features_yaml(&schema), yaml);
        let text = json!({ "dtype": "string", "_type": "Value" });
        let json = json!({
            "id": text,
            "messages": [{ "role": text, "content": text }],
            "größe 🧬": { "dtype": "int64", "_type": "Value" },
            "no": [[{ "dtype": "int64", "_type": "Value" }]],
            "parts: all": { "ok": { "dtype": "bool", "_type": "Value" }, "score": { "dtype": "float64", "_type": "Value" } },
        });
        assert_eq!(features_json(&schema), json);
        let config = |name| Config {
            name,
            schema: &schema,
            splits: &["train", "test"],
        };
        let all = configs_yaml(&[config("routing"), config("codegen")]);
        let files = "configs:\n- config_name: routing\n  default: true\n  data_files:\n  - split: train\n    path: \"routing/train.parquet\"\n";
        assert!(all.starts_with(files), "{all}");
        assert!(all.contains(&format!("- config_name: codegen\n  features:\n{yaml}")));
    }
}
