//! The committed code is what `proto/` says. `make proto` (UPDATE_GENERATED=1) brings it up to date.

use std::path::Path;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let proto = root.join("../../proto");
    let out = tempfile::tempdir().unwrap();
    let fds = protox::compile(["cloudai/v1/master_worker.proto"], [&proto]).unwrap();
    tonic_prost_build::configure()
        .bytes(".cloudai.v1.LogRecord.data")
        .bytes(".cloudai.v1.FileChunk.data")
        .out_dir(out.path())
        .compile_fds(fds)
        .unwrap();
    let fresh = std::fs::read_to_string(out.path().join("cloudai.v1.rs")).unwrap();
    let kept = root.join("src/gen/cloudai.v1.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&kept, &fresh).unwrap();
    }
    let kept = std::fs::read_to_string(&kept).unwrap_or_default();
    assert!(kept == fresh, "the generated code is older than proto/: run `make proto`");
}
