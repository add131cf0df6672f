//! GPUs: as many as a person declares.
//!
//! Nothing is detected yet: a host whose driver could be asked (NVML) is still to come.

use cloudai_core::resources::Gpu;

/// The model of a declared device.
const MODEL: &str = "generic";

/// The devices that the driver knows: none until it is asked.
#[must_use]
pub const fn detect() -> Vec<Gpu> {
    Vec::new()
}

/// `count` devices with the ids `0`, `1`, ... and no particular model.
#[must_use]
pub fn declared(count: u32) -> Vec<Gpu> {
    (0..count).map(|index| Gpu { id: index.to_string().into(), model: MODEL.into() }).collect()
}
