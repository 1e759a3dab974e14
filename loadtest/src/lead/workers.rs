//! The worker processes: starting them, telling them what to do, hearing what they say.

use crate::talk::{Order, Report, Setup, Status};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// All workers.
pub struct Workers {
    workers: Vec<Worker>,
    heard: Receiver<(usize, Option<Report>)>,
    say: Sender<(usize, Option<Report>)>,
}

struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
    status: Status,
    running: bool,
}

impl Workers {
    /// None yet.
    pub fn new() -> Workers {
        let (say, heard) = mpsc::channel();
        Workers { workers: Vec::new(), heard, say }
    }

    /// Starts one.
    pub fn start(&mut self, setup: &Setup) -> Result<()> {
        let program = std::env::current_exe().context("the program does not know where it is")?;
        // In a group of its own: Ctrl-C is for whoever leads, who then tells it to leave.
        let mut child = Command::new(program)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .context("a worker does not start")?;
        let mut orders = child.stdin.take().context("it is piped")?;
        let mut line = serde_json::to_vec(setup)?;
        line.push(b'\n');
        orders.write_all(&line).context("a worker does not listen")?;
        let (number, say) = (self.workers.len(), self.say.clone());
        let lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        thread::spawn(move || {
            for report in lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                if say.send((number, Some(report))).is_err() {
                    return;
                }
            }
            let _ = say.send((number, None)); // nobody listens at the very end
        });
        self.workers.push(Worker { child, orders: Some(orders), status: Status::default(), running: true });
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.workers.len()
    }

    /// How many still run.
    pub fn running(&self) -> usize {
        self.workers.iter().filter(|worker| worker.running).count()
    }

    /// Tells all of them.
    pub fn tell(&mut self, order: Order) {
        let mut line = serde_json::to_vec(&order).expect("plain data");
        line.push(b'\n');
        for worker in &mut self.workers {
            if worker.orders.as_mut().is_some_and(|orders| orders.write_all(&line).is_err()) {
                worker.orders = None; // it has ended, which its output says
            }
        }
    }

    /// What one of them says next, within that time.
    pub fn hear(&mut self, at_most: std::time::Duration) -> Option<Report> {
        let (number, report) = self.heard.recv_timeout(at_most).ok()?;
        let worker = &mut self.workers[number];
        match &report {
            Some(Report::Status(status)) => {
                let asked = worker.status.asked || status.asked;
                worker.status = Status { asked, ..Status::clone(status) };
            }
            None => worker.running = false,
            _ => {}
        }
        report
    }

    /// Asks all of them how they stand; [`Workers::answered`] says when they have said so.
    pub fn ask(&mut self) {
        for worker in &mut self.workers {
            worker.status.asked = false;
        }
        self.tell(Order::Tell);
    }

    /// Have all of them said how they stand since they were asked?
    pub fn answered(&self) -> bool {
        self.workers.iter().all(|worker| worker.status.asked || !worker.running)
    }

    /// How all of them stand. Latencies are those of each one's last second.
    pub fn status(&self) -> Status {
        let mut sum = Status::default();
        for Worker { status, .. } in &self.workers {
            sum.ready += status.ready;
            sum.under_way += status.under_way;
            sum.failed += status.failed;
            sum.lost += status.lost;
            sum.repeated += status.repeated;
            sum.count = sum.count.plus(&status.count);
            for (reason, times) in &status.reasons {
                *sum.reasons.entry(reason.clone()).or_default() += times;
            }
        }
        sum
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.orders = None; // the end of its input ends it
            if worker.running {
                let _ = worker.child.kill(); // it may have ended meanwhile
            }
            let _ = worker.child.wait();
        }
    }
}
