//! Settings that suit a table: what `auto` tries, and what `train` takes where nothing else is given.
//!
//! They are texts of configuration files, so a flag or a file wins over each of their values, and `config.toml` of the
//! run lists what was taken. `docs/quality.md` has the measurements that they come from.

use super::named::named;

named! {
    /// What `bngpu train` starts from.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
    pub enum Preset {
        /// one small network without embeddings, 20 epochs at a constant rate
        Plain = "plain",
        /// an ensemble of 8 networks of 256x3 with batch normalisation, embeddings, dropout and a falling rate; on fewer
        /// than 1,500 rows of 6, for two classes on more of 4 networks of 4 sub-models
        Default = "default",
        /// the same with three times as many networks, twice as long
        Best = "best",
    }
}

/// Training rows below which trainings take seconds.
const FEW_ROWS: usize = 1_500;
/// Training rows from which two minutes are few for a search.
const MANY_ROWS: usize = 10_000;

/// What a table asks of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Training rows.
    pub rows: usize,
    pub target: Target,
    /// Whether the features are columns, not the bytes of images.
    pub is_table: bool,
}

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Value,
    /// One of two classes. Such targets are often noisy, so that networks need strong regularisation.
    TwoClasses,
    /// One of more classes.
    Classes,
}

impl Default for Problem {
    fn default() -> Self {
        Problem { rows: 0, target: Target::Value, is_table: true }
    }
}

impl Preset {
    /// Its settings for a table: a file of `bngpu train`.
    pub fn train(self, problem: Problem) -> String {
        let (batch, epochs) = batch_and_epochs(problem.rows);
        // Noisy classes gain most from sub-models; four of them train about as long as two networks. On few rows, where
        // networks train for many epochs, the seventh and eighth add less than half a percent.
        let (sub_models, networks) = match problem.target {
            _ if problem.rows < FEW_ROWS => (1, 6),
            Target::TwoClasses => (4, 4),
            Target::Value | Target::Classes => (1, 8),
        };
        let (ensemble, epochs) = match self {
            Preset::Plain => return String::new(),
            Preset::Default => (networks, epochs),
            Preset::Best => (3 * networks, 2 * epochs),
        };
        let (activation, dropout, lr, l2) = match problem.target {
            Target::Value => ("silu", 0.2, 2e-3, 1e-3),
            Target::TwoClasses => ("relu", 0.3, 6e-3, 5e-2),
            Target::Classes => ("relu", 0.2, 2e-3, 1e-3),
        };
        format!(
            r#"
            hidden = "256x3"
            sub-models = {sub_models}
            activation = "{activation}"
            bn = true
            bn-eps = 1e-5
            embed = "ple:16"
            dropout = {dropout}
            lr = {lr}
            l2 = {l2}
            schedule = "cosine"
            batch-size = {batch}
            epochs = {epochs}
            ensemble = {ensemble}
            val-each = 0.05
            "#
        )
    }
}

/// What `bngpu auto` tries: a file of `bngpu sweep`.
pub fn auto(problem: Problem) -> String {
    let (batch, epochs) = batch_and_epochs(problem.rows);
    let batches = [batch / 2, batch, 2 * batch].map(|rows| rows.to_string()).join(", ");
    let few = problem.rows < FEW_ROWS;
    let (rates, dropout, l2, bn, embed) = match problem.target {
        Target::Value => ("1e-3..6e-3:log", "0,0.1,0.2,0.3", "1e-4..1e-2:log", "on", "ple:8,ple:16,ple:32"),
        Target::TwoClasses => {
            ("1e-3..1e-2:log", "0.1,0.2,0.3,0.4", "2e-3..2e-1:log", "both", "ple:4,ple:8,ple:16")
        }
        Target::Classes => ("1e-3..6e-3:log", "0,0.1,0.2,0.3", "1e-4..1e-2:log", "on", "none,ple:4,ple:16"),
    };
    // Few rows may want more regularisation, or less to overfit.
    let (dropout, embed) = match problem.target {
        Target::Value if few => ("0,0.1,0.2,0.3,0.45", embed),
        Target::TwoClasses if few => (dropout, "none,ple:4,ple:8,ple:16"),
        _ => (dropout, embed),
    };
    // By the end of some trainings, noisy targets are overfitted, classes most. On few rows, where the length is searched,
    // the lowest loss is often luck.
    let best_epoch = if few && problem.target == Target::Value { "last" } else { "lowest" };
    // Trainings on few rows take seconds, so each is trained to its end, on three folds, as one has too few rows to tell
    // settings apart. How long it takes until they overfit differs from table to table.
    let (effort, lengths) = if few {
        ("seeds = 3".into(), format!("epochs = [{}, {}, {epochs}]", epochs / 3, 2 * epochs / 3))
    } else {
        (format!("halving = true\n        min-epochs = {}", (epochs / 9).max(1)), String::new())
    };
    // Images are not embedded.
    let embed = if problem.is_table { format!("embed = \"{embed}\"") } else { String::new() };
    // Sub-models regularise: noisy classes gain, others gain on one table and lose on the next. Networks without them would
    // take half of the trials. On many rows, trials of sub-models take too long.
    let rows_suit = (FEW_ROWS..MANY_ROWS).contains(&problem.rows);
    let shares = problem.is_table && rows_suit && problem.target == Target::TwoClasses;
    let sub_models = if shares { "sub-models = [2, 4, 8]" } else { "" };
    format!(
        r#"
        schedule = "cosine"
        epochs = {epochs}
        strategy = "random"
        {effort}
        best-epoch = "{best_epoch}"
        folds = 10
        finalists = 8
        max-time = "2m"

        [space]
        hidden = "128x2,256x2,256x3,384x3"
        activation = "relu,silu"
        {embed}
        {sub_models}
        dropout = "{dropout}"
        lr = "{rates}"
        l2 = "{l2}"
        bn = "{bn}"
        bn-eps = "1e-5"
        batch-size = [{batches}]
        {lengths}
        "#
    )
}

/// Rows of a mini-batch and epochs for a table of `rows` training rows: at least some 2,000 steps where rows are few,
/// and not many more where they are many.
fn batch_and_epochs(rows: usize) -> (usize, usize) {
    match rows {
        0..FEW_ROWS => (32, 120),
        FEW_ROWS..6_000 => (64, 60),
        6_000..30_000 => (128, 40),
        _ => (256, 30),
    }
}
