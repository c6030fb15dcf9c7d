//! Compares any engine with PyTorch's arrays (`tests/fixtures`).

use std::sync::Arc;

use bngpu::population::tables::StepRow;
use bngpu::population::{Buffer, Loss, Member, Population, evaluation_step, training_step};
use bngpu::spec::{Activation, BatchNorm, Network, Optimizer, Training};
use bngpu::step::memory::{Table, Values};
use bngpu::step::{Op, StepKind};

use super::close::{Tolerance, assert_close};
use super::fixtures::Fixture;
use super::probe::{MakeProbe, Probe};
use super::random_population::{Rng, network, plain};
use super::tolerances::ROUNDED_TO_F32;

/// The tolerance for values whose terms have a given size.
pub type Allow = dyn Fn(f64) -> Tolerance;

/// PyTorch's ε and momentum.
const BATCH_NORM: BatchNorm = BatchNorm { eps: 1e-5, momentum: 0.1, affine: true };

/// Largest absolute value.
fn size(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |size, v| v.abs().max(size))
}

fn one(make: &MakeProbe, training: &Training, loss: Loss, table: Table) -> Box<dyn Probe> {
    let rows = table.rows();
    let member = Member::new(training, loss, table.features, rows).expect("a step is possible");
    let mut probe = make(Arc::new(Population::new(vec![member])), Arc::new(table));
    probe.engine().initialize().expect("initialises");
    probe
}

/// Batch normalisation alone, `z [N, C]` to `y [N, C]`: written and read as a hidden layer with identity activation.
pub struct Layer {
    probe: Box<dyn Probe>,
    rows: usize,
    columns: usize,
}

impl Layer {
    pub fn new(make: &MakeProbe, rows: usize, columns: usize, batch_norm: BatchNorm) -> Layer {
        let training = plain(network(vec![columns], Activation::Identity, Some(batch_norm)), rows);
        let table = Table {
            values: Values::Floats(vec![0.0; rows]),
            features: 1,
            quantiles: Vec::new(),
            targets: vec![0; rows],
        };
        Layer { probe: one(make, &training, Loss::CrossEntropy { classes: 2 }, table), rows, columns }
    }
    fn at(&self) -> bngpu::population::tables::LayerRow {
        self.probe.population().members[0].layers[0]
    }
    fn step(&self) -> StepRow {
        evaluation_step(0, self.rows)
    }
    fn get(&mut self, buffer: Buffer, start: u32, len: usize) -> Vec<f64> {
        self.probe.get(0, buffer, start as usize..start as usize + len)
    }
    fn column(&mut self, buffer: Buffer, start: u32) -> Vec<f64> {
        self.get(buffer, start, self.columns)
    }
    pub fn set_scale(&mut self, gamma: &[f64], beta: &[f64]) {
        let l = self.at();
        self.probe.set(0, Buffer::Params, l.b as usize, gamma);
        self.probe.set(0, Buffer::Params, l.beta as usize, beta);
    }
    pub fn set_running(&mut self, mean: &[f64], var: &[f64]) {
        let (at, c) = (self.at().stats as usize, self.columns);
        self.probe.set(0, Buffer::Stats, at, mean);
        self.probe.set(0, Buffer::Stats, at + c, &vec![0.0; c]);
        self.probe.set(0, Buffer::Stats, at + 2 * c, var);
    }
    /// (mean + remainder, variance)
    pub fn running(&mut self) -> (Vec<f64>, Vec<f64>) {
        let (at, c) = (self.at().stats, self.columns as u32);
        let (mean, rest) = (self.column(Buffer::Stats, at), self.column(Buffer::Stats, at + c));
        (mean.iter().zip(rest).map(|(m, r)| m + r).collect(), self.column(Buffer::Stats, at + 2 * c))
    }
    /// y of a batch, by its own statistics, which also update the running ones.
    pub fn train(&mut self, z: &[f64]) -> Vec<f64> {
        self.forward(z, Op::BatchNorm { layer: 0, tracks: true })
    }
    /// y by the running statistics.
    pub fn infer(&mut self, z: &[f64]) -> Vec<f64> {
        self.forward(z, Op::BatchNormInference { layer: 0 })
    }
    fn forward(&mut self, z: &[f64], op: Op) -> Vec<f64> {
        let (l, step) = (self.at(), self.step());
        self.probe.set(0, Buffer::Z, l.z as usize, z);
        self.probe.op(op, &[step]);
        self.get(Buffer::Acts, l.a, self.rows * self.columns)
    }
    /// (dz, dγ, dβ) after `train`.
    pub fn backward(&mut self, dy: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (l, step) = (self.at(), self.step());
        self.probe.set(0, Buffer::Dz, l.z as usize, dy);
        self.probe.op(Op::BatchNormBackward { layer: 0 }, &[step]);
        let dz = self.get(Buffer::Dz, l.z, self.rows * self.columns);
        (dz, self.column(Buffer::Grads, l.b), self.column(Buffer::Grads, l.beta))
    }
}

/// `bn1d.npz`: forward, backward, running statistics after one and two batches, inference.
pub fn batch_norm(make: &MakeProbe, allow: &Allow) {
    let f = &mut Fixture::open("bn1d");
    let mut cases = 0;
    for n in [2, 3, 7, 60, 257] {
        for c in [1, 5, 33, 100] {
            let name = format!("n{n}_c{c}");
            if !f.has(&format!("{name}/x")) {
                continue;
            }
            cases += 1;
            let mut get = |array: &str| f.array(&format!("{name}/{array}"));
            let mut layer = Layer::new(make, n, c, BATCH_NORM);
            layer.set_scale(&get("gamma"), &get("beta"));
            layer.set_running(&get("rm0"), &get("rv0"));
            let check = |got: &[f64], expected: &[f64], scale: f64, what: &str| {
                assert_close(got, expected, allow(scale), &format!("{name}/{what}"));
            };
            let (x, dy, gamma, var) = (get("x"), get("dy"), get("gamma"), get("batch_var_biased"));
            // z passes through f32 exactly; x̂ loses u·|z|/σ, and dz u of its terms γ/σ·dy.
            let rstd = var.iter().fold(0.0, |r: f64, v| (v + 1e-5).sqrt().recip().max(r));
            let y = get("y_train");
            let xhat = 1.0 + size(&x) * rstd;
            check(&layer.train(&x), &y, size(&y) + size(&gamma) * xhat, "y_train");
            let (dx, dgamma, dbeta) = layer.backward(&dy);
            let total = dy.iter().map(|v| v.abs()).sum::<f64>() / c as f64;
            check(&dx, &get("dx"), size(&gamma) * rstd * size(&dy) * xhat, "dx");
            check(&dgamma, &get("dgamma"), total * xhat, "dgamma");
            check(&dbeta, &get("dbeta"), total, "dbeta");
            let (rm, rv) = layer.running();
            check(&rm, &get("rm1"), size(&x), "rm1");
            check(&rv, &get("rv1"), size(&get("rv1")), "rv1");
            layer.train(&get("x2"));
            let (rm, rv) = layer.running();
            check(&rm, &get("rm2"), size(&x), "rm2");
            check(&rv, &get("rv2"), size(&get("rv2")), "rv2");
            let y = get("y_eval");
            check(&layer.infer(&x), &y, size(&y) + size(&x), "y_eval");
        }
    }
    assert_eq!(cases, 19, "cases in the fixture");
}

/// Writes PyTorch's parameters of layer `depth` under `prefix`.
fn set_layer(probe: &mut dyn Probe, f: &mut Fixture, prefix: &str, depth: usize) {
    let l = probe.population().members[0].layers[depth];
    let w = f.weight(&format!("{prefix}/l{depth}/W"));
    probe.set(0, Buffer::Params, l.w as usize, &w);
    let (first, second) = if l.is_normalized() { ("gamma", Some("beta")) } else { ("b", None) };
    probe.set(0, Buffer::Params, l.b as usize, &f.array(&format!("{prefix}/l{depth}/{first}")));
    if let Some(second) = second {
        probe.set(0, Buffer::Params, l.beta as usize, &f.array(&format!("{prefix}/l{depth}/{second}")));
    }
}

/// Mean loss of the engine's last batch.
fn mean_loss(probe: &mut dyn Probe, rows: usize) -> f64 {
    let losses = probe.get(0, Buffer::RowLoss, 0..2 * rows);
    losses.chunks_exact(2).map(|pair| pair[0]).sum::<f64>() / rows as f64
}

/// `mlp.npz`: outputs, loss, every gradient, running statistics, then inference, of whole networks.
pub fn networks(make: &MakeProbe, allow: &Allow) {
    let f = &mut Fixture::open("mlp");
    for (name, hidden, activation, normalized) in [
        ("sig60", vec![9, 8, 7], Activation::Sigmoid, true),
        ("relu7", vec![33, 17, 6], Activation::Relu, true),
        ("tanh3", vec![5, 6, 7], Activation::Tanh, true),
        ("relu2", vec![5, 5, 5], Activation::Relu, true),
        ("nobn60", vec![9, 8, 7], Activation::Sigmoid, false),
    ] {
        let shape = f.shape(&format!("{name}/x"));
        let (rows, features) = (shape[0], shape[1]);
        let classes = f.shape(&format!("{name}/logits"))[1];
        let as_f32 = |v: Vec<f64>| v.into_iter().map(|v| v as f32).collect();
        let table = Table {
            values: Values::Floats(as_f32(f.array(&format!("{name}/x")))),
            features,
            quantiles: Vec::new(),
            targets: f.array(&format!("{name}/y")).into_iter().map(|v| v as u32).collect(),
        };
        let training = plain(network(hidden, activation, normalized.then_some(BATCH_NORM)), rows);
        let mut probe = one(make, &training, Loss::CrossEntropy { classes }, table);
        let probe = &mut *probe;
        let layers = probe.population().members[0].layers.clone();
        (0..layers.len()).for_each(|depth| set_layer(probe, f, name, depth));
        let step = [evaluation_step(0, rows)];
        probe.ops(StepKind::Train, &step, |op| *op == Op::Update);

        let mut check = |got: &[f64], array: &str, scale: f64| {
            let (what, transposed) = (format!("{name}/{array}"), array.ends_with("W"));
            let expected = if transposed { f.weight(&what) } else { f.array(&what) };
            assert_close(got, &expected, allow(scale + size(&expected)), &what);
        };
        check(&[mean_loss(probe, rows)], "loss", 1.0);
        let last = layers[layers.len() - 1];
        let z = |probe: &mut dyn Probe, l: &bngpu::population::tables::LayerRow| {
            probe.get(0, Buffer::Z, l.z as usize..l.z as usize + rows * l.outputs as usize)
        };
        check(&z(probe, &last), "logits", 1.0);
        for (depth, l) in layers.iter().enumerate() {
            let (o, w) = (l.outputs as usize, (l.inputs * l.outputs) as usize);
            let mut grad = |at: u32, len: usize| probe.get(0, Buffer::Grads, at as usize..at as usize + len);
            // Gradients before a normalisation are differences of terms of about 1/σ.
            let (dw, db) = (grad(l.w, w), grad(l.b, o));
            let dbeta = l.is_normalized().then(|| grad(l.beta, o));
            let rstd = match l.is_normalized() {
                true => {
                    size(&probe.get(0, Buffer::Stats, l.stats as usize + 4 * o..l.stats as usize + 5 * o))
                }
                false => 1.0,
            };
            check(&dw, &format!("l{depth}/dW"), rstd);
            check(&db, &format!("l{depth}/{}", if l.is_normalized() { "dgamma" } else { "db" }), 1.0);
            let Some(dbeta) = dbeta else { continue };
            check(&dbeta, &format!("l{depth}/dbeta"), 1.0);
            let at = l.stats as usize;
            let stats = probe.get(0, Buffer::Stats, at..at + 3 * o);
            let mean: Vec<f64> = (0..o).map(|i| stats[i] + stats[o + i]).collect();
            check(&mean, &format!("l{depth}/rm1"), 1.0);
            check(&stats[2 * o..], &format!("l{depth}/rv1"), 1.0);
            let params = probe.get(0, Buffer::Params, 0..probe.population().members[0].sizes[0]);
            let xhat = z(probe, l);
            let y = |at: usize| params[l.b as usize + at % o] * xhat[at] + params[l.beta as usize + at % o];
            check(&(0..rows * o).map(y).collect::<Vec<_>>(), &format!("l{depth}/pre"), rstd);
        }
        if normalized {
            probe.ops(StepKind::Evaluate, &step, |_| false);
            check(&z(probe, &last), "eval_logits", 1.0);
        }
    }
}

/// `sub_models.npz`: outputs, loss of the mean prediction, and every gradient, of networks of sub-models.
pub fn sub_models(make: &MakeProbe, allow: &Allow) {
    let f = &mut Fixture::open("sub_models");
    for (name, hidden, batch_norm) in
        [("classes", vec![6, 5], Some(BATCH_NORM)), ("values", vec![9], None), ("linear", vec![], None)]
    {
        let (x, outputs) = (f.shape(&format!("{name}/x")), f.shape(&format!("{name}/outputs")));
        let (rows, features, sub_models) = (x[0], x[1], outputs[1]);
        let (loss, target): (Loss, fn(f64) -> u32) = match outputs[2] {
            1 => (Loss::SquaredError, |y| (y as f32).to_bits()),
            classes => (Loss::CrossEntropy { classes }, |y| y as u32),
        };
        let table = Table {
            values: Values::Floats(f.array(&format!("{name}/x")).into_iter().map(|v| v as f32).collect()),
            features,
            quantiles: Vec::new(),
            targets: f.array(&format!("{name}/y")).into_iter().map(target).collect(),
        };
        let network = Network { sub_models, ..network(hidden, Activation::Silu, batch_norm) };
        let mut probe = one(make, &plain(network, rows), loss, table);
        let probe = &mut *probe;
        let layers = probe.population().members[0].layers.clone();
        // (array, first parameter, whether it is a matrix) of each array, and its parameters.
        let mut places = vec![("factor".to_owned(), layers[0].b, false)];
        for (depth, l) in layers[1..].iter().enumerate() {
            let stem = if l.is_hidden() { format!("l{depth}") } else { "head".into() };
            places.push((format!("{stem}/W"), l.w, true));
            if l.is_normalized() {
                places.push((format!("{stem}/gamma"), l.b, false));
                places.push((format!("{stem}/beta"), l.beta, false));
            } else {
                places.push((format!("{stem}/b"), l.b, false));
            }
        }
        // `[S, O, I]` or `[O, I]` as `[S, I, O]`.
        let array = |f: &mut Fixture, key: &str, is_matrix: bool| {
            let (values, shape) = (f.array(key), f.shape(key));
            let [.., o, i] = shape[..] else { panic!("{key}: {shape:?}") };
            let transposed = |w: &[f64]| (0..i * o).map(|at| w[at % o * i + at / o]).collect::<Vec<_>>();
            if is_matrix { values.chunks_exact(i * o).flat_map(transposed).collect() } else { values }
        };
        for (key, at, is_matrix) in &places {
            probe.set(0, Buffer::Params, *at as usize, &array(f, &format!("{name}/{key}"), *is_matrix));
        }
        let step = [evaluation_step(0, rows)];
        probe.ops(StepKind::Train, &step, |op| *op == Op::Update);

        let last = layers[layers.len() - 1];
        let expected = f.array(&format!("{name}/outputs"));
        let got = probe.get(0, Buffer::Z, last.z as usize..last.z as usize + expected.len());
        assert_close(&got, &expected, allow(1.0 + size(&expected)), &format!("{name}/outputs"));
        let expected = f.array(&format!("{name}/loss"));
        assert_close(
            &[mean_loss(probe, rows)],
            &expected,
            allow(1.0 + size(&expected)),
            &format!("{name}/loss"),
        );
        for (key, at, is_matrix) in &places {
            let what = format!("{name}/{key}_grad");
            let expected = array(f, &what, *is_matrix);
            let got = probe.get(0, Buffer::Grads, *at as usize..*at as usize + expected.len());
            // Gradients before a normalisation are differences of terms of about 1/σ.
            let scale = if batch_norm.is_some() { 8.0 } else { 1.0 };
            assert_close(&got, &expected, allow(scale + size(&expected)), &what);
        }
    }
}

/// One optimiser of `optim.npz`.
struct Variant {
    name: &'static str,
    optimizer: Optimizer,
    lr: f64,
    /// λ, for every parameter if `all`: the engine applies it to W only, the test adds the rest.
    l2: f64,
    /// Decoupled decay, in the same way.
    decay: f64,
    all: bool,
}

const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };
const fn sgd(momentum: f64, nesterov: bool) -> Optimizer {
    Optimizer::Sgd { momentum, nesterov }
}

/// `optim.npz`: five steps of each optimiser: losses, parameters after the first and last step, moments,
/// running statistics.
pub fn optimizers(make: &MakeProbe, allow: &Allow) {
    let variant = |name, optimizer, lr, l2, decay, all| Variant { name, optimizer, lr, l2, decay, all };
    for v in [
        variant("adam", ADAM, 1e-2, 0.0, 0.0, false),
        variant("adam_l2", ADAM, 1e-2, 0.1, 0.0, true),
        variant("adamw", ADAM, 1e-2, 0.0, 0.1, true),
        variant("adamw_wonly", ADAM, 1e-2, 0.0, 0.1, false),
        variant("adam_eps", Optimizer::Adam { beta1: 0.8, beta2: 0.95, eps: 1e-3 }, 3e-3, 0.0, 0.0, false),
        variant("sgd", sgd(0.0, false), 0.1, 0.0, 0.0, false),
        variant("sgd_mom", sgd(0.9, false), 0.1, 0.0, 0.0, false),
        variant("sgd_nesterov_l2", sgd(0.9, true), 0.1, 0.01, 0.0, true),
    ] {
        optimizer(make, allow, &v);
    }
}

fn optimizer(make: &MakeProbe, allow: &Allow, v: &Variant) {
    const ROWS: usize = 11;
    let f = &mut Fixture::open("optim");
    let table = Table {
        values: Values::Floats(f.array("data/x").into_iter().map(|v| v as f32).collect()),
        features: 7,
        quantiles: Vec::new(),
        targets: f.array("data/y").into_iter().map(|v| v as u32).collect(),
    };
    let training = Training {
        optimizer: v.optimizer,
        lr: v.lr,
        l2: v.l2,
        weight_decay: v.decay,
        ..plain(network(vec![9, 8], Activation::Relu, Some(BATCH_NORM)), ROWS)
    };
    let mut probe = one(make, &training, Loss::CrossEntropy { classes: 5 }, table);
    let probe = &mut *probe;
    let member = probe.population().members[0].clone();
    (0..3).for_each(|depth| set_layer(probe, f, "init", depth));
    let name = v.name;
    let mut check = |got: &[f64], array: &str| {
        let what = format!("{name}/{array}");
        let expected = if array.contains('W') { f.weight(&what) } else { f.array(&what) };
        assert_close(got, &expected, allow(1.0 + size(&expected)), &what);
    };
    let mut losses = Vec::new();
    for s in 0..5 {
        let row = StepRow { flags: 0, ..training_step(&training, &member.walk, s, 5) };
        assert_eq!((row.first, row.rows), (ROWS as u32 * s as u32, ROWS as u32));
        probe.ops(StepKind::Train, &[row], |op| *op == Op::Update);
        losses.push(mean_loss(probe, ROWS));
        if v.all {
            // PyTorch decays biases, γ and β too; bngpu intentionally does not.
            for l in &member.layers {
                for at in [Some(l.b), l.is_normalized().then_some(l.beta)].into_iter().flatten() {
                    let (at, o) = (at as usize, l.outputs as usize);
                    let mut p = probe.get(0, Buffer::Params, at..at + o);
                    let mut g = probe.get(0, Buffer::Grads, at..at + o);
                    g.iter_mut().zip(&p).for_each(|(g, p)| *g += v.l2 * p);
                    p.iter_mut().for_each(|p| *p *= 1.0 - v.lr * v.decay);
                    probe.set(0, Buffer::Params, at, &p);
                    probe.set(0, Buffer::Grads, at, &g);
                }
            }
        }
        probe.op(Op::Update, &[row]);
        if s == 0 {
            for (depth, l) in member.layers.iter().enumerate() {
                let w = probe.get(0, Buffer::Params, l.w as usize..(l.w + l.inputs * l.outputs) as usize);
                check(&w, &format!("l{depth}/W_s1"));
            }
        }
    }
    check(&losses, "loss");
    for (depth, l) in member.layers.iter().enumerate() {
        let (w, o) = ((l.inputs * l.outputs) as usize, l.outputs as usize);
        let mut param = |at: u32, len: usize| probe.get(0, Buffer::Params, at as usize..at as usize + len);
        check(&param(l.w, w), &format!("l{depth}/W"));
        check(&param(l.b, o), &format!("l{depth}/{}", if l.is_normalized() { "gamma" } else { "b" }));
        if l.is_normalized() {
            check(&param(l.beta, o), &format!("l{depth}/beta"));
            let stats = probe.get(0, Buffer::Stats, l.stats as usize..l.stats as usize + 3 * o);
            let mean: Vec<f64> = (0..o).map(|i| stats[i] + stats[o + i]).collect();
            check(&mean, &format!("l{depth}/rm"));
            check(&stats[2 * o..], &format!("l{depth}/rv"));
        }
        let moments = probe.get(0, Buffer::Moments, 2 * l.w as usize..2 * l.w as usize + 2 * w);
        let every_second = |from: usize| moments[from..].iter().copied().step_by(2).collect::<Vec<_>>();
        match v.optimizer {
            Optimizer::Adam { .. } => {
                check(&every_second(0), &format!("l{depth}/mW"));
                check(&every_second(1), &format!("l{depth}/vW"));
            }
            Optimizer::Sgd { momentum, .. } if momentum > 0.0 => {
                check(&every_second(0), &format!("l{depth}/bufW"));
            }
            Optimizer::Sgd { .. } | Optimizer::RmsProp { .. } => {}
        }
    }
}

/// `hardvar.npz`: columns at 1e4 with σ from 1e-2 to 1, forward and backward. The fixture holds n = 1024 in f32.
pub fn hard_variance(make: &MakeProbe, tolerance: Tolerance) {
    let f = &mut Fixture::open("hardvar");
    for n in [60, 257, 1024] {
        let mut get = |array: &str| f.array(&format!("n{n}/{array}"));
        let rel = if n == 1024 { tolerance.rel.max(ROUNDED_TO_F32.rel) } else { tolerance.rel };
        let tolerance = Tolerance { rel, ..tolerance };
        let mut layer = Layer::new(make, n, 5, BATCH_NORM);
        let y = layer.train(&get("x"));
        assert_close(&y, &get("y64"), tolerance, &format!("n{n}/y64"));
        // dz = rstd·(dy - mean(dy) - x̂·mean(dy·x̂)): the same, times rstd·(|dy| + |x̂|).
        let (dx, ..) = layer.backward(&get("dy"));
        let (expected, dy, var) = (get("dx64"), get("dy"), get("var64"));
        for c in 0..5 {
            let column = |v: &[f64]| v[c..].iter().copied().step_by(5).collect::<Vec<_>>();
            let scale = (var[c] + 1e-5).sqrt().recip() * (1.0 + size(&column(&dy)));
            let tolerance = Tolerance { abs: tolerance.abs * scale, ..tolerance };
            assert_close(&column(&dx), &column(&expected), tolerance, &format!("n{n}/dx64 column {c}"));
        }
    }
}

/// Columns at 1e4 to 1e6 with σ = 1 (and a first row 30 σ away) against f64: by the batch, then by the running
/// statistics of 50 batches.
pub fn offsets(make: &MakeProbe, tolerance: Tolerance, running: Tolerance) {
    const OFFSETS: [f64; 6] = [1e4, -3e4, 1e5, -3e5, 1e6, 0.0];
    const C: usize = OFFSETS.len();
    let rng = &mut Rng(77);
    for n in [2, 3, 60, 257, 1024] {
        for outlier in [0.0, 30.0] {
            let mut layer = Layer::new(make, n, C, BatchNorm::default());
            // As after a long training: the running mean is close, so the result is about one σ.
            let (mut mean, mut var) = (OFFSETS, [1.0; C]);
            layer.set_running(&mean, &var);
            for batch in 0..50 {
                let mut z: Vec<f64> =
                    (0..n * C).map(|i| f64::from((OFFSETS[i % C] + rng.normal()) as f32)).collect();
                z[..C].iter_mut().for_each(|z| *z = f64::from((*z + outlier) as f32));
                let what = format!("n {n}, outlier {outlier}, batch {batch}");
                let got = layer.train(&z);
                let mut expected = vec![0.0; n * C];
                for c in 0..C {
                    let column = || z[c..].iter().step_by(C);
                    let mu = column().sum::<f64>() / n as f64;
                    let squares = column().map(|z| (z - mu).powi(2)).sum::<f64>();
                    let rstd = (squares / n as f64 + 1e-8).sqrt().recip();
                    column().enumerate().for_each(|(b, z)| expected[b * C + c] = (z - mu) * rstd);
                    mean[c] += 0.1 * (mu - mean[c]);
                    var[c] += 0.1 * (squares / (n - 1) as f64 - var[c]);
                }
                assert_close(&got, &expected, tolerance, &what);
                if batch == 49 {
                    let infer = |(i, z): (usize, &f64)| (z - mean[i % C]) / (var[i % C] + 1e-8).sqrt();
                    let expected: Vec<f64> = z.iter().enumerate().map(infer).collect();
                    assert_close(
                        &layer.infer(&z),
                        &expected,
                        running,
                        &format!("{what}, running statistics"),
                    );
                }
            }
        }
    }
}

/// RMSprop, which has no fixture: five steps compared with PyTorch's formula, v ← α v + (1 - α) g²,
/// p ← p - lr·g / (√v + ε), on the engine's own gradients.
pub fn rms_prop(make: &MakeProbe, tolerance: Tolerance) {
    let (alpha, eps, lr) = (0.9, 1e-8, 0.0078125);
    let training = Training {
        optimizer: Optimizer::RmsProp { alpha, eps },
        lr,
        ..plain(network(vec![6], Activation::Tanh, Some(BATCH_NORM)), 8)
    };
    let loss = Loss::CrossEntropy { classes: 3 };
    let table = super::random_population::random_table(&mut Rng(3), 40, 4, loss, false);
    let mut probe = one(make, &training, loss, table);
    let member = probe.population().members[0].clone();
    let params = member.sizes[Buffer::Params as usize];
    let mut v = vec![0.0; params];
    for s in 0..5 {
        let row = training_step(&training, &member.walk, s, 5);
        probe.ops(StepKind::Train, &[row], |op| *op == Op::Update);
        let mut p = probe.get(0, Buffer::Params, 0..params);
        let g = probe.get(0, Buffer::Grads, 0..params);
        probe.op(Op::Update, &[row]);
        for chunk in &member.chunks {
            for i in chunk.start..chunk.start + chunk.len {
                v[i] = alpha * v[i] + (1.0 - alpha) * g[i] * g[i];
                p[i] -= lr * g[i] / (v[i].sqrt() + eps);
            }
        }
        assert_close(
            &probe.get(0, Buffer::Params, 0..params),
            &p,
            tolerance,
            &format!("parameters, step {s}"),
        );
    }
    let moments = probe.get(0, Buffer::Moments, 0..2 * params);
    let got: Vec<f64> = moments[1..].iter().copied().step_by(2).collect();
    assert_close(&got, &v, tolerance, "v after 5 steps");
}
