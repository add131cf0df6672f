//! GPUs: as many as a person declares, of those that the machine has.
//!
//! None is offered by itself yet: a host whose driver could be asked (NVML) is still to come.

use cloudai_core::resources::Gpu;
use std::path::Path;

/// The model of a declared device.
const MODEL: &str = "generic";

/// The devices that the driver knows: none until it is asked.
#[must_use]
pub const fn detect() -> Vec<Gpu> {
    Vec::new()
}

/// How many devices NVIDIA's driver shows: the files `dev/nvidia0`, `dev/nvidia1`, ... below `root`.
#[must_use]
pub fn present(root: &Path) -> u32 {
    let entries = std::fs::read_dir(root.join("dev")).into_iter().flatten().flatten();
    let is_device = |name: &str| {
        let number = name.strip_prefix("nvidia");
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let devices = entries.filter(|entry| entry.file_name().to_str().is_some_and(is_device)).count();
    u32::try_from(devices).unwrap_or(u32::MAX)
}

/// `count` devices with the ids `0`, `1`, ... and no particular model.
#[must_use]
pub fn declared(count: u32) -> Vec<Gpu> {
    (0..count).map(|index| Gpu { id: index.to_string().into(), model: MODEL.into() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_numbered_files_are_its_devices() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(present(root.path()), 0);
        std::fs::create_dir(root.path().join("dev")).unwrap();
        for name in ["nvidia0", "nvidia11", "nvidiactl", "nvidia-uvm", "nvidia", "sda1"] {
            std::fs::write(root.path().join("dev").join(name), "").unwrap();
        }
        assert_eq!(present(root.path()), 2);
    }
}
