//! Reads the texts that people give for numbers, sizes, times and addresses.
//!
//! Every function answers with what is allowed when the text is none of it.

use cloudai_core::resources::GIB;
use cloudai_core::text::parse_size;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A size in GiB: `512m`, `4g`; a plain number is GB.
/// # Errors
/// What is allowed.
pub(crate) fn gigabytes(text: &str) -> Result<f64, String> {
    if let Ok(number) = text.parse::<f64>() {
        return if number.is_finite() { Ok(number) } else { Err(not_a_size(text)) };
    }
    #[allow(clippy::cast_precision_loss, reason = "a size above 2^53 bytes is out of every range")]
    parse_size(text).map(|bytes| bytes as f64 / GIB as f64).map_err(|_| not_a_size(text))
}

fn not_a_size(text: &str) -> String {
    format!("{text:?} is no size: expected a number with a unit, as 512m or 4g; a plain number is GB")
}

/// A size in bytes, rounded up; a plain number is GB.
/// # Errors
/// What is allowed.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let gigabytes = gigabytes(text)?;
    let out = || format!("{text:?} is out of range: expected a size above 0, as 8g");
    let plain = text.parse::<f64>().is_ok();
    if gigabytes <= 0.0 || gigabytes > f64::from(1u32 << 30) {
        return Err(out());
    }
    parse_size(&if plain { format!("{text}g") } else { text.into() }).map_err(|_| out())
}

/// A size in bytes as [`bytes`] reads it, or 0.
/// # Errors
/// What is allowed.
pub(super) fn bytes_or_zero(text: &str) -> Result<u64, String> {
    if gigabytes(text)? == 0.0 {
        return Ok(0);
    }
    bytes(text).map_err(|why| format!("{why}, or 0"))
}

/// A size with its unit, as the task file takes it: `64m`. A plain number would be bytes there
/// and GB elsewhere, so it is refused.
/// # Errors
/// What is allowed.
pub(crate) fn with_unit(text: &str) -> Result<String, String> {
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) {
        parse_size(text).map(|_| text.to_owned())
    } else {
        Err(format!("{text:?} has no unit: write it as 64m or 1g"))
    }
}

/// A number of cores or devices.
/// # Errors
/// What is allowed.
pub(crate) fn cores(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{text:?} is no number: expected one as 2 or 0.5"))
}

/// A number as thousandths, rounded up.
pub(super) fn thousandths(text: &str) -> Result<u64, String> {
    let number = cores(text)?;
    if !(0.001..=4096.0).contains(&number) {
        return Err(format!("{text:?} is out of range: allowed are 0.001 to 4096"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked above")]
    Ok((number * 1000.0 - 1e-6).ceil() as u64)
}

/// A whole number in a range.
pub(super) fn whole(text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("{text:?} is no whole number from 0 to {most}"))
}

/// A time: `90`, `90s`, `250ms`, `1h30m`, `2d`; a plain number is seconds.
/// # Errors
/// What is allowed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: expected seconds, or a number with ms, s, m, h or d, as 90 or 1h30m");
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_ends = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(number_ends);
        let unit_ends = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_ends);
        let step = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "" if tail.is_empty() && rest.len() == text.len() => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * step;
        rest = tail;
    }
    let known = !text.is_empty() && seconds <= 1e11;
    // Milliseconds are as exact as times get here.
    if known { Duration::try_from_secs_f64((seconds * 1e3).round() / 1e3).map_err(|_| wrong()) } else { Err(wrong()) }
}

/// `k=v`.
/// # Errors
/// What is allowed.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("{text:?} has no key and value: expected k=v")),
    }
}

/// `true` or `false`, in the spellings of environment variables.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The address; none when only a port was given.
    pub(crate) ip: Option<IpAddr>,
    /// The port; 0 takes a free one.
    pub(crate) port: u16,
}

impl Listen {
    /// The address to bind; without one of its own it is `anywhere`.
    #[must_use]
    pub(super) fn at(self, anywhere: Ipv4Addr) -> SocketAddr {
        SocketAddr::new(self.ip.unwrap_or(IpAddr::V4(anywhere)), self.port)
    }
}

/// Where to listen: `ip:port`, `localhost:port`, `:port`, `port`.
pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let wrong = || format!("{text:?} is no address to listen on: expected ip:port, localhost:port, :port or a port");
    if let Some(port) = text.strip_prefix(':').or_else(|| (!text.contains(':')).then_some(text)) {
        return port.parse().map(|port| Listen { ip: None, port }).map_err(|_| wrong());
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        let ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        return port.parse().map(|port| Listen { ip, port }).map_err(|_| wrong());
    }
    let address: SocketAddr = text.parse().map_err(|_| wrong())?;
    Ok(Listen { ip: Some(address.ip()), port: address.port() })
}

/// A port that others can call: `50052` or `:50052`.
pub(super) fn plain_port(text: &str) -> Result<u16, String> {
    let port = text.strip_prefix(':').unwrap_or(text);
    port.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("{text:?} is no port"))
}

/// Where to connect: `host:port`, `:port` or a port of this machine; `http://` may stand before.
pub(super) fn connect(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is no address: expected host:port");
    let bare = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let bare = match bare.strip_prefix(':') {
        Some(port) => format!("127.0.0.1:{port}"),
        None if bare.parse::<u16>().is_ok() => format!("127.0.0.1:{bare}"),
        None => bare.to_owned(),
    };
    let (host, port) = bare.rsplit_once(':').ok_or_else(wrong)?;
    let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.[]:".contains(c));
    if host.is_empty() || !plain || port.parse::<u16>().map_or(true, |port| port == 0) {
        return Err(wrong());
    }
    Ok(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_unit_or_are_gigabytes() {
        for (text, expected) in [("512m", 0.5), ("4g", 4.0), ("4", 4.0), ("0.5", 0.5), ("1.5GiB", 1.5), ("-1", -1.0)] {
            assert!((gigabytes(text).unwrap() - expected).abs() < 1e-9, "{text}");
        }
        for bad in ["", "x", "4x", "nan", "inf", "1 g g"] {
            assert!(gigabytes(bad).unwrap_err().contains("is no size"), "{bad}");
        }
        for (text, expected) in [("8g", 8 << 30), ("8", 8 << 30), ("512m", 512 << 20), ("0.5", 512 << 20)] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for bad in ["0", "-1", "1e-12", "99999999999"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        for (text, expected) in [("0", 0), ("0g", 0), ("512m", 512 << 20), ("4", 4 << 30)] {
            assert_eq!(bytes_or_zero(text), Ok(expected), "{text}");
        }
        for bad in ["", "x", "-1", "99999999999"] {
            assert!(bytes_or_zero(bad).is_err(), "{bad}");
        }
        assert_eq!(with_unit("64m"), Ok("64m".into()));
        assert!(with_unit("64").unwrap_err().contains("no unit"));
    }

    #[test]
    fn times_have_units_or_are_seconds() {
        let rows = [
            ("90", 90_000),
            ("0", 0),
            ("1.5", 1_500),
            ("90s", 90_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0.1s", 100),
        ];
        for (text, millis) in rows {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "x", "-1", "1y", "1h30", "h", "1..5", "1e3", "99999999999999999999"] {
            assert!(duration(bad).unwrap_err().contains("is no time"), "{bad}");
        }
    }

    #[test]
    fn an_address_without_a_host_is_where_the_listener_may_be() {
        let at = |text, anywhere| listen(text).map(|listen| listen.at(anywhere).to_string());
        for text in [":50051", "50051", "127.0.0.1:50051", "localhost:50051"] {
            assert_eq!(at(text, Ipv4Addr::LOCALHOST).as_deref(), Ok("127.0.0.1:50051"), "{text}");
        }
        assert_eq!(at(":0", Ipv4Addr::UNSPECIFIED).unwrap(), "0.0.0.0:0");
        assert_eq!(at("localhost:1", Ipv4Addr::UNSPECIFIED).unwrap(), "127.0.0.1:1");
        assert_eq!(at("[::1]:9", Ipv4Addr::LOCALHOST).unwrap(), "[::1]:9");
        for bad in ["", ":", "x", "1.2.3.4", "host:80", "70000", ":-1"] {
            assert!(listen(bad).is_err(), "{bad}");
        }
        assert_eq!((plain_port("7"), plain_port(":7")), (Ok(7), Ok(7)));
        assert!(["::7", "", "0", ":0", "65536"].iter().all(|bad| plain_port(bad).is_err()));
    }

    #[test]
    fn a_master_is_a_host_and_a_port() {
        let rows = [
            ("gpu-01:50051", "gpu-01:50051"),
            (":50051", "127.0.0.1:50051"),
            ("50051", "127.0.0.1:50051"),
            ("http://a.b:1/", "a.b:1"),
            ("[::1]:5", "[::1]:5"),
        ];
        for (text, expected) in rows {
            assert_eq!(connect(text), Ok(expected.into()), "{text}");
        }
        for bad in ["", "host", "host:", "host:0", "https://a:1", "a b:1"] {
            assert!(connect(bad).is_err(), "{bad}");
        }
    }
}
