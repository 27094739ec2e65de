//! The policy language of oslo.policy 6.0.1: who may do what, written as text that an operator can override.
//!
//! A service declares its [`Rule`]s, builds [`Rules`] of them once, lays the operator's file over them with
//! [`Rules::with_overrides`], and asks [`Rules::check`] for each request:
//!
//! ```
//! use policy::{Decision, Options, Rule, Rules, ScopeType};
//! use serde_json::json;
//!
//! const ADMIN: Rule = Rule::new("admin_required", "role:admin");
//! const GET_USER: Rule =
//!     Rule::new("identity:get_user", "rule:admin_required or user_id:%(target.user.id)s")
//!         .scopes(&[ScopeType::System, ScopeType::Project]);
//!
//! let rules = Rules::new([ADMIN, GET_USER], Options::default());
//! let caller = json!({"user_id": "u1", "project_id": "p1", "roles": ["member"]});
//! assert_eq!(rules.check(GET_USER.name, &caller, &json!({"target.user.id": "u1"})), Decision::Allowed);
//! assert_eq!(rules.check(GET_USER.name, &caller, &json!({"target.user.id": "u2"})), Decision::Denied);
//!
//! let open = rules.with_overrides("identity:get_user: role:member").expect("a well-formed file");
//! assert_eq!(open.check(GET_USER.name, &caller, &()), Decision::Allowed);
//! ```
//!
//! # The language
//!
//! | text | holds when |
//! | --- | --- |
//! | `@`, an empty text, an empty list | always |
//! | `!` | never |
//! | `role:NAME` | the caller has the role, in any letter case |
//! | `rule:NAME` | that rule holds |
//! | `project.id:%(target.id)s` | the credential prints as the text to the right; a list holds if an element does |
//! | `'manager':%(target.role.name)s`, `None:…`, `True:…`, `7:…` | the literal prints as the text to the right |
//! | `not A`, `A and B`, `A or B`, `(A)` | as usual; `and` binds tighter than `or` |
//!
//! The older form is a list of lists: the outer one means `or`, the inner ones `and`. Values are compared by what
//! Python's `str()` prints for them, see [`text`]. A key that the target lacks makes its check fail.
//!
//! # Where the reference stumbles
//!
//! oslo.policy denies a rule that it cannot parse and raises an exception where, say, a rule refers to itself. Here
//! both deny, and both are reported by [`Rules::problems`]. Differences, all to the safe side:
//!
//! - `http:` and `https:` checks are refused when the file is read.
//! - To the right only `%(key)s` and `%%` are known, of Python's formats; to the left only plain literals.
//! - A rule that is a boolean, a number or a mapping is refused when the file is read; the reference takes false, 0
//!   and `{}` for "always".
//! - Evaluation and parsing stop at a fixed depth.

mod check;
mod evaluate;
mod explain;
mod python;
mod rule;
mod rules;
mod syntax;
mod target;
mod template;

pub use evaluate::Decision;
pub use explain::{Explanation, Outcome, Step};
pub use python::text;
pub use rule::{Deprecated, Keys, Rule, ScopeType};
pub use rules::{Offers, Options, Rules};
pub use syntax::problem::{Flaw, PolicyError, Problem};
pub use syntax::sample::{Usage, sample};
pub use target::{Credentials, Target};
