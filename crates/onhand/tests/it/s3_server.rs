//! A real S3-compatible server, from `tests-servers/s3`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A store with the bucket `backups`; it ends when dropped, with all it kept.
pub struct S3 {
    child: Child,
    stdin: Option<ChildStdin>,
    pub url: String,
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It removes what it kept.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

impl S3 {
    pub fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests-servers/s3");
        assert!(
            folder.join("node_modules").is_dir(),
            "s3rver is not installed: `cargo xtask test` does it, or `npm ci` in tests-servers/s3"
        );
        let mut node = Command::new("node");
        node.arg("server.mjs").current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = node.spawn().unwrap();
        let stdin = child.stdin.take();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready =
            lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("READY ")?.to_owned()));
        Self { child, stdin, url: ready.expect("the store says when it is ready") }
    }

    /// What a command needs to be let in.
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [
            ("AWS_ENDPOINT_URL", &self.url),
            ("AWS_ACCESS_KEY_ID", "S3RVER"),
            ("AWS_SECRET_ACCESS_KEY", "S3RVER"),
        ]
    }
}
