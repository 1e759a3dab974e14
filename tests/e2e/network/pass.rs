//! One client's connection: its requests one after the other, each on a connection to the server of its own.

use super::{Fate, Path};
use std::io::{Error, ErrorKind, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Passes on what the client sends, until it goes or is cut off.
pub async fn pass(mut client: TcpStream, path: &Path) {
    let _ = client.set_nodelay(true); // a delay would only cost time
    while let Ok(Some(request)) = read_message(&mut client).await {
        if request.upgrade {
            let _ = tunnel(&mut client, &request, path).await; // it ends either way
            break;
        }
        match exchange(&mut client, &request, path).await {
            Ok(true) => {}
            Ok(false) | Err(_) => break,
        }
    }
    reset(client);
}

/// Passes one request on and its response back, as far as its fate lets it. False cuts the client off.
async fn exchange(client: &mut TcpStream, request: &Message, path: &Path) -> Result<bool> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    // What a browser asks before a request to another origin is not what is under test.
    let fate = if request.bytes.starts_with(b"POST") { path.throw() } else { Fate::Passes };
    path.journal.request(number, fate, &request.text());
    if fate == Fate::RequestLost {
        return Ok(false);
    }
    let mut server = path.server().await?;
    server.set_nodelay(true)?;
    server.write_all(&request.bytes).await?;
    if fate == Fate::LinkLost {
        // The server has read it, or finds it in the socket together with the end: both happen.
        let _ = server.writable().await;
        return Ok(false);
    }
    let mut early = [0; 1];
    let response = tokio::select! {
        response = read_message(&mut server) => response?,
        // Nothing is pipelined: what comes while the server works is the client's going away.
        _ = client.peek(&mut early) => {
            path.journal.note(number, "the client left", b"");
            reset(server);
            return Ok(false);
        }
    };
    let Some(response) = response else {
        path.journal.note(number, "<- closed", b"");
        return Ok(false);
    };
    path.journal.note(number, "<-", response.body());
    match fate {
        Fate::ResponseLost => Ok(false),
        Fate::ResponseCut => {
            let cut = response.head_bytes + response.body().len() / 2;
            client.write_all(&response.bytes[..cut]).await?;
            Ok(false)
        }
        _ => client.write_all(&response.bytes).await.map(|()| true),
    }
}

/// Passes bytes both ways, up to where the dice cut.
async fn tunnel(client: &mut TcpStream, request: &Message, path: &Path) -> Result<()> {
    path.journal.request(0, Fate::Passes, &request.text());
    let mut server = path.server().await?;
    server.set_nodelay(true)?;
    server.write_all(&request.bytes).await?;
    let mut left = path.dice.lock().expect("no panic under it").tunnel_bytes().unwrap_or(u64::MAX);
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => match read? {
                0 => return Ok(()),
                n => server.write_all(&up[..n]).await?,
            },
            read = server.read(&mut down) => match read? {
                0 => {
                    client.shutdown().await?;
                    return Ok(());
                }
                n if !path.storm.load(Ordering::Relaxed) => client.write_all(&down[..n]).await?,
                n => {
                    // Cut in the middle of what came: half a frame may arrive.
                    let n = usize::try_from(left).unwrap_or(usize::MAX).min(n);
                    client.write_all(&down[..n]).await?;
                    left -= n as u64;
                    if left == 0 {
                        path.journal.request(0, Fate::LinkLost, b"WebSocket");
                        return Ok(());
                    }
                }
            },
        }
    }
}

/// Ends a connection with RST: what was written and not yet sent is thrown away.
fn reset(socket: TcpStream) {
    let _ = socket2::SockRef::from(&socket).set_linger(Some(std::time::Duration::ZERO)); // gone already
}

/// One request or response, whole.
struct Message {
    bytes: Vec<u8>,
    head_bytes: usize,
    upgrade: bool,
}

impl Message {
    fn body(&self) -> &[u8] {
        &self.bytes[self.head_bytes..]
    }

    /// The body, then the head in one line and in lower case.
    fn text(&self) -> Vec<u8> {
        let head = String::from_utf8_lossy(&self.bytes[..self.head_bytes]).to_ascii_lowercase();
        let head: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
        [self.body(), b" | ", head.join(" | ").as_bytes()].concat()
    }
}

/// Reads one message; none when the peer closes before its first byte.
async fn read_message(from: &mut TcpStream) -> Result<Option<Message>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(message) = whole(&bytes)? {
            let length = message.bytes.len();
            if bytes.len() > length {
                return Err(Error::new(ErrorKind::InvalidData, "pipelined"));
            }
            return Ok(Some(message));
        }
        if from.read_buf(&mut bytes).await? == 0 {
            return if bytes.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Error::new(ErrorKind::InvalidData, "too large"));
        }
    }
}

fn whole(bytes: &[u8]) -> Result<Option<Message>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head_bytes = end + 4;
    let head = String::from_utf8_lossy(&bytes[..head_bytes]).to_ascii_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let body_bytes = value("content-length:").map_or(Ok(0), str::parse::<usize>);
    let body_bytes = body_bytes.map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
    let upgrade = value("upgrade:").is_some();
    let all = head_bytes + body_bytes;
    Ok((bytes.len() >= all).then(|| Message { bytes: bytes[..all].to_vec(), head_bytes, upgrade }))
}
