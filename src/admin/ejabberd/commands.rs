//! The table of the commands: names, arguments and results as ejabberd's specifications have them.

use crate::admin::scope::Scope;

/// One command.
pub struct Command {
    /// Its name, which is its path.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its arguments, in the order in which they are looked at. All are strings, and must be there.
    pub arguments: &'static [&'static str],
    /// An argument that goes by an older name, too: (older, name).
    pub renamed: Option<(&'static str, &'static str)>,
    /// What it answers.
    pub result: Shape,
    /// What a key needs for it.
    pub scope: Scope,
    /// Does it change nothing? Then it is for GET, too.
    pub reads: bool,
    pub(super) call: Call,
}

/// What a command answers when it went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 0 for yes, 1 for no.
    Code,
    /// Words.
    Text,
    /// A number: in an object under this name, or bare from version 1 on.
    Number(&'static str),
    /// The same, and words (`Kicked sessions: 2`) from version 2 on.
    Kicked(&'static str),
    /// Strings.
    Strings,
    /// Objects with these members.
    Objects(&'static [(&'static str, Member)]),
    /// An object with these members.
    Object(&'static [(&'static str, Member)]),
}

/// The type of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Member {
    /// A string.
    Text,
    /// A whole number.
    Number,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the commands
pub enum Call {
    Register,
    Unregister,
    CheckAccount,
    ChangePassword,
    GetOfflineCount,
    GetLast,
    GetPresence,
    NumResources,
    UserResources,
    UserSessionsInfo,
    ConnectedUsers,
    ConnectedUsersInfo,
    StatusNum,
    Stats,
    KickSession,
    KickUser,
    SendMessage,
    SendStanza,
}

use Member::{Number, Text};

const SESSION: &[(&str, Member)] = &[
    ("connection", Text),
    ("ip", Text),
    ("port", Number),
    ("priority", Number),
    ("node", Text),
    ("uptime", Number),
    ("status", Text),
    ("resource", Text),
    ("statustext", Text),
];
const CONNECTED: &[(&str, Member)] = &[
    ("jid", Text),
    ("connection", Text),
    ("ip", Text),
    ("port", Number),
    ("priority", Number),
    ("node", Text),
    ("uptime", Number),
    ("status", Text),
    ("resource", Text),
    ("statustext", Text),
];
const USER: &[&str] = &["user", "host"];
/// The older name of `host`.
const SERVER: Option<(&str, &str)> = Some(("server", "host"));

const fn reads(name: &'static str, call: Call, arguments: &'static [&'static str], result: Shape) -> Command {
    Command { name, about: "", arguments, renamed: None, result, scope: Scope::PresenceRead, reads: true, call }
}
const fn acts(name: &'static str, call: Call, arguments: &'static [&'static str], result: Shape) -> Command {
    Command { name, about: "", arguments, renamed: None, result, scope: Scope::Users, reads: false, call }
}

/// Every command.
pub const COMMANDS: &[Command] = &[
    Command {
        about: "Make an account",
        ..acts("register", Call::Register, &["user", "host", "password"], Shape::Text)
    },
    Command {
        about: "Remove an account and all that is kept for it",
        ..acts("unregister", Call::Unregister, USER, Shape::Text)
    },
    Command {
        about: "Is there such an account?",
        scope: Scope::Users,
        ..reads("check_account", Call::CheckAccount, USER, Shape::Code)
    },
    Command {
        about: "Give an account a new password",
        ..acts("change_password", Call::ChangePassword, &["user", "host", "newpass"], Shape::Code)
    },
    Command {
        about: "How many messages wait for a user",
        renamed: SERVER,
        scope: Scope::HistoryRead,
        ..reads("get_offline_count", Call::GetOfflineCount, USER, Shape::Number("value"))
    },
    Command {
        about: "When a user was last there",
        ..reads("get_last", Call::GetLast, USER, Shape::Object(&[("timestamp", Text), ("status", Text)]))
    },
    Command {
        about: "The presence of a user's resource with the highest priority",
        renamed: SERVER,
        ..reads(
            "get_presence",
            Call::GetPresence,
            USER,
            Shape::Object(&[("jid", Text), ("show", Text), ("status", Text)]),
        )
    },
    Command {
        about: "How many resources a user has",
        ..reads("num_resources", Call::NumResources, USER, Shape::Number("resources"))
    },
    Command { about: "The resources of a user", ..reads("user_resources", Call::UserResources, USER, Shape::Strings) },
    Command {
        about: "The sessions of a user",
        ..reads("user_sessions_info", Call::UserSessionsInfo, USER, Shape::Objects(SESSION))
    },
    Command {
        about: "The addresses of all sessions",
        ..reads("connected_users", Call::ConnectedUsers, &[], Shape::Strings)
    },
    Command {
        about: "All sessions",
        ..reads("connected_users_info", Call::ConnectedUsersInfo, &[], Shape::Objects(CONNECTED))
    },
    Command {
        about: "How many sessions have this status: `available`, `away`, `chat`, `dnd`, `xa`, `unavailable`, or `all`",
        ..reads("status_num", Call::StatusNum, &["status"], Shape::Number("users"))
    },
    Command {
        about: "One number about the server: `registeredusers`, `onlineusers`, `onlineusersnode`, `uptimeseconds` or \
                `processes`",
        ..reads("stats", Call::Stats, &["name"], Shape::Number("stat"))
    },
    Command {
        about: "End one session of a user",
        ..acts("kick_session", Call::KickSession, &["user", "host", "resource", "reason"], Shape::Code)
    },
    Command {
        about: "End all sessions of a user, and say how many there were",
        ..acts("kick_user", Call::KickUser, USER, Shape::Kicked("num_resources"))
    },
    Command {
        about: "Send a message to a bare or full address",
        scope: Scope::Push,
        ..acts("send_message", Call::SendMessage, &["type", "from", "to", "subject", "body"], Shape::Code)
    },
    Command {
        about: "Send a stanza to a bare or full address",
        scope: Scope::Push,
        ..acts("send_stanza", Call::SendStanza, &["from", "to", "stanza"], Shape::Code)
    },
];
