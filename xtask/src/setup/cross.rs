//! The toolchain for `aarch64-unknown-linux-gnu`: C cross compiler and emulator from the system's packages, Rust's
//! standard library from rustup or, where rustup cannot have it, from Debian's packages unpacked in `.cross/`.

use crate::sh;
use anyhow::{Context, Result, bail};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

pub const TARGET: &str = "aarch64-unknown-linux-gnu";

/// What must be there, and the package that brings it.
const SYSTEM: &[(&str, &str)] = &[
    ("/usr/bin/aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
    ("/usr/aarch64-linux-gnu/lib/libc.a", "libc6-dev-arm64-cross"),
    ("/usr/bin/qemu-aarch64", "qemu-user"),
];

/// Where Rust's standard library for the target comes from first.
pub enum Rust {
    /// rustup; if that cannot have it, as `Debian`.
    Rustup,
    /// Debian's compiler and libraries, for machines that reach Debian's packages only.
    Debian,
}

pub fn run(rust: Rust) -> Result<()> {
    system_packages()?;
    let unpacked = Path::new(".cross/bin/rustc").exists();
    match rust {
        Rust::Rustup if unpacked || rustup_has_it() => {}
        Rust::Debian if unpacked => {}
        Rust::Debian => unpack_debian()?,
        Rust::Rustup => {
            println!("adding Rust's standard library for {TARGET}");
            if let Err(e) = sh::run(&mut sh::command(&format!("rustup target add {TARGET}"))) {
                println!("{e}: taking Debian's compiler and libraries instead, unpacked in .cross/");
                unpack_debian()?;
            }
        }
    }
    fs::create_dir_all(".cross")?;
    let environment: String = environment()?.iter().map(|(k, v)| format!("export {k}=\"{v}\"\n")).collect();
    fs::write(".cross/env.sh", environment)?;
    hello()?;
    println!("cross builds work; for a shell: source .cross/env.sh, then cargo run --target {TARGET}");
    Ok(())
}

/// The C cross compiler and the emulator: all that the tests of kernels need.
pub fn system_packages() -> Result<()> {
    let missing: Vec<&str> =
        SYSTEM.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, p)| *p).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {} with apt-get", missing.join(", "));
    if !sh::works("apt-get --version") {
        bail!("there is no apt-get: install what corresponds to {} by hand", missing.join(", "));
    }
    let root = sh::output(&mut sh::command("id -u"))?.trim() == "0";
    let sudo = if root { "" } else { "sudo " };
    sh::run(&mut sh::command(&format!("{sudo}apt-get update -qq")))?;
    let mut install = sh::command(&format!("{sudo}apt-get install -qq --no-install-recommends"));
    sh::run(install.args(missing))
}

fn rustup_has_it() -> bool {
    let libdir = sh::output(&mut sh::command(&format!("rustc --print target-libdir --target {TARGET}")));
    libdir.is_ok_and(|dir| Path::new(dir.trim()).is_dir())
}

/// Downloads with lists and a cache of our own: the system's stay as they are, and no rights are needed.
fn unpack_debian() -> Result<()> {
    let base = sh::root().join(".cross");
    for folder in ["apt/lists/partial", "apt/cache/archives/partial", "debs", "root", "bin"] {
        fs::create_dir_all(base.join(folder))?;
    }
    let apt = |line: &str| {
        let mut command = sh::command(line);
        for option in ["Dir::State::Lists=", "Dir::Cache="] {
            let folder = if option.contains("Lists") { "apt/lists" } else { "apt/cache" };
            command.arg(format!("-o{option}{}", base.join(folder).display()));
        }
        command.args([
            "-oAPT::Architecture=amd64",
            "-oAPT::Architectures=amd64,arm64",
            "-oAPT::Sandbox::User=root",
        ]);
        command
    };
    sh::run(&mut apt("apt-get update -qq"))?;
    let policy = sh::output(&mut apt("apt-cache policy rustc-web:amd64"))?;
    let version = policy.lines().find_map(|l| l.trim().strip_prefix("Candidate: "));
    let version =
        version.filter(|v| *v != "(none)").context("Debian's package rustc-web is not to be had here")?;
    let number: Vec<&str> = version.splitn(3, '.').take(2).collect();
    let library = format!("libstd-rust-web-{}", number.join("."));
    let shown = sh::output(&mut apt(&format!("apt-cache show {library}:amd64={version}")))?;
    let llvm = shown.split(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '-');
    let llvm =
        llvm.into_iter().find(|w| w.starts_with("libllvm")).context("no LLVM among the dependencies")?;
    let packages = [
        format!("rustc-web:amd64={version}"),
        format!("{library}:amd64={version}"),
        format!("libstd-rust-web-dev:amd64={version}"),
        format!("libstd-rust-web-dev:arm64={version}"),
        format!("{llvm}:amd64"),
    ];
    sh::run(apt("apt-get download -qq").args(packages).current_dir(base.join("debs")))?;
    for deb in fs::read_dir(base.join("debs"))? {
        sh::run(Command::new("dpkg").arg("-x").arg(deb?.path()).arg(base.join("root")))?;
    }
    for folder in ["apt", "debs"] {
        fs::remove_dir_all(base.join(folder))?;
    }
    for name in ["rustc", "rustdoc"] {
        let root = base.join("root").display().to_string();
        let script = format!(
            "#!/bin/sh\nexport LD_LIBRARY_PATH=\"{root}/usr/lib/x86_64-linux-gnu${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
             exec \"{root}/usr/bin/{name}\" --sysroot \"{root}/usr\" \"$@\"\n"
        );
        let path = base.join("bin").join(name);
        fs::write(&path, script)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// What cargo must be told to build and run for the target.
pub fn environment() -> Result<Vec<(&'static str, String)>> {
    let mut list = vec![
        ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "aarch64-linux-gnu-gcc".to_owned()),
        (
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
            "qemu-aarch64 -L /usr/aarch64-linux-gnu".to_owned(),
        ),
        ("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc".to_owned()),
        ("CARGO_TARGET_DIR", sh::root().join(".cross/target").display().to_string()),
    ];
    let bin = sh::root().join(".cross/bin");
    if bin.join("rustc").exists() {
        list.push(("RUSTC", bin.join("rustc").display().to_string()));
        list.push(("RUSTDOC", bin.join("rustdoc").display().to_string()));
    }
    Ok(list)
}

/// Builds a program for the target and runs it under emulation.
fn hello() -> Result<()> {
    let folder = Path::new(".cross/hello");
    fs::create_dir_all(folder.join("src"))?;
    let manifest = "[package]\nname = \"hello\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n";
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let program = "fn main() { println!(\"hello from {}\", std::env::consts::ARCH); }\n";
    fs::write(folder.join("src/main.rs"), program)?;
    let mut run = sh::command(&format!("cargo run --quiet --target {TARGET}"));
    let said = sh::output(run.envs(environment()?).current_dir(folder))?;
    if said.trim() != "hello from aarch64" {
        bail!("the test program said {said:?}");
    }
    Ok(())
}
