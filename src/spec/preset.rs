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
        /// an ensemble of 8 networks of 256x3 with batch normalisation, embeddings, dropout and a falling rate
        Default = "default",
        /// the same with 24 networks, twice as long
        Best = "best",
    }
}

impl Preset {
    /// Its settings for a table of `rows` training rows: a file of `bngpu train`.
    pub fn train(self, rows: usize) -> String {
        let (batch, epochs) = batch_and_epochs(rows);
        let (ensemble, epochs) = match self {
            Preset::Plain => return String::new(),
            Preset::Default => (8, epochs),
            Preset::Best => (24, 2 * epochs),
        };
        format!(
            r#"
            hidden = "256x3"
            activation = "silu"
            bn = true
            bn-eps = 1e-5
            embed = "ple:16"
            dropout = 0.2
            lr = 2e-3
            schedule = "cosine"
            batch-size = {batch}
            epochs = {epochs}
            ensemble = {ensemble}
            "#
        )
    }
}

/// What `bngpu auto` tries on a table of `rows` training rows, or on images: a file of `bngpu sweep`.
pub fn auto(rows: usize, is_table: bool) -> String {
    let (batch, epochs) = batch_and_epochs(rows);
    // Images are not embedded.
    let embed = if is_table { r#"embed = "none,ple:8,ple:16,ple:32""# } else { "" };
    let batches = [batch / 2, batch, 2 * batch].map(|rows| rows.to_string()).join(", ");
    format!(
        r#"
        schedule = "cosine"
        epochs = {epochs}
        strategy = "random"
        halving = true
        min-epochs = {}
        max-time = "2m"

        [space]
        hidden = "128x2,256x2,256x3,384x3"
        activation = "relu,silu"
        {embed}
        dropout = "0,0.1,0.2,0.3"
        lr = "5e-4..1e-2:log"
        l2 = "0,1e-3,1e-2,1e-1"
        bn = "both"
        bn-eps = "1e-5"
        batch-size = [{batches}]
        "#,
        (epochs / 9).max(1)
    )
}

/// Rows of a mini-batch and epochs for a table of `rows` training rows: at least some 2,000 steps where rows are few,
/// and not many more where they are many.
fn batch_and_epochs(rows: usize) -> (usize, usize) {
    match rows {
        0..1_500 => (32, 120),
        1_500..6_000 => (64, 60),
        6_000..30_000 => (128, 40),
        _ => (256, 30),
    }
}
