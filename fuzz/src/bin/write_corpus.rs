//! Writes the first inputs of the corpora; leaves what fuzzing found beside them.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match write() {
        Ok(count) => {
            println!("{count} files in fuzz/corpus");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("write-corpus: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write() -> Result<usize, String> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let seeds = inventory_fuzz::seeds::seeds()?;
    for (target, name, bytes) in &seeds {
        let folder = corpus.join(target);
        let file = folder.join(name);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&file, bytes))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    }
    Ok(seeds.len())
}
