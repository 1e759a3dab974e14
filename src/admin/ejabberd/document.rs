//! The part of the OpenAPI document that tells of ejabberd's commands, made from their table.

use super::commands::{COMMANDS, Command, Member, Shape};
use serde_json::{Map, Value, json};

/// The paths of all commands: in the default version, and with a version.
pub fn paths() -> Map<String, Value> {
    let mut paths = Map::new();
    for command in COMMANDS {
        paths.insert(format!("/api/{}", command.name), item(command, false));
        paths.insert(format!("/api/{}/v{{version}}", command.name), item(command, true));
    }
    paths
}

fn item(command: &Command, versioned: bool) -> Value {
    let suffix = if versioned { "Versioned" } else { "" };
    let mut post = operation(command, &format!("ejabberd_{}{suffix}", command.name));
    let members: Map<_, _> = command.arguments.iter().map(|a| ((*a).to_owned(), json!({ "type": "string" }))).collect();
    let mut schema = json!({ "type": "object", "properties": members, "additionalProperties": false });
    if !command.arguments.is_empty() {
        schema["required"] = json!(command.arguments);
    }
    if let Some((older, name)) = command.renamed {
        schema["properties"][older] = json!({ "type": "string", "description": format!("The older name of `{name}`") });
        // One of the two must be there.
        let required = |names: Vec<&str>| json!({ "required": names });
        let others = || command.arguments.iter().copied().filter(|a| *a != name);
        schema["oneOf"] =
            json!([required(others().chain([name]).collect()), required(others().chain([older]).collect())]);
        if let Value::Object(members) = &mut schema {
            members.remove("required");
        }
    }
    post["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    let mut item = json!({ "post": post });
    if command.reads {
        let mut get = operation(command, &format!("ejabberd_{}{suffix}Get", command.name));
        let query = command.arguments.iter().map(|name| {
            json!({ "name": name, "in": "query", "required": command.renamed.is_none_or(|(_, n)| n != *name),
                    "schema": { "type": "string" } })
        });
        let older = command.renamed.map(|(older, name)| {
            json!({ "name": older, "in": "query", "required": false, "schema": { "type": "string" },
                    "description": format!("The older name of `{name}`; one of the two must be there") })
        });
        get["parameters"] = query.chain(older).collect();
        item["get"] = get;
    }
    if versioned {
        let problem = json!({ "schema": { "$ref": "#/components/schemas/Problem" } });
        for (_, operation) in item.as_object_mut().into_iter().flatten() {
            operation["responses"]["404"]["content"]["application/problem+json"] = problem.clone(); // no such version
        }
        let version = json!({ "type": "integer", "minimum": 0, "maximum": 9 });
        item["parameters"] = json!([{ "name": "version", "in": "path", "required": true, "schema": version,
                                      "description": "The version of ejabberd's API whose shapes are wanted" }]);
    }
    item
}

fn operation(command: &Command, id: &str) -> Value {
    let error = |why: &str| response(why, &json!({ "$ref": "#/components/schemas/EjabberdError" }));
    json!({
        "operationId": id,
        "summary": command.about,
        "description": format!("ejabberd's call of this name, for backends that were written for it. Scope: `{}`.",
                               command.scope.as_str()),
        "tags": ["ejabberd"],
        "responses": {
            "200": response("As ejabberd answers", &result(command.result)),
            "400": response("An argument is wrong", &words_or_error()),
            "401": error("No key, or none of this server's"),
            "403": error("The key has not the scope"),
            "404": response("There is no such thing", &words_or_error()),
            "409": error("It is there already"),
            "413": error("The body is larger than `admin.body_bytes_max`"),
            "429": error("Too many requests are in work"),
            "503": error("The store did not do it, or the server is going down"),
        },
    })
}

fn words_or_error() -> Value {
    json!({ "oneOf": [{ "type": "string" }, { "$ref": "#/components/schemas/EjabberdError" }] })
}

fn response(why: &str, schema: &Value) -> Value {
    json!({ "description": why, "content": { "application/json": { "schema": schema } } })
}

fn result(shape: Shape) -> Value {
    let number = |name: &str| {
        let bare = json!({ "type": "integer", "minimum": 0 });
        json!({ "oneOf": [object(&[(name, Member::Number)]), bare] })
    };
    match shape {
        Shape::Code => json!({ "type": "integer", "enum": [0, 1], "description": "0: yes, it is done" }),
        Shape::Text => json!({ "type": "string" }),
        Shape::Number(name) => number(name),
        Shape::Kicked(name) => {
            let mut schema = number(name);
            if let Some(all) = schema["oneOf"].as_array_mut() {
                all.push(json!({ "type": "string" }));
            }
            schema
        }
        Shape::Strings => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Objects(members) => json!({ "type": "array", "items": object(members) }),
        Shape::Object(members) => object(members),
    }
}

fn object(members: &[(&str, Member)]) -> Value {
    let typed = members.iter().map(|(name, member)| {
        let kind = if *member == Member::Text { "string" } else { "integer" };
        ((*name).to_owned(), json!({ "type": kind }))
    });
    let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    json!({ "type": "object", "required": names, "properties": typed.collect::<Map<_, _>>(),
            "additionalProperties": false })
}
