//! A self-contained HTML page of demonstrations, without scripts.

use serde_json::Value;

use super::{Demo, Finding, Outcome};
use crate::report::escape;
use crate::report::figure::{Theme, svg};
use crate::report::language::{Lang, Text};
use crate::text;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(findings: &[(&dyn Demo, Finding)], lang: Lang, about: &Value) -> String {
    let title = match findings {
        [(demo, _)] => format!("bngpu demo {}", demo.name()),
        _ => text!("What batch normalisation does, measured", "批归一化做了什么：实测").of(lang).to_owned(),
    };
    let links: String = match findings {
        [_] => String::new(),
        _ => {
            let link = |(demo, finding): &(&dyn Demo, Finding)| {
                let outcome = finding.verdict.outcome.text();
                format!(
                    "<a href=\"#{0}\">{0}</a> <span class=\"about\">{1}</span>",
                    demo.name(),
                    outcome.of(lang)
                )
            };
            format!(
                "<nav>{}</nav>\n",
                findings.iter().map(|f| format!("<span>{}</span>", link(f))).collect::<String>()
            )
        }
    };
    let cards: String = findings.iter().map(|(demo, finding)| card(*demo, finding, lang, about)).collect();
    let of = |key: &str| escape(about[key].as_str().unwrap_or_default());
    let (data, device, version) = (of("data"), of("device"), env!("CARGO_PKG_VERSION"));
    let measured = text!("Data: {data}. Device: {device}.", "数据：{data}。设备：{device}。");
    let rule = text!(
        "± and ranges in brackets are 95 % intervals of a mean over the seeds (Student's t); the test rows are the same for all seeds. These intervals decide whether a claim holds or does not hold; otherwise it is inconclusive.",
        "± 与括号中的范围均为各种子均值的 95 % 置信区间（Student t 分布）；所有种子使用相同的测试样本。结论成立与否由这些区间判定；区间不足以判定时，则无法判断。"
    );
    let written = text!("Written by bngpu {version}.", "由 bngpu {version} 生成。");
    format!(
        "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n<p class=\"about\">{measured} {rule}</p>\n{links}{cards}</main>\n\
         <footer><p>{written}</p></footer>\n</body>\n</html>\n",
        tag = lang.tag(),
        title = escape(&title),
        measured = measured.of(lang),
        rule = escape(rule.of(lang)),
        written = written.of(lang),
    )
}

fn card(demo: &dyn Demo, finding: &Finding, lang: Lang, about: &Value) -> String {
    let class = match finding.verdict.outcome {
        Outcome::Holds => "holds",
        Outcome::Fails => "fails",
        Outcome::Unclear => "unclear",
    };
    let t = |text: &Text| escape(text.of(lang));
    let command = about["commands"][demo.name()].as_str().unwrap_or_default();
    format!(
        "<section class=\"card\" id=\"{name}\">\n<h2>{claim}</h2>\n\
         <p class=\"verdict {class}\"><strong>{outcome}</strong> · {sentence}</p>\n\
         <figure>{figure}<figcaption>{caption}</figcaption></figure>\n{table}<p><code>{command}</code></p>\n</section>\n",
        name = demo.name(),
        claim = t(&demo.claim()),
        outcome = t(&finding.verdict.outcome.text()),
        sentence = t(&finding.verdict.sentence),
        figure = svg(&finding.figure, lang, Theme::Page),
        caption = t(&finding.caption),
        table = table(&finding.table, lang),
        command = escape(command),
    )
}

fn table(rows: &[Vec<Text>], lang: Lang) -> String {
    let Some((head, body)) = rows.split_first() else { return String::new() };
    let row = |cells: &[Text], tag: &str| {
        let cells: String =
            cells.iter().map(|cell| format!("<{tag}>{}</{tag}>", escape(cell.of(lang)))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = body.iter().map(|cells| row(cells, "td")).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead>{}</thead>\n<tbody>\n{body}</tbody></table></div>\n",
        row(head, "th")
    )
}
