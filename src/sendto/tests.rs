use super::*;
use herald_xmpp::xml::Limits;
use serde_json::{Value, json};

const LIMITS: Limits = Limits { bytes_max: 10_000, depth_max: 10, attrs_max: 10, elements_max: 100 };

fn read(request: Value) -> Result<Sendto, Refusal> {
    parse(request.to_string().as_bytes(), &LIMITS)
}

fn refused(request: Value) -> (Why, String) {
    let refusal = read(request.clone()).expect_err(&request.to_string());
    assert!(!refusal.words.is_empty());
    (refusal.why, refusal.field.unwrap_or_default())
}

#[test]
fn who_gets_it() {
    let to = |to: Value| read(json!({"to": to, "body": "x"})).map(|s| s.to);
    assert_eq!(to(json!("alice")), Ok(Target::User("alice".into())));
    assert_eq!(to(json!(["a", "b"])), Ok(Target::Users(vec!["a".into(), "b".into()])));
    assert_eq!(to(json!({"group": "team"})), Ok(Target::Group("team".into())));
    assert_eq!(to(json!({"all": "online"})), Ok(Target::Online));
    assert_eq!(to(json!({"all": "accounts"})), Ok(Target::Accounts));
    for bad in [json!({}), json!({"all": "x"}), json!({"group": "a", "all": "online"}), json!([]), json!(["a", "a"])] {
        assert!(to(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn what_is_sent() {
    let sent = |more: Value| {
        let mut request = json!({"to": "a"});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        String::from_utf8(read(request).expect("a request").push.stanza.to_bytes(false).to_vec()).expect("text")
    };
    assert_eq!(sent(json!({"body": "a<b"})), "<message type='chat'><body>a&lt;b</body></message>");
    assert_eq!(
        sent(json!({"json": {"n": [1, "<"]}, "type": "headline", "id": "i", "from": "shop@x"})),
        r#"<message from='shop@x' id='i' type='headline'><json xmlns='urn:xmpp:json:0'>{"n":[1,"&lt;"]}</json></message>"#
    );
    assert!(sent(json!({"json": null, "body": "x"})).contains("<body>x</body></message>"));
    assert!(sent(json!({"json": 1, "body": "x"})).contains("<body>x</body><json"));
}

#[test]
fn on_which_terms() {
    let terms = |more: Value| {
        let mut request = json!({"to": "a", "body": "x"});
        request.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        read(request).expect("a request").push.terms
    };
    assert_eq!(terms(json!({})).keep, Keep::Usual);
    assert_eq!(terms(json!({"store": "never"})).keep, Keep::Never);
    assert_eq!(terms(json!({"store": "always"})).keep, Keep::Always);
    assert_eq!(terms(json!({"json": {}})).keep, Keep::IfOffline);
    let kept = terms(json!({"ttl_secs": 60, "collapse_key": "c", "exclude_resource": "desk", "only_if": "offline"}));
    assert_eq!((kept.keep, kept.collapse.as_deref(), kept.only_if), (Keep::IfOffline, Some("c"), OnlyIf::Offline));
    assert!(kept.expires_ms.is_some() && kept.exclude.is_some());
}

#[test]
fn a_wrong_field_is_named_and_the_right_one_suggested() {
    let refusal = read(json!({"to": "a", "boddy": "x"})).expect_err("a refusal");
    assert_eq!((refusal.why, refusal.field.as_deref()), (Why::UnknownField, Some("boddy")));
    assert!(refusal.words.ends_with("did you mean `body`?"), "{refusal}");
    let refusal = read(json!({"to": "a", "zzzzzz": "x"})).expect_err("a refusal");
    assert!(!refusal.words.contains("did you mean"), "{refusal}");
    assert_eq!(parse(b"{", &LIMITS).expect_err("no JSON").why, Why::Malformed);
    for (request, field) in [
        (json!({"body": "x"}), "to"),
        (json!({"to": "a"}), "body"),
        (json!({"to": "a", "body": "x", "stanza": "<message/>"}), "stanza"),
        (json!({"to": "a", "stanza": "<message/>", "type": "chat"}), "type"),
        (json!({"to": "a", "body": "\u{7}"}), "body"),
        (json!({"to": "a", "body": "x", "from": "@"}), "from"),
        (json!({"to": "a", "body": "x", "id": ""}), "id"),
        (json!({"to": "a", "body": "x", "ttl_secs": 0}), "ttl_secs"),
        (json!({"to": "a", "body": "x", "ttl_secs": 1, "store": "never"}), "ttl_secs"),
        (json!({"to": "a", "body": "x", "collapse_key": "c", "store": "never"}), "collapse_key"),
        (json!({"to": "a", "body": "x", "collapse_key": ""}), "collapse_key"),
        (json!({"to": "a", "body": "x", "exclude_resource": ""}), "exclude_resource"),
        (json!({"to": "a", "body": "x", "key": "k".repeat(256)}), "key"),
    ] {
        assert_eq!(refused(request), (Why::Invalid, field.to_owned()));
    }
    assert_eq!(refused(json!({"to": "a", "stanza": "<presence/>"})), (Why::InvalidStanza, "stanza".into()));
}
