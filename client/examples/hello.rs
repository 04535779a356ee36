//! Says hello to a running cluster: one put, one transaction over its regions, one scan.
//!
//! ```sh
//! scripts/run_local_cluster.sh        # in another terminal
//! cargo run -p nokv-client --example hello -- --config raft_config.example.json --tso http://127.0.0.1:20159
//! cargo run -p nokv-client --example hello -- --addresses 127.0.0.1:20170,127.0.0.1:20171 --tso http://127.0.0.1:20159
//! ```

use clap::Parser;
use nokv_client::{Client, Options, ScanRange, Topology};

#[derive(Parser)]
struct Arguments {
    /// The topology file.
    #[arg(long, required_unless_present = "addresses")]
    config: Option<String>,
    /// Addresses of stores instead of a topology file: host:port, comma between them.
    #[arg(long, value_delimiter = ',', conflicts_with = "config")]
    addresses: Vec<String>,
    /// Where timestamps come from.
    #[arg(long)]
    tso: String,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let client = match &arguments.config {
        Some(config) => {
            let topology = Topology::from_config_json(&std::fs::read_to_string(config)?)?;
            Client::connect(topology, &arguments.tso, Options::default())?
        }
        None => Client::connect_to(arguments.addresses, &arguments.tso, Options::default())?,
    };

    let commit_ts = client.put("hello/alone", "one key, one transaction").await?;
    println!("put hello/alone, committed at {commit_ts}");

    let mut transaction = client.begin().await?;
    let greeted = transaction.get("hello/count").await?;
    let greeted: u64 = greeted.map(|count| String::from_utf8_lossy(&count).parse()).transpose()?.unwrap_or(0);
    transaction.put("hello/count", (greeted + 1).to_string())?;
    transaction.put("world/greeted", format!("{} times", greeted + 1))?;
    let commit_ts = transaction.commit().await?;
    println!("two keys of (most likely) two regions, committed together at {commit_ts}");

    for range in [ScanRange::new("hello/", "hello0"), ScanRange::new("world/", "world0")] {
        for (key, value) in client.scan(range, 10).await? {
            println!("{} = {}", key.escape_ascii(), value.escape_ascii());
        }
    }
    client.drain().await;
    Ok(())
}
