//! How a TCP port tells an app who is connected.

/// The form of the PROXY protocol, which goes before the first byte of a connection (HAProxy's proxy-protocol.txt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyVersion {
    /// One line of text.
    V1,
    /// Binary.
    V2,
}
