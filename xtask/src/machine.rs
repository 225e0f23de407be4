//! What the build needs from this machine, and its installation where it is missing.
//!
//! RocksDB is C++ and its bindings are made with libclang; the TLS library is C. On a machine with apt
//! both are installed; elsewhere the missing parts are named.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Failure;
use crate::run;

/// Something that must be there.
struct Need {
    what: &'static str,
    why: &'static str,
    packages: &'static [&'static str],
    is_there: fn() -> bool,
}

const DAEMON: &[Need] = &[
    Need {
        what: "a C compiler",
        why: "the TLS library is C",
        packages: &["gcc", "libc6-dev"],
        is_there: has_c,
    },
    Need {
        what: "a C++ compiler",
        why: "RocksDB is C++",
        packages: &["g++"],
        is_there: has_cpp,
    },
    Need {
        what: "libclang with its headers",
        why: "RocksDB's bindings are made with it",
        packages: &["clang", "libclang-dev"],
        is_there: has_libclang,
    },
];

const CODEGEN: &[Need] = &[
    Need {
        what: "a C++ compiler",
        why: "the FlatBuffers compiler is C++",
        packages: &["g++"],
        is_there: has_cpp,
    },
    Need {
        what: "cmake",
        why: "the FlatBuffers compiler is built with it",
        packages: &["cmake", "make"],
        is_there: || runs("cmake", &["--version"]),
    },
];

/// The packages that would be installed for the daemon and the tests.
pub fn missing_packages() -> Vec<&'static str> {
    packages_of(&missing(DAEMON))
}

/// Installs what the daemon and the tests need, if something is missing.
pub fn prepare() -> Result<(), Failure> {
    install(&missing(DAEMON))
}

/// Installs what the code generator needs, if something is missing.
pub fn prepare_codegen() -> Result<(), Failure> {
    install(&missing(CODEGEN))
}

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !(need.is_there)()).collect()
}

fn packages_of(needs: &[&Need]) -> Vec<&'static str> {
    needs
        .iter()
        .flat_map(|need| need.packages.iter().copied())
        .collect()
}

fn install(missing: &[&Need]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    for need in missing {
        eprintln!("missing: {} ({})", need.what, need.why);
    }
    let packages = packages_of(missing);
    let by_hand = format!("apt-get install {}", packages.join(" "));
    if !runs("apt-get", &["--version"]) {
        return Err(Failure::step(format!(
            "this machine has no apt-get: install what is missing with its own package manager \
             (on Debian it would be `{by_hand}`; on Fedora `dnf install gcc gcc-c++ clang clang-devel`) \
             and run this again"
        )));
    }
    let is_root = run::output(Command::new("id").arg("-u"))?.trim() == "0";
    if !is_root && !runs("sudo", &["-n", "true"]) {
        return Err(Failure::step(format!(
            "packages must be installed, and sudo does not work here without a password: run\n\n    \
             sudo {by_hand}\n\nand then this again"
        )));
    }
    let apt = |args: &[&str]| {
        let mut command = if is_root {
            Command::new("env")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "env"]);
            sudo
        };
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(args);
        command.stdin(Stdio::null());
        command
    };
    run::step("package lists", &mut apt(&["update", "-q"]))?;
    let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
    args.extend(&packages);
    run::step("system packages", &mut apt(&args))?;
    let still: Vec<&str> = missing
        .iter()
        .filter(|need| !(need.is_there)())
        .map(|need| need.what)
        .collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(Failure::step(format!(
            "installed, and yet not found: {}",
            still.join(", ")
        )))
    }
}

fn has_c() -> bool {
    std::env::var_os("CC").is_some() || runs("cc", &["--version"])
}

fn has_cpp() -> bool {
    std::env::var_os("CXX").is_some() || runs("c++", &["--version"])
}

/// The library, and the headers that the compiler brings (`stddef.h`): the packages are apart.
fn has_libclang() -> bool {
    let has_library = named_library()
        || cached_library()
        || standard_folders().iter().any(|dir| has_library_in(dir));
    has_library && (runs("clang", &["--version"]) || has_builtin_headers())
}

/// `LIBCLANG_PATH` names a file or its folder.
fn named_library() -> bool {
    std::env::var_os("LIBCLANG_PATH")
        .map(PathBuf::from)
        .is_some_and(|path| {
            has_library_in(&path)
                || path
                    .file_name()
                    .is_some_and(|name| is_library(&name.to_string_lossy()))
        })
}

/// The dynamic linker's own list.
fn cached_library() -> bool {
    ["ldconfig", "/sbin/ldconfig"].iter().any(|ldconfig| {
        Command::new(ldconfig)
            .arg("-p")
            .stderr(Stdio::null())
            .output()
            .is_ok_and(|output| {
                String::from_utf8_lossy(&output.stdout)
                    .lines()
                    .filter_map(|line| line.split_whitespace().next())
                    .any(is_library)
            })
    })
}

fn standard_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = [
        "/usr/lib64",
        "/usr/lib",
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
    ]
    .iter()
    .map(PathBuf::from)
    .collect();
    if let Ok(output) = Command::new("llvm-config")
        .arg("--libdir")
        .stderr(Stdio::null())
        .output()
    {
        folders.push(PathBuf::from(
            String::from_utf8_lossy(&output.stdout).trim(),
        ));
    }
    folders.extend(llvm_folders().into_iter().map(|dir| dir.join("lib")));
    folders
}

/// `/usr/lib/llvm-14` and its like.
fn llvm_folders() -> Vec<PathBuf> {
    entries(Path::new("/usr/lib"))
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("llvm"))
        })
        .collect()
}

fn has_builtin_headers() -> bool {
    let mut tops = vec![
        PathBuf::from("/usr/lib/clang"),
        PathBuf::from("/usr/lib64/clang"),
    ];
    tops.extend(llvm_folders().into_iter().map(|dir| dir.join("lib/clang")));
    tops.iter()
        .flat_map(|top| entries(top))
        .any(|version| version.join("include/stddef.h").is_file())
}

fn has_library_in(dir: &Path) -> bool {
    entries(dir).iter().any(|path| {
        path.file_name()
            .is_some_and(|name| is_library(&name.to_string_lossy()))
    })
}

/// `libclang.so`, `libclang.so.14`, `libclang-14.so.1`: what the bindings' generator loads.
fn is_library(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let version = rest.split(".so").next().unwrap_or_default();
    rest.contains(".so")
        && (version.is_empty()
            || version
                .strip_prefix('-')
                .is_some_and(|digits| digits.starts_with(|first: char| first.is_ascii_digit())))
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .map(|entries| {
            entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .collect()
        })
        .unwrap_or_default()
}

/// Whether a program is there and ends well.
pub fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// How many jobs cargo runs at once.
pub fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64)
}

/// Free space where a folder is, in MiB; `None` where nobody says.
pub fn free_mib(dir: &Path) -> Option<u64> {
    let output = Command::new("df")
        .arg("-Pk")
        .arg(dir)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let kib: u64 = text
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::is_library;

    #[test]
    fn only_the_c_interface_of_clang_counts() {
        for name in [
            "libclang.so",
            "libclang.so.1",
            "libclang-14.so",
            "libclang-14.so.13",
            "libclang-14.so.14.0.6",
        ] {
            assert!(is_library(name), "{name}");
        }
        for name in [
            "libclang-cpp.so.14",
            "libclang_rt.so",
            "libclangAST.so",
            "libclang.a",
            "liblibclang.so",
        ] {
            assert!(!is_library(name), "{name}");
        }
    }
}
