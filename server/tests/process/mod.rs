//! The built binary as a process: run to its end, or started, spoken to, signalled and killed.
//! Nothing here outlives its test: a started process is killed when it is dropped.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// Far beyond anything that should happen; only keeps a defect from hanging the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command of the binary that this crate builds.
pub fn nokv(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nokv"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs to the end; returns exit code, standard output and standard error.
pub fn run(args: &[&str]) -> (i32, String, String) {
    read(nokv(args).output().unwrap())
}

fn read(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().expect("ended by a signal"), text(output.stdout), text(output.stderr))
}

/// A timestamp server.
pub struct Tso {
    child: Child,
    address: String,
}

impl Tso {
    /// Starts on a free port and waits for its ready line.
    pub fn start(dir: &Path, flags: &[&str]) -> Tso {
        let dir = dir.to_str().unwrap();
        let mut command = nokv(&["tso", "--listen", "127.0.0.1:0", "--workdir", dir]);
        let mut child = command.args(flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim_end().strip_prefix("ready: tso listening on http://") else {
            let mut log = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
            panic!("no ready line but {line:?}; log:\n{log}");
        };
        Tso { address: address.to_string(), child }
    }

    /// Opens a connection and sends nothing on it.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One GET: the status and the body.
    pub fn get(&self, path: &str) -> (u16, serde_json::Value) {
        self.try_get("GET", path).expect("the server answers")
    }

    /// One request; `None` if the connection breaks, as it does when the server is killed.
    pub fn try_get(&self, method: &str, path: &str) -> Option<(u16, serde_json::Value)> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, serde_json::from_str(body).ok()?))
    }

    /// The first timestamp of a batch.
    pub fn timestamps(&self, batch: u32) -> u64 {
        let (status, body) = self.get(&format!("/tso?batch={batch}"));
        assert_eq!((status, body["count"].as_u64()), (200, Some(batch.into())), "{body}");
        body["timestamp"].as_u64().unwrap()
    }

    /// Sends a signal by name, for instance TERM.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Ends it as a power cut would, but for the disk's cache.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; returns how it ended and its log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Tso {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
