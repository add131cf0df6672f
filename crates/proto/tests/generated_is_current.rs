//! The committed code is what `proto/` says. `make proto` (UPDATE_GENERATED=1) brings it up to date.

use prost::Message;
use std::path::Path;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = root.join("../../proto");
    let out = tempfile::tempdir().unwrap();
    let fds = protox::compile(["cloudai/v1/master_worker.proto", "cloudai/v1/master_agent.proto"], [&proto]).unwrap();
    let mut bare = fds.clone();
    bare.file.iter_mut().for_each(|file| file.source_code_info = None);
    let descriptor = bare.encode_to_vec();
    tonic_prost_build::configure()
        .bytes(".cloudai.v1.LogRecord.data")
        .bytes(".cloudai.v1.FileChunk.data")
        .bytes(".cloudai.v1.ContentChunk.data")
        .bytes(".cloudai.v1.SmallFile.data")
        .bytes(".cloudai.v1.ResolvedSecret.value")
        .skip_debug([
            ".cloudai.v1.EnrollRequest",
            ".cloudai.v1.ResolvedInput",
            ".cloudai.v1.ResolvedSecret",
            ".cloudai.v1.ResolvedRegistry",
        ])
        .bytes(".cloudai.v1.ExecFromWorker.stdout")
        .bytes(".cloudai.v1.ExecFromWorker.stderr")
        .bytes(".cloudai.v1.ExecToWorker.stdin")
        .out_dir(out.path())
        .compile_fds(fds)
        .unwrap();
    let fresh = std::fs::read_to_string(out.path().join("cloudai.v1.rs")).unwrap();
    for (name, fresh) in [("src/gen/cloudai.v1.rs", fresh.into_bytes()), ("src/gen/cloudai.v1.bin", descriptor)] {
        let kept = root.join(name);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&kept, &fresh).unwrap();
        }
        let kept = std::fs::read(&kept).unwrap_or_default();
        assert!(kept == fresh, "{name} is older than proto/: run `make proto`");
    }
}
