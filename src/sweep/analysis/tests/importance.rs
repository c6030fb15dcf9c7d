use super::*;
use crate::sweep::analysis::importance::{Factor, ranks, shares};
use crate::sweep::analysis::{Importance, importance};

fn range(low: f64, high: f64, scale: Scale) -> Domain {
    Domain::Range { low, high, scale, integer: false }
}

fn space(dimensions: Vec<(&str, Domain)>) -> Space {
    let of = |(key, domain): (&str, Domain)| Dimension { key: key.into(), domain };
    Space { dimensions: dimensions.into_iter().map(of).collect() }
}

fn share(found: &Importance, key: &str) -> (f64, [f64; 2]) {
    let share = found.shares.iter().find(|share| share.key == key).unwrap();
    (share.share.unwrap(), share.ci95.unwrap())
}

fn holds([low, high]: [f64; 2], value: f64) {
    assert!(low <= value && value <= high, "{low}..{high} does not hold {value}");
}

/// Places of `n` trials on `dimensions` axes.
fn places(n: usize, dimensions: usize) -> Vec<Vec<f64>> {
    let mut uniform = Uniform(1);
    let mut axes = vec![Vec::new(); dimensions];
    (0..n).for_each(|_| axes.iter_mut().for_each(|axis| axis.push(uniform.next())));
    axes
}

#[test]
fn shares_of_a_plane_are_those_of_its_slopes() {
    // 4x + y has the variance 16/12 + 1/12; the third axis does nothing.
    let axes = places(200, 3);
    let target: Vec<f64> = axes[0].iter().zip(&axes[1]).map(|(x, y)| 4.0 * x + y).collect();
    let factor =
        |axis: &Vec<f64>| Factor::curve(&axis.iter().copied().map(Some).collect::<Vec<_>>(), axis.len());
    let factors: Vec<Factor> = axes.iter().map(factor).collect();
    let found = shares(&target, &factors);
    for (found, (expected, tolerance)) in
        found.iter().zip([(16.0 / 17.0, 0.03), (1.0 / 17.0, 0.05), (0.0, 0.03)])
    {
        let (share, interval) = found.unwrap();
        close(share, expected, tolerance);
        holds(interval, expected);
    }
    // The monotonic transform to ranks changes the shares little.
    let found = shares(&ranks(&target), &factors);
    close(found[0].unwrap().0, 16.0 / 17.0, 0.05);
    assert_eq!(found[2].unwrap().1[0], 0.0);
    // The result is deterministic.
    assert_eq!(found, shares(&ranks(&target), &factors));
}

#[test]
fn a_full_grid_has_the_sums_of_squares_of_an_analysis_of_variance() {
    // statistics of y = [[1, 2, 6], [3, 4, 8], [5, 7, 9]] by hand: SS_all = 60, SS_rows = 24, SS_columns = 34.67.
    let y = [[1.0, 2.0, 6.0], [3.0, 4.0, 8.0], [5.0, 7.0, 9.0]];
    let records: Vec<TrialRecord> = (0..9)
        .map(|trial: usize| {
            let (row, column) = (trial / 3, trial % 3);
            let params =
                params(json!({ "lr": ([0.1, 0.2, 0.3][row]), "activation": (["a", "b", "c"][column]) }));
            TrialRecord { params, ..record(trial as u64, 0, y[row][column]) }
        })
        .collect();
    let mut request = request(9, 1);
    request.strategy = Strategy::Grid;
    let set = |values: Value| Domain::Set(values.as_array().unwrap().clone());
    request.space =
        space(vec![("lr", set(json!([0.1, 0.2, 0.3]))), ("activation", set(json!(["a", "b", "c"])))]);
    let found = importance(&records, &request);
    // The values are their own ranks, 1 to 9. ω² = (SS - 2·MS)/(60 + MS) with MS = (60 - SS)/6.
    let omega = |ss: f64| (ss - (60.0 - ss) / 3.0) / (60.0 + (60.0 - ss) / 6.0);
    let columns = 3.0 * (4.0 + (13.0 / 3.0 - 5.0_f64).powi(2) + (23.0 / 3.0 - 5.0_f64).powi(2));
    close(share(&found, "lr").0, omega(24.0), 1e-12);
    close(share(&found, "activation").0, omega(columns), 1e-12);
    assert_eq!(found.shares[0].key, "activation");
}

/// `n` trials whose loss is (log₁₀ lr + 2.2)² + the activation's + `dropout`·dropout + 0.3·noise.
fn table(seed: u64, n: u64, activations: [f64; 3], dropout_slope: f64) -> Vec<TrialRecord> {
    let mut u = Uniform(seed);
    let mut next = move || u.next();
    let of = |trial| {
        let (place, dropout) = (3.0 * next(), 0.5 * next());
        let (at, momentum) = ((3.0 * next()) as usize, next());
        let loss = (place - 1.8).powi(2) + activations[at] + dropout_slope * dropout + 0.3 * next();
        let params = params(json!({
            "lr": 10_f64.powf(place - 4.0),
            "dropout": dropout,
            "activation": (["relu", "tanh", "gelu"][at]),
            "momentum": momentum,
        }));
        TrialRecord { params, ..record(trial, 0, loss) }
    };
    (0..n).map(of).collect()
}

const ACTIVATIONS: [f64; 3] = [0.0, 0.8, 0.3];

fn table_request() -> SweepRequest {
    let mut request = request(200, 1);
    let activations = Domain::Set(vec![json!("relu"), json!("tanh"), json!("gelu")]);
    request.space = space(vec![
        ("lr", range(1e-4, 1e-1, Scale::Log)),
        ("dropout", range(0.0, 0.5, Scale::Linear)),
        ("activation", activations),
        ("momentum", range(0.0, 1.0, Scale::Linear)),
    ]);
    request
}

#[test]
fn shares_of_ranks_are_those_of_four_million_trials() {
    // r = np.random.default_rng(0); n = 4_000_000
    // x, d, a = 3*r.random(n), 0.5*r.random(n), r.integers(0, 3, n)
    // t = scipy.stats.rankdata((x - 1.8)**2 + np.array([0, 0.8, 0.3])[a] + 0.6*d + 0.3*r.random(n))
    // for each: c = np.bincount(i); m = np.bincount(i, t)/c; (c*(m - t.mean())**2).sum()/n/t.var(),
    // with i = a, or the place in one of 200 equal bins
    let truth = [("lr", 0.77318), ("activation", 0.17310), ("dropout", 0.01171), ("momentum", 0.0)];
    let found: Vec<Importance> =
        (1..=20).map(|seed| importance(&table(seed, 100, ACTIVATIONS, 0.6), &table_request())).collect();
    for (key, expected) in truth {
        let each: Vec<(f64, [f64; 2])> = found.iter().map(|found| share(found, key)).collect();
        let mean = each.iter().map(|(share, _)| share).sum::<f64>() / 20.0;
        // Shares below 0 are shown as 0, so the mean of a small one is a little too large.
        close(mean, expected, 0.025);
        let held = each.iter().filter(|(_, [low, high])| (*low..=*high).contains(&expected)).count();
        assert!(held >= 16, "{key}: {held} of 20 intervals hold {expected}: {each:?}");
    }
    let sum: f64 = found[0].shares.iter().filter_map(|share| share.share).sum();
    assert_eq!((found[0].shares[0].key.as_str(), found[0].trials), ("lr", 100));
    close(found[0].rest.unwrap(), 1.0 - sum, 1e-12);
}

#[test]
fn shares_agree_with_optunas_fanova() {
    // state = 1
    // def u():
    //     global state
    //     state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    //     return (state >> 11) / 2**53
    // for i in range(200):
    //     lr = 10**(-4 + 3*u()); dropout = 0.5*u(); u(); momentum = u()
    //     y = (math.log10(lr) + 2.2)**2 + 2*dropout + 0.3*u()
    // study.add_trial(...) with scipy.stats.rankdata(y) as values and the distributions of `table_request`;
    // optuna.importance.get_param_importances(study, normalize=False,
    //     evaluator=FanovaImportanceEvaluator(n_trees=256, seed=0)), Optuna 5.0.0 with scikit-learn
    let optuna = [("lr", 0.645627), ("dropout", 0.257752), ("momentum", 0.003762)];
    // From four million trials, as above.
    let truth = [0.81343, 0.14648, 0.0];
    let records = table(1, 200, [0.0; 3], 2.0);
    // The sum of the losses shows whether the tables are the same.
    close(records.iter().filter_map(|record| record.val_loss).sum(), 282.38961704903284, 1e-9);
    let found = importance(&records, &table_request());
    for ((key, theirs), truth) in optuna.into_iter().zip(truth) {
        let (share, _) = share(&found, key);
        // The forest gives another estimate; where they differ, this one must be nearer the truth.
        close(share, theirs, 0.12);
        assert!((share - truth).abs() <= (theirs - truth).abs(), "{key}: {share} {theirs} {truth}");
    }
}

#[test]
fn one_exploded_loss_changes_little_and_diverged_trials_count_as_worst() {
    let request = table_request();
    let mut records = table(2, 200, ACTIVATIONS, 0.6);
    let before = importance(&records, &request);
    records[17].val_loss = Some(1e30);
    let after = importance(&records, &request);
    for key in ["lr", "activation", "dropout", "momentum"] {
        close(share(&after, key).0, share(&before, key).0, 0.02);
    }
    // All trials with a large learning rate diverge.
    for record in &mut records {
        if record.params["lr"].as_f64().unwrap() > 0.03 {
            (record.status, record.val_loss) = (TrialStatus::Diverged, None);
        }
    }
    let found = importance(&records, &request);
    assert!(found.diverged > 20 && found.trials == 200, "{found:?}");
    // They share the worst rank: the learning rate gains a share, and the others lose.
    assert!(share(&found, "activation").0 < share(&before, "activation").0, "{found:?}");
    assert!(share(&found, "lr").0 > 0.6, "{found:?}");
}

#[test]
fn a_conditional_hyperparameter_is_judged_where_it_exists() {
    // Half of the trials have β₁, where the loss is 2·β₁; elsewhere it is the constant 1.
    let mut u = Uniform(5);
    let of = |trial: u64| {
        let beta = u.next();
        let adam = trial.is_multiple_of(2);
        let (loss, given) = if adam {
            (2.0 * beta, json!({ "optimizer": "adam", "beta1": beta }))
        } else {
            (1.0 + 1e-9 * beta, json!({ "optimizer": "sgd", "beta1": null }))
        };
        TrialRecord { params: params(given), ..record(trial, 0, loss) }
    };
    let records: Vec<TrialRecord> = (0..100).map(of).collect();
    let mut request = request(100, 1);
    request.space = space(vec![
        ("optimizer", Domain::Set(vec![json!("adam"), json!("sgd")])),
        ("beta1", range(0.0, 1.0, Scale::Linear)),
    ]);
    let found = importance(&records, &request);
    let beta = found.shares.iter().find(|share| share.key == "beta1").unwrap();
    assert_eq!(beta.trials, 50);
    assert!(beta.share.unwrap() > 0.6, "{found:?}");
    assert!(share(&found, "optimizer").0 < 0.1, "{found:?}");
}

#[test]
fn halved_trials_are_compared_at_the_first_rung() {
    let mut request = table_request();
    request.halving = halving();
    let mut records = table(2, 200, ACTIVATIONS, 0.6);
    for record in &mut records {
        // At epoch 1 the dropout decides; later records differ.
        let dropout = record.params["dropout"].as_f64();
        let point =
            |epoch, val_loss| CurvePoint { epoch, step: 1, train_loss: None, val_loss, val_score: None };
        record.curve = vec![point(1, dropout), point(2, Some(9.0)), point(3, Some(0.0))];
    }
    let found = importance(&records, &request);
    assert_eq!(found.at_epoch, Some(2));
    assert!(share(&found, "dropout").0 > 0.99, "{found:?}");
}

#[test]
fn too_few_trials_have_no_shares() {
    let request = table_request();
    let records = table(2, 200, ACTIVATIONS, 0.6);
    for n in [0, 1, 2, 4] {
        let found = importance(&records[..n], &request);
        assert_eq!(found.shares.len(), 4);
        assert!(found.shares.iter().all(|share| share.share.is_none() || n == 4), "{found:?}");
        assert!(n > 0 || found.rest.is_none());
    }
    // With a single value there is no share.
    let mut same = records;
    same.iter_mut().for_each(|record| record.params["momentum"] = json!(0.5));
    let found = importance(&same, &request);
    assert_eq!(found.shares.last().unwrap().share, None);
}
