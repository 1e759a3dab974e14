//! The echo bots, started as their READMEs say.

use crate::clients::PATIENCE;
use crate::needs::{Needs, root};
use crate::server::{PASSWORD, Server};
use crate::support::built;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

/// A bot that is logged in as `echo`; killed on drop.
pub struct Bot {
    child: Child,
}

impl Bot {
    /// Starts the bot, and returns once it says that it is online.
    pub fn start(mut command: Command, server: &Server) -> Bot {
        let child = command
            .arg("echo@localhost")
            .args(["--server", &server.xmpp.to_string(), "--ca"])
            .arg(&server.ca)
            .env("XMPP_PASSWORD", PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        let mut bot = Bot { child: child.expect("the bot starts") };
        let out = BufReader::new(bot.child.stdout.take().expect("it is piped"));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = tell.send(line); // nobody reads on after the first
            }
        });
        let line = told.recv_timeout(PATIENCE).expect("the bot says that it is online");
        assert!(line.starts_with("online as echo@localhost/"), "{line}");
        bot
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it may have ended by itself
        let _ = self.child.wait();
    }
}

/// The Rust bot, built as it stands.
pub fn rust() -> Command {
    Command::new(built::program("echo-bot"))
}

/// The Python bot.
pub fn python(needs: &Needs) -> Command {
    let mut command = Command::new(&needs.python);
    command.arg(root().join("examples/echo-bot-python/echo_bot.py"));
    command
}
