//! What the fuzz targets do with their bytes.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use bngpu::data::{LoadRequest, Part, Preprocessing, describe, load};
use bngpu::spec::RunRequest;

/// A folder in memory, where the system has one.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let parent = if memory.is_dir() { memory } else { std::env::temp_dir() };
        // It is left behind, as a fuzzer ends by being killed.
        let folder = parent.join(format!("bngpu-fuzz-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for inputs");
        folder
    })
}

/// Describes, loads and, with the preprocessing that was fitted, reads again a file of these bytes.
pub fn read(name: &str, bytes: &[u8]) {
    let path = folder().join(name);
    fs::write(&path, bytes).expect("a file of the input");
    let source = path.display().to_string();
    let Ok(request) = RunRequest::from_toml(&format!("data = {source:?}"), "fuzz.toml".as_ref()) else { return };
    let request = LoadRequest::from(&request.data);
    let _ = describe(&request);
    if let Ok(data) = load(&request) {
        data.preprocessing.check().expect("a preprocessing that contradicts itself");
        data.preprocessing.read(&source, None, Part::All).expect("the training file is read as in training");
    }
}

/// Reads a table by a preprocessing of these bytes, if that is one.
pub fn preprocess(bytes: &[u8]) {
    let Ok(preprocessing) = serde_json::from_slice::<Preprocessing>(bytes) else { return };
    if preprocessing.check().is_err() {
        return;
    }
    let path = folder().join("table.csv");
    if !path.exists() {
        fs::write(&path, "a,b,city,y\n1,2.5,Rome,x\n,-3,Oslo,y\n7,1e9,,x\n").expect("a table");
    }
    let _ = preprocessing.read(&path.display().to_string(), None, Part::All);
    let _ = preprocessing.read_labelled(&path.display().to_string(), None, Part::Test);
}
