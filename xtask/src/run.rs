//! Where things are, and running other programs.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Failure;

/// The top of the source tree.
pub fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or(here.clone(), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// What kind of machine the compiler builds for when nothing is said.
pub fn host() -> Result<String, Failure> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| Failure::step("rustc does not say what machine this is"))
}

/// The cargo that started us, at the top of the tree.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Shows what is run, runs it, and says how long it took.
pub fn step(what: &str, command: &mut Command) -> Result<(), Failure> {
    eprintln!("\n── {what}\n   {}", shown(command));
    let began = Instant::now();
    let status = command
        .status()
        .map_err(|error| Failure::step(format!("cannot run {}: {error}", shown(command))))?;
    if !status.success() {
        return Err(Failure::step(format!(
            "{what}: failed ({status})\n   {}",
            shown(command)
        )));
    }
    eprintln!("── {what}: done in {}", clock(began.elapsed().as_secs()));
    Ok(())
}

/// Shows a program and lets it take our place: signals and the exit code are its own. Comes back only when it
/// cannot be run.
pub fn instead(command: &mut Command) -> Failure {
    eprintln!("\n── {}", shown(command));
    let error = command.exec();
    Failure::step(format!("cannot run {}: {error}", shown(command)))
}

/// What a program prints; its errors go where ours go.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::step(format!("cannot run {}: {error}", shown(command))))?;
    if !output.status.success() {
        return Err(Failure::step(format!(
            "{} failed ({})",
            shown(command),
            output.status
        )));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let mut line = String::new();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            line.push_str(&format!(
                "{}={:?} ",
                key.to_string_lossy(),
                value.to_string_lossy()
            ));
        }
    }
    line.push_str(&name.to_string_lossy());
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

/// Minutes and seconds.
pub fn clock(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}
