//! What people write: the topology file, as a node and as a client read it, and keys and values on the command line.
//! Whatever is in it, the answer is a topology or a text that says where it is wrong.

use nokv_client::Topology as ClientTopology;
use nokv_server::config::Topology;
use nokv_server::key_text::KeyText;

/// A topology file, or a key.
pub fn config(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Err(error) = Topology::parse("raft_config.json", &text) {
        assert!(!error.to_string().is_empty());
    }
    let _ = ClientTopology::from_config_json(&text);
    let _ = ClientTopology::parse_key(&text);
    if let Ok(key) = text.parse::<KeyText>() {
        let shown = KeyText::from_bytes(key.as_bytes()).to_string();
        assert_eq!(shown.parse::<KeyText>().ok().map(|again| again.as_bytes().to_vec()), Some(key.as_bytes().to_vec()));
    }
}

/// Examples of [`config`].
pub fn config_examples() -> Vec<Vec<u8>> {
    let example = include_bytes!("../../raft_config.example.json");
    vec![example.to_vec(), b"hex:6e6f6b76".to_vec(), b"plain".to_vec(), b"-".to_vec()]
}
