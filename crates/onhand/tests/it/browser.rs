//! The demo's pages in a real browser, as `crates/web/frontend/browser` walks them: what axe-core finds, what is too wide, what only script does,
//! what is scanned on the floor over a bad connection. Pictures of all of them are in `target/screenshots`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::server::ONHAND;

/// The demo, ended when dropped.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Walks through the demo's pages as a script in `crates/web/frontend/browser` says, once it has run for so long.
fn walk(script: &str, after: Duration) {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut demo = Command::new(ONHAND);
    demo.args(["demo", "--seconds", "600", "--log", "off", "--db"]).arg(folder.path().join("demo.db"));
    let mut demo = Demo(demo.stdout(Stdio::piped()).spawn().unwrap());
    let (mut pages, mut key) = (String::new(), String::new());
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines();
    while key.is_empty() {
        let line = lines.next().expect("the demo says where it is").unwrap();
        match line.split_once(' ') {
            Some(("pages", address)) => address.trim().clone_into(&mut pages),
            Some(("key", told)) => told.trim().clone_into(&mut key),
            _ => {}
        }
    }
    std::thread::sleep(after);
    let walk = Command::new("node")
        .arg(root.join("crates/web/frontend/browser").join(script))
        .args([pages.as_str(), key.as_str()])
        .arg(root.join("target/screenshots"))
        .output()
        .unwrap();
    let told = [walk.stdout, walk.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(walk.status.success(), "{told}");
}

#[test]
fn browser_walks_all_pages_wide_and_narrow_light_and_dark() {
    // Something is sold by then, and something waits for a person.
    walk("pages.mjs", Duration::from_secs(5));
}

#[test]
fn browser_scans_on_the_floor_and_a_bad_connection_loses_and_doubles_nothing() {
    walk("floor.mjs", Duration::ZERO);
}
