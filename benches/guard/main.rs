//! What a session and a message cost, in numbers that repeat: `cargo xtask guard` runs this, with a server that counts
//! its heap (the feature `guard`), and compares with `benches/baseline.toml`.
//!
//! | room | what is in it |
//! |---|---|
//! | [`rest`] | bytes of one more session that is logged in, available and silent |
//! | [`work`] | instructions of a message, a presence, a login |
//! | [`bosh`] | a page over BOSH |
//! | [`callgrind`] | a server whose instructions are counted |
//! | [`seed`] | accounts and subscriptions |
//!
//! Both are measured at the same time: neither minds how busy the machine is. `--out FILE` says where the figures go.

#[path = "../../tests/login/door.rs"]
#[allow(dead_code)]
mod door;
#[path = "../../tests/support/mod.rs"]
mod support;

mod bosh;
mod callgrind;
mod rest;
mod seed;
mod work;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;

/// A figure's name and its value.
type Figures = BTreeMap<String, f64>;

fn main() {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let out = match (words.next().as_deref(), words.next(), words.next()) {
        (None, ..) => None,
        (Some("--out"), Some(file), None) => Some(file),
        _ => panic!("guard [--out FILE]"),
    };
    // Where one of the two fails, so does the whole.
    let (instructions, bytes) = thread::scope(|threads| {
        let bytes = threads.spawn(rest::bytes);
        (work::instructions(), bytes.join())
    });
    let bytes = bytes.expect("the bytes are measured");
    let text = format!("{}\n{}", table("bytes", &bytes), table("instructions", &instructions));
    match out {
        Some(file) => std::fs::write(&file, text).unwrap_or_else(|e| panic!("{file}: {e}")),
        None => print!("{text}"),
    }
}

fn table(name: &str, figures: &Figures) -> String {
    figures.iter().fold(format!("[{name}]\n"), |mut table, (name, value)| {
        let _ = writeln!(table, "{name} = {value:.0}");
        table
    })
}

/// Has a command run on one processor, whichever: how many there are decides how many tables and threads a
/// server makes, and the figures are to be those of every machine.
fn on_one_processor(mut command: Command, which: usize) -> Command {
    let pin = move || {
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: a set is plain bits, and both calls get a whole one.
        let pinned = unsafe {
            let mut allowed: libc::cpu_set_t = std::mem::zeroed();
            let mut one: libc::cpu_set_t = std::mem::zeroed();
            libc::sched_getaffinity(0, size, &raw mut allowed) == 0 && {
                let here = |cpu: &usize| libc::CPU_ISSET(*cpu, &allowed);
                let count = (0..libc::CPU_SETSIZE as usize).filter(here).count().max(1);
                let cpu = (0..libc::CPU_SETSIZE as usize).filter(here).nth(which % count);
                libc::CPU_SET(cpu.unwrap_or_default(), &mut one);
                libc::sched_setaffinity(0, size, &raw const one) == 0
            }
        };
        if pinned { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec it makes two system calls and allocates nothing.
    unsafe { command.pre_exec(pin) };
    command
}
