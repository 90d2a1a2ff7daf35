//! rsyslog, as Debian has it, with a configuration of its own: over TCP, and over TLS with its GnuTLS driver. (That for
//! OpenSSL, of the same version, loses what came with the end of a handshake, restarted or not.)
//!
//! It is stopped in the way of a service manager. One that is killed loses what its queue in memory holds, which the
//! sender cannot know: syslog confirms nothing.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use crate::{
    certificates::make_certificates,
    fleet::{Fleet, Lines},
    running::wait_for,
};

/// Below the ports that the system gives to clients: one that connects to a server that is not there must not meet
/// itself.
static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

fn free_port() -> u16 {
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    loop {
        let port = first + NEXT_PORT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A server, until it is dropped.
struct Rsyslog {
    folder: PathBuf,
    tcp: u16,
    tls: u16,
    process: Option<Child>,
}

impl Rsyslog {
    fn start(folder: &Path) -> Rsyslog {
        fs::create_dir(folder).unwrap();
        make_certificates(folder);
        let mut server = Rsyslog { folder: folder.to_owned(), tcp: free_port(), tls: free_port(), process: None };
        fs::write(folder.join("rsyslog.conf"), server.configuration()).unwrap();
        server.resume();
        server
    }

    /// Control letters stay as they are: LEEF has tabs. The queue is emptied before the server ends.
    fn configuration(&self) -> String {
        let Rsyslog { tcp, tls, .. } = self;
        let folder = self.folder.display();
        format!(
            r#"global(
    workDirectory="{folder}"
    maxMessageSize="64k"
    parser.escapeControlCharactersOnReceive="off"
    net.enableDNS="off"
    defaultNetstreamDriverCAFile="{folder}/ca.pem"
    defaultNetstreamDriverCertFile="{folder}/server.pem"
    defaultNetstreamDriverKeyFile="{folder}/server.key"
)
main_queue(queue.type="LinkedList" queue.size="100000" queue.timeoutEnqueue="20000" queue.timeoutShutdown="20000")
module(load="imtcp")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="keep") {{
    action(type="omfile" file="{folder}/received" template="raw")
}}
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="keep"
    streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="keep")
"#
        )
    }

    fn resume(&mut self) {
        let file = |name: &str| self.folder.join(name);
        let said = fs::File::options().create(true).append(true).open(file("said")).unwrap();
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(file("rsyslog.conf")).arg("-i").arg(file("pid"));
        let process = command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said).spawn();
        self.process = Some(process.expect("rsyslogd is there, as scripts/receivers says"));
        // Its other port may open a little later; exports try again.
        wait_for("rsyslog", || TcpStream::connect(("127.0.0.1", self.tcp)).is_ok());
    }

    /// Stops it, as a service manager does. Then it has written everything.
    fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let stopped = Command::new("kill").args(["-TERM", &process.id().to_string()]).status().unwrap();
        assert!(stopped.success());
        wait_for("rsyslog's end", || process.try_wait().unwrap().is_some());
        let said = fs::read_to_string(self.folder.join("said")).unwrap();
        assert!(process.wait().unwrap().success() && said.is_empty(), "rsyslog complains: {said}");
    }

    /// Messages that it has written so far.
    fn written(&self) -> usize {
        let written = fs::read(self.folder.join("received")).unwrap_or_default();
        written.iter().filter(|byte| **byte == b'\n').count()
    }

    /// What it got since it was started or this was asked; it is restarted for that.
    fn received(&mut self) -> Lines {
        self.stop();
        let received = Lines::read(&self.folder.join("received"));
        fs::remove_file(self.folder.join("received")).unwrap();
        self.resume();
        received
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// The ids of events.
fn ids(lines: &Lines, format: &str) -> Lines {
    let (begin, end) = match format {
        "cef" => (" externalId=", ' '),
        "leef" => ("\teventUid=", '\t'),
        _ => (" id=\"", '"'),
    };
    let mut ids = Lines::default();
    for (line, times) in &lines.0 {
        let line = String::from_utf8_lossy(line);
        let (_, rest) = line.split_once(begin).unwrap_or_else(|| panic!("no id in {line}"));
        let (id, _) = rest.split_once(end).unwrap_or((rest, ""));
        (0..*times).for_each(|_| ids.add_line(id.as_bytes().to_vec()));
    }
    ids
}

#[test]
fn every_record_comes_once_and_byte_for_byte() {
    let fleet = Fleet::new();
    let mut server = Rsyslog::start(&fleet.path("rsyslog"));
    let tcp = format!("tcp://127.0.0.1:{}", server.tcp);
    let tls = format!("tls://localhost:{}", server.tls);
    for (format, address, name) in
        [("syslog", &tcp, "a"), ("cef", &tcp, "b"), ("leef", &tcp, "c"), ("syslog", &tls, "d"), ("cef", &tls, "e")]
    {
        let mut args = vec!["export", "--to", format, "--address", address, "--name", name];
        if address.starts_with("tls") {
            args.extend(["--ca", "rsyslog/ca.pem"]);
        }
        fleet.done(&args);
        let received = server.received().records(format);
        let expected = fleet.lines(format);
        received.are(&expected);
        ids(&received, format).are(&ids(&expected, format));
    }
    let unknown =
        crate::program::run(fleet.folder(), &["export", "--to", "syslog", "--address", &tls, "--retry-for", "10s"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("certificate"), "{}", unknown.err);
}

/// Nothing is lost; what is sent again has the same bytes and so the same id.
#[test]
fn a_restart_in_the_middle_loses_nothing() {
    let fleet = Fleet::new();
    let expected = fleet.lines("syslog");
    let mut server = Rsyslog::start(&fleet.path("rsyslog"));
    let tcp = format!("tcp://127.0.0.1:{}", server.tcp);
    let tls = format!("tls://localhost:{}", server.tls);
    for (address, batch_bytes) in [(&tcp, "6000"), (&tls, "15000")] {
        let mut args = vec!["export", "--to", "syslog", "--address", address, "--batch-bytes", batch_bytes];
        if address.starts_with("tls") {
            args.extend(["--ca", "rsyslog/ca.pem"]);
        }
        let mut export = fleet.start(&args);
        assert!(export.is_running_when(|| server.written() > 500), "it was over before rsyslog had much of it");
        server.stop();
        assert!(server.written() < expected.0.len(), "it was over before rsyslog was stopped");
        thread::sleep(Duration::from_secs(1));
        server.resume();
        let said = export.end();
        assert!(said.contains("after a failure"), "{said}");
        let received = server.received();
        received.are_at_least(&expected);
        let ids = ids(&received, "syslog");
        assert_eq!(ids.0.len(), expected.0.len());
    }
    server.stop();
}
