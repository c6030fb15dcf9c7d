//! bngpu trains batch-normalised neural networks, many at once, in WGSL compute shaders on any Vulkan, Metal or DX12 GPU, or
//! natively on the CPU.
//!
//! The program `bngpu` is a thin layer over this library. Keys in TOML text are the names of its flags.
//!
//! # Train one model
//!
//! A request says what to train and how ([`spec`]), a data set is loaded and split ([`data`]), a device is chosen
//! ([`engine`]), and a [`train::Session`] brings them together:
//!
//! ```
//! use bngpu::data::{LoadRequest, load};
//! use bngpu::engine::{DeviceRequest, choose};
//! use bngpu::spec::RunRequest;
//! use bngpu::train::{Session, Stop};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = r#"
//!     data = "digits"
//!     hidden = "32"
//!     bn = true
//!     lr = 0.01
//!     epochs = 3
//!     device = "cpu"
//! "#;
//! let request = RunRequest::from_toml(settings, "settings".as_ref())?;
//! let dataset = load(&LoadRequest::from(&request.data))?;
//! let device = choose(&DeviceRequest { device: &request.device, using: request.device_use() })?;
//!
//! let session = Session::new(request, dataset, device)?;
//! let outcome = session.train(&mut (), &Stop::default())?;
//! let [_validation, test] = outcome.evaluations;
//! let (loss, _score) = test.expect("the digits have test rows");
//! assert!(loss < 1.0);
//! # Ok(())
//! # }
//! ```
//!
//! Instead of `()`, you can pass a type of your own that implements [`train::Events`], to receive each step, epoch and
//! checkpoint.
//! [`train::Started::keep_in`], called after [`train::Session::start`], writes the run into a folder that
//! `bngpu resume` and `bngpu predict` accept.
//!
//! # Predict
//!
//! A model includes the encoding of its table, so it accepts rows as they are in the file:
//!
//! ```
//! # use bngpu::data::{LoadRequest, Part, load};
//! # use bngpu::engine::{CpuFactory, EngineFactory};
//! # use bngpu::spec::RunRequest;
//! # use bngpu::train::{Session, Stop};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let settings = "hidden = '16'\nbn = true\nepochs = 1\ndevice = 'cpu'";
//! # let request = RunRequest::from_toml(settings, "settings".as_ref())?;
//! # let dataset = load(&LoadRequest::from(&request.data))?;
//! # let session = Session::new(request, dataset, Box::new(CpuFactory::default()))?;
//! # let outcome = session.train(&mut (), &Stop::default())?;
//! let model = outcome.model.expect("a training that ends has a model");
//! let rows = model.preprocessing.read("digits", None, Part::Test)?;
//! let outputs = model.outputs(&CpuFactory::default(), rows)?; // [N, classes], before the softmax
//! assert_eq!(outputs.len(), 180 * 10);
//! # Ok(())
//! # }
//! ```
//!
//! # Tune many models at once
//!
//! In a [`spec::SweepRequest`], each setting may be a set or a range. [`sweep::Search`] plans how many members train at
//! a time, and [`sweep::Search::run`] trains them:
//!
//! ```
//! use std::sync::Mutex;
//!
//! use bngpu::data::{LoadRequest, load};
//! use bngpu::engine::{DeviceRequest, lanes};
//! use bngpu::spec::SweepRequest;
//! use bngpu::sweep::{Memory, Search, Store, analysis::Analysis};
//! use bngpu::train::Stop;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let settings = r#"
//!     hidden = "16"
//!     epochs = 2
//!     trials = 4
//!     device = "cpu"
//!     [space]
//!     lr = "1e-3..1e-1:log"
//!     bn = "both"
//! "#;
//! let request = SweepRequest::from_toml(settings, "settings".as_ref())?;
//! let dataset = load(&LoadRequest::from(&request.base.data))?;
//! let using = request.base.device_use();
//! let device = lanes::source(&DeviceRequest { device: &request.base.device, using })?;
//!
//! let search = Search::new(request, dataset, vec![device])?;
//! let records = Mutex::new(Memory::default());
//! search.run(&records, &(), &Stop::default())?;
//!
//! let records = records.into_inner().expect("no lane panicked");
//! let analysis = Analysis::new(&search.request, records.records());
//! let winner = analysis.winner.expect("a trial has a value");
//! assert!(winner.params.contains_key("lr"));
//! # Ok(())
//! # }
//! ```
//!
//! # How it computes
//!
//! K models are one *population*: a row each in a few tables, and one buffer for each kind of data ([`population`]). A
//! step is a list of operations on all of them ([`step::plan`]). The CPU engine runs the list natively, the GPU engine
//! records it into compute passes; each operation has a twin in `shaders/`. The same seed gives the same weights, bit for
//! bit, on the same device, whatever else trains beside the model. `ARCHITECTURE.md` has the map.
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `cli`, on by default | the program: arguments, terminal, figures, pages, demonstrations, benchmark; includes all others |
//! | `gpu` | the GPU engine, and the choice of a device |
//! | `parquet` | Parquet and Arrow (Feather) files |
//! | `excel`, `images`, `npz`, `sqlite` | spreadsheets, images in files, NumPy archives, SQLite databases |
//! | `compression` | tables packed with zstd, bzip2 or xz |
//! | `tensorboard` | event files of a sweep |
//!
//! Without features, the library reads the embedded digits, CSV, JSON, NPY and IDX files, trains and sweeps on the CPU engine
//! ([`engine::CpuFactory`]), and compiles for `wasm32-unknown-unknown`.

// Without the program, some library code is unused.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]

pub mod base;
#[cfg(feature = "cli")]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
#[cfg(feature = "cli")]
pub mod demo;
pub mod engine;
pub mod population;
#[cfg(feature = "cli")]
pub mod report;
pub mod run;
pub mod spec;
pub mod step;
pub mod sweep;
pub mod train;
