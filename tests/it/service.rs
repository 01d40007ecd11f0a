//! The service and its page: the binary itself, two clinics and one folder.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod gate;
mod pages;

use crate::cli::Clinics;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// No test waits longer than this for anything: the machine may be slow, and says so by failing.
const LONGEST: Duration = Duration::from_secs(60);

/// A running `cfs run`, which ends with the test.
pub(crate) struct Running {
    child: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Starts the service of a site and waits until it answers.
pub(crate) fn start(c: &Clinics, site: &str, args: &[&str]) -> Running {
    let child = Command::new(env!("CARGO_BIN_EXE_cfs"))
        .args(["--config", &format!("{site}/cfs.toml"), "run"])
        .args(args)
        .current_dir(c.dir())
        .env("XDG_STATE_HOME", c.dir().join("state"))
        .env("TZ", "UTC")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("cfs starts");
    let running = Running { child };
    wait("the service answers", || !now(c, site).is_null());
    running
}

/// What the service of a site says of itself.
pub(crate) fn now(c: &Clinics, site: &str) -> Value {
    let said = c.run(site, &["status", "--json"]);
    serde_json::from_str::<Value>(&said.out).map_or(Value::Null, |v| v["service"].clone())
}

#[track_caller]
pub(crate) fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LONGEST, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// An answer of the page.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header of it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(": ").filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    }
}

/// Asks the page on a port, as a browser does, header by header.
pub(crate) fn http(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut s = TcpStream::connect(("127.0.0.1", port)).expect("the page listens");
    s.set_read_timeout(Some(LONGEST)).expect("set");
    let mut ask = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    for (n, v) in headers {
        ask.push_str(&format!("{n}: {v}\r\n"));
    }
    s.write_all(format!("{ask}\r\n{body}").as_bytes()).expect("asked");
    let mut text = Vec::new();
    drop(s.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A browser that was let in.
pub(crate) struct Browser {
    pub(crate) port: u16,
    pub(crate) cookie: String,
}

impl Browser {
    pub(crate) fn enter(c: &Clinics, site: &str) -> Browser {
        let address = c.run(site, &["open", "--print"]);
        assert_eq!(address.code, 0, "{}", address.err);
        let (host, path) = address.out.trim().strip_prefix("http://127.0.0.1:").and_then(|a| a.split_once('/')).expect("an address of this computer");
        let port = host.parse().expect("a port");
        let let_in = http(port, "GET", &format!("/{path}"), &[("Host", &format!("127.0.0.1:{port}"))], "");
        assert_eq!(let_in.status, 303);
        let cookie = let_in.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
        Browser { port, cookie }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        http(self.port, "GET", path, &[("Host", &self.host()), ("Cookie", &self.cookie)], "")
    }

    /// Sends a form of a page, with its hidden fields and these.
    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let one = |(n, v): &(&str, &str)| format!("{n}={}", escaped(v));
        let body = fields.iter().map(one).collect::<Vec<_>>().join("&");
        let origin = format!("http://{}", self.host());
        http(self.port, "POST", path, &[("Host", &self.host()), ("Cookie", &self.cookie), ("Origin", &origin), ("Content-Type", "application/x-www-form-urlencoded")], &body)
    }

    /// The value of a hidden field in a page.
    pub(crate) fn hidden(page: &str, name: &str) -> String {
        let at = page.find(&format!("name=\"{name}\" value=\"")).expect("the page has the field");
        page[at..].split('"').nth(3).expect("a value").to_owned()
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn files(dir: &std::path::Path) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    let mut out = Vec::new();
    for e in std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry")) {
        if e.path().is_dir() {
            out.extend(files(&e.path()));
        } else if e.path().is_file() {
            out.push((e.path(), e.metadata().expect("is there").modified().expect("a time")));
        }
    }
    out.sort();
    out
}

#[test]
fn a_change_here_is_there_by_itself_and_then_nothing_moves() {
    let c = Clinics::new();
    let _both = (start(&c, "north", &["--no-page"]), start(&c, "south", &["--no-page"]));
    for (from, to, phone) in [("north", "south", "555 0001"), ("south", "north", "555 0002")] {
        c.sql(from, &format!("UPDATE patient SET phone = '{phone}' WHERE last_name = 'Brackenridge'"));
        wait("the other site has it", || c.see(to, "SELECT phone FROM patient WHERE last_name = 'Brackenridge'") == phone);
    }
    // Two services that answer each other's files for ever would be seen here.
    let quiet = || {
        let before = (files(&c.dir().join("folder")), now(&c, "north")["runs"].clone(), now(&c, "south")["runs"].clone());
        std::thread::sleep(Duration::from_secs(4));
        before == (files(&c.dir().join("folder")), now(&c, "north")["runs"].clone(), now(&c, "south")["runs"].clone())
    };
    wait("both are quiet", quiet);
    assert_eq!(now(&c, "north")["failures"], 0);
}

#[test]
fn commands_ask_the_service_and_there_is_one() {
    let c = Clinics::new();
    let service = start(&c, "north", &[]);
    let pid = service.child.id();
    wait("it has synchronized", || now(&c, "north")["runs"] != 0);
    let before = now(&c, "north")["runs"].as_u64().expect("a number");
    let report = c.run("north", &["sync", "--json"]).json(0);
    assert_eq!((&report["site"], report["full"].as_bool()), (&c.run("north", &["status", "--json"]).json(0)["site"]["id"], Some(false)));
    assert!(now(&c, "north")["runs"].as_u64().expect("a number") > before, "the service did it");
    assert!(c.run("north", &["sync", "--full", "--json"]).json(0)["full"] == true);
    // What a person decides is done beside it.
    c.run("north", &["delete", &c.who("north", "Brackenridge"), "--why", "entered twice"]).ended(0);
    let said = c.run("north", &["run"]).refused(3);
    assert!(said.contains(&format!("process {pid}")) && said.contains("cfs open"), "{said}");
    assert!(c.run("north", &["status"]).ended(0).contains("Service     running, next "));
    // The service of the other clinic is its own.
    assert!(c.run("south", &["open"]).refused(1).contains("no service is running"));
    drop(service);
    // A service that was killed is in nobody's way.
    c.run("north", &["sync"]).ended(0);
    assert!(now(&c, "north").is_null());
    let mut again = start(&c, "north", &["--no-page"]);
    assert!(c.run("north", &["open"]).refused(1).contains("--no-page"));
    let asked = Instant::now();
    assert_eq!(c.run("north", &["run", "--stop"]).ended(0).trim(), "The service ends.");
    assert!(again.child.wait().expect("it ended").success());
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[cfg(unix)]
#[test]
fn it_ends_when_asked_to_and_with_the_program_it_runs_with() {
    let c = Clinics::new();
    let mut host = Command::new("sleep").arg("600").spawn().expect("sleep");
    let mut service = start(&c, "north", &["--while-pid", &host.id().to_string()]);
    assert!(service.child.try_wait().expect("asked").is_none());
    host.kill().expect("killed");
    host.wait().expect("ended");
    wait("it ends with the host", || service.child.try_wait().expect("asked").is_some_and(|s| s.success()));
    let mut service = start(&c, "north", &[]);
    let asked = Instant::now();
    assert!(Command::new("kill").arg(service.child.id().to_string()).status().expect("kill").success());
    assert!(service.child.wait().expect("it ended").success());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let left: Vec<_> =
        std::fs::read_dir(c.dir().join("state/cloud-folder-sync")).expect("is there").map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    assert!(!left.iter().any(|f| f.ends_with(".door") || f.ends_with(".run")), "{left:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test takes the folder away, and changes the configuration")]
fn a_folder_that_is_away_and_a_configuration_that_changes() {
    let c = Clinics::new();
    let _service = start(&c, "north", &[]);
    wait("it has synchronized", || now(&c, "north")["runs"] != 0);
    let browser = Browser::enter(&c, "north");
    let (folder, away) = (c.dir().join("folder"), c.dir().join("away"));
    std::fs::rename(&folder, &away).expect("moved");
    c.sql("north", "UPDATE patient SET phone = '555 0003' WHERE last_name = 'Brackenridge'");
    let said = c.run("north", &["sync"]).refused(2);
    assert!(said.contains("there is no such folder"), "{said}");
    let page = browser.get("/").body;
    assert!(page.contains("The last synchronization failed") && page.contains("There is no such folder") || page.contains("there is no such folder"), "{page}");
    std::fs::rename(&away, &folder).expect("moved back");
    c.run("north", &["sync"]).ended(0);
    c.run("south", &["sync"]).ended(0);
    assert_eq!(c.see("south", "SELECT phone FROM patient WHERE last_name = 'Brackenridge'"), "555 0003");
    assert_eq!(now(&c, "north")["failures"], 0);
    // Events come from the folder that is there now.
    c.sql("south", "UPDATE patient SET phone = '555 0004' WHERE last_name = 'Brackenridge'");
    c.run("south", &["sync"]).ended(0);
    wait("it hears of the folder again", || c.see("north", "SELECT phone FROM patient WHERE last_name = 'Brackenridge'") == "555 0004");
    // Times in place of minutes, while it runs; and a slip of the pen stops nothing for good.
    let file = c.dir().join("north/cfs.toml");
    let text = std::fs::read_to_string(&file).expect("is there");
    std::fs::write(&file, text.replacen("use_logs", "use_log", 1)).expect("written");
    assert!(c.run("north", &["sync"]).refused(2).contains("use_logs"));
    std::fs::write(&file, text.replacen("use_logs", "sync_at = \"0 3 1 1 *\"\nuse_logs", 1)).expect("written");
    c.run("north", &["sync"]).ended(0);
    wait("the new plan holds", || now(&c, "north")["next"].as_str().is_some_and(|t| t.contains("-01-01T03:00")));
}

#[test]
fn its_log_holds_no_patient_data() {
    let c = Clinics::new();
    let canary = "Qx7-canary-phone";
    let _service = start(&c, "north", &["--log-json"]);
    c.sql("north", &format!("UPDATE patient SET phone = '{canary}', last_name = 'Canaryname' WHERE last_name = 'Brackenridge'"));
    wait("it is sent", || c.run("north", &["log", "--last", "1"]).ended(0).contains(canary));
    let browser = Browser::enter(&c, "north");
    assert!(browser.get("/logs").body.contains("Logs"));
    assert!(browser.get(&format!("/record/{canary}")).status == 400);
    // What was sent is in the database before the synchronization that sent it ends, and says so.
    let is_log = |f: &std::path::Path| f.extension().is_some_and(|e| e == "jsonl");
    let said = || files(&c.dir().join("state")).iter().any(|(f, _)| is_log(f) && std::fs::read_to_string(f).is_ok_and(|t| t.contains("\"synchronized\"")));
    wait("the log says that it synchronized", said);
    drop(_service);
    let mut seen = 0;
    for (file, _) in files(&c.dir().join("state")) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).expect("readable")).into_owned();
        assert!(!text.contains(canary) && !text.contains("Canaryname"), "{}", file.display());
        if is_log(&file) {
            seen += text.lines().filter(|l| serde_json::from_str::<Value>(l).expect("a JSON document a line")["fields"]["message"] == "synchronized").count();
        }
    }
    assert!(seen > 0, "the log says that it synchronized");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a test changes the configuration")]
fn a_service_with_relative_paths_is_found_from_everywhere() {
    let c = Clinics::new();
    let file = c.dir().join("north/cfs.toml");
    let text = std::fs::read_to_string(&file).expect("is there");
    std::fs::write(&file, format!("state_dir = \"../kept\"\n{text}")).expect("written");
    let _service = start(&c, "north", &["--no-page"]);
    let from_afar = Command::new(env!("CARGO_BIN_EXE_cfs")).arg("--config").arg(&file).args(["status", "--json"]).current_dir("/").output().expect("cfs starts");
    let said: Value = serde_json::from_slice(&from_afar.stdout).expect("one JSON document");
    assert!(said["service"]["pid"].as_u64().is_some(), "{said}");
}
