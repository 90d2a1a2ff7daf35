//! Syslog over UDP (RFC 5426): every event is a datagram. Of those some get lost where the receiver is slower than the
//! sender, but not without a trace: the system counts for every socket what its buffer had no room for.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, SocketAddrV4, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    fleet::{Fleet, Lines},
    program::{done, run},
    running::wait_for,
};

/// A receiver, until it is dropped.
struct Receiver {
    address: SocketAddrV4,
    received: Arc<Mutex<Lines>>,
    /// How often nothing was there to be read.
    pauses: Arc<AtomicU32>,
    /// Datagrams that were lost before the last look.
    lost_before: u32,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start() -> Receiver {
        Receiver::on(UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    fn on(socket: UdpSocket) -> Receiver {
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = own_address(&socket);
        let (received, pauses, stop) = (Arc::default(), Arc::default(), Arc::default());
        let (all, paused, stopped) = (Arc::clone(&received), Arc::clone(&pauses), Arc::clone(&stop));
        let thread = thread::spawn(move || read(&socket, &all, &paused, &stopped));
        Receiver { address, received, pauses, lost_before: 0, stop, thread: Some(thread) }
    }

    fn url(&self) -> String {
        format!("udp://{}", self.address)
    }

    fn count(&self) -> u32 {
        self.received.lock().unwrap().count()
    }

    /// What came since this was asked before, once nothing more comes, and how many datagrams were lost meanwhile.
    fn take(&mut self) -> (Lines, u32) {
        let before = self.pauses.load(Ordering::Relaxed);
        // The first pause may have begun before the last datagram came.
        wait_for("a pause", || self.pauses.load(Ordering::Relaxed) >= before + 2);
        let lost = lost_at(self.address);
        let lost_now = lost - std::mem::replace(&mut self.lost_before, lost);
        (std::mem::take(&mut *self.received.lock().unwrap()), lost_now)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn read(socket: &UdpSocket, received: &Mutex<Lines>, pauses: &AtomicU32, stop: &AtomicBool) {
    let mut datagram = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        match socket.recv(&mut datagram) {
            Ok(length) => received.lock().unwrap().add_line(datagram[..length].to_vec()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => drop(pauses.fetch_add(1, Ordering::Relaxed)),
            Err(error) => panic!("{error}"),
        }
    }
}

/// What the socket of an address had no room for: the last column.
fn lost_at(address: SocketAddrV4) -> u32 {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap();
    let own = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    let socket = sockets.lines().find(|line| line.split_whitespace().nth(1) == Some(&own)).unwrap();
    socket.split_whitespace().last().unwrap().parse().unwrap()
}

fn own_address(socket: &UdpSocket) -> SocketAddrV4 {
    let SocketAddr::V4(address) = socket.local_addr().unwrap() else { panic!("an address of IPv6") };
    address
}

/// Fails unless so many of the expected lines were sent, each once and as it is.
#[track_caller]
fn check((came, lost): (Lines, u32), expected: &Lines, sent: u32) {
    let other = came.0.iter().find(|(line, times)| !expected.0.contains_key(*line) || **times > 1);
    assert!(other.is_none(), "{:?}", other.map(|(line, times)| (String::from_utf8_lossy(line), times)));
    assert_eq!(came.count() + lost, sent, "{} came, {lost} were lost by the receiver's host", came.count());
    assert!(came.count() > 100, "{} came, {lost} were lost by the receiver's host", came.count());
}

#[test]
fn every_record_is_a_datagram() {
    let fleet = Fleet::new();
    let mut receiver = Receiver::start();
    for format in ["syslog", "cef", "leef"] {
        fleet.done(&["export", "--to", format, "--address", &receiver.url()]);
        let (came, lost) = receiver.take();
        let expected = fleet.lines(format);
        check((came.records(format), lost), &expected, expected.count());
    }
}

#[test]
fn killed_in_the_middle_and_started_again() {
    let fleet = Fleet::large();
    let expected = fleet.lines("syslog");
    let mut receiver = Receiver::start();
    let url = receiver.url();
    let to = ["--threads", "1", "export", "--to", "syslog"];
    let args = [&to, &["--name", "siem", "--address", &url][..]].concat();
    for more in [1, 1_000] {
        let mut export = fleet.start(&args);
        assert!(export.is_running_when(|| receiver.count() >= more), "it was over before {more} came");
        assert!(export.kill());
        let (came, lost) = receiver.take();
        let sent = came.count() + lost;
        assert!(sent < expected.count(), "everything was sent before the kill");
        assert!(came.0.iter().all(|(line, times)| *times == 1 && expected.0.contains_key(line)));
    }
    let status = fleet.done(&["export", "--status"]).out;
    assert!(status.contains(" 0 events so far"), "{status}");
    fleet.done(&args);
    check(receiver.take(), &expected, expected.count());
    let again = fleet.done(&args);
    assert!(again.err.contains("nothing new"), "{}", again.err);
}

/// A host on which nobody listens says so, and then it is as with every other receiver that is not there.
#[test]
fn nothing_is_sent_to_nobody() {
    let fleet = Fleet::new();
    // An address of its own, so that no other test takes the port meanwhile.
    let address = own_address(&UdpSocket::bind("127.0.0.2:0").unwrap());
    let url = format!("udp://{address}");
    let args = ["export", "--to", "syslog", "--name", "siem", "--retry-for", "1s", "--address", &url];
    let ran = run(fleet.folder(), &args);
    assert!(ran.code == Some(2) && ran.err.contains("did not confirm anything"), "{}", ran.err);
    let expected = fleet.lines("syslog");
    let mut receiver = Receiver::on(UdpSocket::bind(address).unwrap());
    fleet.done(&args);
    check(receiver.take(), &expected, expected.count());
}

/// Receivers have limits, and a datagram has one; the formats keep below them.
#[test]
fn a_megabyte_of_a_name_fits_into_a_datagram() {
    let folder = tempfile::tempdir().unwrap();
    let name = "x".repeat(1_000_000);
    let rows = ["+,,", &format!("<,EHLO {name},"), ">,550 5.7.64 TenantAttribution; Relay Access Denied,", "-,,Local"];
    let mut log =
        "#Software: Microsoft Exchange Server\r\n#Version: 15.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n\
        #Date: 2024-03-01T06:00:00.000Z\r\n#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,\
        remote-endpoint,event,data,context\r\n"
            .to_owned();
    for (at, row) in rows.iter().enumerate() {
        let session = "08DC399000800000";
        log.push_str(&format!(
            "2024-03-01T06:00:0{at}.000Z,Inbound,{session},{at},10.0.0.10:25,10.0.0.11:2525,{row}\r\n"
        ));
    }
    let logs = folder.path().join("logs/EX1/SmtpReceive");
    fs::create_dir_all(&logs).unwrap();
    fs::write(logs.join("RECV2024030106-1.LOG"), log).unwrap();
    done(folder.path(), &["index", "logs"]);
    let mut receiver = Receiver::start();
    for format in ["syslog", "cef", "leef"] {
        done(folder.path(), &["export", "--to", format, "--address", &receiver.url()]);
        let (came, lost) = receiver.take();
        assert!(came.count() >= 2 && lost == 0, "{} came, {lost} were lost", came.count());
        let has_some_of_it = |line: &Vec<u8>| line.windows(100).any(|part| *part == name.as_bytes()[..100]);
        assert!(came.0.keys().any(has_some_of_it));
        assert!(came.0.keys().all(|line| line.len() <= 8_192), "{:?}", came.0.keys().map(Vec::len));
    }
}
