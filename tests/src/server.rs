//! A running `nexo-pair serve`, and requests to it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{Home, Output, memory_of};

/// A running `nexo-pair serve`, which is killed when this is dropped before its end.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server in a home, on a free port of this machine, with these arguments besides.
    #[must_use]
    pub fn start(home: &Home, args: &[&str]) -> Self {
        Self::of(home.command(&[Self::COMMAND, args].concat()))
    }

    /// The command that [`of`](Self::of) takes: a server on a free port of this machine.
    pub const COMMAND: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--json"];

    /// Starts a server by its command.
    #[must_use]
    pub fn of(mut command: Command) -> Self {
        command.stderr(Stdio::inherit());
        Self::spawn(command)
    }

    /// Starts a server in a home whose standard error goes to a file.
    #[must_use]
    pub fn logging_to(log: &Path, home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&[Self::COMMAND, args].concat());
        command.stderr(File::create(log).expect("the folder is there"));
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().expect("it starts");
        let stdout = child.stdout.as_mut().expect("standard output is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("it says where it listens");
        let told: Value = serde_json::from_str(&line).expect("it says so in JSON");
        let address = told["listen"].as_str().and_then(|address| address.parse().ok());
        Self { child, address: address.expect("it says where it listens") }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where companions reach it by this scheme.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// Where `nexo-pair claim` keeps the session of a device of this name, below `NEXO_HOME`; `device` is
    /// as it stands in the name of the file.
    #[must_use]
    pub fn session_file(&self, device: &str) -> String {
        let address = self.address;
        format!("pairing/sessions/{device}@{}_{}.token", address.ip(), address.port())
    }

    /// The status of `GET /session` with this session token, and what is told.
    #[must_use]
    pub fn session(&self, token: &str) -> (u16, Value) {
        let mut client = Client::connect(Ipv4Addr::LOCALHOST.into(), self.address);
        let answer = client.as_mut().map(|client| client.session(token));
        answer.expect("it lets us in").expect("it answers")
    }

    /// What the system tells of the process: a file below `/proc/<pid>`.
    #[must_use]
    pub fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// The memory that it has in use (`VmRSS`), in kilobytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        memory_of(&self.child)
    }

    /// Takes its life, as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end; how it did.
    #[must_use]
    pub fn end(mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it takes signals");
        crate::home::exit_code(self.child.wait().expect("it ends"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where the test waited for it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection to a server.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects from an address of this machine.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::new(from, 0))?;
        connect(&socket, &to)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        // A server that was killed leaves nobody waiting, one that hangs does.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks, and says the status and what was told.
    ///
    /// # Errors
    ///
    /// What the system says, or that the connection ended before the answer did.
    pub fn request(&mut self, line: &str, headers: &str, body: &str) -> io::Result<(u16, Value)> {
        self.send(line, headers, body)?;
        self.answer()
    }

    /// Reads the answer to what was sent.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn answer(&mut self) -> io::Result<(u16, Value)> {
        let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(broken());
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            } else if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
                status = rest.get(..3).and_then(|it| it.parse().ok()).ok_or_else(broken)?;
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(|_| broken())?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Sends a request without waiting for its answer.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn send(&mut self, line: &str, headers: &str, body: &str) -> io::Result<()> {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: gateway\r\n{headers}Content-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())
    }

    /// Presents a claim.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn claim(&mut self, claim: &Value) -> io::Result<(u16, Value)> {
        self.request("POST /pair", "", &claim.to_string())
    }

    /// Asks whether a session is good.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn session(&mut self, token: &str) -> io::Result<(u16, Value)> {
        self.request("GET /session", &format!("Authorization: Bearer {token}\r\n"), "")
    }
}

/// What `claim` in another home answers to a setup code.
#[must_use]
pub fn claim_elsewhere(payload: &str) -> (Home, Output) {
    let home = Home::new();
    let claimed = home.run_with(&["claim", "--json"], payload);
    (home, claimed)
}
