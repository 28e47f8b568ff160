//! A switch that keeps sockets shut, for tests: whoever opens one asks here first. And what of the net is public.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::{Error, ErrorKind, Result};

static FORBIDDEN: AtomicUsize = AtomicUsize::new(0);

/// While one of these lives, no part of NeonHub in this process opens a socket.
#[derive(Debug)]
#[must_use = "the network is open again once this is dropped"]
pub struct NetworkForbidden(());

impl Drop for NetworkForbidden {
    fn drop(&mut self) {
        FORBIDDEN.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Forbids the network until the answer is dropped.
pub fn forbid() -> NetworkForbidden {
    FORBIDDEN.fetch_add(1, Ordering::SeqCst);
    NetworkForbidden(())
}

/// True while the network is forbidden.
#[must_use]
pub fn is_forbidden() -> bool {
    FORBIDDEN.load(Ordering::SeqCst) > 0
}

/// Asked before a socket is opened to `host`.
///
/// # Errors
/// `Config`, code `network_forbidden`, while the network is forbidden.
pub fn check(operation: &'static str, host: &str) -> Result<()> {
    if !is_forbidden() {
        return Ok(());
    }
    let message =
        "the network is forbidden in this test: use a scripted model, a connector of the test, or the outbox";
    Err(Error::new(ErrorKind::Config, operation, message)
        .with_code("network_forbidden")
        .with_context("host", host))
}

/// Whether an address is on the public internet: not of this machine, of a private network, or set aside.
// The registries of special-purpose addresses, IANA, 2026; the forms of IPv6 that carry an IPv4 address count as that one.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, ..] = ip.segments();
            let inner = |high: u16, low: u16| {
                let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
                is_public_v4(Ipv4Addr::new(a, b, c, d))
            };
            if let Some(mapped) = ip.to_ipv4_mapped() {
                return is_public_v4(mapped);
            }
            match (a, b) {
                // NAT64 of the well-known prefix; 6to4.
                (0x64, 0xff9b) if c == 0 => {
                    let [.., high, low] = ip.segments();
                    inner(high, low)
                }
                (0x2002, _) => inner(b, c),
                // Teredo, ORCHID and the rest of the protocol assignments; documentation.
                (0x2001, 0..0x200 | 0xdb8) | (0x3fff, 0..0x1000) => false,
                // Discard-only, unspecified, loopback and IPv4-compatible addresses are below; only this block is given out.
                _ => (0x2000..0x4000).contains(&a),
            }
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_set_aside = match (a, b, c) {
        // This network; private; loopback; future use and broadcast; multicast.
        (0 | 10 | 127 | 224.., ..) => true,
        // Shared by carriers; link-local; private.
        (100, 64..128, _) | (169, 254, _) | (172, 16..32, _) | (192, 168, _) => true,
        // Protocol assignments, documentation, relays of 6to4, benchmarks.
        (192, 0, 0 | 2) | (192, 88, 99) | (198, 18..20, _) | (198, 51, 100) | (203, 0, 113) => true,
        _ => false,
    };
    !is_set_aside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_networks_are_told_from_public_ones() {
        for inside in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "64:ff9b::10.0.0.1",
            "2002:0a00:0001::1",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fe80::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "64:ff9b::8.8.8.8",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn the_network_is_shut_while_someone_forbids_it() {
        let (a, b) = (forbid(), forbid());
        drop(a);
        assert_eq!(check("smtp.connect", "mail.example").unwrap_err().code(), "network_forbidden");
        drop(b);
        assert!(check("smtp.connect", "mail.example").is_ok());
    }
}
