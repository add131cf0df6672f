//! A tar archive of a few small files, in the format of POSIX (ustar).

/// Bytes of a block: everything in an archive is a multiple of it.
const BLOCK: usize = 512;

/// Adds a file that its owner may read; `name` has less than 100 bytes.
pub(super) fn add(archive: &mut Vec<u8>, name: &str, modified_s: u64, data: &[u8]) {
    debug_assert!(name.len() < 100, "{name}");
    let mut head = [0u8; BLOCK];
    let mut put = |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000600\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", data.len()));
    put(136, &format!("{:011o}\0", modified_s.min(0o77_777_777_777)));
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&head);
    archive.extend_from_slice(data);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

/// Ends the archive.
pub(super) fn end(archive: &mut Vec<u8>) {
    archive.resize(archive.len() + 2 * BLOCK, 0);
}
