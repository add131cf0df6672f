//! The list of a folder of this machine, less what its `.cloudaiignore` leaves out.

use super::Shipment;
use cloudai_core::spec::tree::{Entry, Kind, Tree};
use ignore::WalkBuilder;
use std::collections::BTreeSet;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Says which files of its folder are left out, in the form of `.gitignore`.
const IGNORE: &str = ".cloudaiignore";

/// Reads a folder: its files go to the shipment.
pub(super) fn read(root: &Path, shipment: &mut Shipment) -> io::Result<Tree> {
    let root = root.canonicalize()?;
    let mut walk = WalkBuilder::new(&root);
    walk.standard_filters(false).add_custom_ignore_filename(IGNORE).follow_links(false);
    let (mut entries, mut links) = (Vec::new(), Vec::new());
    let (mut files, mut folders, mut filled) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for found in walk.build() {
        let found = found.map_err(io::Error::other)?;
        // A line that was not understood could be the one that keeps a key from being sent.
        if let Some(error) = found.error() {
            return Err(io::Error::other(error.to_string()));
        }
        let path = found.path();
        let Ok(below) = path.strip_prefix(&root) else { continue };
        if below.as_os_str().is_empty() {
            continue;
        }
        let name = below.to_str().ok_or_else(|| {
            io::Error::other(format!(
                "the name of {} is no UTF-8: rename it, or leave it out by {IGNORE}",
                path.display()
            ))
        })?;
        let meta = path.symlink_metadata()?;
        if meta.is_dir() {
            folders.insert(below.to_owned());
            continue;
        }
        if meta.is_file() {
            files.insert(path.to_owned());
            entries.push(file(path, name, &meta, shipment)?);
            filled.extend(below.ancestors().skip(1).map(Path::to_owned));
        } else if meta.is_symlink() {
            links.push((path.to_owned(), name.to_owned()));
        } else {
            shipment.left_out.push((path.to_owned(), "it is no file"));
        }
    }
    for (path, name) in links {
        match behind(&path, &root, &files) {
            Ok(meta) => {
                entries.push(file(&path, &name, &meta, shipment)?);
                filled.extend(Path::new(&name).ancestors().skip(1).map(Path::to_owned));
            }
            Err(why) => shipment.left_out.push((path, why)),
        }
    }
    entries.extend(empty(&folders, &filled));
    Tree::of(entries).map_err(io::Error::other)
}

fn file(path: &Path, name: &str, meta: &Metadata, shipment: &mut Shipment) -> io::Result<Entry> {
    let (sha256, size) = shipment.file(path)?;
    let executable = meta.permissions().mode() & 0o111 != 0;
    Ok(Entry { path: name.into(), kind: Kind::File { sha256, size, executable } })
}

/// The file behind a link, where that is one of these; or why it is left out.
fn behind(path: &Path, root: &Path, files: &BTreeSet<PathBuf>) -> Result<Metadata, &'static str> {
    let target = path.canonicalize().map_err(|_| "it is a link that leads nowhere")?;
    let meta = target.metadata().map_err(|_| "it is a link that leads nowhere")?;
    match meta.is_file() {
        _ if !target.starts_with(root) => Err("it is a link out of the folder"),
        false => Err("it is a link to a folder"),
        true if !files.contains(&target) => Err("it is a link to what is left out"),
        true => Ok(meta),
    }
}

/// Folders with nothing in them.
fn empty<'a>(folders: &'a BTreeSet<PathBuf>, filled: &'a BTreeSet<PathBuf>) -> impl Iterator<Item = Entry> + 'a {
    let within =
        |folder: &Path| folders.range(folder.join("")..).any(|other| other != folder && other.starts_with(folder));
    let empty = folders.iter().filter(move |folder| !filled.contains(*folder) && !within(folder));
    empty.filter_map(|folder| Some(Entry { path: folder.to_str()?.to_owned(), kind: Kind::Folder }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    fn listed(root: &Path) -> (Vec<String>, Shipment) {
        let mut shipment = Shipment::default();
        let tree = read(root, &mut shipment).unwrap();
        let shown = |entry: &Entry| match entry.kind {
            Kind::File { executable: true, .. } => format!("{}*", entry.path),
            Kind::File { .. } => entry.path.clone(),
            Kind::Folder => format!("{}/", entry.path),
        };
        (tree.entries().iter().map(shown).collect(), shipment)
    }

    #[test]
    fn a_folder_is_its_files_and_its_empty_folders_less_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["src/deep", "empty/er", "data", "src/cache"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        for (name, text) in [
            ("run.sh", "#!/bin/sh"),
            ("src/a.py", "1"),
            ("src/deep/b.py", "2"),
            ("src/deep/b.pyc", "x"),
            ("src/cache/c", "x"),
            ("data/big.bin", "x"),
            (".hidden", "3"),
            (".gitignore", "src\n"),
            (".cloudaiignore", "*.pyc\n/data\ncache/\n"),
        ] {
            fs::write(at(name), text).unwrap();
        }
        fs::set_permissions(at("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        let (names, shipment) = listed(dir.path());
        let expected = [".cloudaiignore", ".gitignore", ".hidden", "empty/er/", "run.sh*", "src/a.py", "src/deep/b.py"];
        assert_eq!(names, expected);
        assert_eq!((shipment.contents.len(), shipment.left_out.len()), (6, 0));
    }

    #[test]
    fn links_are_followed_within_the_folder_and_left_out_with_a_word_elsewhere() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "1").unwrap();
        fs::write(at("key"), "s").unwrap();
        fs::write(at(IGNORE), "/key\n").unwrap();
        fs::create_dir(at("d")).unwrap();
        for (target, link) in [
            (at("a"), "d/inside"),
            (outside.path().join("secret"), "outside"),
            ("/etc".into(), "etc"),
            (at("d"), "folder"),
            ("nowhere".into(), "broken"),
            (at("key"), "to the key"),
        ] {
            symlink(target, at(link)).unwrap();
        }
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), 0o600.into()).unwrap();
        let (names, shipment) = listed(dir.path());
        assert_eq!(names, [IGNORE, "a", "d/inside"]);
        let told = shipment.notes().join("\n");
        for word in [
            "outside is left out: it is a link out",
            "leads nowhere",
            "link to a folder",
            "it is no file",
            "what is left out",
        ] {
            assert!(told.contains(word), "{word}: {told}");
        }
        assert_eq!(shipment.contents.len(), 2);
    }

    #[test]
    fn a_line_that_is_no_pattern_is_an_error_and_nothing_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(IGNORE), "*.key\n[z-a]\n").unwrap();
        let error = read(dir.path(), &mut Shipment::default()).unwrap_err().to_string();
        assert!(error.contains("[z-a]"), "{error}");
    }

    #[test]
    fn a_name_that_is_no_utf_8_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(OsStr::from_bytes(b"a\xff")), "x").unwrap();
        let error = read(dir.path(), &mut Shipment::default()).unwrap_err().to_string();
        assert!(error.contains("no UTF-8") && error.contains(IGNORE), "{error}");
    }
}
