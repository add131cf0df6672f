//! Frames that released versions sent: every later version reads all of what is in them.
//!
//! `fixtures/VERSION.frames` has a line for each message: its name, then a frame of it as hex, with
//! every field set; one line for each choice of a `oneof`. A file is made once, by `make fixtures`
//! of the version that is released, and never changed.

use cloudai_proto::DESCRIPTOR;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Messages as `proto/` calls them: one has another name in Rust.
mod v1 {
    pub(crate) use cloudai_proto::v1::{TaskId as TaskID, *};
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Reads a frame as this version does, and writes what it understood.
fn through<M: Message + Default>(frame: &[u8]) -> Vec<u8> {
    M::decode(frame).unwrap().encode_to_vec()
}

/// The same for a message that is known by its name.
fn understood(name: &str, frame: &[u8]) -> Vec<u8> {
    macro_rules! table {
        ($($message:ident)*) => {
            match name {
                $(stringify!($message) => through::<v1::$message>(frame),)*
                other => panic!("{other} was released and is no message of this version"),
            }
        };
    }
    table!(EnrollRequest EnrollAck WorkerInfo GpuDevice RegisterAck Heartbeat EngineImages TaskInfo HeartbeatAck Task Allocation GpuShare SubscribeRequest
        CommandBatch Command StopTask Ping TaskResult TaskResults OutputFile ResultAck ResultAcks TaskProgressList ProgressAck
        LogChunk LogHeader LogRecords LogRecord LogAck FileChunk FileHeader FileAck SmallFiles SmallFile SmallFilesAck AttemptRef
        ResolvedInputs ResolvedInput ResolvedSecrets ResolvedSecret ResolvedRegistry FetchRequest WantedContent ContentChunk LeaveRequest LeaveAck
        TaskID CommandPlace TaskAck Announcement AnnounceAck
        ExecOrder WindowSize ExecFromWorker ExecStarted ExecRefused ExecEnded ExecToWorker ExecEndOfInput
        WatchRequest ClusterUpdate Amounts ClusterWorker FreeGpu WaitingTask PlacedTask Proposals Proposal ProposalResults
        ProposalResult)
}

/// The messages and enumerations of `proto/`.
struct Schema {
    messages: Vec<DescriptorProto>,
    enums: Vec<EnumDescriptorProto>,
}

impl Schema {
    fn read() -> Self {
        let files = FileDescriptorSet::decode(DESCRIPTOR).unwrap().file;
        let ours = |file: &prost_types::FileDescriptorProto| file.package() == "cloudai.v1";
        let files: Vec<_> = files.into_iter().filter(ours).collect();
        Self {
            messages: files.iter().flat_map(|file| file.message_type.clone()).collect(),
            enums: files.into_iter().flat_map(|file| file.enum_type).collect(),
        }
    }

    /// A frame with every field set, of each `oneof` the choice of this number.
    fn frame(&self, message: &DescriptorProto, choice: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        let mut fields: Vec<_> = message.field.iter().filter(|field| is_chosen(message, field, choice)).collect();
        fields.sort_by_key(|field| field.number());
        for field in fields {
            self.put(message, field, choice, &mut frame);
        }
        frame
    }

    fn put(&self, message: &DescriptorProto, field: &FieldDescriptorProto, choice: usize, frame: &mut Vec<u8>) {
        let number = u64::from(field.number().unsigned_abs());
        let repeated = field.label() == Label::Repeated;
        let mut values = Vec::new();
        let wire = self.value(message, field, choice, &mut values);
        if repeated && wire != Wire::Bytes {
            let both = values.repeat(2);
            return length_delimited(number, &both, frame); // packed
        }
        let is_map = self.entry(message, field).is_some();
        for _ in 0..if repeated && !is_map { 2 } else { 1 } {
            match wire {
                Wire::Bytes => length_delimited(number, &values, frame),
                Wire::Varint | Wire::Fixed64 | Wire::Fixed32 => {
                    varint(number << 3 | wire as u64, frame);
                    frame.extend(&values);
                }
            }
        }
    }

    /// The value of a field: no default, and another one for each field.
    fn value(
        &self,
        message: &DescriptorProto,
        field: &FieldDescriptorProto,
        choice: usize,
        bytes: &mut Vec<u8>,
    ) -> Wire {
        let number = field.number().unsigned_abs();
        match field.r#type() {
            Type::Double => bytes.extend((f64::from(number) + 0.5).to_le_bytes()),
            Type::Fixed64 | Type::Sfixed64 => bytes.extend((u64::from(number) << 40).to_le_bytes()),
            Type::Float => bytes.extend(0.5_f32.to_le_bytes()),
            Type::Fixed32 | Type::Sfixed32 => bytes.extend(number.to_le_bytes()),
            Type::Bool => bytes.push(1),
            Type::Int64 | Type::Uint64 | Type::Sint64 => varint(u64::from(number) << 33, bytes),
            Type::Int32 | Type::Uint32 | Type::Sint32 => varint(u64::from(number) * 1000, bytes),
            Type::Enum => {
                let name = field.type_name().rsplit('.').next().unwrap();
                let found = self.enums.iter().find(|found| found.name() == name).unwrap();
                let last = found.value.iter().map(|value| value.number().unsigned_abs()).max().unwrap();
                varint(u64::from(last), bytes);
            }
            Type::String | Type::Bytes => bytes.extend(field.name().bytes()),
            Type::Message => {
                let inner = self.entry(message, field).or_else(|| self.message(field.type_name())).unwrap();
                bytes.extend(self.frame(inner, choice));
            }
            Type::Group => unreachable!("proto3 has none"),
        }
        match field.r#type() {
            Type::Double | Type::Fixed64 | Type::Sfixed64 => Wire::Fixed64,
            Type::Float | Type::Fixed32 | Type::Sfixed32 => Wire::Fixed32,
            Type::String | Type::Bytes | Type::Message | Type::Group => Wire::Bytes,
            Type::Bool | Type::Enum | Type::Int64 | Type::Uint64 | Type::Sint64 => Wire::Varint,
            Type::Int32 | Type::Uint32 | Type::Sint32 => Wire::Varint,
        }
    }

    fn message(&self, path: &str) -> Option<&DescriptorProto> {
        let name = path.rsplit('.').next()?;
        self.messages.iter().find(|message| message.name() == name)
    }

    /// The message of a map's entries.
    fn entry<'a>(&self, message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
        let name = field.type_name().rsplit('.').next()?;
        message.nested_type.iter().find(|nested| nested.name() == name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

/// Whether a field is in a frame: of the fields of one choice, only one.
fn is_chosen(message: &DescriptorProto, field: &FieldDescriptorProto, choice: usize) -> bool {
    let Some(of) = field.oneof_index.filter(|_| !field.proto3_optional()) else { return true };
    let rivals: Vec<_> = message.field.iter().filter(|rival| rival.oneof_index == Some(of)).collect();
    rivals[choice % rivals.len()].number() == field.number()
}

fn choices(message: &DescriptorProto) -> usize {
    let rivals = |field: &FieldDescriptorProto| field.oneof_index.is_some() && !field.proto3_optional();
    message.field.iter().filter(|field| rivals(field)).count().max(1)
}

fn varint(value: u64, bytes: &mut Vec<u8>) {
    prost::encoding::encode_varint(value, bytes);
}

fn length_delimited(number: u64, value: &[u8], frame: &mut Vec<u8>) {
    varint(number << 3 | Wire::Bytes as u64, frame);
    varint(value.len() as u64, frame);
    frame.extend(value);
}

/// The file of this version's frames.
fn frames() -> String {
    let schema = Schema::read();
    let mut lines = String::new();
    for message in &schema.messages {
        for choice in 0..choices(message) {
            let frame = schema.frame(message, choice);
            let hex = frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            writeln!(lines, "{} {hex}", message.name()).unwrap();
        }
    }
    lines
}

fn check(frames: &str) -> usize {
    for line in frames.lines() {
        let (name, hex) = line.split_once(' ').unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let frame: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let told = understood(name, &frame);
        assert_eq!(told, frame, "{name}: something of what was sent is not understood any more");
    }
    frames.lines().count()
}

#[test]
#[ignore = "makes the fixture of a version that is released: make fixtures"]
fn make_the_frames_of_this_version() {
    let file = fixtures().join(concat!(env!("CARGO_PKG_VERSION"), ".frames"));
    assert!(!file.exists(), "{} is there: what was released never changes", file.display());
    std::fs::create_dir_all(fixtures()).unwrap();
    std::fs::write(file, frames()).unwrap();
}

#[test]
fn every_field_of_every_released_frame_is_understood() {
    let files: Vec<_> = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(check(&std::fs::read_to_string(file).unwrap()) > 20);
    }
}

#[test]
fn every_message_of_this_version_is_among_those_that_are_checked() {
    assert!(check(&frames()) > 20);
}

/// The check finds what it is there for.
#[test]
#[should_panic(expected = "not understood any more")]
fn a_field_that_nobody_knows_any_more_is_found() {
    check("LeaveAck fa3f0178");
}
