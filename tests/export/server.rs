//! A small HTTP server whose answers can go wrong in every way.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// What the client gets to see.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// An answer as it should be.
    Whole(u16, String),
    /// The same with a header more.
    With(u16, (&'static str, &'static str), String),
    /// An answer whose connection breaks in its middle.
    Half(u16, String),
    /// The connection breaks before an answer.
    Nothing,
}

/// A server on a port of its own, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers requests one after the other. What `answer` finds wrong with a request it says by a panic.
    pub(crate) fn start(mut answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let (stop, faults) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stopped, found) = (Arc::clone(&stop), Arc::clone(&faults));
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
                let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| serve(&stream, &mut answer)));
                if let Err(panic) = served {
                    let text = panic.downcast_ref::<String>().cloned();
                    found.lock().unwrap().push(text.unwrap_or_else(|| "a request is wrong".to_owned()));
                }
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Server { address, stop, thread: Some(thread), faults }
    }

    /// Ends the server, and fails if a request was not as it should be.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let faults = self.faults.lock().unwrap();
        assert!(faults.is_empty(), "{faults:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Serves a connection until one side ends it.
fn serve(stream: &TcpStream, answer: &mut impl FnMut(&Request) -> Answer) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let is_last = match answer(&request) {
            Answer::Whole(status, body) => write(stream, status, ("X-Test", "1"), &body, body.len()),
            Answer::With(status, header, body) => write(stream, status, header, &body, body.len()),
            Answer::Half(status, body) => {
                write(stream, status, ("X-Test", "1"), &body, body.len() / 2);
                true
            }
            Answer::Nothing => true,
        };
        if is_last {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(": ")?;
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

/// Writes an answer, `sent` bytes of its body; true if the connection is broken. In one piece: the system would keep
/// back a second one until the client's host has acknowledged the first, which takes its time.
fn write(mut stream: &TcpStream, status: u16, header: (&str, &str), body: &str, sent: usize) -> bool {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{}: {}\r\nContent-Length: {}\r\n\r\n",
        header.0,
        header.1,
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body.as_bytes()[..sent]].concat()).is_err()
}
