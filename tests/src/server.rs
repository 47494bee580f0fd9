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

/// A running `nexo-pair serve`, which is killed on drop.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts a server in a home, on a free port of this machine, with further arguments.
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
        let reply: Value = serde_json::from_str(&line).expect("JSON");
        let address = reply["listen"].as_str().and_then(|address| address.parse().ok());
        Self { child, address: address.expect("it says where it listens") }
    }

    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL for companions, with this scheme.
    #[must_use]
    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// The path below `NEXO_HOME` where `nexo-pair claim` keeps the session of a device; `device` is the
    /// name as it appears in the file name.
    #[must_use]
    pub fn session_file(&self, device: &str) -> String {
        let address = self.address;
        format!("pairing/sessions/{device}@{}_{}.token", address.ip(), address.port())
    }

    /// The status and body of `GET /session` with this session token.
    #[must_use]
    pub fn session(&self, token: &str) -> (u16, Value) {
        let mut client = Client::connect(Ipv4Addr::LOCALHOST.into(), self.address);
        let answer = client.as_mut().map(|client| client.session(token));
        answer.expect("it lets us in").expect("it answers")
    }

    /// A file below `/proc/<pid>`.
    #[must_use]
    pub fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }

    /// Its resident memory (`VmRSS`), in kilobytes.
    #[must_use]
    pub fn memory(&self) -> u64 {
        memory_of(&self.child)
    }

    /// Kills it, as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    /// Asks it to end and returns its exit status.
    #[must_use]
    pub fn end(mut self) -> i32 {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it takes signals");
        crate::home::exit_code(self.child.wait().expect("it ends"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has already ended if the test waited for it.
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
    /// The system's error.
    pub fn connect(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        bind(&socket, &SocketAddr::new(from, 0))?;
        connect(&socket, &to)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        // A killed server closes its connections; one that hangs does not.
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request and returns the status and the body.
    ///
    /// # Errors
    ///
    /// The system's error, or that the connection ended before the response.
    pub fn request(&mut self, line: &str, headers: &str, body: &str) -> io::Result<(u16, Value)> {
        self.send(line, headers, body)?;
        self.answer()
    }

    /// Reads the response to a request.
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

    /// Sends a request without waiting for the response.
    ///
    /// # Errors
    ///
    /// The system's error.
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

    /// Asks whether a session is valid.
    ///
    /// # Errors
    ///
    /// As for [`request`](Self::request).
    pub fn session(&mut self, token: &str) -> io::Result<(u16, Value)> {
        self.request("GET /session", &format!("Authorization: Bearer {token}\r\n"), "")
    }
}

/// The output of `claim` in another home for a setup code.
#[must_use]
pub fn claim_elsewhere(payload: &str) -> (Home, Output) {
    let home = Home::new();
    let claimed = home.run_with(&["claim", "--json"], payload);
    (home, claimed)
}
