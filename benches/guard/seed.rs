//! Accounts and subscriptions, made before anything is measured.

use crate::support::Home;
use crate::support::client::Client;
use std::fmt::Write;

/// Everybody's.
pub const PASSWORD: &str = "secret";

/// What makes no difference to a session, and would happen in the middle of a measurement: nobody is asked whether
/// they are there, and no poll is answered because its time is up.
const PATIENT: &str = "[ping]\nafter_secs = 86_400\n[bosh]\nwait_max_secs = 600\ninactivity_secs = 3_600\n";

/// A home where these users have accounts.
pub fn home(uids: impl Iterator<Item = String>) -> Home {
    let home = Home::new(PATIENT);
    let lines = uids.fold(String::new(), |mut lines, uid| {
        let _ = writeln!(lines, "{uid},{PASSWORD}");
        lines
    });
    let out = home.run(&["user", "import", "-"], &lines);
    assert!(out.status.success(), "user import: {}", String::from_utf8_lossy(&out.stderr));
    home
}

/// Another home with the same accounts.
pub fn copy(of: &Home) -> Home {
    let home = Home::new(PATIENT);
    std::fs::create_dir_all(home.data_dir()).expect("a data folder");
    for file in std::fs::read_dir(of.data_dir()).expect("a data folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), home.data_dir().join(file.file_name())).expect("it is copied");
    }
    home
}

/// A copy of this home, in which these users see the presence of `star`.
pub fn subscribed(home: Home, star: &str, watchers: &[String]) -> Home {
    let mut herald = home.start();
    let mut star_here = Client::login(&herald, star, PASSWORD, "seed");
    for uid in watchers {
        let mut watcher = Client::login(&herald, uid, PASSWORD, "seed");
        watcher.send(&format!("<presence type='subscribe' to='{star}@localhost'/>"));
        star_here.expect(&format!("{uid}@localhost"));
        star_here.expect("/>");
        star_here.send(&format!("<presence type='subscribed' to='{uid}@localhost'/>"));
        watcher.expect(&format!("from='{star}@localhost/seed'"));
    }
    assert!(herald.terminate().success(), "the server ends in order");
    copy(&herald)
}
