//! Builds what moves on the pages (`frontend/`) into the program: packages from npm by their lock file, bundled by esbuild.
//!
//! Without npm, or where the packages cannot be had, the program is built all the same: it says so here, its pages say so too, and
//! work by plain links and forms. Nothing is written outside `OUT_DIR`; packages that somebody installed in `frontend/node_modules`
//! (`npm ci` there) are taken from there, so that it builds without a network.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The scripts, or none: what `pages/assets.rs` includes.
const GENERATED: &str = "script.rs";
/// Of every page.
const BUNDLE: &str = "onhand.js";
/// What a page loads when a camera is opened.
const CAMERA: &str = "camera.js";
/// What that reads barcodes with: a part of the package `zxing-wasm`, copied as it is.
const READER: &str = "reader.wasm";
const READER_FROM: &str = "zxing-wasm/dist/reader/zxing_reader.wasm";
/// The licence of both, which asks to go with them.
const READER_LICENCE: &str = "zxing-wasm/LICENSE";
/// What the packages in `OUT_DIR` were installed from; written last, so that half an install never counts as one.
const INSTALLED_FROM: &str = "installed-from";

/// Why there is no script, and what would help.
struct Missing {
    why: String,
    help: &'static str,
}

fn main() {
    for path in ["build.rs", "frontend/package.json", "frontend/package-lock.json", "frontend/src"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let folder = |name| PathBuf::from(std::env::var_os(name).expect("cargo says it"));
    let (frontend, out) = (folder("CARGO_MANIFEST_DIR").join("frontend"), folder("OUT_DIR"));
    let text = match bundled(&frontend, &out) {
        Ok(()) => {
            let included =
                |how: &str, name: &str| format!("include_{how}!(concat!(env!(\"OUT_DIR\"), \"/{name}\"))");
            let (pages, camera) = (included("str", BUNDLE), included("str", CAMERA));
            format!(
                "Some(Scripts {{ pages: {pages}, camera: {camera}, reader: {} }})",
                included("bytes", READER)
            )
        }
        Err(Missing { why, help }) => {
            println!(
                "cargo:warning=the pages are built without script, and work by plain links and forms: {why}. \
                 {help}, then `touch crates/web/build.rs`"
            );
            "None".to_owned()
        }
    };
    fs::write(out.join(GENERATED), text).expect("OUT_DIR can be written");
}

/// Makes the bundles in `out`.
fn bundled(frontend: &Path, out: &Path) -> Result<(), Missing> {
    let packages = installed(frontend, out)?;
    let unwritable =
        |error: io::Error| Missing { why: error.to_string(), help: "Make the build's folder writable" };
    // Bundled here, and not beside packages that somebody installed there and that are others by now.
    let sources = copied(&frontend.join("src"), &out.join("src")).map_err(unwritable)?;
    for (source, format, bundle) in [("main.ts", "iife", BUNDLE), ("camera.ts", "esm", CAMERA)] {
        let mut esbuild = Command::new(packages.join(".bin/esbuild"));
        esbuild
            .arg(sources.join(source))
            .args(["--bundle", "--minify", "--target=es2022", "--legal-comments=none"])
            .arg(format!("--format={format}"))
            .arg(format!("--outfile={}", out.join(bundle).display()))
            .arg("--log-level=warning")
            .env("NODE_PATH", &packages)
            .current_dir(out);
        told("esbuild", &mut esbuild)
            .map_err(|why| Missing { why, help: "Mend what it says (see crates/web/frontend)" })?;
    }
    fs::copy(packages.join(READER_FROM), out.join(READER)).map_err(unwritable)?;
    with_licence(&packages.join(READER_LICENCE), &out.join(CAMERA)).map_err(unwritable)
}

/// Puts the licence of what is in a bundle before it. What `zxing-wasm` says of its parts is under "Licenses" in its README.
fn with_licence(licence: &Path, bundle: &Path) -> io::Result<()> {
    let (licence, script) = (fs::read_to_string(licence)?, fs::read_to_string(bundle)?);
    let parts = "barcode-detector and zxing-wasm, which has ZXing-C++ in it (Apache License 2.0)";
    fs::write(bundle, format!("/*! {parts}.\n\n{licence}*/\n{script}"))
}

/// Copies the files of a folder.
fn copied(from: &Path, to: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(to.to_owned())
}

/// Where the packages are, installed as the lock file says.
fn installed(frontend: &Path, out: &Path) -> Result<PathBuf, Missing> {
    const HELP: &str = "Install Node.js 20 or newer with npm, and be online once";
    let missing = |why: String| Missing { why, help: HELP };
    told("npm", Command::new("npm").arg("--version")).map_err(missing)?;
    if is_as_locked(frontend) {
        return Ok(frontend.join("node_modules"));
    }
    let packages = out.join("node_modules");
    let lock =
        fs::read_to_string(frontend.join("package-lock.json")).map_err(|error| missing(error.to_string()))?;
    let stamp = out.join(INSTALLED_FROM);
    if fs::read_to_string(&stamp).is_ok_and(|from| from == lock) && packages.is_dir() {
        return Ok(packages);
    }
    let prepare = || -> io::Result<()> {
        let _ = fs::remove_file(&stamp);
        for name in ["package.json", "package-lock.json"] {
            fs::copy(frontend.join(name), out.join(name))?;
        }
        Ok(())
    };
    prepare().map_err(|error| missing(error.to_string()))?;
    // Nothing of a package runs while it is installed; a registry that does not answer keeps no build waiting.
    let mut npm = Command::new("npm");
    npm.args(["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"])
        .args(["--fetch-retries=0", "--fetch-timeout=20000", "--loglevel=error"])
        .current_dir(out);
    told("npm ci", &mut npm).map_err(missing)?;
    fs::write(stamp, lock).map_err(|error| missing(error.to_string()))?;
    Ok(packages)
}

/// Are the packages that somebody installed beside the sources those that are asked for?
fn is_as_locked(frontend: &Path) -> bool {
    let listed = || {
        told("npm ls", Command::new("npm").args(["ls", "--all", "--omit=dev"]).current_dir(frontend)).is_ok()
    };
    frontend.join("node_modules/.package-lock.json").is_file() && listed()
}

/// Runs a program to its end; what it says where it fails, in one line.
fn told(name: &str, command: &mut Command) -> Result<(), String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{name} does not start ({error})"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    Err(format!("{name} failed ({}): {}", output.status, said.join(" ")))
}
