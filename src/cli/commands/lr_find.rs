//! `bngpu lr-find`: the usable range of learning rates, all tried at once.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::base::geomspace;
use crate::base::text::{Align, columns, number};
use crate::cli::{Exit, LrFindArgs};
use crate::demo::statistics::run_around;
use crate::report::stdout;
use crate::spec::{
    Count, Dimension, Domain, Objective, Params, RunRequest, Space, Strategy, SweepRequest, resolve,
};
use crate::sweep::{Memory, SweepEnd, TrialRecord, TrialStatus};
use crate::train::Stop;

use super::session::{Held, about};
use super::sweep::{devices, introduce, plan};
use super::{Failure, load_and_anchor, result, start_log};

/// Training steps at each rate.
const STEPS: u32 = 300;
/// Widest bar of the figure.
const BAR: usize = 30;

pub fn run(args: LrFindArgs) -> Result<Exit, Failure> {
    let mut flags = args.flags;
    if flags.lr.is_some() {
        return Err(Failure::Usage(
            "lr-find sets its own rates: write --from and --to instead of --lr".into(),
        ));
    }
    if flags.output.is_some() || flags.name.is_some() {
        let text =
            "lr-find writes no folder: drop --output and --name; --json prints the result for other programs";
        return Err(Failure::Usage(text.into()));
    }
    if flags.watch.is_some() {
        return Err(Failure::Usage("lr-find watches no layers: use --watch with `bngpu train`".into()));
    }
    if flags.ensemble.is_some() || flags.val_each.is_some() {
        let text = "lr-find trains one model at each rate: use --ensemble with `bngpu train`";
        return Err(Failure::Usage(text.into()));
    }
    // The default length of the training at each rate.
    if flags.epochs.is_none() && flags.steps.is_none() {
        flags.steps = Some(Count(STEPS));
    }
    let base = resolve(flags, None)?;
    start_log(base.log, base.quiet);
    if !(args.from.0 > 0.0 && args.from.0 < args.to.0 && args.to.0.is_finite()) {
        let text =
            format!("--from {} to --to {}: write two rates above 0, the lower first", args.from.0, args.to.0);
        return Err(Failure::Usage(text));
    }
    if !(2..=1000).contains(&args.rates.0) {
        return Err(Failure::Usage(format!("--rates is {}; write 2 to 1000", args.rates.0)));
    }
    let rates: Vec<f64> = spaced(args.from.0, args.to.0, args.rates.0 as usize);
    let both = args.compare_bn;
    let settings: Vec<Params> = settings(&rates, both);
    let mut request = sweep(base, &rates, both, settings.len() as u64);
    let sources = devices(&request)?;
    let dataset = load_and_anchor(&mut request.base, false)?;
    let about = about(&dataset, Held::of(&request.base));
    let search = plan(request, dataset, sources)?;
    introduce(&search, &about);
    let settings = (0..).zip(settings).collect();
    let store = Mutex::new(Memory::default());
    let stop = Stop::on_signals(Exit::Interrupted.code());
    if search.train_all(settings, &store, &(), &stop)? == SweepEnd::Interrupted {
        return Ok(Exit::Interrupted);
    }
    let mut records = store.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).0;
    records.sort_by_key(|record| record.trial);
    let networks = if both { vec![Some(false), Some(true)] } else { vec![None] };
    let chance = search.problem.chance_loss();
    let mut found = Vec::new();
    for bn in networks {
        let of =
            |record: &&TrialRecord| bn.is_none_or(|bn| record.params.get("bn") == Some(&Value::Bool(bn)));
        let losses: Vec<Option<f64>> = records
            .iter()
            .filter(of)
            .map(|r| {
                r.curve.last().and_then(|last| last.val_loss).filter(|_| r.status == TrialStatus::Completed)
            })
            .collect();
        let range = Usable::of(&rates, &losses, chance);
        let heading = match bn {
            Some(true) => "with batch normalisation\n",
            Some(false) => "without batch normalisation\n",
            None => "",
        };
        let text = format!("{heading}{}{}", figure(&rates, &losses, &range, chance), verdict(&range));
        result(text, search.request.base.json)?;
        found.push((bn, losses, range));
    }
    if search.request.base.json {
        let one = |(bn, losses, range): &(Option<bool>, Vec<Option<f64>>, Option<Usable>)| {
            json!({
                "bn": bn.unwrap_or(search.request.base.training.network.batch_norm.is_some()),
                "lr": rates,
                "val_loss": losses,
                "lowest": range.map(|r| r.lowest),
                "highest": range.map(|r| r.highest),
                "best": range.map(|r| r.best),
            })
        };
        let device = search.lanes.first().map(|lane| lane.source.name().to_owned());
        let json = json!({ "device": device, "chance_loss": chance, "networks": found.iter().map(one).collect::<Vec<_>>() });
        stdout::print(&format!("{json}\n")).map_err(Failure::Stdout)?;
    }
    let none = found.iter().all(|(_, _, range)| range.is_none());
    Ok(if none { Exit::Diverged } else { Exit::Done })
}

/// `n` log-spaced rates from `from` to `to`, with three digits.
fn spaced(from: f64, to: f64, n: usize) -> Vec<f64> {
    let rounded = |x: f64| format!("{x:.2e}").parse().unwrap_or(x);
    let mut rates: Vec<f64> = geomspace(from, to, n).into_iter().map(rounded).collect();
    rates.dedup();
    rates
}

fn settings(rates: &[f64], both: bool) -> Vec<Params> {
    let networks: &[Option<bool>] = if both { &[Some(false), Some(true)] } else { &[None] };
    let one = |bn: &Option<bool>, lr: &f64| {
        let mut params = Params::new();
        params.insert("lr".into(), (*lr).into());
        if let Some(bn) = bn {
            params.insert("bn".into(), (*bn).into());
        }
        params
    };
    networks.iter().flat_map(|bn| rates.iter().map(move |lr| one(bn, lr))).collect()
}

fn sweep(base: RunRequest, rates: &[f64], both: bool, trials: u64) -> SweepRequest {
    let set = |key: &str, values: Vec<Value>| Dimension { key: key.into(), domain: Domain::Set(values) };
    let mut dimensions = vec![set("lr", rates.iter().map(|&lr| lr.into()).collect())];
    if both {
        dimensions.insert(0, set("bn", vec![false.into(), true.into()]));
    }
    SweepRequest {
        max_time: base.training.max_time,
        base,
        settings: Params::new(),
        space: Space { dimensions },
        strategy: Strategy::Grid,
        trials,
        seeds: 1,
        halving: None,
        objective: Objective::ValLoss,
        finalists: 0,
        final_seeds: 1,
        more_seeds: false,
        queues: None,
        all_devices: false,
        population: None,
        shard: None,
        keep: 0,
        tensorboard: false,
    }
}

/// The rates at which a network learns.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Usable {
    lowest: f64,
    highest: f64,
    /// The rate with the lowest loss.
    best: f64,
    best_loss: f64,
    /// Maximum loss that counts as learning: halfway from chance to the best.
    limit: f64,
}

impl Usable {
    /// The unbroken run of rates around the best whose loss is at least halfway from chance to the best;
    /// none if no rate is better than chance.
    fn of(rates: &[f64], losses: &[Option<f64>], chance: f64) -> Option<Usable> {
        let loss = |at: usize| losses.get(at).copied().flatten().unwrap_or(f64::INFINITY);
        let best = (0..rates.len()).min_by(|&a, &b| loss(a).total_cmp(&loss(b)))?;
        let limit = (chance + loss(best)) / 2.0;
        if loss(best) >= 0.98 * chance {
            return None;
        }
        let run = run_around(best, rates.len(), |at| loss(at) <= limit);
        let (lowest, highest) = (rates[*run.start()], rates[*run.end()]);
        Some(Usable { lowest, highest, best: rates[best], best_loss: loss(best), limit })
    }
}

/// One line a rate: the loss as a bar, and whether it is usable.
fn figure(rates: &[f64], losses: &[Option<f64>], usable: &Option<Usable>, chance: f64) -> String {
    let mut rows = vec![vec!["lr".into(), "val loss".into(), "learnt (of the best)".into(), String::new()]];
    for (&lr, loss) in rates.iter().zip(losses) {
        let best = usable.map_or(f64::NAN, |u| u.best_loss);
        let share = loss.map_or(0.0, |loss| ((chance - loss) / (chance - best)).clamp(0.0, 1.0));
        let mark = match usable {
            Some(u) if lr == u.best => "best",
            Some(u) if (u.lowest..=u.highest).contains(&lr) => "usable",
            _ if loss.is_none() => "diverged",
            _ => "",
        };
        let bar = "#".repeat((share * BAR as f64).round() as usize);
        rows.push(vec![number(lr), loss.map_or("-".into(), number), bar, mark.into()]);
    }
    columns(&rows, &[Align::Right, Align::Right, Align::Left, Align::Left])
}

fn verdict(usable: &Option<Usable>) -> String {
    match usable {
        Some(u) => format!(
            "usable from {} to {}, {} powers of ten; best {} (validation loss {})\n",
            number(u.lowest),
            number(u.highest),
            number((u.highest / u.lowest).log10()),
            number(u.best),
            number(u.best_loss),
        ),
        None => "no rate is better than chance: use other layers, another activation, or --bn\n".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_the_unbroken_run_around_the_best() {
        let rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0];
        let losses = [Some(2.3), Some(1.0), Some(0.2), Some(0.9), None, Some(0.3)];
        let usable = Usable::of(&rates, &losses, 2.3).unwrap();
        assert_eq!((usable.lowest, usable.highest, usable.best), (1e-3, 1e-1, 1e-2));
        assert_eq!(Usable::of(&rates, &[Some(2.31), None, None, None, None, None], 2.3), None);
        assert_eq!(Usable::of(&rates, &[None; 6], 2.3), None);
        let text = figure(&rates, &losses, &Some(usable), 2.3);
        assert!(text.contains("diverged") && text.matches("usable").count() == 2, "{text}");
    }

    #[test]
    fn rates_are_spaced_evenly_in_the_logarithm() {
        assert_eq!(spaced(1e-4, 1.0, 5), [1e-4, 1e-3, 1e-2, 1e-1, 1.0]);
        assert_eq!(spaced(1e-3, 1e-1, 3), [1e-3, 1e-2, 1e-1]);
    }
}
