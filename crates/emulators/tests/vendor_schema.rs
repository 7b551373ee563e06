//! What is sent to Shopify, and what its emulator understands, against Shopify's own schema.
//!
//! It comes with an npm package at a pinned version (`tests-servers/shopify`), and is not ours to keep.

use std::io::Read as _;
use std::path::Path;
use std::sync::OnceLock;

use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};
use onhand_channels::shopify::DOCUMENTS;
use onhand_emulators::shopify::{SCHEMA, to_sdl};

fn vendor() -> &'static Valid<Schema> {
    static VENDOR: OnceLock<Valid<Schema>> = OnceLock::new();
    VENDOR.get_or_init(|| {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(
            "../../tests-servers/shopify/node_modules/@shopify/dev-mcp/dist/data/admin_2026-10.json.gz",
        );
        let bytes = std::fs::read(&file).unwrap_or_else(|error| {
            panic!(
                "{}: {error}: `cargo xtask test` installs it, or `npm ci` in tests-servers/shopify",
                file.display()
            )
        });
        let mut text = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        let sdl = to_sdl(&serde_json::from_str(&text).unwrap()).unwrap();
        Schema::parse_and_validate(sdl, "vendor.graphql").unwrap_or_else(|wrong| panic!("{}", wrong.errors))
    })
}

fn ours() -> Valid<Schema> {
    Schema::parse_and_validate(SCHEMA, "ours.graphql").unwrap_or_else(|wrong| panic!("{}", wrong.errors))
}

fn wrong(schema: &Valid<Schema>, document: &str) -> Option<String> {
    ExecutableDocument::parse_and_validate(schema, document, "document.graphql")
        .err()
        .map(|wrong| wrong.errors.to_string())
}

#[test]
fn vendor_takes_every_document_that_is_sent() {
    for document in DOCUMENTS {
        assert_eq!(wrong(vendor(), document), None, "{document}");
        assert_eq!(wrong(&ours(), document), None, "{document}");
    }
}

#[test]
fn vendor_refuses_what_it_does_not_have() {
    for document in [
        "query { locations(first: 1) { nodes { stock } } }",
        "mutation { inventorySetQuantities(input: { name: \"available\", reason: \"correction\" }) { userErrors { message } } }",
        "query($id: Int!) { order(id: $id) { id } }",
        "query { location(id: \"gid://shopify/Location/1\") @idempotent { id } }",
    ] {
        assert!(wrong(vendor(), document).is_some(), "{document}");
        assert!(wrong(&ours(), document).is_some(), "{document}");
    }
}

/// Every type, field, argument, input, enum value and directive of ours is one of theirs, and the same. What must be given there is here.
#[test]
fn vendor_has_all_that_its_emulator_has() {
    let (ours, theirs) = (ours(), vendor());
    assert_eq!(ours.schema_definition.query, theirs.schema_definition.query);
    assert_eq!(ours.schema_definition.mutation, theirs.schema_definition.mutation);
    let directive =
        |schema: &Valid<Schema>| schema.directive_definitions.get("idempotent").unwrap().to_string();
    assert_eq!(directive(&ours), directive(theirs));
    let mut compared = 0;
    for (name, known) in ours.types.iter().filter(|(name, _)| !name.starts_with("__")) {
        let other = theirs.types.get(name).unwrap_or_else(|| panic!("{name} is not there"));
        match (known, other) {
            (ExtendedType::Scalar(_), ExtendedType::Scalar(_)) => {}
            (ExtendedType::Object(known), ExtendedType::Object(other)) => {
                for interface in &known.implements_interfaces {
                    assert!(other.implements_interfaces.contains(interface), "{name} is no {interface}");
                }
                for (field, definition) in &known.fields {
                    let other =
                        other.fields.get(field).unwrap_or_else(|| panic!("{name}.{field} is not there"));
                    assert_eq!(definition.ty, other.ty, "{name}.{field}");
                    for argument in &definition.arguments {
                        let theirs = other.arguments.iter().find(|one| one.name == argument.name);
                        let theirs = theirs.unwrap_or_else(|| panic!("{name}.{field}({})", argument.name));
                        assert_eq!(argument.ty, theirs.ty, "{name}.{field}({})", argument.name);
                        assert_eq!(
                            argument.default_value, theirs.default_value,
                            "{name}.{field}({})",
                            argument.name
                        );
                    }
                    let must = other.arguments.iter().filter(|one| one.is_required());
                    for argument in must {
                        let ours = definition.arguments.iter().any(|one| one.name == argument.name);
                        assert!(ours, "{name}.{field} needs {}", argument.name);
                    }
                    compared += 1;
                }
            }
            (ExtendedType::Interface(known), ExtendedType::Interface(other)) => {
                for (field, definition) in &known.fields {
                    assert_eq!(
                        Some(&definition.ty),
                        other.fields.get(field).map(|other| &other.ty),
                        "{name}.{field}"
                    );
                }
            }
            (ExtendedType::Enum(known), ExtendedType::Enum(other)) => {
                for value in known.values.keys() {
                    assert!(other.values.contains_key(value), "{name}.{value}");
                }
            }
            (ExtendedType::InputObject(known), ExtendedType::InputObject(other)) => {
                for (field, definition) in &known.fields {
                    let other =
                        other.fields.get(field).unwrap_or_else(|| panic!("{name}.{field} is not there"));
                    assert_eq!(definition.ty, other.ty, "{name}.{field}");
                    compared += 1;
                }
                for (field, _) in other.fields.iter().filter(|(_, one)| one.is_required()) {
                    assert!(known.fields.contains_key(field), "{name} needs {field}");
                }
            }
            _ => panic!("{name} is something else over there"),
        }
    }
    assert!(compared > 150, "{compared} fields were compared");
}
