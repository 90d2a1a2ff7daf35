//! A small receiver of syslog over TCP that counts octets (RFC 6587, section 3.4.1) and goes wrong when it is told to.

use std::{
    io::{BufRead, BufReader},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::fleet::Lines;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Conduct {
    /// Everything is read, after a pause.
    Reads(Duration),
    /// So many messages are read, and then nothing more.
    Leaves(usize),
    /// Nothing is read. The receiver closes its side, as one does that is stopped between two packets; what comes then
    /// is answered by a reset.
    ClosesFirst,
}

/// A receiver on a port of its own, until it is dropped.
pub(crate) struct Collector {
    pub(crate) address: String,
    received: Arc<Mutex<Lines>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Takes one connection after the other; `conduct` says by its number, from 0, what becomes of each.
    pub(crate) fn start(conduct: impl Fn(usize) -> Conduct + Send + 'static) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
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
                serve(stream, conduct(number), &all);
                number += 1;
            }
        });
        Collector { address, received, stop, thread: Some(thread) }
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

fn serve(stream: TcpStream, conduct: Conduct, received: &Mutex<Lines>) {
    let at_most = match conduct {
        Conduct::Reads(pause) => {
            thread::sleep(pause);
            usize::MAX
        }
        Conduct::Leaves(messages) => messages,
        Conduct::ClosesFirst => {
            // By then the sender's host has all of the batch, and the receiver's what its buffers hold.
            thread::sleep(Duration::from_millis(300));
            stream.shutdown(Shutdown::Write).unwrap();
            return thread::sleep(Duration::from_millis(300));
        }
    };
    let mut reader = BufReader::new(stream);
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
