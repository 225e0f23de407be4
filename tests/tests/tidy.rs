//! The rules of the house that a compiler does not know, as tests over the source text.
//!
//! ```text
//!  every file of the tree ──▶ Source{path, text} ──▶ code (comments and strings blanked, tests cut off)
//!                                    │                 └──▶ words that must not be there
//!                                    └──▶ lines, names, citations, what must not be mentioned
//! ```

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file is about one subject; a longer one is about two.
const LINES_MAX: usize = 700;

/// What the pure parts may not name. Each is a word, or words joined by `::`.
const IMPURE: &[&str] = &[
    "HashMap",
    "HashSet",
    "Instant",
    "SystemTime",
    "std::thread",
    "std::env",
    "std::fs",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "UnixStream",
    "async",
    "await",
    "f32",
    "f64",
    "rand::",
    "println",
    "eprintln",
];

/// What the core may stand on.
const CORE_DEPENDENCIES: &[&str] = &[
    "inventory-sync-schemas",
    "flatbuffers",
    "serde",
    "serde_json",
    "rand_chacha",
    "rand_core",
    "xxhash-rust",
    "sha1",
    "sha2",
];

/// A second cryptographic library would be a second thing to keep safe.
const BANNED_CRATES: &[&str] = &["ring", "openssl-sys", "native-tls"];

/// Manifests that spell their lints out: generated code needs `unsafe`, and the generator is a workspace of
/// its own.
const OWN_LINTS: &[&str] = &["schemas/Cargo.toml", "xtask/codegen/Cargo.toml"];

struct Source {
    /// Relative to the top of the tree, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn is_generated(&self) -> bool {
        self.path.starts_with("schemas/src/generated/")
    }

    /// Files that hold tests alone.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.split('/').any(|part| part == "tests")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// All text files that belong to the project.
fn sources() -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != ".git" && name != "target" && name != ".demo" {
                    folders.push(path);
                }
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                let path = path
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                sources.push(Source { path, text });
            }
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        sources.len() > 100,
        "the tree was not found from {}",
        root.display()
    );
    sources
}

/// The code of a file: comments and the insides of strings blanked, a test module at its end cut off.
fn code(text: &str) -> String {
    let blanked = blank(text);
    let end = blanked
        .find("#[cfg(test)]\nmod tests {")
        .unwrap_or(blanked.len());
    blanked[..end].to_owned()
}

/// Replaces comments and the insides of strings by spaces; lines stay lines.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(each) = chars.next() {
        match each {
            '/' if chars.peek() == Some(&'/') => {
                for inner in chars.by_ref() {
                    if inner == '\n' {
                        out.push('\n');
                        break;
                    }
                }
            }
            '"' => {
                // `r"…"` and `r#"…"#`: nothing is escaped, the same number of `#` ends it.
                let hashes = out.len() - out.trim_end_matches('#').len();
                let is_raw = out.trim_end_matches('#').ends_with('r');
                out.push('"');
                let mut escaped = false;
                let mut closing: Option<usize> = None;
                for inner in chars.by_ref() {
                    if inner == '\n' {
                        out.push('\n');
                    }
                    match closing {
                        Some(seen) if inner == '#' && seen + 1 == hashes => break,
                        Some(seen) if inner == '#' => {
                            closing = Some(seen + 1);
                            continue;
                        }
                        _ => closing = None,
                    }
                    if inner == '"' && is_raw && hashes > 0 {
                        closing = Some(0);
                    } else if inner == '"' && !escaped {
                        break;
                    }
                    escaped = inner == '\\' && !escaped && !is_raw;
                }
                out.push('"');
            }
            // A character, not a lifetime: `'"'` and `'\''` must not open a string.
            '\'' if !before.is_alphanumeric() => {
                let mut ahead = chars.clone();
                let first = ahead.next();
                let second = ahead.next();
                if first == Some('\\') {
                    chars.next();
                    chars.next();
                    for inner in chars.by_ref() {
                        if inner == '\'' {
                            break;
                        }
                    }
                } else if second == Some('\'') {
                    chars.next();
                    chars.next();
                }
                out.push_str("' '");
            }
            other => out.push(other),
        }
        before = each;
    }
    out
}

/// Lines on which a word, or words joined by `::`, stand in code.
fn lines_with(code: &str, words: &str) -> Vec<usize> {
    let is_word = |each: char| each.is_alphanumeric() || each == '_';
    let mut lines = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for (at, _) in line.match_indices(words) {
            let before = line[..at].chars().next_back();
            let after = line[at + words.len()..].chars().next();
            let open = words.ends_with(':') || !after.is_some_and(is_word);
            if !before.is_some_and(is_word) && open {
                lines.push(number + 1);
            }
        }
    }
    lines
}

fn assert_none(rule: &str, found: &[String]) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// The machines, the model they are measured against and the world around them: the same run from the
/// same inputs, everywhere.
#[test]
fn the_pure_parts_are_pure() {
    let is_pure = |path: &str| {
        path.starts_with("core/src/")
            || path.starts_with("indexer/src/model/")
            || (path.starts_with("sim/src/")
                && !path.ends_with("/main.rs")
                && !path.contains("/cli"))
    };
    let mut found = Vec::new();
    for source in sources() {
        if !is_pure(&source.path) || !source.is_rust() || source.is_test() {
            continue;
        }
        let code = code(&source.text);
        for word in IMPURE {
            for line in lines_with(&code, word) {
                found.push(format!("{}:{line}: {word}", source.path));
            }
        }
    }
    assert_none(
        "the pure parts name what depends on more than their inputs",
        &found,
    );
}

#[test]
fn unsafe_stands_in_generated_code_alone() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.is_rust() && !source.is_generated())
    {
        for line in lines_with(&blank(&source.text), "unsafe") {
            found.push(format!("{}:{line}", source.path));
        }
    }
    assert_none("unsafe code outside schemas/src/generated", &found);
}

#[test]
fn nothing_is_left_undone() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.is_rust() && !source.is_generated())
    {
        let blanked = blank(&source.text);
        for word in ["todo!", "unimplemented!", "dbg!", "#[ignore"] {
            for (number, line) in blanked.lines().enumerate() {
                if line.contains(word) {
                    found.push(format!("{}:{}: {word}", source.path, number + 1));
                }
            }
        }
    }
    assert_none("stubs, or tests that do not run", &found);
}

#[test]
fn each_crate_says_its_purpose_its_picture_and_its_invariants() {
    let mut found = Vec::new();
    let sources = sources();
    for folder in [
        "schemas", "core", "indexer", "sim", "runtime", "agent", "tests", "fuzz",
    ] {
        let path = format!("{folder}/src/lib.rs");
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            found.push(format!("{path} is missing"));
            continue;
        };
        let prose: String = source
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        for (what, is_there) in [
            ("does not open with `//!`", !prose.is_empty()),
            ("has no picture (```text)", prose.contains("```text")),
            ("names no invariants", prose.contains("nvariant")),
        ] {
            if !is_there {
                found.push(format!("{path} {what}"));
            }
        }
    }
    assert_none("a crate does not introduce itself", &found);
}

#[test]
fn every_crate_has_the_lints_of_the_workspace() {
    let mut found = Vec::new();
    for source in sources() {
        let is_member =
            source.path.ends_with("/Cargo.toml") && !OWN_LINTS.contains(&source.path.as_str());
        if is_member && !source.text.contains("[lints]\nworkspace = true") {
            found.push(source.path);
        }
    }
    assert_none("no `[lints] workspace = true`", &found);
}

/// What stands beside one checkout is not a part of the project.
#[test]
fn nothing_outside_the_tree_is_mentioned() {
    let beside = concat!("..", "/shared");
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.path.starts_with(".ci/") && !source.path.starts_with("xtask/"))
        .filter(|source| source.text.contains(beside))
        .map(|source| source.path)
        .collect();
    assert_none("files that name a folder outside the tree", &found);
}

#[test]
fn files_are_short_and_have_names() {
    let mut found = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.is_rust() && !source.is_generated())
    {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            found.push(format!("{}: {lines} lines", source.path));
        }
        for part in source.path.trim_end_matches(".rs").split('/') {
            if [
                "util", "utils", "helper", "helpers", "misc", "common", "stuff",
            ]
            .contains(&part)
            {
                found.push(format!("{}: a name that says nothing", source.path));
            }
        }
    }
    assert_none("files of more than one subject", &found);
}

/// The numbers after each mention of `docs/protocol.md` and `section` or `sections`.
fn citations(text: &str) -> Vec<String> {
    let mut prose = String::new();
    for line in text.lines() {
        let line = line.trim_start();
        prose.push(' ');
        prose.push_str(line.trim_start_matches('/').trim_start_matches('!').trim());
    }
    let mut found = Vec::new();
    for rest in prose.split("docs/protocol.md").skip(1) {
        let rest = rest.trim_start_matches(['`', ',', ')', ' ']);
        let Some(rest) = rest.strip_prefix("section") else {
            continue;
        };
        for word in rest.trim_start_matches('s').split_whitespace() {
            let number = word.trim_end_matches(|each: char| !each.is_ascii_digit());
            if number.starts_with(|first: char| first.is_ascii_digit()) {
                found.push(number.to_owned());
                if word.ends_with([')', '.', ';', ':']) {
                    break;
                }
            } else if word != "and" && word != "to" {
                break;
            }
        }
    }
    found
}

/// The numbers of a document's headings: `## 3. Session`, `### 3.1 Start`.
fn headings(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .filter_map(|line| line.trim_start_matches('#').split_whitespace().next())
        .map(|number| number.trim_end_matches('.').to_owned())
        .filter(|number| number.starts_with(|first: char| first.is_ascii_digit()))
        .collect()
}

#[test]
fn what_is_cited_of_the_protocol_exists() {
    let sources = sources();
    let protocol = sources
        .iter()
        .find(|source| source.path == "docs/protocol.md")
        .unwrap();
    let headings = headings(&protocol.text);
    let mut count = 0;
    let mut found = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        for number in citations(&source.text) {
            count += 1;
            if !headings.contains(&number) {
                found.push(format!("{}: section {number}", source.path));
            }
        }
    }
    assert!(
        count > 40,
        "only {count} citations were found: the search is broken"
    );
    assert_none("cited sections that docs/protocol.md does not have", &found);
}

/// The first cells of a table's rows below a heading, and the rest of each row.
fn rows<'a>(text: &'a str, head: &str) -> Vec<(&'a str, &'a str)> {
    let lines = text.lines().skip_while(|line| !line.starts_with(head));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.trim_matches('|').split_once('|'))
        .map(|(first, rest)| (first.trim(), rest.trim()))
        .collect()
}

#[test]
fn every_row_of_bad_input_names_tests_that_exist() {
    let sources = sources();
    let text = |path: &str| -> &str {
        let source = sources.iter().find(|source| source.path == path);
        &source.unwrap_or_else(|| panic!("{path} is not there")).text
    };
    let (protocol, coverage) = (text("docs/protocol.md"), text("docs/bad-input.md"));
    let mut shown = Vec::new();
    for head in ["| bad input |", "| what is wrong |"] {
        let (theirs, own) = (rows(protocol, head), rows(coverage, head));
        assert!(theirs.len() >= 8, "the table was not found");
        let first = |rows: &[(&str, &str)]| -> Vec<String> {
            rows.iter().map(|(first, _)| (*first).to_owned()).collect()
        };
        assert_eq!(first(&theirs), first(&own), "rows of both documents");
        shown.extend(own);
    }
    shown.extend(rows(coverage, "| what they do |"));
    let mut found = Vec::new();
    for (row, tests) in shown {
        let mut names = tests.split('`').skip(1).step_by(2).peekable();
        assert!(names.peek().is_some(), "{row} is shown by nothing");
        for name in names {
            let (file, function) = name.split_once("::").expect("FILE::TEST");
            let declaration = format!("#[tokio::test]\nasync fn {function}() {{");
            if !text(&format!("tests/tests/e2e/{file}.rs")).contains(&declaration) {
                found.push(format!("{row}: {name}"));
            }
        }
    }
    assert_none("tests that docs/bad-input.md names and nobody has", &found);
}

#[test]
fn the_core_stands_on_few_crates() {
    let manifest = std::fs::read_to_string(root().join("core/Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let names: Vec<&str> = section
        .lines()
        .filter_map(|line| line.split(['.', '=', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect();
    assert!(
        names.contains(&"flatbuffers"),
        "the dependencies were not read: {names:?}"
    );
    let found: Vec<String> = names
        .into_iter()
        .filter(|name| !CORE_DEPENDENCIES.contains(name))
        .map(str::to_owned)
        .collect();
    assert_none("crates that the core may not depend on", &found);
}

/// The lock file may name crates that no build of ours takes; the tree does not.
#[test]
fn there_is_one_cryptographic_library() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--workspace",
            "--locked",
            "--offline",
            "--prefix",
            "none",
        ])
        .args(["--edges", "normal,build,dev", "--format", "{p}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tree = String::from_utf8(output.stdout).unwrap();
    let crates: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(crates.contains("aws-lc-rs"), "the tree was not read");
    let found: Vec<String> = BANNED_CRATES
        .iter()
        .filter(|name| crates.contains(*name))
        .map(|name| (*name).to_owned())
        .collect();
    assert_none("crates that must not be built", &found);
}

mod the_rules_themselves {
    use super::*;

    #[test]
    fn comments_strings_and_tests_are_not_code() {
        let text = "let a = \"f64\"; // f64\nlet b = r#\"a \" f64 \"#; let c = '\"'; f32x();\n/// unsafe\n\
                    let d: &'static str = \"\\\" f64\"; let e = '\\''; Instant\n#[cfg(test)]\nmod tests { f64 }";
        let code = code(text);
        assert_eq!(lines_with(&code, "f64"), Vec::<usize>::new(), "{code}");
        assert_eq!(lines_with(&code, "f32"), Vec::<usize>::new());
        assert_eq!(lines_with(&code, "Instant"), [4]);
    }

    #[test]
    fn words_are_whole_words() {
        assert_eq!(lines_with("use std::collections::HashMap;", "HashMap"), [1]);
        assert_eq!(
            lines_with("struct MyHashMap; rand_core::Rng", "HashMap"),
            Vec::<usize>::new()
        );
        assert_eq!(
            lines_with("rand_core::Rng; brand::new()", "rand::"),
            Vec::<usize>::new()
        );
        assert_eq!(lines_with("rand::thread_rng()", "rand::"), [1]);
    }

    #[test]
    fn citations_are_found_across_lines() {
        let text = "//! Rules (`docs/protocol.md` sections\n//! 5 and 8). Then 7.\n// `docs/protocol.md`, section 3.1, x\n\
                    // `docs/protocol.md` sections 3.2 to 3.4 apply\n// `docs/protocol.md` alone";
        assert_eq!(citations(text), ["5", "8", "3.1", "3.2", "3.4"]);
    }

    #[test]
    fn headings_are_numbers() {
        let numbers = headings("# Protocol\n## 3. Session\n### 3.1 Start\ntext 4.");
        assert_eq!(numbers.into_iter().collect::<Vec<_>>(), ["3", "3.1"]);
    }
}
