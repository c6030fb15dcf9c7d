//! Reads `tests/fixtures/*.npz`.

use std::fs::File;
use std::io::Cursor;
use std::io::Read;
use std::path::Path;

use npyz::NpyFile;
use zip::ZipArchive;

/// One npz file, its arrays as f64 in C order.
pub struct Fixture {
    name: String,
    archive: ZipArchive<File>,
}

impl Fixture {
    /// Opens `tests/fixtures/NAME.npz`.
    pub fn open(name: &str) -> Fixture {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(format!("{name}.npz"));
        let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let archive = ZipArchive::new(file).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Fixture { name: name.to_owned(), archive }
    }

    /// Whether there is an array of this name.
    pub fn has(&mut self, array: &str) -> bool {
        self.archive.file_names().any(|name| name.unwrap() == format!("{array}.npy"))
    }

    /// The array's shape.
    pub fn shape(&mut self, array: &str) -> Vec<usize> {
        self.entry(array).shape().iter().map(|&n| n as usize).collect()
    }

    /// The array's values: float64, float32 or int64.
    pub fn array(&mut self, array: &str) -> Vec<f64> {
        let bad = |e: std::io::Error| -> f64 { panic!("{array}: {e}") };
        let file = match self.entry(array).try_data::<f64>() {
            Ok(data) => return data.map(|v| v.unwrap_or_else(bad)).collect(),
            Err(file) => file,
        };
        let file = match file.try_data::<f32>() {
            Ok(data) => return data.map(|v| v.map(f64::from).unwrap_or_else(bad)).collect(),
            Err(file) => file,
        };
        match file.try_data::<i64>() {
            Ok(data) => data.map(|v| v.map(|v| v as f64).unwrap_or_else(bad)).collect(),
            Err(file) => panic!("{array} has type {:?}", file.dtype()),
        }
    }

    /// A PyTorch weight `[O, I]` as bngpu stores it, `[I, O]`.
    pub fn weight(&mut self, array: &str) -> Vec<f64> {
        let shape = self.shape(array);
        let values = self.array(array);
        let (o, i) = (shape[0], shape[1]);
        (0..i * o).map(|at| values[at % o * i + at / o]).collect()
    }

    fn entry(&mut self, array: &str) -> NpyFile<Cursor<Vec<u8>>> {
        let mut bytes = Vec::new();
        let entry = self.archive.by_name(&format!("{array}.npy"));
        let mut entry = entry.unwrap_or_else(|e| panic!("{}.npz: {array}: {e}", self.name));
        entry.read_to_end(&mut bytes).unwrap_or_else(|e| panic!("{}.npz: {array}: {e}", self.name));
        NpyFile::new(Cursor::new(bytes)).unwrap_or_else(|e| panic!("{}.npz: {array}: {e}", self.name))
    }
}
