//! `peer-taskchampion DIR put|change PLACE FILE | get PLACE ID | sync|count PLACE`: one step of the comparison, through its local server (a database in
//! the shared directory). FILE has one patient a line, as JSON; what is nested is a property for each row.

use serde_json::Value;
use std::{error::Error, fs, path::Path};
use taskchampion::{Operations, Replica, ServerConfig, SqliteStorage, TaskData, Uuid, storage::AccessMode};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, dir, step, place, what @ ..] = &args[..] else { return Err("peer-taskchampion DIR put|change PLACE FILE | get PLACE ID | sync|count PLACE".into()) };
    let what = what.first().map_or("", String::as_str);
    let mut replica = Replica::new(SqliteStorage::new(Path::new(dir).join(place), AccessMode::ReadWrite, true).await?);
    match step.as_str() {
        "put" | "change" => {
            let mut ops = Operations::new();
            for line in fs::read_to_string(what)?.lines() {
                let doc: Value = serde_json::from_str(line)?;
                let id = Uuid::parse_str(doc["id"].as_str().ok_or("no id")?)?;
                let mut task = match replica.get_task_data(id).await? {
                    Some(task) => task,
                    None => TaskData::create(id, &mut ops),
                };
                for (name, value) in doc.as_object().ok_or("no object")? {
                    match value {
                        Value::Array(rows) => rows.iter().enumerate().for_each(|(i, row)| task.update(format!("{name}.{i}"), Some(row.to_string()), &mut ops)),
                        Value::String(text) => task.update(name.clone(), Some(text.clone()), &mut ops),
                        other => task.update(name.clone(), Some(other.to_string()), &mut ops),
                    }
                }
            }
            replica.commit_operations(ops).await?;
        }
        "get" => {
            let task = replica.get_task_data(Uuid::parse_str(what)?).await?.ok_or("not there")?;
            println!("{}", Value::from_iter(task.iter().map(|(name, text)| (name.clone(), text.clone()))));
        }
        "count" => println!("{}", replica.all_task_uuids().await?.len()),
        "sync" => {
            let server_dir = Path::new(dir).join("shared");
            fs::create_dir_all(&server_dir)?;
            let mut server = ServerConfig::Local { server_dir }.into_server().await?;
            replica.sync(&mut server, false).await?;
        }
        other => return Err(format!("no such step: {other}").into()),
    }
    Ok(())
}
