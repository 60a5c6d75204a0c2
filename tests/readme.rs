//! The README's own blocks, run as they stand: from a built binary to one's own node_exporter watched.

mod support;

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Process, peers, wait_until};

const README: &str = include_str!("../README.md");

/// The shell blocks under a heading, in order.
fn blocks(heading: &str) -> Vec<String> {
    let section = README.split("\n## ").find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("README has no section {heading:?}"));
    let block = |part: &str| part.split("```").next().unwrap().to_string();
    section.split("```sh\n").skip(1).map(block).collect()
}

/// A shell in `dir` in which `foreshock` is the binary under test.
fn shell(script: &str, dir: &Path) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_foreshock")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-e", "-c", script]).current_dir(dir).env("PATH", path);
    command
}

fn listens(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn four_commands_watch_ones_own_node_exporter() {
    let blocks = blocks("Watch your own node_exporter");
    let [start, look] = blocks.as_slice() else { panic!("two blocks are expected: {blocks:?}") };
    let commands: Vec<&str> = start.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(commands.len() <= 4, "{commands:?}");

    let dir = tempfile::tempdir().unwrap();
    // One that already runs on this machine is as good as our own.
    let _exporter = (!listens("127.0.0.1:9100")).then(|| {
        let mut command = Command::new(peers::program("prometheus-node-exporter"));
        command.args(["--web.listen-address=127.0.0.1:9100", "--log.level=error"]);
        Process::start(&mut command, &dir.path().join("node_exporter.log"))
    });
    wait_until("node_exporter", Duration::from_secs(20), || listens("127.0.0.1:9100"));
    assert!(!listens("127.0.0.1:9750"), "something else listens on foreshock's own port 9750");

    let log = dir.path().join("foreshock.log");
    // `exec` lets the handle's kill reach the service and not only its shell.
    let script = start.replace("\nforeshock serve", "\nexec foreshock serve");
    let _service = Process::start(&mut shell(&script, dir.path()), &log);
    wait_until("the service", Duration::from_secs(30), || listens("127.0.0.1:9750"));

    wait_until("a series with a value", Duration::from_secs(120), || {
        let output = shell(look, dir.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        output.status.success()
            && text.contains(r#""ready":true"#)
            && text.contains(r#""__name__":"node_load1""#)
    });
}
