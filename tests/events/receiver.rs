//! Somebody's webhook: takes posts, checks what any would check, and answers as the test says.

use crate::support::PATIENCE;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver as Queue, Sender};
use std::thread;

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This status.
    Status(u16),
    /// A redirect to this port.
    Elsewhere(u16),
    /// Nothing, and the connection stays open.
    Hang,
    /// Nothing, and the connection is closed.
    HangUp,
}

/// A post that came.
#[derive(Clone, Debug)]
pub struct Post {
    /// Headers, their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body as it came.
    pub body: String,
    /// Its events.
    pub events: Vec<Value>,
    /// What it was answered.
    pub answer: Answer,
}

type Script = Box<dyn FnMut(&Post) -> Answer + Send>;

/// The receiver.
pub struct Receiver {
    /// Where it listens, or did.
    pub address: SocketAddr,
    posts: Queue<Post>,
    tell: Sender<Post>,
    script: Arc<Mutex<Script>>,
    open: Arc<AtomicBool>,
}

impl Receiver {
    /// On a free port; everything is answered with 200.
    pub fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (tell, posts) = mpsc::channel();
        let receiver = Receiver {
            address: listener.local_addr().expect("an address"),
            posts,
            tell,
            script: Arc::new(Mutex::new(Box::new(|_| Answer::Status(200)))),
            open: Arc::new(AtomicBool::new(true)),
        };
        receiver.listen(listener);
        receiver
    }

    /// `http://127.0.0.1:PORT/hook`
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// From now on it answers so.
    pub fn answer(&self, script: impl FnMut(&Post) -> Answer + Send + 'static) {
        *self.script.lock() = Box::new(script);
    }

    /// Nobody listens any more, and connections are cut at their next post.
    pub fn go_down(&mut self) {
        self.open.store(false, Ordering::Release);
        drop(TcpStream::connect(self.address)); // wakes the one who accepts
        // Its listener is closed when nobody can connect any more.
        while TcpStream::connect(self.address).is_ok() {}
    }

    /// It listens again, at the same place.
    pub fn come_back(&mut self) {
        self.open = Arc::new(AtomicBool::new(true));
        self.listen(TcpListener::bind(self.address).expect("the port is still free"));
    }

    /// The next post.
    pub fn next(&self) -> Post {
        self.posts.recv_timeout(PATIENCE).expect("a post comes")
    }

    /// Those that came so far.
    pub fn so_far(&self) -> Vec<Post> {
        self.posts.try_iter().collect()
    }

    /// The events that were taken, in their order, until one is this.
    pub fn taken_until(&self, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut taken: Vec<Value> = Vec::new();
        while !taken.iter().any(&last) {
            let post = self.next();
            if post.answer == Answer::Status(200) {
                taken.extend(post.events);
            }
        }
        taken
    }

    fn listen(&self, listener: TcpListener) {
        let (tell, script, open) = (self.tell.clone(), self.script.clone(), self.open.clone());
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if !open.load(Ordering::Acquire) {
                    return;
                }
                let (tell, script, open) = (tell.clone(), script.clone(), open.clone());
                thread::spawn(move || serve(socket, &tell, &script, &open));
            }
        });
    }
}

/// One connection; `None` at its end.
fn serve(socket: TcpStream, tell: &Sender<Post>, script: &Mutex<Script>, open: &AtomicBool) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|n| *n > 0)?;
        assert_eq!(line, "POST /hook HTTP/1.1\r\n");
        let mut headers = HashMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.to_owned());
        }
        let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
        if !open.load(Ordering::Acquire) {
            return None;
        }
        let body = String::from_utf8(body).expect("the body is text");
        let json: Value = serde_json::from_str(&body).expect("the body is JSON");
        let events = json["events"].as_array().cloned().expect("it has events");
        let mut post = Post { headers, body, events, answer: Answer::Hang };
        post.answer = (script.lock())(&post);
        let answer = post.answer;
        tell.send(post).ok()?;
        let (status, more) = match answer {
            Answer::Status(status) => (status, String::new()),
            Answer::Elsewhere(port) => (307, format!("Location: http://127.0.0.1:{port}/hook\r\n")),
            Answer::HangUp => return None,
            Answer::Hang => {
                let _ = reader.read(&mut [0]); // until the other end has had enough
                return None;
            }
        };
        write!(socket, "HTTP/1.1 {status} X\r\n{more}Content-Length: 2\r\n\r\nok").ok()?;
    }
}
