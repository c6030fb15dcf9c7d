//! The page around its contents: escaping, the template, the data as one block of JSON, the scripts.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::base::text::printable;

/// Apache ECharts (see ATTRIBUTION.md).
const ECHARTS: &[u8] = include_bytes!("echarts.min.js.gz");
const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const COMMON: &str = include_str!("common.js");

/// Escapes `text` for HTML, between tags and in quoted attributes; see [`printable`] for control characters.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c => escaped.push(c),
        }
    }
    escaped
}

/// `data` as the content of a `<script>`: without `<` nothing in it can end the script or open a comment. See
/// [`printable`] for control characters.
fn json_block(data: &Value) -> String {
    shown(data).to_string().replace('<', "\\u003c")
}

/// The same data with every text as a page shows it.
fn shown(data: &Value) -> Value {
    match data {
        Value::String(text) => printable(text).into_owned().into(),
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (printable(key).into_owned(), shown(value))).collect()
        }
        other => other.clone(),
    }
}

/// Replaces every `{{name}}` of `template` by its value, in one pass, so that values are not expanded again.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = String::with_capacity(template.len() + values.iter().map(|(_, v)| v.len()).sum::<usize>());
    let mut parts = template.split("{{");
    page += parts.next().unwrap_or_default();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or((part, ""));
        let value = values.iter().find(|(known, _)| *known == name);
        debug_assert!(value.is_some(), "the template's place {name} has no value");
        page += value.map_or("", |(_, value)| value);
        page += rest;
    }
    page
}

/// A whole page: `body` is HTML, `script` draws `data` into it.
#[expect(clippy::expect_used, reason = "the packed charts are part of the program, and a test unpacks them")]
pub(super) fn document(title: &str, body: &str, data: &Value, script: &str) -> String {
    let mut echarts = String::new();
    let packed = GzDecoder::new(ECHARTS).read_to_string(&mut echarts);
    packed.expect("packed charts");
    let values = [
        ("title", &*escape(title)),
        ("style", STYLE),
        ("body", body),
        ("data", &*json_block(data)),
        ("echarts", &*echarts),
        ("common", COMMON),
        ("script", script),
        ("version", env!("CARGO_PKG_VERSION")),
    ];
    fill(TEMPLATE, &values)
}

/// A titled part of the page; `body` is HTML, the rest is text.
pub(super) fn card(id: &str, title: &str, note: &str, body: &str) -> String {
    let note =
        if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", escape(note)) };
    format!("<section class=\"card\" id=\"{id}\"><h2>{}</h2>{note}{body}</section>\n", escape(title))
}

/// A part of the page that holds a chart, which the script draws into `chart-<id>`.
pub(super) fn chart(id: &str, title: &str, note: &str, controls: &str) -> String {
    let label = escape(title);
    let body = format!(
        "{controls}<div class=\"scroll\">\
         <div class=\"chart\" id=\"chart-{id}\" role=\"img\" aria-label=\"{label}\"></div></div>"
    );
    card(id, title, note, &body)
}

/// Names and values, as a list of terms.
pub(super) fn facts(facts: &[(String, String)]) -> String {
    let fact = |(name, value): &(String, String)| {
        format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(name), escape(value))
    };
    format!("<dl class=\"facts\">{}</dl>", facts.iter().map(fact).collect::<String>())
}

/// A collapsed text: a configuration, a command line.
pub(super) fn details(summary: &str, text: &str) -> String {
    format!("<details><summary>{}</summary><pre>{}</pre></details>", escape(summary), escape(text))
}

/// A command line with a button that copies it.
pub(super) fn command_line(command: &str) -> String {
    format!(
        "<div class=\"command\"><code id=\"command\">{}</code><button type=\"button\" data-copy=\"command\">Copy</button></div>",
        escape(command)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_of_html_are_escaped() {
        assert_eq!(escape("a<b>&\"c'"), "a&lt;b&gt;&amp;&quot;c&#39;");
    }

    #[test]
    fn control_characters_are_visible() {
        assert_eq!(escape("a\u{1b}[1m\nb\u{202e}c"), "a\\u{1b}[1m\nb\\u{202e}c");
        let block = json_block(&serde_json::json!({ "a\u{202e}": ["\u{1b}", { "b": "\u{2066}c" }] }));
        assert_eq!(block, r#"{"a\\u{202e}":["\\u{1b}",{"b":"\\u{2066}c"}]}"#);
    }

    #[test]
    fn no_text_in_the_data_can_end_the_script() {
        let data = serde_json::json!({ "</script><b>": "<!--<script>", "n": [1, null] });
        let block = json_block(&data);
        assert!(!block.contains('<'), "{block}");
        assert_eq!(serde_json::from_str::<Value>(&block).unwrap(), data);
    }

    #[test]
    fn a_value_that_looks_like_a_placeholder_is_not_expanded() {
        assert_eq!(fill("{{a}}-{{b}}", &[("a", "{{b}}"), ("b", "x{{a}}")]), "{{b}}-x{{a}}");
    }

    #[test]
    fn the_charts_match_the_checksums_of_the_attribution() {
        use sha2::{Digest, Sha256};
        let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect::<String>();
        let mut script = Vec::new();
        GzDecoder::new(ECHARTS).read_to_end(&mut script).unwrap();
        let attribution = include_str!("ATTRIBUTION.md");
        for bytes in [ECHARTS, &script] {
            assert!(attribution.contains(&hex(bytes)), "{}", hex(bytes));
        }
        // A closing tag would end the script element around it.
        assert!(!String::from_utf8(script).unwrap().to_lowercase().contains("</script"));
    }
}
