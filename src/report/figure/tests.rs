use super::*;
use crate::report::language::Lang;
use crate::text;

fn figure() -> Figure {
    let curve: Vec<(f64, f64)> = (1..=100).map(|x| (f64::from(x * x), 1.0 / f64::from(x))).collect();
    let band = curve.iter().map(|&(x, y)| (x, 0.8 * y, 1.2 * y)).collect();
    let panel = Panel::new(
        text!("accuracy & <steps>", "准确率与步数"),
        Axis::log(text!("steps", "步数")),
        Axis::linear(text!("test accuracy", "测试准确率")).within(0.0, 1.0),
    )
    .with(text!("with BN", "有 BN"), Colour::Blue, Shape::Band(band))
    .with(text!("with BN", "有 BN"), Colour::Blue, Shape::Line(curve.clone()))
    .with(text!("without", "无 BN"), Colour::Vermillion, Shape::Circles(curve));
    Figure { panels: vec![panel.clone(), panel], columns: 2 }
}

#[test]
fn a_figure_has_its_texts_and_one_legend_entry_per_name() {
    let svg = svg(&figure(), Lang::En, Theme::File);
    assert!(svg.starts_with("<svg xmlns=") && svg.trim_end().ends_with("</svg>"), "{svg:.200}");
    assert!(svg.contains("<title>accuracy &amp; &lt;steps>; "), "{svg:.400}");
    assert_eq!(svg.matches("with BN").count(), 1);
    for tick in ["\n10\n", "\n1,000\n", "\n10,000\n", "\n0.6\n"] {
        assert!(svg.contains(tick), "{tick:?} in {svg}");
    }
    // In a page, colours are variables of the style sheet.
    let page = super::svg(&figure(), Lang::Zh, Theme::Page);
    assert!(page.contains("var(--blue)") && !page.contains("#0072B2") && page.contains("准确率与步数"));
}

#[test]
fn control_characters_are_escaped() {
    let evil = || crate::report::language::Text::same("a\u{1b}[2J\u{202e}b");
    let panel = Panel::new(evil(), Axis::named(evil(), [evil()]), Axis::linear(evil())).with(
        evil(),
        Colour::Grey,
        Shape::Line(vec![(0.0, 0.0), (0.2, 1.0)]),
    );
    let svg = svg(&Figure { panels: vec![panel], columns: 1 }, Lang::En, Theme::File);
    assert!(!svg.contains(['\u{1b}', '\u{202e}']), "{svg}");
    assert!(svg.matches("a\\u{1b}[2J\\u{202e}b").count() >= 5, "{svg}");
}

#[test]
fn points_that_cannot_be_drawn_leave_a_gap() {
    let points = vec![(1.0, 0.5), (2.0, f64::NAN), (0.0, 0.5), (3.0, 0.4), (4.0, 0.3)];
    let panel = Panel::new(text!("", ""), Axis::log(text!("", "")), Axis::linear(text!("", ""))).with(
        text!("", ""),
        Colour::Grey,
        Shape::Line(points),
    );
    let svg = svg(&Figure { panels: vec![panel], columns: 1 }, Lang::En, Theme::File);
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

#[test]
fn a_figure_without_data_is_drawn() {
    let panel = Panel::new(text!("t", "t"), Axis::log(text!("x", "x")), Axis::linear(text!("y", "y")));
    for figure in [Figure::default(), Figure { panels: vec![panel], columns: 3 }] {
        assert!(svg(&figure, Lang::En, Theme::File).contains("</svg>"));
    }
}

#[test]
fn a_picture_is_twice_the_size_and_not_blank() {
    let bytes = png(&svg(&figure(), Lang::En, Theme::File)).unwrap();
    let picture = resvg::tiny_skia::Pixmap::decode_png(&bytes).unwrap();
    assert_eq!(picture.width(), 2 * 920);
    let colours: std::collections::HashSet<_> =
        picture.pixels().iter().map(|p| (p.red(), p.green(), p.blue())).collect();
    assert!(colours.contains(&(0x00, 0x72, 0xb2)) && colours.contains(&(0xd5, 0x5e, 0x00)));
}

#[test]
fn a_character_that_no_font_has_is_an_error() {
    let svg = "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><text>\u{10ffff}</text></svg>";
    assert!(matches!(png(svg), Err(PngError::NoFont('\u{10ffff}'))));
}

#[test]
fn ticks_stand_at_round_places() {
    let texts =
        |axis: &Axis, span| axis.ticks(span, Lang::En).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
    let (linear, log) = (Axis::linear(text!("", "")), Axis::log(text!("", "")));
    assert_eq!(texts(&linear, (0.0, 1.0)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    assert_eq!(texts(&linear, (-4.2, 4.1)), ["-4", "-2", "0", "2", "4"]);
    assert_eq!(texts(&linear, (0.0, 50_000.0)), ["0", "10,000", "20,000", "30,000", "40,000", "50,000"]);
    assert_eq!(texts(&log, (0.0, 4.0)), ["1", "10", "100", "1,000", "10,000"]);
    assert_eq!(texts(&log, (0.0, 1.0)), ["1", "2", "5", "10"]);
    assert_eq!(texts(&log, (-8.0, 0.0)), ["10⁻⁸", "10⁻⁶", "10⁻⁴", "0.01", "1"]);
    let named = Axis::named(text!("", ""), [text!("a", "甲"), text!("b", "乙")]);
    assert_eq!(named.ticks((-0.5, 1.5), Lang::Zh), [(0.0, "甲".to_owned()), (1.0, "乙".to_owned())]);
}
