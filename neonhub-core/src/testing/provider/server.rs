//! The HTTP side of the mock: just enough of HTTP/1.1, with full power over what goes wrong.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, ready};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::form::body_of;
use super::{Seen, State, react};

/// Largest head and body that are read.
const MAX_HEAD: usize = 64 << 10;
const MAX_BODY: usize = 64 << 20;

/// What is sent back, and how.
#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// The body in the pieces that go out one by one.
    pub pieces: Vec<Vec<u8>>,
    /// What the first byte waits for.
    pub wait: Shared<BoxFuture<'static, ()>>,
    /// Close the connection after this many bytes of the body.
    pub cut_at: Option<usize>,
}

impl Default for Reaction {
    fn default() -> Self {
        Reaction {
            status: 599,
            headers: Vec::new(),
            pieces: Vec::new(),
            wait: ready(()).boxed().shared(),
            cut_at: None,
        }
    }
}

impl Reaction {
    pub(crate) fn text(status: u16, kind: &str, text: impl Into<String>) -> Self {
        let headers = vec![("content-type".to_owned(), kind.to_owned())];
        Reaction { status, headers, pieces: vec![text.into().into_bytes()], ..Reaction::default() }
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }
}

pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    // Connections end with the server.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let state = Arc::clone(&state);
                    connections.spawn(async move {
                        // A peer that goes away is no matter of the server's.
                        let _ = connection(stream, &state).await;
                    });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    while let Some(seen) = request(&mut stream).await? {
        let _answering = Answering::begin(state);
        let reaction = react(state, seen);
        if !answer(&mut stream, &reaction).await? {
            return Ok(());
        }
    }
    Ok(())
}

/// A request that is being answered.
struct Answering<'a>(&'a Mutex<State>);

impl<'a> Answering<'a> {
    fn begin(state: &'a Mutex<State>) -> Self {
        let mut held = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, most) = held.at_once;
        held.at_once = (now + 1, most.max(now + 1));
        Answering(state)
    }
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at_once.0 -= 1;
    }
}

fn bad(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

async fn request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof && head.is_empty() => return Ok(None),
            Err(cause) => return Err(cause),
        }
        if head.len() > MAX_HEAD {
            return Err(bad("the head is too long"));
        }
    }
    let head = String::from_utf8(head).map_err(|_| bad("the head is no text"))?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let body = if header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
        chunked(stream).await?
    } else {
        let length: usize = header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        take(stream, length).await?
    };
    let body = body_of(header("content-type"), &body);
    Ok(Some(Seen { method, path, headers, body }))
}

async fn take(stream: &mut BufReader<TcpStream>, length: usize) -> io::Result<Vec<u8>> {
    if length > MAX_BODY {
        return Err(bad("the body is too long"));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn chunked(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(stream.read_u8().await?);
            if line.len() > 64 {
                return Err(bad("a chunk without a size"));
            }
        }
        let size = String::from_utf8_lossy(&line);
        let size = size.trim().split(';').next().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let size = size.ok_or_else(|| bad("a chunk without a size"))?;
        if body.len() + size > MAX_BODY {
            return Err(bad("the body is too long"));
        }
        body.extend(take(stream, size).await?);
        take(stream, 2).await?;
        if size == 0 {
            return Ok(body);
        }
    }
}

/// Sends the answer; false when the connection was cut.
async fn answer(stream: &mut BufReader<TcpStream>, reaction: &Reaction) -> io::Result<bool> {
    reaction.wait.clone().await;
    let mut head = format!("HTTP/1.1 {} mock\r\ntransfer-encoding: chunked\r\n", reaction.status);
    for (name, value) in &reaction.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut left = reaction.cut_at.unwrap_or(usize::MAX);
    for piece in &reaction.pieces {
        let part = piece.get(..left.min(piece.len())).unwrap_or_default();
        if !part.is_empty() {
            let size = format!("{:x}\r\n", part.len());
            stream.write_all(&[size.as_bytes(), part, b"\r\n"].concat()).await?;
            stream.flush().await?;
        }
        left -= part.len();
        if part.len() < piece.len() {
            // No last chunk: the peer must notice that the answer is not whole.
            stream.shutdown().await?;
            return Ok(false);
        }
    }
    stream.write_all(b"0\r\n\r\n").await?;
    stream.flush().await?;
    Ok(true)
}
