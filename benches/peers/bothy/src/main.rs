//! `peer-bothy DIR put|change PLACE FILE | get PLACE ID | sync|count PLACE`: one step of the comparison, through a shared folder.
//! FILE has one patient a line, as JSON with the rows nested.

use bothy::{Config, Database, ListOptions, remote::FolderRemote};
use std::{error::Error, fs, path::Path, sync::Arc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, step, place, what @ ..] = &args[..] else { return Err("peer-bothy DIR put|change PLACE FILE | get PLACE ID | sync|count PLACE".into()) };
    let what = what.first().map_or("", String::as_str);
    let remote = Arc::new(FolderRemote::new(Path::new(dir).join("shared"))?);
    let db = Database::open(Config::new(Path::new(dir).join(place), "org.example.clinic"), remote).await?;
    db.init_or_join().await?;
    let patients = db.collection("patient")?;
    match step.as_str() {
        "put" | "change" => {
            for line in fs::read_to_string(what)?.lines() {
                let doc: serde_json::Value = serde_json::from_str(line)?;
                let id = doc["id"].as_str().ok_or("no id")?.to_owned();
                if step == "put" { patients.put(&id, doc).await? } else { patients.patch(&id, doc, &[]).await? };
            }
        }
        "get" => println!("{}", patients.get(what).await?.ok_or("not there")?.to_json()),
        "count" => println!("{}", patients.list(ListOptions::default().limit(usize::MAX)).await?.len()),
        "sync" => {
            db.sync().await?;
        }
        other => return Err(format!("no such step: {other}").into()),
    }
    Ok(())
}
