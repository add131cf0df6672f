//! The files that a user's tasks left, all of them.

use super::*;
use cloudai_core::sha256::Sha256;
use cloudai_core::testing::cores;

fn output(path: &str, size: u64) -> OutputFile {
    OutputFile { path: path.into(), size, sha256: Sha256([0; 32]) }
}

/// A task that has ended and left these files, each of 2 bytes.
async fn left(fake: &Fake, name: &str, paths: &[&str]) -> TaskId {
    let body = format!(r#"{{"image":"busybox","name":"{name}"}}"#);
    let answer = fake.post("/api/v1/tasks", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let id: TaskId = answer.json::<dto::Task>().id.parse().unwrap();
    let attempt = fake.cluster(|cluster| cluster.place(id, "w1")).await;
    fake.end(attempt, 0, paths.iter().map(|path| output(path, 2)).collect()).await;
    id
}

async fn page(fake: &Fake, query: &str) -> dto::Files {
    let answer = fake.get(&format!("/api/v1/files?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn shown(files: &dto::Files) -> Vec<(String, String)> {
    let name = |file: &dto::KeptFile| file.task_name.clone().unwrap_or_default();
    files.list.items.iter().map(|file| (name(file), file.file.path.clone())).collect()
}

#[tokio::test]
async fn pages_of_any_length_tell_each_file_once_the_newest_task_first() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(64))).await;
    left(&fake, "first", &["b", "a"]).await;
    left(&fake, "nothing", &[]).await;
    let last = left(&fake, "last", &["x/y", "z", "e"]).await;
    fake.task().await;
    let expected = [("last", "e"), ("last", "x/y"), ("last", "z"), ("first", "a"), ("first", "b")];
    let expected = expected.map(|(task, path)| (task.to_owned(), path.to_owned()));
    for limit in [1, 2, 3, 5, 1000] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let files = page(&fake, &format!("limit={limit}&cursor={cursor}")).await;
            assert_eq!((files.files, files.bytes), (5, 10), "the sum is of all pages");
            assert!(files.list.items.len() <= limit);
            found.extend(shown(&files));
            match files.list.next_cursor {
                Some(next) => cursor = next,
                None => break,
            }
        }
        assert_eq!(found, expected, "{limit}");
    }
    let files = page(&fake, "limit=1").await;
    let first = &files.list.items[0];
    assert_eq!((first.task_id.as_str(), first.attempt), (last.to_string().as_str(), 1));
    assert!(first.kept_since.ends_with('Z') && first.file.location.is_none(), "{first:?}");
}

#[tokio::test]
async fn a_page_looks_at_some_hundred_tasks_and_goes_on_behind_them() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(64))).await;
    left(&fake, "old", &["a"]).await;
    for _ in 0..520 {
        left(&fake, "nothing", &[]).await;
    }
    let files = page(&fake, "").await;
    assert!(files.list.items.is_empty());
    let next = files.list.next_cursor.expect("there is more");
    let files = page(&fake, &format!("cursor={next}")).await;
    assert_eq!((shown(&files), files.list.next_cursor), (vec![("old".into(), "a".into())], None));
}

#[tokio::test]
async fn the_files_of_one_task_and_of_others_users() {
    let fake = Fake::start().await;
    fake.cluster(|cluster| cluster.worker("w1", cores(64))).await;
    let id = left(&fake, "one", &["a", "b", "c"]).await;
    left(&fake, "other", &["d"]).await;
    let files = page(&fake, &format!("task={id}&limit=2")).await;
    assert_eq!((files.files, files.bytes, shown(&files).len()), (3, 6, 2));
    let next = files.list.next_cursor.unwrap();
    let files = page(&fake, &format!("task={id}&limit=2&cursor={next}")).await;
    assert_eq!((shown(&files), files.list.next_cursor), (vec![("one".into(), "c".into())], None));
    assert_eq!(page(&fake, "user=local").await.files, 4);
    let files = page(&fake, "user=ann").await;
    assert_eq!((files.files, files.bytes, files.list.items.len()), (0, 0, 0), "what is another's is not told");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_what_has_not_ended_has_left_nothing() {
    let fake = Fake::start().await;
    let id = fake.task().await;
    let said = fake.get(&format!("/api/v1/files?task={id}")).await.refused(409, "conflict");
    assert!(said.contains("its files are there once it has ended"), "{said}");
    fake.get(&format!("/api/v1/files?task={}", TaskId::new(99))).await.refused(404, "not_found");
    let query = format!("user=-&limit=0&cursor=zz&tsak=1&task={id}");
    let problem = fake.get(&format!("/api/v1/files?{query}")).await.problem();
    let paths: Vec<_> = problem.errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!((problem.status, paths), (400, vec!["user", "limit", "cursor", "tsak"]));
    let both = fake.get(&format!("/api/v1/files?user=local&task={id}")).await.problem();
    assert!(both.errors[0].problem.contains("together with task"), "{both:?}");
}
