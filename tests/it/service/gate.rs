//! Who is let in, and who is not.

use super::{Browser, escaped, http, start, wait};
use crate::cli::Clinics;

/// Host × Origin × cookie × method: what is let through, and nothing else.
#[test]
fn only_the_browser_that_was_let_in_and_only_this_page() {
    let c = Clinics::new();
    let _service = start(&c, "north", &[]);
    let b = Browser::enter(&c, "north");
    let port = b.port;
    let csrf = Browser::hidden(&b.get("/").body, "csrf");
    let own = format!("127.0.0.1:{port}");
    let local = format!("localhost:{port}");
    let other_port = format!("127.0.0.1:{}", port.wrapping_add(1));
    let rebound = format!("clinic.example:{port}");
    let mut tried = 0;
    for (host, meant) in [(own.as_str(), true), (&local, true), (&rebound, false), (&other_port, false), ("", false), ("evil", false)] {
        let same = format!("http://{host}");
        for (origin, ours) in [(None, true), (Some(same.as_str()), true), (Some("http://evil.example"), false), (Some("null"), false), (Some("http://127.0.0.1:1"), false)] {
            for (cookie, known) in [(None, false), (Some(b.cookie.as_str()), true), (Some("cfs-1=00"), false), (Some(&b.cookie[..b.cookie.len() - 1]), false)] {
                for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"] {
                    for fetch in [None, Some("same-origin"), Some("same-site"), Some("cross-site")] {
                        let mut headers = vec![("Host", host), ("Content-Type", "application/x-www-form-urlencoded")];
                        headers.extend(origin.map(|o| ("Origin", o)));
                        headers.extend(cookie.map(|c| ("Cookie", c)));
                        headers.extend(fetch.map(|f| ("Sec-Fetch-Site", f)));
                        let path = if method == "POST" { "/sync" } else { "/logs" };
                        let a = http(port, method, path, &headers, &format!("csrf={csrf}"));
                        let read = method == "GET" || method == "HEAD";
                        let let_in = meant && ours && known && fetch.is_none_or(|f| f == "same-origin") && (read || method == "POST" && origin.is_some());
                        let got = if read { a.status == 200 } else { a.status == 303 };
                        assert_eq!(got, let_in, "{method} Host: {host} Origin: {origin:?} Cookie: {cookie:?} Sec-Fetch-Site: {fetch:?}: {}", a.status);
                        if !let_in {
                            assert!((400..500).contains(&a.status) && !a.body.contains("Synchronization"), "{}", a.body);
                        }
                        tried += 1;
                    }
                }
            }
        }
    }
    assert_eq!(tried, 6 * 5 * 4 * 8 * 4);
}

#[test]
fn an_address_is_used_once_and_a_form_is_the_browsers_own() {
    let c = Clinics::new();
    let _service = start(&c, "north", &[]);
    let (one, two) = (Browser::enter(&c, "north"), Browser::enter(&c, "north"));
    let host = format!("127.0.0.1:{}", one.port);
    let address = c.run("north", &["open", "--print"]).out;
    let path = address.trim().split_once(&host).unwrap().1.to_owned();
    let enter = |path: &str| http(one.port, "GET", path, &[("Host", &host)], "").status;
    assert_eq!((enter(&path), enter(&path), enter("/enter?key="), enter("/enter"), enter("/enter?key=00")), (303, 403, 403, 403, 403));
    // Every page is dressed, whoever asks.
    for a in [one.get("/"), http(one.port, "GET", "/", &[("Host", &host)], ""), one.get("/no-such-page")] {
        assert!(a.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{}", a.head);
        assert_eq!((a.header("cache-control"), a.header("x-frame-options"), a.header("referrer-policy")), (Some("no-store"), Some("DENY"), Some("same-origin")));
        assert!(a.header("access-control-allow-origin").is_none());
    }
    let cookie = http(one.port, "GET", c.run("north", &["open", "--print"]).out.trim().split_once(&host).unwrap().1, &[("Host", &host)], "");
    let cookie = cookie.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && cookie.contains("Path=/"), "{cookie}");
    let csrf = Browser::hidden(&one.get("/").body, "csrf");
    assert_eq!(one.post("/sync", &[("csrf", &csrf)]).status, 303);
    for wrong in ["", "00", &csrf[1..], &Browser::hidden(&two.get("/").body, "csrf")] {
        assert_eq!(one.post("/sync", &[("csrf", wrong)]).status, 403, "{wrong}");
    }
    assert_eq!(one.post("/sync", &[]).status, 403);
    let huge = "x".repeat(3 << 20);
    assert!((400..500).contains(&one.post("/settings", &[("csrf", &csrf), ("folder", &huge)]).status));
}

#[cfg(unix)]
#[test]
fn what_the_service_leaves_on_the_disk_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let c = Clinics::new();
    let _service = start(&c, "north", &[]);
    let dir = c.dir().join("state/cloud-folder-sync");
    wait("it has a log", || std::fs::read_dir(&dir).unwrap().any(|e| e.unwrap().path().extension().is_some_and(|e| e == "log")));
    for e in std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap()) {
        let mode = e.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", e.path().display());
    }
}

#[test]
fn what_people_typed_is_text_on_every_page() {
    let c = Clinics::new();
    let script = "<script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";
    for site in ["north", "south"] {
        let typed = script.replace('\'', "''");
        c.sql(site, &format!("UPDATE patient SET phone = '{site}{typed}', last_name = '{typed}' WHERE last_name = 'Brackenridge'"));
    }
    c.rounds();
    c.sql("north", "INSERT INTO cfs_delete(table_name, key, reason) VALUES ('patient', 2, '<b>gone</b>')");
    let _service = start(&c, "north", &[]);
    wait("it is deleted", || c.run("north", &["status", "--json"]).json(0)["trash"] != 0);
    let b = Browser::enter(&c, "north");
    let record = c.run("north", &["conflicts", "--json"]).json(0)["conflicts"][0]["record"].as_str().unwrap().to_owned();
    let mut seen = 0;
    for path in [
        "/",
        "/logs",
        "/logs/1",
        "/logs/2",
        "/logs?table=patient",
        "/conflicts",
        "/held",
        "/matches",
        "/matches/alike",
        "/find",
        "/deletions",
        "/trash",
        "/sites",
        "/settings",
        &format!("/record/{record}"),
    ] {
        let a = b.get(path);
        assert_eq!(a.status, 200, "{path}");
        assert!(!a.body.contains("<script>alert") && !a.body.contains("<img") && !a.body.contains("<b>gone"), "{path}: {}", a.body);
        seen += usize::from(a.body.contains("&lt;script&gt;alert"));
        let title = a.body.split("<title>").nth(1).and_then(|t| t.split('<').next()).unwrap();
        // A record's number alone may hold any digits.
        let title = title.split(' ').filter(|w| w.len() != 8).collect::<String>();
        assert!(!title.contains("script") && !title.contains("555"), "{title}");
    }
    assert!(seen >= 3, "{seen}");
    let csrf = Browser::hidden(&b.get("/find").body, "csrf");
    assert_eq!(b.post("/find", &[("csrf", &csrf), ("text", script)]).status, 303);
    let found = b.get("/find").body;
    assert!(found.contains("&lt;script&gt;alert") && !found.contains("<script>alert"), "{found}");
    let a = b.get(&format!("/logs?record={}", escaped(script)));
    assert!(a.status == 400 && !a.body.contains("<script>alert"), "{}", a.body);
}
