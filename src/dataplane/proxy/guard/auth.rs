//! Basic authentication (RFC 7617), with passwords hashed by bcrypt.
//!
//! The hash is slow on purpose, so it is computed off the request path, few at a time and for few that wait; a flood of wrong
//! passwords then costs a bounded part of the machine, and those whose password was found right before do not notice it. An
//! unknown user costs as long as a known one.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::Semaphore;

use crate::policy::Credential;
use crate::proxy::error::Error;
use crate::proxy::limits;
use crate::traffic::Verified;

/// The places at which passwords are checked.
#[derive(Debug)]
pub(in crate::proxy) struct PasswordChecks {
    running: Semaphore,
    waiting: Semaphore,
}

impl PasswordChecks {
    pub(in crate::proxy) fn new() -> Self {
        Self {
            running: Semaphore::new(limits::PASSWORD_CHECKS_MAX),
            waiting: Semaphore::new(limits::PASSWORD_CHECKS_WAITING_MAX),
        }
    }

    /// Whether the request names a user and the right password.
    ///
    /// # Errors
    ///
    /// [`Error::Unauthorized`], or [`Error::PasswordsBusy`] when too many wait to be checked.
    pub(super) async fn check(
        &self,
        users: &[Credential],
        verified: &Verified,
        headers: &HeaderMap,
    ) -> Result<(), Error> {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(authorization), None) = (given.next(), given.next()) else {
            return Err(Error::Unauthorized);
        };
        let digest = verified.digest(authorization.as_bytes());
        if verified.knows(&digest) {
            return Ok(());
        }
        let (user, password) = parse(authorization.as_bytes()).ok_or(Error::Unauthorized)?;
        let _place = self.waiting.try_acquire().map_err(|_| Error::PasswordsBusy)?;
        let _turn = self.running.acquire().await.expect("the semaphore is never closed");
        // Of several that waited with the same password the first has found it right.
        if verified.knows(&digest) {
            return Ok(());
        }
        let known = users.iter().find(|known| is_same(known.user.as_bytes(), &user));
        let is_known = known.is_some();
        let hash = known.or(users.first()).map(|user| user.hash.clone()).ok_or(Error::Unauthorized)?;
        // A hash that is none was refused with the manifest; here it means that nobody passes.
        let check = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        if !(check.await.unwrap_or(false) && is_known) {
            return Err(Error::Unauthorized);
        }
        verified.remember(digest);
        Ok(())
    }
}

/// Whether two byte strings are the same, in a time that depends on their lengths alone.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

/// User and password of `Basic dXNlcjpwYXNz`.
fn parse(authorization: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = authorization.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut user = base64(rest.trim_ascii())?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.pop();
    Some((user, password))
}

/// Decodes base64 (RFC 4648, 4), with its padding or without.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if padding > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::{base64, is_same, parse};

    #[test]
    fn a_header_names_a_user_and_a_password() {
        for (header, expected) in [
            ("Basic dXNlcjpwYXNz", Some(("user", "pass"))),
            ("basic dXNlcjpwYTpzcw==", Some(("user", "pa:ss"))),
            ("Basic dXNlcjo", Some(("user", ""))),
            ("Basic dXNlcg==", None),
            ("Basic d", None),
            ("Basic d$Nl", None),
            ("Bearer dXNlcjpwYXNz", None),
            ("Basic", None),
        ] {
            let expected = expected.map(|(user, pass): (&str, &str)| (user.into(), pass.into()));
            assert_eq!(parse(header.as_bytes()), expected, "{header}");
        }
        assert_eq!(base64(b"YQ==="), None);
    }

    #[test]
    fn bytes_are_the_same_when_all_are() {
        assert!(is_same(b"abc", b"abc") && is_same(b"", b""));
        assert!(!is_same(b"abc", b"abd") && !is_same(b"abc", b"ab"));
    }
}
