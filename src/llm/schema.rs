//! Whether a value has the shape that a schema asks for, as far as a repair or a model without grammar gets it wrong: types,
//! required members, enumerations. Not a validator: what it does not know it lets pass.

use serde_json::Value;

/// The schema may nest this deep.
const MAX_DEPTH: usize = 64;

/// Whether `value` has the shape of `schema`.
///
/// # Errors
/// The first place that has not, as a path.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    at(schema, value, &mut String::from("$"), 0)
}

fn at(schema: &Value, value: &Value, path: &mut String, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let asked: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !asked.is_empty() && !asked.iter().any(|kind| is(kind, value)) {
        return Err(format!("{path} is no {}", asked.join(" or ")));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{path} is none of the words that are asked for"));
    }
    let length = path.len();
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    if let Some(missing) = required
        .filter(|_| value.is_object())
        .find(|name| value.get(name).is_none())
    {
        return Err(format!("{path} has no member {missing}"));
    }
    for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(member) = value.get(name) {
            path.push('.');
            path.push_str(name);
            at(schema, member, path, depth + 1)?;
            path.truncate(length);
        }
    }
    if schema["items"].is_object() {
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            path.push_str(&format!("[{index}]"));
            at(&schema["items"], item, path, depth + 1)?;
            path.truncate(length);
        }
    }
    Ok(())
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64()
                || value.is_u64()
                || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn shapes_are_checked_with_their_place() {
        let schema = json!({"type": "object", "required": ["steps"], "properties": {
            "steps": {"type": "array", "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}},
            "kind": {"enum": ["a", "b"]}, "n": {"type": ["integer", "null"]},
        }});
        assert_eq!(
            check(
                &schema,
                &json!({"steps": [{"id": "x"}], "kind": "a", "n": 2.0, "more": 1})
            ),
            Ok(())
        );
        for (value, why) in [
            (json!([]), "$ is no object"),
            (json!({}), "$ has no member steps"),
            (
                json!({"steps": [{"id": "x"}, {}]}),
                "$.steps[1] has no member id",
            ),
            (json!({"steps": [{"id": 1}]}), "$.steps[0].id is no string"),
            (
                json!({"steps": [], "kind": "c"}),
                "$.kind is none of the words that are asked for",
            ),
            (json!({"steps": [], "n": 1.5}), "$.n is no integer or null"),
        ] {
            assert_eq!(check(&schema, &value), Err(why.to_owned()));
        }
        assert_eq!(check(&json!(true), &json!(1)), Ok(()));
    }
}
