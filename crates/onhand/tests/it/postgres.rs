//! The program on PostgreSQL: every command as on a file, and no password anywhere.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::server::{ONHAND, Server, onhand, text};

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_served_imported_into_and_verified_as_a_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let (address, key_file) = (onhand_testpg::database(), folder.path().join("operator.key"));
    let database = Path::new(&address);
    let items = folder.path().join("items.csv");
    std::fs::write(&items, "sku,name\nMUG,Mug\nCUP,Cup\n").unwrap();
    let imported = onhand(database, &["import", "items", items.to_str().unwrap(), "--json"]);
    assert!(imported.status.success(), "{}", text(&imported.stderr));
    let more = ["--key-file", key_file.to_str().unwrap()];
    let server = Server::start_with(database, &more);
    server.stocked("MUG", 7).await;
    let (made, body) =
        server.post("/v1/orders", serde_json::json!({ "lines": [{ "sku": "MUG", "quantity": 2 }] })).await;
    assert!(made.is_success(), "{body}");
    server.kill();
    let server = Server::start_with(database, &more);
    assert_eq!(server.stock("MUG").await, (5, 2));
    server.kill();
    for asked in
        [&["verify", "--json"][..], &["item", "show", "CUP", "--json"], &["export", "stock", "--json"]]
    {
        let output = onhand(database, asked);
        assert!(output.status.success(), "{asked:?}: {}{}", text(&output.stdout), text(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(asked[0] != "verify" || told["ok"] == true, "{told}");
    }
}

#[test]
fn a_postgres_address_is_never_shown_with_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], address: &str| {
        let mut command = Command::new(ONHAND);
        command
            .args(arguments)
            .env("ONHAND_DATABASE", address)
            .env("ONHAND_LOG", "trace")
            .current_dir(folder.path());
        let output = command.output().unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!said.contains("s3cret"), "{said}");
        said
    };
    let nobody = "postgres://ann:s3cret@127.0.0.1:1/stock";
    let said = run(&["verify"], nobody);
    assert!(said.contains("127.0.0.1:1 cannot be reached"), "{said}");
    assert!(run(&["serve", "--listen", "127.0.0.1:0"], nobody).contains("cannot be reached"));
    assert!(run(&["serve", "--help"], nobody).contains("postgres://USER:PASSWORD@HOST/DATABASE"));
    let said = run(&["verify"], "postgres://ann:s3cret@127.0.0.1:many/stock");
    assert!(said.contains("must look like postgres://USER:PASSWORD@HOST:5432/DATABASE"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_ends_at_a_node_that_was_never_asked_about_it() {
    let folder = tempfile::tempdir().unwrap();
    let address = onhand_testpg::database();
    let key_file = folder.path().join("key");
    let arguments = ["--no-sync", "--key-file", key_file.to_str().unwrap()];
    let start = || Server::start_with(Path::new(&address), &arguments);
    let (other, server) = (start(), start());
    server.stocked("MUG", 7).await;
    let hold = serde_json::json!({ "lines": [{ "sku": "MUG", "quantity": 2 }], "seconds": 1 });
    let (held, body) = server.post("/v1/holds", hold).await;
    assert!(held.is_success(), "{body}");
    server.kill();
    // Nobody asks anything: the entry is made all the same.
    let due = || onhand_testpg::run_sql(&address, "SELECT count(*) FROM onhand.object WHERE kind = 16");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while due() != "0" {
        assert!(tokio::time::Instant::now() < deadline, "the hold has not ended");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(other.stock("MUG").await, (7, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_tenants_of_a_postgres_database_are_verified_and_none_is_made_to_look() {
    let folder = tempfile::tempdir().unwrap();
    let address = onhand_testpg::database();
    let database = Path::new(&address);
    let output = onhand(database, &["verify"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("there is nothing of Onhand in"), "{}", text(&output.stderr));
    let tables = "SELECT count(*) FROM pg_namespace WHERE nspname = 'onhand'";
    assert_eq!(onhand_testpg::run_sql(&address, tables), "0", "what only reads makes nothing");
    let key_file = folder.path().join("key");
    let server = Server::start_with(database, &["--key-file", key_file.to_str().unwrap()]);
    server.stocked("MUG", 7).await;
    server.kill();
    let made = onhand(database, &["key", "create", "--tenant", "2", "--json"]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    std::fs::write(&key_file, made["key"].as_str().unwrap()).unwrap();
    let server = Server::start_with(database, &["--key-file", key_file.to_str().unwrap()]);
    server.stocked("MUG", 9).await;
    server.kill();
    let verified = || {
        let output = onhand(database, &["verify", "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.success(), told, text(&output.stderr))
    };
    let (good, told, _) = verified();
    assert_eq!((good, &told["tenants"]), (true, &Value::from(2)), "{told}");
    onhand_testpg::run_sql(&address, "UPDATE onhand.cell SET quantity = quantity + 1 WHERE tenant_id = 2");
    let (good, told, said) = verified();
    assert!(!good && format!("{told}{said}").contains("tenant 2"), "{told} {said}");
    onhand_testpg::run_sql(&address, "DELETE FROM onhand.head WHERE tenant_id = 2");
    let (good, told, said) = verified();
    assert!(!good && format!("{told}{said}").contains("its head is missing"), "{told} {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_start_together_share_one_operators_key_and_keep_those_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let address = onhand_testpg::database();
    let key_file = folder.path().join("key");
    let arguments = ["--no-sync", "--key-file", key_file.to_str().unwrap()];
    let (database, arguments) = (Path::new(&address), &arguments);
    let nodes: Vec<Server> = std::thread::scope(|scope| {
        let starting: Vec<_> =
            (0..4).map(|_| scope.spawn(move || Server::start_with(database, arguments))).collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    });
    assert!(nodes.iter().all(|node| node.key == nodes[0].key));
    let keys = onhand_testpg::run_sql(&address, "SELECT count(*) FROM onhand.note WHERE space = 'api_key'");
    assert_eq!(keys, "1");
    drop(nodes);
    let other = onhand_testpg::database();
    let output = onhand(
        Path::new(&other),
        &["serve", "--key-file", key_file.to_str().unwrap(), "--listen", "127.0.0.1:0"],
    );
    assert!(text(&output.stderr).contains("is none of this database"), "{}", text(&output.stderr));
    let server = Server::start_with(database, arguments);
    server.stocked("MUG", 1).await;
}

/// A server that takes nobody over TCP but whoever shows a certificate of one authority, and where that and its files are.
struct Certified {
    server: onhand_testpg::Server,
    database: String,
    files: tempfile::TempDir,
}

impl Certified {
    fn new() -> Self {
        let server = onhand_testpg::Server::start_with("", true).unwrap();
        let database = onhand_testpg::database_on(&server.address());
        let (files, data) = (tempfile::tempdir().unwrap(), server.folder().join("data"));
        let authority = Authority::new();
        let (certificate, key) = authority.signs("onhand's server");
        for (name, content) in
            [("root.crt", &authority.pem), ("server.crt", &certificate), ("server.key", &key)]
        {
            private(&data.join(name), content);
        }
        private(&data.join("pg_hba.conf"), "local all all trust\nhostssl all all 127.0.0.1/32 cert\n");
        for setting in ["ssl_ca_file = 'root.crt'", "ssl = on"] {
            onhand_testpg::run_sql(&database, &format!("ALTER SYSTEM SET {setting}"));
        }
        onhand_testpg::run_sql(&database, "SELECT pg_reload_conf()");
        let (ours, key) = authority.signs("onhand");
        for (name, content) in [("root.pem", &authority.pem), ("ours.pem", &ours), ("ours.key", &key)] {
            std::fs::write(files.path().join(name), content).unwrap();
        }
        Self { server, database, files }
    }

    fn address(&self, more: &str) -> String {
        let (_, name) = self.database.rsplit_once('/').unwrap();
        let (port, files) = (self.server.port(), self.files.path().display());
        format!(
            "postgres://onhand@127.0.0.1:{port}/{name}?sslmode=verify-full&sslrootcert={files}/root.pem{more}"
        )
    }
}

/// Readable by the server alone, which wants that of its key.
fn private(path: &Path, content: &str) {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let folder = std::fs::metadata(path.parent().unwrap()).unwrap();
    chown(path, Some(folder.uid()), Some(folder.gid())).unwrap();
}

/// Who signs certificates.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// A certificate for that name and this machine, and its key.
    fn signs(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

#[test]
fn a_certificate_signs_in_to_postgres_without_a_password() {
    let certified = Certified::new();
    let folder = certified.files.path().display();
    let items = certified.files.path().join("items.csv");
    std::fs::write(&items, "sku,name\nMUG,Mug\n").unwrap();
    let import = ["import", "items", items.to_str().unwrap()];
    let run = |more: &str| {
        let output = onhand(Path::new(&certified.address(more)), &import);
        (output.status.success(), format!("{}{}", text(&output.stdout), text(&output.stderr)))
    };
    let ours = format!("&sslcert={folder}/ours.pem&sslkey={folder}/ours.key");
    let (did, said) = run(&ours);
    assert!(did, "{said}");
    let (did, said) = run("");
    assert!(!did && said.contains("certificate"), "{said}");
    let (did, said) = run(&format!("&sslcert={folder}/ours.pem&sslkey={folder}/items.csv"));
    assert!(!did && said.contains("items.csv (sslkey) cannot be taken"), "{said}");
    let (did, said) = run(&format!("&sslcert={folder}/none.pem&sslkey={folder}/ours.key"));
    assert!(!did && said.contains("none.pem (sslcert) cannot be read"), "{said}");
}
