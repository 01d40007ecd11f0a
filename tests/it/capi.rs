//! The C interface, from C and from Python, and its header.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test fails by panicking, and says what it skips")]

use crate::cli::Clinics;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library as it was built beside the binary.
fn library() -> PathBuf {
    let name = if cfg!(target_os = "macos") { "libcloud_folder_sync.dylib" } else { "libcloud_folder_sync.so" };
    let dir = Path::new(env!("CARGO_BIN_EXE_cfs")).parent().unwrap();
    let found = [dir.join("deps").join(name), dir.join(name)].into_iter().filter(|p| p.exists());
    found.max_by_key(|p| p.metadata().and_then(|m| m.modified()).unwrap()).expect("the library was built")
}

fn there_is(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        println!("skipped: there is no {program}");
    }
    there
}

/// `CFS_HEADER=write cargo test header` writes it anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "a header is no file of the sync folder")]
fn the_header_says_what_the_source_says() {
    let config = cbindgen::Config {
        language: cbindgen::Language::C,
        cpp_compat: true,
        include_guard: Some("CFS_H".into()),
        documentation_style: cbindgen::DocumentationStyle::C99,
        usize_is_size_t: true,
        header: Some(
            "// Cloud Folder Sync for host applications in C and whatever speaks with C. docs/HOST.md has an example.\n//\n// Each call gives 0, or what the command would exit with: 1 failed, nothing half-done; 2 usage or configuration; 3 another\n// synchronization is running; 4 a person has to say yes. Texts are UTF-8 and end with a zero byte; those that a call\n// gives are freed with cfs_free. A site is worked with until it is closed, by one thread at a time; others wait. Written by cbindgen."
                .into(),
        ),
        ..cbindgen::Config::default()
    };
    let mut text = Vec::new();
    cbindgen::Builder::new().with_src(root().join("src/capi.rs")).with_config(config).generate().unwrap().write(&mut text);
    let text = String::from_utf8(text).unwrap();
    let file = root().join("include/cfs.h");
    if std::env::var_os("CFS_HEADER").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), text, "write it anew: CFS_HEADER=write cargo test header");
    assert!(text.matches("(const struct CfsSite *site").count() >= 6 && text.matches("cfs_").count() >= 11, "{text}");
}

#[cfg(unix)]
#[test]
fn a_host_application_in_c() {
    if !there_is("cc") {
        return;
    }
    let c = Clinics::new();
    c.conflict("Pemberwick");
    let library = library();
    let program = c.dir().join("try");
    let built = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-std=c99", "-I"])
        .arg(root().join("include"))
        .arg(root().join("tests/capi/try.c"))
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display()))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let who = c.who("north", "Brackenridge");
    let done = Command::new(&program).args([c.dir().join("north/cfs.toml").to_str().unwrap(), &who]).env("XDG_STATE_HOME", c.dir().join("state")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(String::from_utf8_lossy(&done.stdout).ends_with("all well\n"));
    assert!(c.run("north", &["conflicts"]).ended(0).starts_with("No "));
    c.run("south", &["sync"]).ended(0);
    assert_eq!(c.see("south", "SELECT phone FROM patient WHERE last_name = 'Pemberwick'"), "555 7111");
    assert_eq!(c.see("south", "SELECT count(*) || '' FROM patient WHERE last_name = 'Brackenridge'"), "0");
}

#[cfg(unix)]
#[test]
fn a_host_application_in_python() {
    if !there_is("python3") {
        return;
    }
    let c = Clinics::new();
    c.conflict("Pemberwick");
    c.sql("south", "CREATE TRIGGER plain BEFORE UPDATE OF phone ON patient WHEN new.phone = '555 7111' BEGIN SELECT RAISE(ABORT, 'no such number'); END");
    let done = Command::new("python3")
        .arg(root().join("tests/capi/try.py"))
        .arg(library())
        .arg(c.dir().join("south/cfs.toml"))
        .env("XDG_STATE_HOME", c.dir().join("state"))
        .output()
        .unwrap();
    assert!(done.status.success() && done.stdout == b"all well\n", "{}", String::from_utf8_lossy(&done.stderr));
}
