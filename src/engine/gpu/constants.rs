//! Constants shared by Rust and WGSL: defined in Rust, and inserted into the shaders that use them.

use std::fmt::Write;

use super::work;
use crate::population::random::{NORMAL_CENTRE, NORMAL_SCALE, Purpose};
use crate::population::tables::{
    ChunkKind, InputKind, LayerRow, LossKind, OptimizerKind, Record, Statistic, StepRow,
};
use crate::population::{Block, PERCENTS};
use crate::spec::Activation;
use crate::step::ops::{activation, record};
use crate::step::{Product, watch};

/// Constants of `shaders/ceiling.wgsl`.
pub(super) mod ceiling {
    /// Invocations per workgroup.
    pub const LANES: u32 = 64;
    /// Vectors of four sums per invocation, and multiply-adds per sum.
    pub const VECTORS: u32 = 8;
    pub const TURNS: u32 = 256;

    /// The mode of the shader.
    #[derive(Clone, Copy)]
    #[repr(u32)]
    pub enum Mode {
        MultiplyAdd,
        Copy,
        Nothing,
    }
}

/// The value of a constant.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Unsigned(u32),
    Float(f32),
    List(&'static [usize]),
}

/// The WGSL name of an activation.
pub(super) fn activation_name(activation: Activation) -> String {
    activation.name().to_uppercase().replace('-', "_")
}

/// The WGSL name of an optimiser.
pub(super) fn optimizer_name(kind: OptimizerKind) -> &'static str {
    match kind {
        OptimizerKind::Adam => "ADAM",
        OptimizerKind::Sgd => "SGD",
        OptimizerKind::Nesterov => "NESTEROV",
        OptimizerKind::RmsProp => "RMSPROP",
    }
}

/// Every shared constant, by its WGSL name.
fn all() -> Vec<(String, Value)> {
    use Value::{Float, List, Unsigned};
    let mut all: Vec<(String, Value)> = Vec::new();
    let mut add = |name: &str, value: Value| all.push((name.to_owned(), value));
    for activation in Activation::ALL {
        add(&activation_name(activation), Unsigned(activation as u32));
    }
    add("LEAK", Float(activation::LEAK as f32));
    add("CROSS_ENTROPY", Unsigned(LossKind::CrossEntropy as u32));
    add("SQUARED_ERROR", Unsigned(LossKind::SquaredError as u32));
    for kind in OptimizerKind::ALL {
        add(optimizer_name(kind), Unsigned(kind as u32));
    }
    add("FORWARD", Unsigned(Product::Forward as u32));
    add("BACKWARD_INPUT", Unsigned(Product::BackwardInput as u32));
    add("BACKWARD_WEIGHT", Unsigned(Product::BackwardWeight as u32));
    add("WEIGHT", Unsigned(ChunkKind::Weight as u32));
    add("BIAS", Unsigned(ChunkKind::Bias as u32));
    add("GAMMA", Unsigned(ChunkKind::Gamma as u32));
    add("BETA", Unsigned(ChunkKind::Beta as u32));
    add("FACTOR", Unsigned(ChunkKind::Factor as u32));
    add("SAME", Unsigned(InputKind::Same as u32));
    add("BIN", Unsigned(InputKind::Bin as u32));
    add("NORMALIZED", Unsigned(LayerRow::NORMALIZED));
    add("HIDDEN", Unsigned(LayerRow::HIDDEN));
    add("NOT_AFFINE", Unsigned(LayerRow::NOT_AFFINE));
    add("SCALES", Unsigned(LayerRow::SCALES));
    add("SHUFFLED", Unsigned(StepRow::SHUFFLED));
    add("FINITE", Unsigned(Record::FINITE));
    add("RUNNING_MEAN", Unsigned(Statistic::RunningMean as u32));
    add("RUNNING_MEAN_REST", Unsigned(Statistic::RunningMeanRest as u32));
    add("RUNNING_VAR", Unsigned(Statistic::RunningVar as u32));
    add("BATCH_MEAN", Unsigned(Statistic::BatchMean as u32));
    add("BATCH_RSTD", Unsigned(Statistic::BatchRstd as u32));
    add("STATISTICS", Unsigned(Statistic::COUNT as u32));
    add("WEIGHTS", Unsigned(Purpose::Weights as u32));
    add("SHUFFLE", Unsigned(Purpose::Shuffle as u32));
    add("DROPOUT", Unsigned(Purpose::Dropout as u32));
    add("NORMAL_CENTRE", Float(NORMAL_CENTRE));
    add("NORMAL_SCALE", Float(NORMAL_SCALE));
    add("CLIP_EPS", Float(record::CLIP_EPS as f32));
    add("PERCENTS", List(&PERCENTS));
    add("PERCENTILES", Unsigned(PERCENTS.len() as u32));
    add("MOST_VALUES", Unsigned(watch::MOST_VALUES as u32));
    add("BLOCK_SIDE", Unsigned(Block::SIDE as u32));
    add("BLOCK_ROWS_SHIFT", Unsigned(work::BLOCK_ROWS_SHIFT));
    add("VECTOR", Unsigned(work::VECTOR));
    add("CHUNK_KIND_SHIFT", Unsigned(work::CHUNK_KIND_SHIFT));
    add("INFERENCE_ROWS", Unsigned(work::INFERENCE_ROWS as u32));
    add("GATHER_ROWS", Unsigned(work::GATHER_TILE.0 as u32));
    add("GATHER_INPUTS", Unsigned(work::GATHER_TILE.1 as u32));
    add("LOSS_ROWS", Unsigned(work::LOSS_ROWS as u32));
    add("MULTIPLY_ADD", Unsigned(ceiling::Mode::MultiplyAdd as u32));
    add("COPY", Unsigned(ceiling::Mode::Copy as u32));
    add("NOTHING", Unsigned(ceiling::Mode::Nothing as u32));
    add("CEILING_LANES", Unsigned(ceiling::LANES));
    add("CEILING_VECTORS", Unsigned(ceiling::VECTORS));
    add("CEILING_TURNS", Unsigned(ceiling::TURNS));
    all
}

/// Bounds of `//#for` in `parts`: the shared constants that are counts.
pub(super) fn bounds() -> Vec<(String, u32)> {
    let count = |(name, value)| match value {
        Value::Unsigned(value) => Some((name, value)),
        Value::Float(_) | Value::List(_) => None,
    };
    all().into_iter().filter_map(count).collect()
}

/// WGSL declarations of the shared constants that `text` uses.
pub(super) fn declarations(text: &str) -> String {
    let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    let words: Vec<&str> =
        code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')).collect();
    let mut declared = String::new();
    for (name, value) in all().into_iter().filter(|(name, _)| words.contains(&name.as_str())) {
        // Writing to a string cannot fail.
        let _ = match value {
            Value::Unsigned(value) => writeln!(declared, "const {name}: u32 = {value}u;"),
            Value::Float(value) => writeln!(declared, "const {name}: f32 = {value:?};"),
            Value::List(values) => {
                let list: Vec<String> = values.iter().map(|value| format!("{value}u")).collect();
                let (count, list) = (values.len(), list.join(", "));
                writeln!(declared, "const {name}: array<u32, {count}> = array({list});")
            }
        };
    }
    declared
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shader_declares_the_constants_that_it_names() {
        let text = "let n = PERCENTILES; // not RELU\nlet y = LEAK * x + BLOCK_SIDE_BY_SIDE;";
        assert_eq!(declarations(text), "const LEAK: f32 = 0.01;\nconst PERCENTILES: u32 = 5u;\n");
        assert_eq!(
            declarations("PERCENTS[0]"),
            "const PERCENTS: array<u32, 5> = array(5u, 15u, 50u, 85u, 95u);\n"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = all().into_iter().map(|(name, _)| name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
