//! A small receiver of syslog over TCP and TLS that counts octets (RFC 6587, section 3.4.1; RFC 5425, section 4.3) and
//! goes wrong when it is told to.

use std::{
    io::{BufRead, BufReader},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::{
    certificates::{make_certificates, server_config},
    fleet::Lines,
};

/// What becomes of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conduct {
    /// Everything is read, after a pause.
    Reads(Duration),
    /// So many messages are read, and then nothing more. Over TLS none means that there is no handshake.
    Leaves(usize),
    /// Only the beginning is read. The receiver closes its side, as one does that is stopped between two packets; what
    /// comes then is answered by a reset.
    ClosesFirst,
}

/// A receiver on a port of its own, until it is dropped.
pub(crate) struct Collector {
    address: String,
    /// The authority that whoever comes over TLS has to trust.
    ca: Option<String>,
    received: Arc<Mutex<Lines>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Takes one connection after the other; `conduct` says by its number, from 0, what becomes of each.
    pub(crate) fn start(conduct: impl Fn(usize) -> Conduct + Send + 'static) -> Collector {
        Collector::listen(None, conduct)
    }

    /// The same over TLS. What it takes for that lies in a folder.
    pub(crate) fn start_tls(folder: &Path, conduct: impl Fn(usize) -> Conduct + Send + 'static) -> Collector {
        Collector::listen(Some(folder), conduct)
    }

    fn listen(tls: Option<&Path>, conduct: impl Fn(usize) -> Conduct + Send + 'static) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scheme = if tls.is_some() { "tls" } else { "tcp" };
        let address = format!("{scheme}://{}", listener.local_addr().unwrap());
        let ca = tls.map(|folder| folder.join("ca.pem").display().to_string());
        let tls = tls.map(|folder| {
            make_certificates(folder);
            server_config(folder)
        });
        listener.set_nonblocking(true).unwrap();
        let (received, stop) = (Arc::new(Mutex::new(Lines::default())), Arc::new(AtomicBool::new(false)));
        let (all, stopped) = (Arc::clone(&received), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                serve(stream, tls.as_ref(), conduct(number), &all);
                number += 1;
            }
        });
        Collector { address, ca, received, stop, thread: Some(thread) }
    }

    /// How an export reaches it.
    pub(crate) fn how(&self) -> Vec<&str> {
        let trust = self.ca.iter().flat_map(|ca| ["--ca", ca]);
        ["--address", &self.address].into_iter().chain(trust).collect()
    }

    /// Messages that came so far, the same ones again included.
    pub(crate) fn count(&self) -> u32 {
        self.received.lock().unwrap().count()
    }

    /// Everything that came.
    pub(crate) fn end(mut self) -> Lines {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        std::mem::take(&mut *self.received.lock().unwrap())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn serve(stream: TcpStream, tls: Option<&Arc<ServerConfig>>, conduct: Conduct, received: &Mutex<Lines>) {
    let socket = stream.try_clone().unwrap();
    let mut reader: Box<dyn BufRead> = match tls {
        None => Box::new(BufReader::new(stream)),
        Some(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).unwrap();
            Box::new(BufReader::new(StreamOwned::new(connection, stream)))
        }
    };
    let at_most = match conduct {
        Conduct::Reads(pause) => {
            thread::sleep(pause);
            usize::MAX
        }
        Conduct::Leaves(messages) => messages,
        Conduct::ClosesFirst => {
            reader.fill_buf().unwrap();
            // By then the sender's host has all of the batch, and the receiver's what its buffers hold.
            thread::sleep(Duration::from_millis(300));
            socket.shutdown(Shutdown::Write).unwrap();
            return thread::sleep(Duration::from_millis(300));
        }
    };
    for _ in 0..at_most {
        // A sender that was killed leaves half a message, which is none.
        let Some(message) = message(&mut reader) else { return };
        received.lock().unwrap().add_line(message);
    }
}

fn message(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = Vec::new();
    reader.read_until(b' ', &mut length).ok()?;
    let length: usize = std::str::from_utf8(&length).unwrap().strip_suffix(' ')?.parse().unwrap();
    let mut message = vec![0; length];
    reader.read_exact(&mut message).ok()?;
    Some(message)
}
