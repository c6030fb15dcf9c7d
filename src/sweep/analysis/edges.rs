//! Finds best values at the ends of the tried space, where better ones may lie beyond.

use serde::Serialize;
use serde_json::Value;

use super::scale::place;
use crate::spec::{Domain, Kind, Params, Scale, Space, hyperparameter};

/// Share of a range, on its scale, that counts as its end.
const END: f64 = 0.05;

/// A hyperparameter whose winning value is at an end of its domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Edge {
    /// The flag without `--`.
    pub key: String,
    /// Whether it lies at the upper end.
    pub upper: bool,
    /// The suggested domain, as flag and values: `--lr 0.1,0.3,1`.
    pub try_instead: String,
    /// A sentence without its full stop.
    pub warning: String,
}

/// The hyperparameters whose value in `params` lies at an end of its domain: the first or last of three numbers or
/// more, or in the outer 5 % of a range on its scale. A hard limit (a dropout of 0) does not count.
pub fn edges(params: &Params, space: &Space) -> Vec<Edge> {
    let of = |key: &str| params.get(key);
    let found = space.dimensions.iter().filter_map(|dimension| {
        let value = of(&dimension.key)?;
        match &dimension.domain {
            Domain::Set(values) => in_set(&dimension.key, value, values),
            Domain::Range { low, high, scale, integer } => {
                let place = place(value, &dimension.domain)?;
                let upper = place >= 1.0 - END;
                let at_end = upper || place <= END;
                let range = (*low, *high, *scale);
                if at_end { in_range(&dimension.key, value.as_f64()?, upper, range, *integer) } else { None }
            }
        }
    });
    found.collect()
}

/// Whether no value of the hyperparameter is above 1.
fn ends_at_one(key: &str) -> bool {
    match hyperparameter(key).map(|of| of.kind) {
        Some(Kind::Real(range) | Kind::Whole(Some(range))) => range.ends_at_one(),
        Some(
            Kind::Whole(None) | Kind::Switch | Kind::Name(_) | Kind::Init | Kind::Embed | Kind::Architecture,
        )
        | None => false,
    }
}

fn in_set(key: &str, value: &Value, values: &[Value]) -> Option<Edge> {
    let value = value.as_f64()?;
    let mut numbers = values.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>()?;
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let last = numbers.len().checked_sub(1).filter(|&last| last >= 2)?;
    let (upper, neighbour) = match value {
        _ if value == numbers[last] => (true, numbers[last - 1]),
        _ if value == numbers[0] => (false, numbers[1]),
        _ => return None,
    };
    let whole = hyperparameter(key).is_some_and(|of| matches!(of.kind, Kind::Whole(_)));
    let mut beyond = beyond(value, neighbour, ends_at_one(key) && upper, whole);
    beyond.retain(|next| if upper { *next > value } else { *next < value && (!whole || *next >= 1.0) });
    beyond.dedup();
    if beyond.is_empty() {
        return None;
    }
    let list: Vec<String> = [value].into_iter().chain(beyond).map(short).collect();
    let try_instead = format!("--{key} {}", list.join(","));
    let (end, more) = if upper { ("largest", "larger") } else { ("smallest", "smaller") };
    let value = short(value);
    let warning =
        format!("--{key} {value} is the {end} of its set: try {more} values, for example {try_instead}");
    Some(Edge { key: key.into(), upper, try_instead, warning })
}

/// Two values beyond `value`, going on as from `neighbour` to it: by the same factor if that is 1.5 or more (in two
/// halves, on the logarithm, if it is 8 or more), else by the same difference. Towards 1 it is 1 - x that shrinks.
fn beyond(value: f64, neighbour: f64, below_one: bool, whole: bool) -> Vec<f64> {
    if below_one {
        let (left, before) = (1.0 - value, 1.0 - neighbour);
        if left <= 0.0 {
            return Vec::new();
        }
        return by_factor(left, left / before).map(|left| 1.0 - left).map(|x| rounded(x, 12)).to_vec();
    }
    let factor = value / neighbour;
    let (small, large) = (value.min(neighbour), value.max(neighbour));
    let next = if small > 0.0 && large / small >= 1.5 {
        by_factor(value, factor)
    } else {
        let difference = value - neighbour;
        let steps = [value + difference, value + 2.0 * difference];
        // Nothing is below 0: halve the rest.
        if steps[1] > 0.0 { steps.map(|x| rounded(x, 12)) } else { [value / 2.0, value / 4.0] }
    };
    next.into_iter().map(|x| if whole { x.round() } else { x }).filter(|x| *x > 0.0).collect()
}

fn by_factor(value: f64, factor: f64) -> [f64; 2] {
    if (0.125..8.0).contains(&factor) {
        [value * factor, value * factor * factor].map(|x| rounded(x, 3))
    } else {
        [value * factor.sqrt(), value * factor].map(|x| rounded(x, 1))
    }
}

fn in_range(key: &str, value: f64, upper: bool, range: (f64, f64, Scale), integer: bool) -> Option<Edge> {
    let (low, high, scale) = range;
    let (first, last) = (scale.forward(low), scale.forward(high));
    // By its own width; a logarithmic range by half its width, at least twofold and at most tenfold.
    let reach = match scale {
        Scale::Linear => last - first,
        Scale::Log | Scale::Ema => ((last - first) / 2.0).clamp(2_f64.ln(), 10_f64.ln()),
    };
    let (new_low, new_high) = if upper {
        let wide = scale.back(last + reach);
        let bounded = ends_at_one(key) && scale != Scale::Ema;
        (low, if bounded { wide.min((1.0 + high) / 2.0) } else { wide })
    } else {
        let wide = scale.back(first - reach);
        (
            if wide > 0.0 || low == 0.0 {
                wide.max(0.0)
            } else if scale == Scale::Ema {
                0.0
            } else {
                low / 4.0
            },
            high,
        )
    };
    let tidy = |x: f64| match scale {
        _ if integer => x.round().max(1.0),
        Scale::Ema => 1.0 - rounded(1.0 - x, 2),
        _ => rounded(x, 2),
    };
    let (new_low, new_high) = if upper { (new_low, tidy(new_high)) } else { (tidy(new_low), new_high) };
    if (upper && new_high <= high) || (!upper && new_low >= low) {
        return None;
    }
    let suffix = scale.suffix();
    let text = |low, high| format!("{}..{}{suffix}", short(low), short(high));
    let try_instead = format!("--{key} {}", text(new_low, new_high));
    let (end, more) = if upper { ("upper", "larger") } else { ("lower", "smaller") };
    let (value, range) = (short(rounded(value, 4)), text(low, high));
    let warning = format!(
        "--{key} {value} is at the {end} end of {range}: try {more} values, for example {try_instead}"
    );
    Some(Edge { key: key.into(), upper, try_instead, warning })
}

/// With `digits` significant ones.
fn rounded(x: f64, digits: usize) -> f64 {
    format!("{x:.*e}", digits - 1).parse().unwrap_or(x)
}

/// A number in short form: 0.001, 1e-4, 128.
pub(crate) fn short(x: f64) -> String {
    let x = rounded(x, 12);
    if x != 0.0 && !(1e-3..1e6).contains(&x.abs()) { format!("{x:e}") } else { format!("{x}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Dimension;

    fn warnings(key: &str, domain: Domain, value: Value) -> Vec<String> {
        let space = Space { dimensions: vec![Dimension { key: key.into(), domain }] };
        let params = Params::from_iter([(key.to_owned(), value)]);
        edges(&params, &space).into_iter().map(|edge| edge.warning).collect()
    }

    fn set(values: Value) -> Domain {
        Domain::Set(values.as_array().unwrap().clone())
    }

    fn range(low: f64, high: f64, scale: Scale) -> Domain {
        Domain::Range { low, high, scale, integer: false }
    }

    #[test]
    fn the_end_of_a_set_names_values_beyond_it() {
        for (key, values, value, end) in [
            ("lr", json!([0.1, 0.001, 0.01]), json!(0.1), "larger values, for example --lr 0.1,0.3,1"),
            (
                "lr",
                json!([0.1, 0.001, 0.01]),
                json!(0.001),
                "smaller values, for example --lr 0.001,3e-4,1e-4",
            ),
            (
                "batch-size",
                json!([32, 64, 128]),
                json!(128),
                "larger values, for example --batch-size 128,256,512",
            ),
            ("batch-size", json!([1, 2, 4]), json!(4), "larger values, for example --batch-size 4,8,16"),
            (
                "beta1",
                json!([0.5, 0.9, 0.99]),
                json!(0.99),
                "larger values, for example --beta1 0.99,0.997,0.999",
            ),
            (
                "beta1",
                json!([0.8, 0.85, 0.9]),
                json!(0.8),
                "smaller values, for example --beta1 0.8,0.75,0.7",
            ),
            (
                "dropout",
                json!([0, 0.25, 0.5]),
                json!(0.5),
                "larger values, for example --dropout 0.5,0.667,0.778",
            ),
            ("warmup", json!([100, 110, 120]), json!(120), "larger values, for example --warmup 120,130,140"),
        ] {
            let found = warnings(key, set(values), value);
            assert!(found.len() == 1 && found[0].ends_with(end), "{end}\n{found:?}");
        }
        let found = warnings("lr", set(json!([0.1, 0.001, 0.01])), json!(0.1));
        assert_eq!(
            found,
            ["--lr 0.1 is the largest of its set: try larger values, for example --lr 0.1,0.3,1"]
        );
    }

    #[test]
    fn there_is_no_warning_inside_for_two_values_for_text_or_at_a_hard_limit() {
        assert!(warnings("lr", set(json!([0.1, 0.001, 0.01])), json!(0.01)).is_empty());
        assert!(warnings("lr", set(json!([0.1, 0.001])), json!(0.1)).is_empty());
        assert!(warnings("hidden", set(json!(["64", "128", "256"])), json!("256")).is_empty());
        assert!(warnings("dropout", set(json!([0, 0.25, 0.5])), json!(0)).is_empty());
        assert!(warnings("batch-size", set(json!([1, 2, 4])), json!(1)).is_empty());
        assert!(warnings("dropout", range(0.0, 0.5, Scale::Linear), json!(0.01)).is_empty());
        assert!(warnings("lr", range(1e-4, 1e-1, Scale::Log), json!(0.001)).is_empty());
        assert!(warnings("lr", range(1e-4, 1e-1, Scale::Log), Value::Null).is_empty());
    }

    #[test]
    fn an_end_of_a_range_is_five_per_cent_of_its_scale() {
        // 5 % of three decades is a factor of 10^0.15 = 1.4125.
        let lr = |value: f64| warnings("lr", range(1e-4, 1e-1, Scale::Log), json!(value));
        assert_eq!(
            lr(0.0709),
            [
                "--lr 0.0709 is at the upper end of 1e-4..0.1:log: try larger values, for example --lr 1e-4..1:log"
            ]
        );
        assert!(lr(0.0707).is_empty());
        assert_eq!(
            lr(1.41e-4),
            [
                "--lr 1.41e-4 is at the lower end of 1e-4..0.1:log: try smaller values, for example --lr 1e-5..0.1:log"
            ]
        );
        assert!(lr(1.42e-4).is_empty());
    }

    #[test]
    fn a_range_below_one_stays_there() {
        let found = warnings("beta2", range(0.9, 0.999, Scale::Ema), json!(0.999));
        assert!(found[0].ends_with("--beta2 0.9..0.9999:ema"), "{found:?}");
        let found = warnings("beta2", range(0.9, 0.999, Scale::Ema), json!(0.9));
        assert!(found[0].ends_with("--beta2 0..0.999:ema"), "{found:?}");
        let found = warnings("dropout", range(0.0, 0.5, Scale::Linear), json!(0.49));
        assert!(found[0].ends_with("--dropout 0..0.75"), "{found:?}");
        let domain = Domain::Range { low: 16.0, high: 256.0, scale: Scale::Log, integer: true };
        let found = warnings("batch-size", domain, json!(256));
        assert!(found[0].ends_with("--batch-size 16..1024:log"), "{found:?}");
    }
}
