//! A real `nats-server` for tests: on a free port of 127.0.0.1, with a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::Value;
use tempfile::TempDir;

/// How long the server may take to start.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct NatsServer {
    process: Option<Child>,
    port: u16,
    settings: String,
    folder: TempDir,
}

impl NatsServer {
    /// A server without authentication.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|_| String::new())
    }

    /// A server with further settings, in the syntax of its configuration file. They may name files
    /// in the server's folder, which is passed.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn with(settings: impl FnOnce(&Path) -> String) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings = settings(folder.path());
        let mut server = Self { process: None, port: 0, settings, folder };
        server.run();
        server
    }

    /// `nats://127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The id of its process.
    ///
    /// # Panics
    ///
    /// If it was killed.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// A file in the server's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Kills the server: connections break without notice.
    ///
    /// # Panics
    ///
    /// If it was killed before.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.kill().expect("the server can be killed");
        process.wait().expect("the server can be waited for");
    }

    /// Starts the server again, on the port that it had.
    ///
    /// # Panics
    ///
    /// If it runs, or does not start.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        self.run();
    }

    /// Suspends the server without breaking its connections.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
        // The signal takes effect later; this state is reported once all threads have stopped.
        waitpid(Some(self.id()), WaitOptions::UNTRACED).expect("the server can be waited for");
    }

    /// Resumes the server.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.id(), signal).expect("the server can be signalled");
    }

    fn id(&self) -> Pid {
        Pid::from_child(self.process.as_ref().expect("the server runs"))
    }

    fn run(&mut self) {
        let folder = self.folder.path();
        // The server chooses the port, so that no other program takes it in between.
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        self.write_settings(&port);
        let process = Command::new(program())
            .arg("--config")
            .arg(folder.join("nats.conf"))
            .arg("--log")
            .arg(folder.join("nats.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        let ports = folder.join(format!("nats-server_{}.ports", process.id()));
        self.process = Some(process);
        self.port = self.wait_for_port(&ports);
    }

    fn write_settings(&self, port: &str) {
        let (folder, settings) = (self.folder.path(), &self.settings);
        let text = format!(
            "host: 127.0.0.1\nport: {port}\nports_file_dir: {:?}\n{settings}\n",
            folder.display().to_string(),
        );
        fs::write(folder.join("nats.conf"), text).expect("the settings can be written");
    }

    /// The server writes the file once it listens.
    fn wait_for_port(&mut self, ports: &Path) -> u16 {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if let Some(port) = fs::read_to_string(ports).ok().as_deref().and_then(port_in) {
                return port;
            }
            let process = self.process.as_mut().expect("the server was started");
            let ended = process.try_wait().expect("the server can be asked for");
            assert!(ended.is_none(), "nats-server ended: {}", self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("nats-server did not start within {START_LIMIT:?}: {}", self.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("nats.log")).unwrap_or_default()
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

fn port_in(ports: &str) -> Option<u16> {
    let ports: Value = serde_json::from_str(ports).ok()?;
    let (_, port) = ports["nats"][0].as_str()?.rsplit_once(':')?;
    port.parse().ok()
}

/// Debian installs it outside the usual `PATH`.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join("nats-server"))
        .find(|program| program.is_file())
        .expect("nats-server is installed: it is Debian's package of this name")
}
