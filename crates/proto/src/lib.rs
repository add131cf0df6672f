//! The wire of CloudAI: protobuf messages and gRPC services, generated from `proto/`.
//!
//! The generated files are committed, so that nobody needs a protobuf compiler; `make proto`
//! makes them anew and a test fails when they are not current.

/// Package `cloudai.v1`.
#[allow(missing_docs, clippy::all, reason = "generated")]
#[rustfmt::skip]
pub mod v1 {
    include!("gen/cloudai.v1.rs");
}

/// Shows that there is a value, never the value: messages are printed where something goes wrong.
impl std::fmt::Debug for v1::ResolvedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolvedSecret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An address may be signed: it is not shown.
impl std::fmt::Debug for v1::ResolvedInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sha256, size, folder, url: _ } = self;
        f.debug_struct("ResolvedInput")
            .field("sha256", sha256)
            .field("size", size)
            .field("folder", folder)
            .finish_non_exhaustive()
    }
}

/// Whose credentials they are, never the password.
impl std::fmt::Debug for v1::ResolvedRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolvedRegistry")
            .field("host", &self.host)
            .field("of_cluster", &self.of_cluster)
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

/// Who wants a certificate, never the token.
impl std::fmt::Debug for v1::EnrollRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollRequest").field("worker_id", &self.worker_id).finish_non_exhaustive()
    }
}

/// Files, messages and services of `proto/` as an encoded `FileDescriptorSet`, comments left out:
/// what reflection answers.
pub const DESCRIPTOR: &[u8] = include_bytes!("gen/cloudai.v1.bin");

/// The name that the certificate of every master has, whatever its address is: workers ask for it. No certificate of a
/// worker has it, so none of them can pass for the master.
pub const MASTER_NAME: &str = "master.cloudai.internal";

/// The newest version of the protocol between master and workers.
pub const PROTOCOL: u32 = 1;

/// What a side of this version can do beyond the first version of the protocol; told by both at
/// registration. Unknown words are ignored.
pub const CAPABILITIES: &[&str] = &["draining", "log_resume", "file_resume", EXEC, PUSH];

/// The capability of a master to bring commands to workers that ask for it.
pub const PUSH: &str = "push";

/// The capability to run programs in the containers of tasks.
pub const EXEC: &str = "exec";

/// What a worker tells beside [`EXEC`] whose operator forbids it: it refuses every such order.
pub const EXEC_OFF: &str = "exec_off";
