//! The master of CloudAI: accepts tasks, places them, keeps every result.
//!
//! Reading order: [`handle`] (the only way in), `mailbox`, `engine` (decide, commit, tell),
//! [`model`] (what readers see), `placing` (the strategy's thread; `external` and `watching` are for
//! agents that place from outside), `sealing` (logs that have ended),
//! `retention` (tasks that are kept no longer), `schedules` (what is submitted when its time comes),
//! `templates` (what is filled and submitted), `sweeping` (contents that nobody needs), `quota` (limits of
//! what tasks leave), `policy` (what they may ask for), `audit` (who did what), [`choice`] (which strategy places), `rescue` (what if it has a
//! fault), `predictions` (what it learned, kept over restarts), [`trail`] (what it did last), `feed` (what
//! changed, for those who follow), `auth` (who comes in, where there are users), [`pki`] and [`security`]
//! (who calls, and how that is known), [`delivery`], `announcing` (workers that wait to be called), [`opened`] (how they
//! are put together), then the two edges `grpc` and [`http`]. Protobuf types are known in `grpc` alone, JSON in `http` alone, but for what is
//! stored (predictions, secrets, templates, schedules, users, certificates).

mod addresses;
mod announcing;
mod audit;
mod auth;
pub mod choice;
pub mod clock;
mod cut;
pub mod delivery;
mod engine;
mod exec;
mod external;
mod feed;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod grpc;
pub mod handle;
pub mod heartbeats;
pub mod http;
pub mod logs;
pub mod machine;
mod mailbox;
pub mod model;
mod only;
pub mod opened;
mod pace;
pub mod pki;
mod placing;
mod policy;
mod predictions;
pub mod principal;
mod pulse;
mod quota;
pub mod readiness;
mod rescue;
mod retention;
mod rules;
mod schedules;
mod sealing;
mod secrets;
pub mod security;
mod serve;
mod sweeping;
mod templates;
pub mod trail;
mod watching;

pub use addresses::{InputRules, UrlPrefix};
pub use auth::{AuthRules, Costs};
pub use external::Fallback;
pub use http::{CertificateError, CertificateFiles, Https};
pub use mailbox::{AskError, NotNow};
pub use policy::Policies;
pub use quota::{FileLimits, MOST_FILES};
pub use retention::Retention;
pub use rules::Rules;
pub use secrets::{KeyError, SecretRules};
pub use security::{Registration, Secured, Security};
pub use serve::{Addresses, BindError, Config, Ended, Master, RunError};
