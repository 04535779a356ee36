//! The words of a script's command: positions and `key=value`, each taken once, the rest refused.
//! Peers are written `ID@STORE`, with `-learner` behind for a learner; addresses `HOST.PORT`; labels `KEY.VALUE`;
//! lists `A/B`; times `30m`, `20s`, `500` (milliseconds); sizes in MiB.

use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::str::FromStr;

use nokv_proto::metapb::{Peer, PeerRole, RegionEpoch, StoreLabel};

/// See the file's head.
pub struct Arguments {
    keyed: BTreeMap<String, String>,
    words: VecDeque<String>,
}

type Parsed<T> = Result<T, Box<dyn Error>>;

impl Arguments {
    pub fn of(command: &goldenscript::Command) -> Self {
        let mut arguments = Self::none();
        let mut given = command.consume_args();
        while let Some((key, value)) = given.next_key() {
            arguments.keyed.insert(key.to_owned(), value.to_owned());
        }
        while let Some(word) = given.next_pos() {
            arguments.words.push_back(word.to_owned());
        }
        arguments
    }

    pub fn none() -> Self {
        Self { keyed: BTreeMap::new(), words: VecDeque::new() }
    }

    pub fn word<T: FromStr<Err: Error + 'static>>(&mut self) -> Parsed<T> {
        Ok(self.words.pop_front().ok_or("a word is missing")?.parse()?)
    }

    pub fn text(&mut self, key: &str) -> String {
        self.keyed.remove(key).unwrap_or_default()
    }

    pub fn has(&mut self, key: &str) -> bool {
        self.keyed.contains_key(key)
    }

    pub fn number<T: FromStr<Err: Error + 'static> + Default>(&mut self, key: &str) -> Parsed<T> {
        Ok(self.keyed.remove(key).map(|text| text.parse()).transpose()?.unwrap_or_default())
    }

    /// Whether a word stands among the positions.
    pub fn flag(&mut self, word: &str) -> bool {
        let at = self.words.iter().position(|other| other == word);
        at.is_some_and(|at| self.words.remove(at).is_some())
    }

    pub fn list(&mut self, key: &str) -> Vec<String> {
        let text = self.text(key);
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    pub fn peers(&mut self, key: &str) -> Parsed<Vec<Peer>> {
        self.list(key).iter().map(|text| peer(text)).collect()
    }

    /// `VERSION.MEMBERS`, 1.1 unless given; `none` for no epoch at all.
    pub fn epoch(&mut self) -> Parsed<Option<RegionEpoch>> {
        let text = self.text("epoch");
        match text.as_str() {
            "" => Ok(Some(RegionEpoch { version: 1, conf_ver: 1 })),
            "none" => Ok(None),
            _ => {
                let (version, conf_ver) = text.split_once('.').ok_or("an epoch is VERSION.MEMBERS")?;
                Ok(Some(RegionEpoch { version: version.parse()?, conf_ver: conf_ver.parse()? }))
            }
        }
    }

    pub fn labels(&mut self) -> Vec<StoreLabel> {
        let label = |text: &String| {
            let (key, value) = text.split_once('.').unwrap_or((text, ""));
            StoreLabel { key: key.to_owned(), value: value.to_owned() }
        };
        self.list("labels").iter().map(label).collect()
    }

    pub fn reject_rest(&self) -> Parsed<()> {
        if self.keyed.is_empty() && self.words.is_empty() {
            return Ok(());
        }
        Err(format!("nobody wants {:?} {:?}", self.words, self.keyed).into())
    }
}

pub fn duration_ms(text: &str) -> Parsed<u64> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'd') => (&text[..text.len() - 1], 86_400_000),
        Some(b'h') => (&text[..text.len() - 1], 3_600_000),
        Some(b'm') => (&text[..text.len() - 1], 60_000),
        Some(b's') => (&text[..text.len() - 1], 1_000),
        _ => (text, 1),
    };
    Ok(digits.parse::<u64>()? * factor)
}

fn peer(text: &str) -> Parsed<Peer> {
    let (text, role) = match text.strip_suffix("-learner") {
        Some(rest) => (rest, PeerRole::Learner),
        None => (text, PeerRole::Voter),
    };
    let (id, store_id) = text.split_once('@').ok_or("a peer is ID@STORE")?;
    Ok(Peer { id: id.parse()?, store_id: store_id.parse()?, role: role.into(), ..Peer::default() })
}
