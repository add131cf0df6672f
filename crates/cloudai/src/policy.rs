//! Policy files: TOML, read by the command line, by masters and by workers alike.

use cloudai_core::policy::Policy;
use cloudai_core::spec::{SpecError, Value};

/// The document of a text, and the rules that it means.
/// # Errors
/// What is wrong with it, each a line.
pub(crate) fn read(text: &str) -> Result<(Value, Policy), Vec<String>> {
    let document: Value = toml::from_str(text).map_err(|error| vec![error.to_string().trim_end().to_owned()])?;
    match Policy::from_value(&document) {
        Ok(policy) => Ok((document, policy)),
        Err(SpecError(wrong)) => Err(wrong.iter().map(ToString::to_string).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloudai_core::spec::TaskSpec;

    const PAGE: &str = include_str!("../../../docs/policy.md");

    /// What stands between the marks of TOML on the page.
    fn example() -> &'static str {
        PAGE.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("\n```")).unwrap().0
    }

    fn task(text: &str) -> TaskSpec {
        TaskSpec::from_value(&toml::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn the_example_of_the_page_is_a_policy_and_means_what_the_page_says() {
        let (_, policy) = read(example()).unwrap();
        assert_eq!(policy.pids(), 1024);
        assert!(!policy.capabilities().contains(&"NET_BIND_SERVICE") && policy.wants_user_namespaces());
        let good = "image = 'ghcr.io/team/train:1'\nuser = '1000'\nread_only_root = true\ntimeout_s = 60\n";
        assert_eq!(policy.check(&task(good)), Ok(()));
        let denied = policy.check(&task("image = 'quay.io/evil/miner:1'\nnetwork = 'bridge'\n")).unwrap_err();
        let rules: Vec<_> = denied.iter().map(|denied| denied.rule).collect();
        for rule in ["registries.allow", "containers.forbid_root", "max.timeout_s", "networks.allow"] {
            assert!(rules.contains(&rule), "{rule}: {rules:?}");
        }
    }

    #[test]
    fn every_rule_that_there_is_stands_in_the_example() {
        let (document, _) = read(example()).unwrap();
        let Value::Map(sections) = document else { unreachable!() };
        let named = |(section, rules): &(String, Value)| {
            let Value::Map(rules) = rules else { unreachable!() };
            rules.iter().map(|(rule, _)| format!("{section}.{rule}")).collect::<Vec<_>>()
        };
        let told: Vec<String> = sections.iter().flat_map(named).collect();
        for rule in cloudai_core::policy::rules() {
            assert!(told.contains(&rule), "{rule} is not in the example of docs/policy.md");
        }
    }

    #[test]
    fn a_text_that_is_no_policy_says_where_it_is_wrong() {
        let wrong = read("[images]\nallow = [\n").unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].contains("line"), "{wrong:?}");
        let wrong = read("[images]\nalow = []\n[max]\npids = 1\n").unwrap_err();
        assert!(wrong.len() == 2 && wrong[0].contains("did you mean allow?"), "{wrong:?}");
        assert!(read("").is_ok());
    }
}
