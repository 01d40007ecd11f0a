//! `cfs run` and `cfs open`: the service, and its page.

use super::{Failure, Json, err, json, out, text};
use crate::config::Config;
use crate::keeper::DirKeeper;
use crate::service::door::{self, Answer, Question};
use crate::service::process::asked_to_end;
use crate::service::{Handle, Service, journal};
use clap::Args;
use std::path::Path;
use std::time::Duration;

/// Flags of `cfs run`.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Run only while this process runs, as the host application does.
    #[arg(long, value_name = "PID")]
    while_pid: Option<u32>,
    /// The port of the page on this computer; any that is free, if it is not said here or in cfs.toml.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Show no page.
    #[arg(long)]
    no_page: bool,
    /// Write the service's log as JSON, a document a line.
    #[arg(long)]
    log_json: bool,
    /// End the service that is running.
    #[arg(long, conflicts_with_all = ["while_pid", "port", "no_page", "log_json"])]
    stop: bool,
}

/// Flags of `cfs open`.
#[derive(Debug, Args)]
pub(super) struct OpenArgs {
    /// Print the address, which can be used once, and open no browser.
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    json: Json,
}

pub(super) fn run(args: &RunArgs, config: &Path) -> Result<u8, Failure> {
    if args.stop {
        return stop(config);
    }
    let service = Service::new(config)?;
    let loaded = Config::load(config)?;
    let dir = journal::directory(DirKeeper::new(loaded.state_dir.as_deref())?.dir(), service.database_id());
    journal::start(&dir, args.log_json).map_err(|e| Failure::new(1, format!("{}: the service's log cannot be written: {e}", dir.display())))?;
    service.handle().set_log(&dir);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| Failure::new(1, format!("the service cannot start: {e}")))?;
    let done = runtime.block_on(serve(service, &loaded, args));
    // A synchronization that is not at its end by now is broken off; the next one finishes it.
    runtime.shutdown_timeout(Duration::from_millis(200));
    done.map(|()| 0)
}

async fn serve(service: Service, config: &Config, args: &RunArgs) -> Result<(), Failure> {
    let handle = service.handle();
    tracing::info!(site = %config.site, pid = std::process::id(), version = env!("CARGO_PKG_VERSION"), "started");
    if !args.no_page {
        let port = args.port.unwrap_or(config.page_port);
        let mut page = crate::page::serve(handle.clone(), port).await;
        // What was agreed on once must not keep a clinic from synchronizing.
        if let (Err(e), None) = (&page, args.port) {
            tracing::error!(port, error = %e, "the page cannot use the port of `page_port`, and has another");
            page = crate::page::serve(handle.clone(), 0).await;
        }
        match page {
            Ok(port) => tracing::info!(port, "the page is ready: cfs open"),
            Err(e) if args.port.is_some() => return Err(Failure::new(1, format!("the page cannot use port {port}: {e}; name another with --port, or 0 for any"))),
            Err(e) => tracing::error!(error = %e, "there is no page"),
        }
    }
    tokio::spawn(stop_on_signal(handle));
    service.run(args.while_pid).await;
    Ok(())
}

async fn stop_on_signal(handle: Handle) {
    asked_to_end().await;
    handle.stop();
}

fn ask(config: &Path, question: &Question) -> Result<Answer, Failure> {
    let answer = door::ask(&Config::load(config)?, question, &mut |_, _, _| {})?;
    answer.ok_or_else(|| Failure::new(1, "no service is running for this database; `cfs run` starts one"))
}

fn stop(config: &Path) -> Result<u8, Failure> {
    ask(config, &Question::Stop)?;
    out("The service ends.");
    Ok(0)
}

pub(super) fn open(args: &OpenArgs, config: &Path) -> Result<u8, Failure> {
    let Answer::Page(page) = ask(config, &Question::Page)? else { return Err(Failure::new(1, "the service gave no address")) };
    let Some(address) = page else { return Err(Failure::new(1, "the service was started with --no-page; start it without")) };
    // Whatever answers, only a page on this computer is opened.
    if !address.starts_with("http://127.0.0.1:") {
        return Err(Failure::new(1, "what answered is not this database's service; end it and start `cfs run` again"));
    }
    if args.json.json {
        out(&json(&serde_json::json!({ "page": address })));
    } else if args.print {
        out(&address);
    } else if open::that_detached(&address).is_err() {
        err("cfs: no browser could be started; open this address on this computer, once:");
        out(&address);
    } else {
        out(&text::wrap("The page opens in your browser. If it does not: cfs open --print", 79, "  "));
    }
    Ok(0)
}
