//! The client library's errors, as the seam's.
//!
//! What counts is who has to do something: nobody answers (start the engine), the socket may not be opened (join a group), the
//! disk is full (make room), the thing is not there (ours to handle), or the engine says no, in its own words.

use std::error::Error as _;
use std::io;

use bollard::errors::Error;

use super::super::EngineError;
use super::connect::Endpoint;

/// How a full disk reads in an engine's message (`strerror` of ENOSPC).
const DISK_FULL: &str = "no space left on device";

/// Says what `error` means while `action` was being done; a 404 means that `what` is not there.
pub(super) fn explain(endpoint: &Endpoint, action: &str, what: &str, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code: 404, .. } => {
            EngineError::NotFound { what: what.to_owned() }
        }
        Error::DockerResponseServerError { message, .. } | Error::DockerStreamError { error: message } => {
            refused(action, &message)
        }
        error => match transport_error(&error) {
            Some(io) if io.kind() == io::ErrorKind::PermissionDenied => {
                EngineError::Forbidden { endpoint: endpoint.to_string() }
            }
            Some(io) => EngineError::Unreachable { endpoint: endpoint.to_string(), reason: io.to_string() },
            None if is_transport(&error) => {
                EngineError::Unreachable { endpoint: endpoint.to_string(), reason: innermost(&error) }
            }
            None => EngineError::Refused { action: action.to_owned(), message: error.to_string() },
        },
    }
}

/// What the engine answered with, or why its disk is to blame.
pub(super) fn refused(action: &str, message: &str) -> EngineError {
    if is_disk_full(message) {
        EngineError::DiskFull { action: action.to_owned() }
    } else {
        EngineError::Refused { action: action.to_owned(), message: message.trim_end().to_owned() }
    }
}

pub(super) fn is_disk_full(message: &str) -> bool {
    message.contains(DISK_FULL)
}

fn is_transport(error: &Error) -> bool {
    matches!(
        error,
        Error::IOError { .. }
            | Error::HyperResponseError { .. }
            | Error::HyperLegacyError { .. }
            | Error::RequestTimeoutError
    )
}

fn transport_error(error: &Error) -> Option<&io::Error> {
    if let Error::IOError { err } = error {
        return Some(err);
    }
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        source = error.source();
    }
    None
}

fn innermost(error: &Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: Error, expected: &str) {
        let endpoint = Endpoint::from_url("unix:///run/e.sock");
        assert_eq!(explain(&endpoint, "start container `x`", "container `x`", error).to_string(), expected);
    }

    fn server(status_code: u16, message: &str) -> Error {
        Error::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn errors_say_who_has_to_act() {
        check(server(404, "No such container"), "container `x` is not there");
        check(server(409, "in use"), "cannot start container `x`: in use");
        check(
            server(500, "mkdir /var: no space left on device"),
            "cannot start container `x`: the engine's disk is full",
        );
        check(
            Error::IOError { err: io::ErrorKind::PermissionDenied.into() },
            "no permission to use the engine at unix:///run/e.sock",
        );
        check(
            Error::IOError { err: io::ErrorKind::ConnectionRefused.into() },
            "cannot reach the engine at unix:///run/e.sock: connection refused",
        );
    }
}
