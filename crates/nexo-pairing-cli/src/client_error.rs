//! What the operator is told of a setup code that gave no session: how it ended, and what mends it.

use nexo_pairing::client::{ClientError, Refusal, Step};

use crate::exit::Exit;

/// How the command ends.
pub(crate) fn exit(error: &ClientError) -> Exit {
    match error {
        ClientError::Url { .. }
        | ClientError::DeviceLabel
        | ClientError::Refused { .. }
        | ClientError::NoSession { .. } => Exit::Refused,
        _ => Exit::Storage,
    }
}

/// What can be done about it.
pub(crate) fn hint(error: &ClientError) -> Option<String> {
    let hint = match error {
        ClientError::Url { .. } => "have another one issued",
        ClientError::Unreachable { step: Step::Tls, .. } => {
            "if the gateway's certificate is from an authority of your own, name that with \
             --ca-cert FILE"
        }
        ClientError::TimedOut { step: Step::Answer, .. } | ClientError::Lost { .. } => {
            "the code may be used up by now: have another one issued, and see with \
             `nexo-pair devices list` at the gateway whether there is a session to revoke"
        }
        ClientError::Unreachable { .. } | ClientError::TimedOut { .. } => {
            "see that the gateway runs (`nexo-pair serve`) and can be reached from here"
        }
        ClientError::BadAnswer { .. } => "see that the url of the code is the gateway's",
        ClientError::Refused { refusal: Refusal::Replayed, .. } => {
            "a code works once, and presenting it again may end the session that it gave: have \
             another one issued; if it was not you who used it, tell the operator, who finds \
             it in `nexo-pair log`"
        }
        ClientError::Refused { refusal: Refusal::Throttled, .. } => "wait a minute, and try again",
        ClientError::Refused { .. } => "have another one issued",
        _ => return None,
    };
    Some(hint.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    fn refused(refusal: Refusal) -> ClientError {
        let (gateway, message) = ("nexo.example.com:443".to_owned(), "no".to_owned());
        ClientError::Refused { refusal, gateway, message, retry_after: None }
    }

    fn unreachable(step: Step) -> ClientError {
        let source = io::Error::other("gone");
        ClientError::Unreachable { step, gateway: "nexo.example.com:443".to_owned(), source }
    }

    fn timed_out(step: Step) -> ClientError {
        let limit = Duration::from_secs(15);
        ClientError::TimedOut { step, gateway: "nexo.example.com:443".to_owned(), limit }
    }

    fn lost() -> ClientError {
        let source = io::Error::other("gone");
        ClientError::Lost { gateway: "nexo.example.com:443".to_owned(), source }
    }

    #[test]
    fn a_refusal_is_refused_and_what_fails_on_the_way_is_not() {
        for refusal in [
            Refusal::Malformed,
            Refusal::InvalidSignature,
            Refusal::Expired,
            Refusal::Replayed,
            Refusal::Cancelled,
            Refusal::Throttled,
            Refusal::Other,
        ] {
            let error = refused(refusal);
            assert_eq!((exit(&error), hint(&error).is_some()), (Exit::Refused, true), "{error}");
        }
        let (gateway, what) = ("127.0.0.1:80".to_owned(), "it says 404".to_owned());
        let bad_answer = ClientError::BadAnswer { gateway, what };
        let failures = [unreachable(Step::Connect), timed_out(Step::Resolve), lost(), bad_answer];
        for error in failures {
            assert_eq!((exit(&error), hint(&error).is_some()), (Exit::Storage, true), "{error}");
        }
        assert_eq!(exit(&ClientError::Url { rule: "is invalid" }), Exit::Refused);
    }

    #[test]
    fn a_hint_says_what_mends_it() {
        let told = |error: ClientError| hint(&error).unwrap();
        assert!(told(unreachable(Step::Tls)).contains("--ca-cert"));
        assert!(told(unreachable(Step::Connect)).contains("nexo-pair serve"));
        assert!(told(lost()).contains("used up"));
        assert!(told(timed_out(Step::Answer)).contains("used up"));
        assert!(told(timed_out(Step::Connect)).contains("nexo-pair serve"));
        let replayed = told(refused(Refusal::Replayed));
        assert!(replayed.contains("another one") && replayed.contains("nexo-pair log"));
    }
}
