//! Values as text.

use toml::Value;

/// A value as help and messages show it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Boolean(on) => if *on { "on" } else { "off" }.into(),
        Value::Float(number) if *number == 0.0 => "0".into(),
        Value::Float(number) => format!("{number:?}"),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A value as configuration files have it: 1e-8, not 0.00000001.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// A value of a trial as it is typed; the names of choices are compared in this form.
pub(crate) fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Bool(on) => if *on { "on" } else { "off" }.into(),
        serde_json::Value::Number(number) => match number.as_f64() {
            Some(number) if number != 0.0 && !(1e-3..1e5).contains(&number.abs()) => format!("{number:e}"),
            Some(number) => format!("{number}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}
