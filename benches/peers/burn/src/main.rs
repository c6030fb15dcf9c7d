//! bngpu's cases on Burn, with Burn's own modules and optimiser; prints one JSON line, as `peers.py` does.
//!
//! Data, weights and the order of the rows come from `peers.py --peer inputs --out DIR`, so that the losses can be
//! compared with those of its peers. A step is the same as there.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::module::{Module, Param};
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Int, Tensor, TensorData};
use clap::{Parser, ValueEnum};
use serde_json::json;

#[derive(Clone, Copy, ValueEnum)]
enum Backend {
    /// Any graphics API; fused and autotuned.
    Wgpu,
    /// Burn's fastest on the CPU.
    Flex,
}

#[derive(Clone, Copy, ValueEnum)]
enum Case {
    A,
    B,
    C,
}

#[derive(Parser)]
#[command(about = "Times training steps of bngpu's cases on Burn")]
struct Args {
    #[arg(long)]
    backend: Backend,
    #[arg(long)]
    case: Case,
    /// What `peers.py --peer inputs --out DIR` has written for this case, these models, steps and warm-up
    #[arg(long)]
    inputs: PathBuf,
    /// Trained one after the other, a step each
    #[arg(long, default_value_t = 1)]
    models: usize,
    #[arg(long)]
    steps: usize,
    /// Steps before the first timed one, at least one
    #[arg(long)]
    warmup: usize,
    #[arg(long, default_value_t = 3)]
    reps: usize,
}

impl Case {
    /// (layer widths including the input, rows of a batch)
    fn shape(self) -> (&'static [usize], usize) {
        match self {
            Case::A => (&[784, 100, 100, 100, 10], 60),
            Case::B => (&[784, 512, 512, 10], 256),
            Case::C => (&[784, 2048, 2048, 10], 1024),
        }
    }
}

#[derive(Module, Debug)]
struct Network {
    hidden: Vec<Linear>,
    norms: Vec<BatchNorm>,
    output: Linear,
    sigmoid: bool,
}

impl Network {
    /// Takes its weights `[in, out]`, layer by layer, from the front of `weights`.
    fn new(case: Case, weights: &mut impl Iterator<Item = f32>, device: &Device) -> Network {
        let widths = case.shape().0;
        let mut linear = |from: usize, to: usize, bias: bool| {
            let values: Vec<f32> = weights.take(from * to).collect();
            Linear {
                weight: Param::from_data(TensorData::new(values, [from, to]), device),
                bias: bias.then(|| Param::from_data(TensorData::zeros::<f32, _>([to]), device)),
                ..LinearConfig::new(from, to).init(device)
            }
        };
        let last = widths.len() - 2;
        let hidden = (0..last).map(|at| linear(widths[at], widths[at + 1], false)).collect();
        let output = linear(widths[last], widths[last + 1], true);
        let norms = widths[1..=last].iter().map(|&width| BatchNormConfig::new(width).init(device)).collect();
        Network { hidden, norms, output, sigmoid: matches!(case, Case::A) }
    }

    /// `[B, 784]` to `[B, 10]`
    fn forward(&self, mut x: Tensor<2>) -> Tensor<2> {
        for (linear, norm) in self.hidden.iter().zip(&self.norms) {
            let z = norm.forward(linear.forward(x));
            x = if self.sigmoid { sigmoid(z) } else { relu(z) };
        }
        self.output.forward(x)
    }
}

/// One model in training.
struct Training {
    network: Network,
    optimizer: ModuleOptimizer,
    lr: f64,
    /// Rows of each step, `[B]`.
    order: Vec<Tensor<1, Int>>,
}

impl Training {
    /// One step; its mean loss, not read back.
    fn step(&mut self, at: usize, data: &Data) -> Tensor<1> {
        let rows = &self.order[at];
        let x = data.x.clone().select(0, rows.clone());
        let y = data.y.clone().select(0, rows.clone());
        let loss = data.loss.forward(self.network.forward(x), y);
        let gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        self.network = self.optimizer.step(self.lr, self.network.clone(), gradients);
        loss.detach()
    }
}

/// Resident data.
struct Data {
    x: Tensor<2>,
    y: Tensor<1, Int>,
    loss: CrossEntropyLoss,
}

/// Reads the 4-byte values of a file.
fn read<T>(folder: &Path, name: &str, value: fn([u8; 4]) -> T) -> Result<Vec<T>, Box<dyn Error>> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (values, []) = bytes.as_chunks() else {
        return Err(format!("{}: not a whole number of values", path.display()).into());
    };
    Ok(values.iter().map(|&bytes| value(bytes)).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let (widths, batch) = args.case.shape();
    if args.steps == 0 || args.warmup == 0 || args.reps == 0 || args.models == 0 {
        return Err("--steps, --warmup, --reps and --models must be at least 1".into());
    }
    let x = read(&args.inputs, "x.f32", f32::from_le_bytes)?;
    let y = read(&args.inputs, "y.i32", i32::from_le_bytes)?;
    let weights = read(&args.inputs, "weights.f32", f32::from_le_bytes)?;
    let lr = read(&args.inputs, "lr.f32", f32::from_le_bytes)?;
    let order = read(&args.inputs, "order.i32", i32::from_le_bytes)?;
    let total = args.warmup + args.steps;
    let parameters: usize = widths.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let expected = [y.len() * widths[0], args.models * parameters, args.models, total * args.models * batch];
    if [x.len(), weights.len(), lr.len(), order.len()] != expected {
        return Err(format!("{}: was written for something else", args.inputs.display()).into());
    }

    // Only device time counts from here.
    let start = Instant::now();
    let plain = match args.backend {
        Backend::Wgpu => Device::wgpu(Default::default()),
        Backend::Flex => Device::flex(),
    };
    let device = plain.clone().autodiff();
    let data = Data {
        x: Tensor::from_data(TensorData::new(x, [y.len(), widths[0]]), &device),
        y: Tensor::from_data(TensorData::new(y.clone(), [y.len()]), &device),
        loss: CrossEntropyLossConfig::new().init(&device),
    };
    let mut weights = weights.into_iter();
    let mut models: Vec<Training> = (0..args.models)
        .map(|k| Training {
            network: Network::new(args.case, &mut weights, &device),
            optimizer: AdamConfig::new().with_epsilon(1e-8).init(),
            lr: f64::from(lr[k]),
            order: (0..total)
                .map(|step| {
                    let at = (step * args.models + k) * batch;
                    Tensor::from_data(TensorData::new(order[at..at + batch].to_vec(), [batch]), &device)
                })
                .collect(),
        })
        .collect();
    let sync = || device.sync().map_err(|e| e.to_string());
    let mut step = |at: usize| {
        let mut losses = models.iter_mut().map(|model| model.step(at, &data));
        let first = losses.next();
        losses.for_each(drop);
        first.expect("at least one model")
    };
    let first_loss: f32 = step(0).into_scalar();
    sync()?;
    let first_step_s = start.elapsed().as_secs_f64();
    (1..args.warmup).for_each(|at| drop(step(at)));
    sync()?;
    let warm_s = start.elapsed().as_secs_f64();

    let (mut times, mut loss_mean) = (Vec::new(), None);
    for _ in 0..args.reps {
        let start = Instant::now();
        let mut sum: Tensor<1> = Tensor::zeros([1], &device);
        for at in args.warmup..total {
            sum = sum + step(at);
        }
        sync()?;
        times.push(1e3 * start.elapsed().as_secs_f64() / args.steps as f64);
        let sum: f32 = sum.into_scalar();
        loss_mean.get_or_insert(sum / args.steps as f32);
    }
    times.sort_by(f64::total_cmp);
    let (name, dev) = match args.backend {
        Backend::Wgpu => ("burn-wgpu", plain.identity().map_or("wgpu".into(), |found| found.name)),
        Backend::Flex => ("burn-cpu", "flex".into()),
    };
    let line = json!({
        "peer": name, "dev": dev, "models": args.models, "steps": args.steps, "batch": batch,
        "ms_step": times[times.len() / 2], "reps_ms": times, "first_loss": first_loss, "loss_mean": loss_mean,
        "first_step_s": first_step_s, "warm_s": warm_s, "rows": y.len(),
    });
    println!("{line}");
    Ok(())
}
