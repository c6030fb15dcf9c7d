//! Arguments as typed: every command and its flags. The flags of `train` are the fields of
//! [`PartialConfig`].

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::sweep_args::SPACE_SYNTAX;
use crate::engine::cpu::threads;
use crate::report::language::Lang;
use crate::spec::preset::Preset;
use crate::spec::{
    Activation, AskedColumn, Count, Hidden, ImageSize, LogLevel, PartialConfig, PartialSweep, Precision,
    Real, TableRequest,
};

/// Trains batch-normalised neural networks on any GPU, or on the CPU.
#[derive(Clone, Debug, Parser)]
#[command(name = "bngpu", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Threads of the CPU engine; `bench` compares several: 1,2,4 [default: $RAYON_NUM_THREADS, or one for each core
    /// that this process may use]
    #[arg(
        long,
        value_name = "N",
        global = true,
        value_delimiter = ',',
        num_args = 1,
        help_heading = "Machine"
    )]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=threads::MOST as i64))]
    pub threads: Vec<u32>,
}

/// What `auto` does, below its help.
const AUTO: &str = "\
`auto` is a sweep with a search space for tables, halving, and the ensemble of the best models at the end. \
It takes every flag of `bngpu sweep`, with the same syntax, in place of its own settings; config.toml of the run \
lists them all.";

/// About the defaults of `train`, below its help.
const TRAIN: &str = "\
The defaults are those of --preset plain. For a table, `train` takes --preset default, which sets some of them \
otherwise; config.toml of the run lists every setting.";

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Train a model, or an ensemble, and evaluate it
    #[command(after_help = TRAIN)]
    Train(Box<TrainArgs>),
    /// Train many models at once and find the best settings
    #[command(after_help = SPACE_SYNTAX)]
    Sweep(Box<SweepArgs>),
    /// Find the best model for a table within --max-time, in one command
    #[command(after_help = AUTO)]
    Auto(Box<SweepArgs>),
    /// Measure the loss and accuracy of a trained model
    Eval(EvalArgs),
    /// Predict the class and its probabilities, or the value, of every row
    Predict(PredictArgs),
    /// Show what each column of a table is taken for, and what it holds
    Describe(DescribeArgs),
    /// Continue an interrupted run
    Resume(ResumeArgs),
    /// Retrain one trial of a sweep alone and compare its weights bit for bit
    Repro(ReproArgs),
    /// Find the usable range of learning rates, all tried at once
    LrFind(Box<LrFindArgs>),
    /// Measure a claim about batch normalisation or tuning: figure, numbers, verdict
    Demo(DemoArgs),
    /// Make one HTML page of a run or a sweep, readable offline
    Report(ReportArgs),
    /// Join the shards of one sweep
    Merge(MergeArgs),
    /// List the adapters, and which one `auto` picks and why
    Devices(DevicesArgs),
    /// Measure how fast this machine trains
    Bench(BenchArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
}

/// `bngpu train`.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    #[command(flatten)]
    pub flags: PartialConfig,
    /// Settings to start from; flags and --config win over them [default: default for a table; plain for images and with --config]
    #[arg(long, value_name = "NAME", help_heading = "Training")]
    pub preset: Option<Preset>,
    /// TOML file with these flags as keys; flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Output", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// `bngpu sweep`.
#[derive(Args, Clone, Debug)]
pub struct SweepArgs {
    #[command(flatten)]
    pub flags: PartialSweep,
    /// TOML file with these flags as keys, sets and ranges in the table `space`; flags win over it
    #[arg(long, value_name = "FILE", help_heading = "Output", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// `bngpu repro`.
#[derive(Args, Clone, Debug)]
pub struct ReproArgs {
    /// Folder of the sweep
    #[arg(value_name = "SWEEP", value_hint = ValueHint::DirPath)]
    pub sweep: PathBuf,
    /// Number of the trial, from 0
    #[arg(long, value_name = "N")]
    pub trial: u64,
    /// Seed of the training [default: the first of the search]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `bngpu lr-find`.
#[derive(Args, Clone, Debug)]
pub struct LrFindArgs {
    #[command(flatten)]
    pub flags: PartialConfig,
    /// Lowest learning rate
    #[arg(long, value_name = "LR", help_heading = "Rates", default_value = "1e-6")]
    pub from: Real,
    /// Highest learning rate
    #[arg(long, value_name = "LR", help_heading = "Rates", default_value = "10")]
    pub to: Real,
    /// Number of log-spaced learning rates
    #[arg(long, value_name = "N", help_heading = "Rates", default_value = "36")]
    pub rates: Count,
    /// Compare with and without batch normalisation
    #[arg(long, help_heading = "Rates")]
    pub compare_bn: bool,
}

/// `bngpu eval`.
#[derive(Args, Clone, Debug)]
pub struct EvalArgs {
    /// Folder of the run
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// Data to evaluate, as for `train` [default: the run's]
    #[arg(long, value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub data: Option<String>,
    /// Folder to search for data sets by name [default: the run's, else $BNGPU_DATA, else the platform's data folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Rows to evaluate; parts are those of the training source, or a source's own [default: test, or all rows of --data]
    #[arg(long, value_name = "ROWS")]
    pub split: Option<SplitArg>,
    /// Weights to use [default: best by validation loss, or the latest if the run has no best]
    #[arg(long, value_name = "WHICH")]
    pub weights: Option<WeightsArg>,
    #[command(flatten)]
    pub header: HeaderArgs,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// The rows of a split for `eval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SplitArg {
    Train,
    Val,
    Test,
    All,
}

/// The weights of a run for `eval` and `predict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WeightsArg {
    Best,
    Last,
}

/// `bngpu describe`.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// The data, as for --data of `train`
    #[arg(value_name = "DATA", value_hint = ValueHint::AnyPath)]
    pub source: String,
    #[command(flatten)]
    pub flags: TableArgs,
    /// Folder to search for data sets by name [default: $BNGPU_DATA, else the platform's data folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub reporting: ReportingArgs,
}

/// The flags of `train` about the columns of a table.
#[derive(Args, Clone, Debug)]
pub struct TableArgs {
    /// Label column, by name or index [default: the last column]
    #[arg(long, value_name = "COL")]
    pub target: Option<String>,
    /// Type of a column: number, boolean, category or date; with number:comma, number:point, date:dmy, date:mdy where there are two readings
    #[arg(long, value_name = "NAME=TYPE")]
    pub column: Vec<AskedColumn>,
    /// Columns to leave out, by name or index
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    pub drop: Vec<String>,
    /// Columns to leave out of the inputs and to carry into the predictions
    #[arg(long, value_name = "COL,...", value_delimiter = ',')]
    pub keep: Vec<String>,
    /// Further texts that stand for a missing value
    #[arg(long, value_name = "TEXT,...", value_delimiter = ',', allow_hyphen_values = true)]
    pub missing: Vec<String>,
    #[command(flatten)]
    pub header: HeaderArgs,
    /// Size to which images in files are brought: 32, or 32x24 for width and height
    #[arg(long, value_name = "SIZE")]
    pub image_size: Option<ImageSize>,
}

impl From<TableArgs> for TableRequest {
    fn from(args: TableArgs) -> TableRequest {
        TableRequest {
            columns: args.column,
            drop: args.drop,
            keep: args.keep,
            missing: args.missing,
            header: args.header.given(),
            missing_indicator: None,
            image_size: args.image_size,
        }
    }
}

/// Whether the first line of a text file names the columns.
#[derive(Args, Clone, Copy, Debug)]
pub struct HeaderArgs {
    /// The first line of a text file names the columns [default: decided from the file]
    #[arg(long, overrides_with = "no_header")]
    header: bool,
    /// The first line of a text file is data
    #[arg(long)]
    no_header: bool,
}

impl HeaderArgs {
    /// What the flags say, if there are any.
    pub fn given(self) -> Option<bool> {
        (self.header || self.no_header).then_some(self.header)
    }
}

/// `bngpu predict`.
#[derive(Args, Clone, Debug)]
pub struct PredictArgs {
    /// Folder of the run
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// Raw rows to predict, as for `train`; a target column is not needed
    #[arg(long, value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub data: String,
    /// Folder to search for data sets by name [default: the run's, else $BNGPU_DATA, else the platform's data folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub header: HeaderArgs,
    /// File for the predictions, CSV or with --json JSON lines [default: stdout]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Weights to use [default: best by validation loss, or the latest if the run has no best]
    #[arg(long, value_name = "WHICH")]
    pub weights: Option<WeightsArg>,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `bngpu resume`.
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// Folder of the interrupted run
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// `bngpu demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Name of a demonstration, as --list prints it, or `all`
    #[arg(value_name = "NAME", required_unless_present = "list")]
    pub name: Option<String>,
    /// List the demonstrations with their claims
    #[arg(long)]
    pub list: bool,
    /// Data to measure on, as for `train`
    #[arg(long, value_name = "SRC", default_value = "digits", value_hint = ValueHint::AnyPath)]
    pub data: String,
    /// Label column of a table, by name or index [default: the last column]
    #[arg(long, value_name = "COL")]
    pub target: Option<String>,
    /// Folder to search for data sets by name [default: $BNGPU_DATA, else the platform's data folder]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// The long form: more steps, rates and seeds, for large data
    #[arg(long)]
    pub full: bool,
    /// Number of seeds for each network [default: set by the demonstration]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub seeds: Option<u32>,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Hidden units of each layer, as for `train`; depth sets its own layers, and grid-or-random uses only their number
    /// [default: 100x3]
    #[arg(long, value_name = "UNITS")]
    pub hidden: Option<Hidden>,
    /// Language of figures, pages and verdicts
    #[arg(long, value_name = "LANG", value_enum, default_value_t)]
    pub lang: Lang,
    /// auto, gpu, cpu, or an index or a part of a name as `bngpu devices` prints it
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Folder for figures, numbers and page [default: demos/NAME-DATA]
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub reporting: ReportingArgs,
}

/// `bngpu report`.
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// Folder of the run or the sweep
    #[arg(value_name = "RUN", value_hint = ValueHint::DirPath)]
    pub run: PathBuf,
    /// File for the page [default: report.html in the folder]
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Only warnings and errors on stderr
    #[arg(long, short)]
    pub quiet: bool,
    /// Warnings and details on stderr up to this level; off leaves errors that end the command
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t)]
    pub log: LogLevel,
}

/// `bngpu merge`.
#[derive(Args, Clone, Debug)]
pub struct MergeArgs {
    /// Folders of the shards
    #[arg(value_name = "SWEEP", required = true, value_hint = ValueHint::DirPath)]
    pub sweeps: Vec<PathBuf>,
    /// Folder for the whole sweep, which must hold no run yet
    #[arg(long, short, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub output: PathBuf,
    /// Merge even if shards or trials are missing [default: an error that names them]
    #[arg(long)]
    pub partial: bool,
    #[command(flatten)]
    pub reporting: ReportingArgs,
}

/// `bngpu devices`.
#[derive(Args, Clone, Debug)]
pub struct DevicesArgs {
    /// Compare every kernel on every adapter with the CPU's 64-bit reference
    #[arg(long)]
    pub self_test: bool,
    /// Only this device: an index or a part of a name [default: all]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    /// With --self-test: precision of matrix products
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub precision: Precision,
    #[command(flatten)]
    pub reporting: ReportingArgs,
}

/// `bngpu bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// auto, gpu, cpu, or an index or a part of a name as `bngpu devices` prints it
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// Precision of matrix products
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub precision: Precision,
    /// Networks: a 784-100-100-100-10, b 784-512-512-10, c 784-2048-2048-10
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "a,b,c")]
    pub case: Vec<String>,
    /// Measure your own network instead: hidden units of each layer, as for `train`; 784 inputs and 10 classes
    #[arg(long, value_name = "UNITS", conflicts_with = "case")]
    pub hidden: Option<Hidden>,
    /// Non-linearity of your own network
    #[arg(long, value_name = "NAME", default_value = "relu", requires = "hidden")]
    pub activation: Activation,
    /// Rows of a mini-batch of your own network
    #[arg(long, value_name = "ROWS", default_value_t = 64, requires = "hidden", value_parser = clap::value_parser!(u32).range(2..=60_000))]
    pub batch_size: u32,
    /// Models that train at once [default: 1,8,64 of a, 1,8 of b, else 1]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub models: Vec<usize>,
    /// Seconds for each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub seconds: f64,
    /// Only whole steps: skip single operations, and steps without batch normalisation
    #[arg(long)]
    pub brief: bool,
    /// First find the best kernel sizes for this GPU (some minutes) and store them in the cache folder
    #[arg(long)]
    pub tune: bool,
    /// Earlier output of `bench --json` to compare with; a slower line is an error
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub baseline: Option<PathBuf>,
    /// Largest allowed ratio to the time in the baseline
    #[arg(long, value_name = "RATIO", default_value_t = 1.5, requires = "baseline")]
    pub tolerance: f64,
    #[command(flatten)]
    pub reporting: ReportingArgs,
}

/// `bngpu completions`.
#[derive(Args, Clone, Debug)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Flags of the commands that work on a run.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// auto, gpu, cpu, or an index or a part of a name as `bngpu devices` prints it [default: the run's]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,
    #[command(flatten)]
    pub reporting: ReportingArgs,
}

/// How results and messages are reported.
#[derive(Args, Clone, Debug)]
pub struct ReportingArgs {
    /// Print the result as JSON on stdout
    #[arg(long)]
    pub json: bool,
    /// Results alone: no progress and no notes on stderr
    #[arg(long, short)]
    pub quiet: bool,
    /// Warnings and details on stderr up to this level; off leaves errors that end the command
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t)]
    pub log: LogLevel,
}
