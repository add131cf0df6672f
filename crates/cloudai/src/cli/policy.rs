//! `cloudai policy`: what the operator lets tasks ask for.

use super::Context;
use super::forms::{self, Kind};
use crate::exit::{Exit, Failure};
use crate::policy;
use crate::render::Screen;
use clap::Subcommand;
use cloudai_core::job::{JobFile, TaskFile};
use cloudai_core::policy::{Denied, Policy};
use cloudai_core::spec::{SpecError, TaskSpec, Value};
use cloudai_master::http::dto;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Shows the policy of the cluster
    #[command(before_help = "  cloudai policy show\n  cloudai policy show --json")]
    Show,
    /// Says what is wrong with a policy file, and what of a task or a job it would deny; asks no master
    #[command(before_help = "  cloudai policy check policy.toml             whether it can be read\n  \
                             cloudai policy check policy.toml train.toml  exit 6 when the task would be denied")]
    Check(Check),
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// The policy: TOML, docs/policy.md
    file: PathBuf,
    /// A task file or a job file that is held against it: TOML, YAML or JSON by its ending; - is stdin
    task: Option<PathBuf>,
}

/// Carries out what needs no master; none of what does.
pub(super) fn offline(command: &Command, screen: &Screen) -> Option<Result<Exit, Failure>> {
    match command {
        Command::Check(args) => Some(check(args, screen)),
        Command::Show => None,
    }
}

pub(super) async fn run(command: Command, cx: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Show => {
            let found: dto::Policy = cx.client.get(&["api", "v1", "policy"], &[]).await?;
            if let Some(problem) = &found.problem {
                cx.screen.note(&format!("warning: the file was changed and can not be read: {problem}"));
            }
            let file = found.file.clone().unwrap_or_default();
            cx.screen.one(&found, &file, || shown(&found))?;
            Ok(Exit::Ok)
        }
        Command::Check(args) => check(&args, &cx.screen),
    }
}

/// A policy as it is written.
fn shown(found: &dto::Policy) -> String {
    let file = found.file.as_deref().unwrap_or_default();
    match &found.rules {
        None => "no policy: nothing is denied (policy.file is not set on the master)".into(),
        Some(rules) => match toml::to_string_pretty(rules) {
            Ok(text) => format!("# {file}\n{}", text.trim_end()),
            Err(_) => rules.to_string(),
        },
    }
}

fn check(args: &Check, screen: &Screen) -> Result<Exit, Failure> {
    let file = args.file.display();
    let text = std::fs::read_to_string(&args.file).map_err(|error| forms::unreadable(&args.file, &error))?;
    let (_, policy) = policy::read(&text).map_err(|wrong| {
        let failure = Failure::usage(format!("{file} is no policy")).next("docs/policy.md lists every rule");
        wrong.into_iter().fold(failure, Failure::why)
    })?;
    let Some(task) = &args.task else {
        screen.one(&json!({"valid": true}), "ok", || format!("ok: {file}"))?;
        return Ok(Exit::Ok);
    };
    let denied = denied(&policy, task)?;
    if denied.is_empty() {
        let value = json!({"valid": true, "denied": []});
        screen.one(&value, "ok", || format!("ok: {file} lets {} through", forms::name_of(task)))?;
        return Ok(Exit::Ok);
    }
    let failure =
        Failure::new(Exit::NotAllowed, "policy_denied", format!("{} would be denied by {file}", forms::name_of(task)));
    Err(denied.iter().map(ToString::to_string).fold(failure, Failure::why))
}

/// All that a policy denies of the task or the job of a file.
fn denied(policy: &Policy, path: &Path) -> Result<Vec<Denied>, Failure> {
    let specs = specs(&Kind::TASK.read(path)?).map_err(|SpecError(wrong)| {
        let failure = Failure::usage(format!("{} is not right", forms::name_of(path)));
        wrong.iter().map(ToString::to_string).fold(failure, Failure::why)
    })?;
    let of_each = specs.iter().flat_map(|(within, spec)| {
        let denied = policy.check(spec).err().unwrap_or_default();
        denied.into_iter().map(move |one| Denied { path: format!("{within}{}", one.path), ..one })
    });
    Ok(of_each.collect())
}

/// What a document runs, each with the path before its fields.
fn specs(document: &Value) -> Result<Vec<(String, Arc<TaskSpec>)>, SpecError> {
    let is_job = matches!(document, Value::Map(fields) if fields.iter().any(|(name, _)| name == "tasks"));
    if is_job {
        let groups = JobFile::from_value(document)?.plan.groups;
        let named = groups.into_iter().enumerate().map(|(place, group)| (format!("tasks[{place}]."), group.spec));
        return Ok(named.collect());
    }
    Ok(match TaskFile::from_value(document)? {
        TaskFile::Task(spec) => vec![(String::new(), Arc::from(spec))],
        TaskFile::Job(file) => file.plan.groups.into_iter().map(|group| (String::new(), group.spec)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_of_a_job_is_held_against_the_policy_by_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (_, policy) = policy::read("[images]\nallow = ['good/*']\n[max]\ncpu_cores = 1\n").unwrap();
        let rows = [
            ("a.toml", "image = 'good/a'\n", vec![]),
            ("b.toml", "image = 'bad/a'\ncpu_cores = 2\n", vec!["image", "cpu_cores"]),
            ("c.toml", "image = 'bad/a'\narray = '0-3'\n", vec!["image"]),
            ("d.yaml", "tasks:\n- {name: a, image: good/a}\n- {name: b, image: bad/a}\n", vec!["tasks[1].image"]),
        ];
        for (name, text, paths) in rows {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let found: Vec<_> = denied(&policy, &path).unwrap().into_iter().map(|denied| denied.path).collect();
            assert_eq!(found, paths, "{name}");
        }
        let path = dir.path().join("e.toml");
        std::fs::write(&path, "imge = 'a'\n").unwrap();
        let failure = denied(&policy, &path).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.why.iter().any(|why| why.contains("did you mean image?")), "{failure}");
    }

    #[test]
    fn a_policy_is_shown_as_it_is_written() {
        let rules = Some(json!({"images": {"allow": ["busybox:*"]}, "max": {"pids": 64}}));
        let text = shown(&dto::Policy { file: Some("/etc/p.toml".into()), rules, problem: None });
        assert!(text.starts_with("# /etc/p.toml\n"), "{text}");
        let (_, policy) = policy::read(&text).unwrap();
        assert_eq!(policy.pids(), 64);
        assert!(shown(&dto::Policy { file: None, rules: None, problem: None }).contains("nothing is denied"));
    }
}
