//! Settings that suit a table: what `auto` tries, and what `train` takes where nothing else is given.
//!
//! They are texts of configuration files, so a flag or a file wins over each of their values, and `config.toml` of the
//! run lists what was taken. `docs/quality.md` has the measurements that they come from.

/// What `bngpu auto` tries on a table of `rows` training rows: a file of `bngpu sweep`.
pub fn auto(rows: usize) -> String {
    let (batch, epochs) = batch_and_epochs(rows);
    let batches = [batch / 2, batch, 2 * batch].map(|rows| rows.to_string()).join(", ");
    format!(
        r#"
        bn = true
        bn-eps = 1e-5
        schedule = "cosine"
        epochs = {epochs}
        strategy = "random"
        halving = true
        min-epochs = {}
        finalists = 0
        keep = 24
        max-time = "2m"

        [space]
        hidden = "128x2,256x2,256x3,384x3"
        activation = "relu,silu"
        embed = "none,ple:8,ple:16,ple:32"
        dropout = "0,0.1,0.2,0.3"
        lr = "5e-4..1e-2:log"
        weight-decay = "1e-3..1:log"
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
