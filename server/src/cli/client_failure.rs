//! A client's error as a failure of the command: the exit code, and what the person should do now.
//!
//! The one distinction that must never be blurred: an undetermined write is neither done nor undone.

use nokv_client::Error;

use super::exit::{Exit, Failure};

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (exit, advice) = match &error {
            Error::InvalidInput(_) => (Exit::Error, "nothing was written; correct the input"),
            Error::Aborted { .. } => (Exit::Error, "nothing was written; run the command again"),
            Error::Undetermined { .. } => (
                Exit::Undetermined,
                "the write may or may not have taken effect; read the keys before you write them again",
            ),
            Error::Unavailable { .. } => (
                Exit::Error,
                "nothing was written; see `nokv regions` for who leads and which stores answer, and try again",
            ),
            Error::Locked { .. } => {
                (Exit::Error, "try again: the other transaction ends, or its lock runs out within seconds")
            }
            Error::Refused { .. } => (Exit::Error, "compare the versions and limits of this client and the server"),
            Error::Protocol(_) => (Exit::Error, "a defect of the server: please report it with this text"),
        };
        Failure { text: error.to_string(), exit, advice: Some(advice.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_outcome_has_the_third_exit_code() {
        let unknown = Error::Undetermined { operation: "commit", start_ts: None, last: "connection lost".into() };
        let failure = Failure::from(unknown);
        assert_eq!(failure.exit, Exit::Undetermined);
        let json: serde_json::Value = serde_json::from_str(&failure.render(true)).unwrap();
        assert_eq!(json["kind"], "undetermined");
        assert!(failure.render(false).contains("\nadvice: the write may or may not have taken effect"));
        assert_eq!(Failure::from(Error::Protocol("x".into())).exit, Exit::Error);
    }
}
