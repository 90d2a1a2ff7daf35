//! Syslog (RFC 5424) over TCP, TLS (RFC 5425) and UDP (RFC 5426).
//!
//! Syslog confirms nothing. Over TCP and TLS a batch has a connection of its own, which is closed for writing at its
//! end: a receiver that has read everything closes the rest, one that went away in the middle resets it, and then the
//! batch is sent again. One that goes away between two packets closes first, and resets the connection when the second
//! comes, so the reset is waited for as well. Datagrams get lost, and nobody hears of it; only a host on which nobody
//! listens may say so.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    Batch, Destination, Receiver, Taken,
    dead_letters::DeadLetters,
    retry::{Failure, Patience},
};

/// Time to connect, and to hand over bytes.
const WITHIN: Duration = Duration::from_secs(30);

/// Time in which a receiver has to have read what was sent and to close.
const CLOSED_WITHIN: Duration = Duration::from_secs(60);

/// Time in which a reset comes, where the system does not say that everything was acknowledged.
const RESET_WITHIN: Duration = Duration::from_millis(500);

/// How often it is looked whether the receiver's host has acknowledged everything, once the receiver has closed.
const ASKED_EVERY: Duration = Duration::from_millis(2);

/// The number that the system has for a datagram that is too large (EMSGSIZE, WSAEMSGSIZE).
const TOO_LARGE: i32 = match () {
    () if cfg!(windows) => 10_040,
    () if cfg!(any(target_os = "linux", target_os = "android")) => 90,
    () => 40,
};

/// Datagrams that are sent without a pause, and the pause. Receivers read some hundred thousand in a second, and their
/// hosts keep a few hundred for them.
const DATAGRAMS_AT_ONCE: usize = 32;
const DATAGRAMS_PAUSE: Duration = Duration::from_millis(1);

/// A receiver of syslog.
pub(crate) struct Syslog {
    host: String,
    address: String,
    how: How,
    patience: Patience,
    dead: DeadLetters,
}

enum How {
    Tcp,
    Tls(Arc<ClientConfig>, ServerName<'static>),
    Udp(UdpSocket),
}

impl Syslog {
    /// A receiver at `tcp://HOST:PORT`, `tls://HOST:PORT` or `udp://HOST:PORT`.
    pub(crate) fn new(destination: Destination<'_>) -> anyhow::Result<Syslog> {
        let Destination { address, trust, patience, dead, .. } = destination;
        let Some((scheme, rest)) = address.split_once("://") else {
            bail!("{address}: write tcp://HOST:PORT, tls://HOST:PORT or udp://HOST:PORT");
        };
        let rest = rest.trim_end_matches('/');
        let default_port: u16 = match scheme {
            "tcp" => 601,
            "tls" => 6514,
            "udp" => 514,
            _ => bail!("{address}: syslog goes over tcp, tls or udp"),
        };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
                (host, port.parse().with_context(|| format!("{address}: {port} is no port"))?)
            }
            _ => (rest, default_port),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if bare.is_empty() {
            bail!("{address} names no host");
        }
        let how = match (scheme, trust) {
            ("tls", Some(trust)) => {
                let name = ServerName::try_from(bare.clone()).with_context(|| format!("{bare} is no host"))?;
                How::Tls(Arc::new(trust.client()?), name)
            }
            ("udp", _) => How::Udp(udp_socket(&format!("{host}:{port}"))?),
            _ => How::Tcp,
        };
        Ok(Syslog { host: bare, address: format!("{host}:{port}"), how, patience, dead })
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host));
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, WITHIN) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(WITHIN))?;
                    stream.set_read_timeout(Some(CLOSED_WITHIN))?;
                    return Ok(stream);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn try_once(&self, framed: &[u8]) -> io::Result<()> {
        let mut stream = self.connect()?;
        match &self.how {
            How::Tls(config, name) => {
                let connection = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
                let mut tls = StreamOwned::new(connection, stream);
                tls.write_all(framed)?;
                tls.conn.send_close_notify();
                tls.flush()?;
                tls.sock.shutdown(Shutdown::Write)?;
                read_to_close(&mut tls.sock)?;
                wait_for_the_last_byte(&tls.sock)
            }
            _ => {
                stream.write_all(framed)?;
                stream.shutdown(Shutdown::Write)?;
                read_to_close(&mut stream)?;
                wait_for_the_last_byte(&stream)
            }
        }
    }
}

/// Reads until the other side closes, which it does once it has read everything. What it says is its own business: of
/// TLS some alerts and tickets.
fn read_to_close(stream: &mut TcpStream) -> io::Result<()> {
    let mut scratch = [0; 4_096];
    loop {
        match stream.read(&mut scratch) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                let text = "the receiver does not close the connection, so nobody knows what it has read";
                return Err(io::Error::new(io::ErrorKind::TimedOut, text));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits until the receiver's host has acknowledged the last byte, and fails if it reset the connection instead: the
/// receiver closed before that byte came. Either way nobody is connected any more, and Linux says so when it is asked
/// for the peer's address. Other systems may not; there a reset has as long as its way may take.
fn wait_for_the_last_byte(stream: &TcpStream) -> io::Result<()> {
    let is_told = cfg!(target_os = "linux");
    let within = if is_told { CLOSED_WITHIN } else { RESET_WITHIN };
    let begin = Instant::now();
    while stream.peer_addr().is_ok() {
        if begin.elapsed() < within {
            thread::sleep(ASKED_EVERY);
        } else if is_told {
            let text = "the receiver closed the connection, but its host does not say whether everything came";
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        } else {
            break;
        }
    }
    stream.take_error()?.map_or(Ok(()), Err)
}

fn udp_socket(address: &str) -> anyhow::Result<UdpSocket> {
    let context = || format!("cannot reach {address}");
    let address = address.to_socket_addrs().with_context(context)?.next().with_context(context)?;
    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).with_context(context)?;
    socket.connect(address).with_context(context)?;
    Ok(socket)
}

/// Sends every record by itself; gives those that are too large for that. What a host says on which nobody listens
/// comes with a later datagram, so nobody knows how many are lost.
fn send_datagrams<'b>(socket: &UdpSocket, batch: &'b Batch) -> io::Result<Vec<&'b [u8]>> {
    let mut too_large = Vec::new();
    for (at, record) in batch.records().enumerate() {
        if at > 0 && at.is_multiple_of(DATAGRAMS_AT_ONCE) {
            thread::sleep(DATAGRAMS_PAUSE);
        }
        match socket.send(record) {
            Err(error) if error.raw_os_error() == Some(TOO_LARGE) => too_large.push(record),
            sent => drop(sent?),
        }
    }
    socket.take_error()?.map_or(Ok(too_large), Err)
}

impl Receiver for Syslog {
    fn send(&mut self, batch: &Batch) -> anyhow::Result<Taken> {
        if let How::Udp(socket) = &self.how {
            let failed = |error| Failure::Passing(anyhow!("{}: {error}", self.address), None);
            let (too_large, retries) = self.patience.until_done(|| send_datagrams(socket, batch).map_err(failed))?;
            for record in &too_large {
                self.dead.keep(record, &format!("{} bytes are too many for a datagram", record.len()))?;
            }
            return Ok(Taken { retries, refused: too_large.len() as u64, ..Taken::default() });
        }
        let mut framed = Vec::with_capacity(batch.bytes.len() + 8 * batch.ends.len());
        for record in batch.records() {
            // Octet counting (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
            framed.extend_from_slice(format!("{} ", record.len()).as_bytes());
            framed.extend_from_slice(record);
        }
        let ((), retries) = self.patience.until_done(|| {
            let failed = |error: io::Error| match error.kind() {
                io::ErrorKind::InvalidData => Failure::Lasting(anyhow!("{}: {error}", self.address)),
                _ => Failure::Passing(anyhow!("{}: {error}", self.address), None),
            };
            self.try_once(&framed).map_err(failed)
        })?;
        Ok(Taken { retries, ..Taken::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_too_large_for_a_datagram_is_a_dead_letter() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let letters = folder.path().join("dead");
        let address = format!("udp://{}", receiver.local_addr().unwrap());
        let patience = Patience { at_most: Duration::ZERO, stop: Arc::default() };
        let dead = DeadLetters::new(&letters);
        let destination = Destination { address: &address, token: None, trust: None, patience, dead };
        let mut syslog = Syslog::new(destination).unwrap();

        // An IPv4 packet has 65,535 bytes, of which its header takes 20 and that of UDP 8.
        let records = ["first", &"x".repeat(65_508), &"y".repeat(65_507), "last"];
        let mut batch = Batch::default();
        for record in records {
            batch.bytes.extend_from_slice(format!("{record}\n").as_bytes());
            batch.ends.push(batch.bytes.len());
        }
        assert_eq!(syslog.send(&batch).unwrap(), Taken { refused: 1, ..Taken::default() });
        let mut datagram = vec![0; 65_536];
        for record in [records[0], records[2], records[3]] {
            let length = receiver.recv(&mut datagram).unwrap();
            assert!(datagram[..length] == *record.as_bytes(), "{length} bytes");
        }
        let letters = fs::read_to_string(letters).unwrap();
        let letter: serde_json::Value = serde_json::from_str(&letters).unwrap();
        assert_eq!(letter["reason"], "65508 bytes are too many for a datagram");
        assert_eq!(letter["record"], records[1]);
    }
}
