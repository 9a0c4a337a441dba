//! Whom to believe: the settings for a box that stands behind another proxy.

use std::net::IpAddr;

use http::HeaderName;
use ipnet::IpNet;

use super::{ConfigError, Setting, switch};

/// Addresses and CIDRs, separated by commas or spaces. Bits below a prefix's length are ignored.
pub(super) fn networks(Setting { from, text, .. }: Setting) -> Result<Vec<IpNet>, ConfigError> {
    text.split([',', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let address = || part.parse::<IpAddr>().map(IpNet::from);
            let net = part.parse::<IpNet>().or_else(|_| address());
            net.map(|net| net.trunc())
                .map_err(|_| ConfigError::Network { from: from.clone(), text: part.to_owned() })
        })
        .collect()
}

/// The name of a header.
pub(super) fn header(
    Setting { from, text, .. }: Setting,
    is_trusting: bool,
) -> Result<HeaderName, ConfigError> {
    if !is_trusting {
        return Err(ConfigError::NobodyTrusted { from });
    }
    text.parse().map_err(|_| ConfigError::Header { from, text })
}

/// Whether the PROXY protocol is spoken.
pub(super) fn proxy_protocol(setting: Setting, is_trusting: bool) -> Result<bool, ConfigError> {
    let from = setting.from.clone();
    match switch(setting)? {
        true if !is_trusting => Err(ConfigError::NobodyTrusted { from }),
        is_spoken => Ok(is_spoken),
    }
}
