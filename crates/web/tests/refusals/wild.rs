//! What is asked, made wrong in every place of it in many ways: whatever is answered must be declared.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::line;
use super::run::{Asked, Trial, kind, template};
use super::table::Case;

/// Method, path, status and kind.
pub type Declared = BTreeSet<(String, String, u16, String)>;

/// What stands anywhere in place of what should.
fn others() -> Vec<Value> {
    let names = ["", "NOPE", "MUG", "SET", "LOT", "SER", "OLD", "BERLIN", "ATTIC", "onhand", "1", "9", "S1"];
    let texts =
        ["soon", "2026-11-23T07:00:00Z", "2026-11-23T12:00:00Z", "0000-06-01T00:00:00Z", "2026-11-23", "0.5"];
    let numbers = [
        json!(-1),
        json!(0),
        json!(1),
        json!(0.5),
        json!(1_000_000_000_000_u64),
        json!(2_000_000_000_000_u64),
    ];
    let more = [Value::Null, json!(true), json!([]), json!({}), json!("x".repeat(300))];
    names.into_iter().chain(texts).map(Value::from).chain(numbers).chain(more).collect()
}

/// All that a value could be instead, one place of it at a time.
pub fn instead(value: &Value) -> Vec<Value> {
    let mut all = others();
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                let mut without = fields.clone();
                without.remove(name);
                all.push(Value::Object(without));
                for other in instead(inner) {
                    let mut fields = fields.clone();
                    fields.insert(name.clone(), other);
                    all.push(Value::Object(fields));
                }
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                let mut twice = items.clone();
                twice.push(inner.clone());
                all.push(Value::Array(twice));
                for other in instead(inner) {
                    let mut items = items.clone();
                    items[index] = other;
                    all.push(Value::Array(items));
                }
            }
        }
        _ => {}
    }
    all
}

impl Trial<'_> {
    /// Asks a case in all wrong ways, at its endpoint and as lines; says what was answered that is not declared.
    pub async fn wild(
        self,
        declared: &Declared,
        line_declared: impl Fn(&str, &str) -> bool,
    ) -> BTreeSet<String> {
        let case = self.case;
        let (path, body) = (self.filled(&case.path), self.filled(&case.body));
        let body: Value = serde_json::from_str(&body).expect("a case asks in JSON");
        let mut undeclared = BTreeSet::new();
        if case.method != "LINE" {
            let template = template(declared, case);
            for body in instead(&body) {
                let body = body.to_string();
                let asked = Asked { method: &case.method, path: &path, key: None, body: &body };
                let (status, answer) = asked.send(&self.shop).await;
                let told = (case.method.clone(), template.clone(), status, kind(&answer).to_owned());
                if status >= 400 && !declared.contains(&told) {
                    undeclared.insert(format!("{} {template}: {status} {answer} to {body}", case.method));
                }
            }
        }
        let (command, asked) = match case.method.as_str() {
            "LINE" => (case.path.clone(), body),
            _ => line::command_of(&case.method, &path, &body.to_string()),
        };
        // The name of the command stays.
        let inner = asked[&command].clone();
        let lines: Vec<Value> =
            instead(&inner).into_iter().map(|inner| json!({ "body": { &command: inner } })).collect();
        let texts: Vec<String> = lines.iter().map(Value::to_string).collect();
        for (line, told) in texts.iter().zip(self.lines(&texts).await) {
            let error = &told["error"];
            if !error.is_null() && !line_declared(&command, kind(error)) {
                undeclared.insert(format!("{error} to {line}"));
            }
        }
        undeclared
    }
}

/// Up to so many cases of each address, or of each command that has none.
pub fn some(cases: Vec<Case>, most: usize) -> Vec<Case> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut few = |case: &Case| {
        let known = seen.entry(case.path.clone()).or_default();
        *known += 1;
        *known <= most
    };
    cases.into_iter().filter(|case| !case.edge && case.kind != "key_reused" && few(case)).collect()
}
