use super::ENDPOINTS;
use super::endpoints::Needs;
use super::problem::Code;
use serde_json::Value;
use std::collections::BTreeSet;

fn document() -> Value {
    super::status::document()
}

/// Without the commands of ejabberd, whose part of the document is made from their table.
fn handwritten() -> impl Iterator<Item = &'static super::endpoints::Endpoint> {
    ENDPOINTS.iter().filter(|e| !super::ejabberd::is_ours(e.path))
}

#[test]
fn the_document_and_the_routes_are_the_same() {
    let routes: BTreeSet<(String, String)> =
        handwritten().map(|e| (e.path.to_owned(), e.method.as_str().to_lowercase())).collect();
    let mut described = BTreeSet::new();
    let commands = super::ejabberd::paths();
    for (path, item) in document()["paths"].as_object().expect("paths") {
        let methods = item.as_object().expect("a path item").keys().filter(|k| *k != "parameters");
        if commands.contains_key(path) {
            continue;
        }
        described.extend(methods.map(|method| (path.clone(), method.clone())));
    }
    assert_eq!(routes, described);
}

#[test]
fn the_document_says_which_endpoints_need_no_token() {
    let document = document();
    for e in handwritten() {
        let operation = &document["paths"][e.path][e.method.as_str().to_lowercase()];
        assert_eq!(
            matches!(e.needs, Needs::Nothing),
            operation["security"] == serde_json::json!([]),
            "{} {}",
            e.method,
            e.path
        );
    }
}

#[test]
fn every_code_is_in_the_document_and_on_the_page() {
    let known: Vec<&str> = Code::ALL.iter().map(|c| c.as_str()).collect();
    let document = document();
    assert_eq!(document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"], serde_json::json!(known));
    let page = include_str!("../../docs/api.md");
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.as_str(), code.status().as_u16());
        assert!(page.contains(&row), "docs/api.md has no row {row}");
    }
}

#[test]
fn every_endpoint_is_on_the_page() {
    let page = include_str!("../../docs/api.md");
    for e in handwritten() {
        let heading = format!("`{} {}", e.method, e.path);
        assert!(page.contains(&heading), "docs/api.md does not tell of {heading}`");
    }
}

#[test]
fn every_reference_in_the_document_leads_somewhere() {
    fn walk(at: &Value, document: &Value, seen: &mut usize) {
        match at {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    let pointer = to.strip_prefix('#').expect("a reference within the document");
                    assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
                    *seen += 1;
                }
                members.values().for_each(|v| walk(v, document, seen));
            }
            Value::Array(items) => items.iter().for_each(|v| walk(v, document, seen)),
            _ => {}
        }
    }
    let (document, mut seen) = (document(), 0);
    walk(&document, &document, &mut seen);
    assert!(seen > 50, "only {seen} references were looked at");
}
