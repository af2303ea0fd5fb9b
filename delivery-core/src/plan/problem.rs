//! What can be wrong with a spec.

use alloc::string::String;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use crate::text;

/// One thing that makes a plan impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Which field, as the user wrote it: `strategy.canary.stepWeights[1]`.
    pub path: String,
    /// What is wrong with it.
    pub flaw: Flaw,
    /// The value that was found there.
    pub value: String,
    /// What would be right.
    pub remedy: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {} ({})", self.path, self.value, self.flaw, self.remedy)
    }
}

impl Error for PlanError {}

/// Kinds of impossibility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Flaw {
    /// A weight is not more than the one before it.
    NotRising,
    /// A weight on the way back is not less than the one before it.
    NotFalling,
    /// There is no step that would ever move traffic or end the analysis.
    NoStep,
    /// A number is outside its range.
    OutOfRange,
    /// A weight cannot be reached or set exactly.
    Unreachable,
    /// The traffic router cannot do it.
    Unsupported,
    /// A name is missing, or given twice.
    Name,
    /// A step is at a place where it makes no sense.
    Order,
    /// A field is needed, or contradicts another.
    Contradiction,
    /// A text is no regular expression.
    Pattern,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotRising => "does not rise",
            Self::NotFalling => "does not fall",
            Self::NoStep => "never leads anywhere",
            Self::OutOfRange => "is out of range",
            Self::Unreachable => "can never be reached",
            Self::Unsupported => "is more than the traffic router can do",
            Self::Name => "is no usable name",
            Self::Order => "is out of place",
            Self::Contradiction => "does not fit",
            Self::Pattern => "is no regular expression",
        })
    }
}

/// Everything that makes a plan impossible, and the warnings beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanErrors {
    /// What makes it impossible; at least one.
    pub errors: Vec<PlanError>,
    /// What is possible but may surprise.
    pub warnings: Vec<Warning>,
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl Error for PlanErrors {}

/// Something that is possible, but may not be what its author believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which field, as the user wrote it.
    pub path: String,
    /// What happens, and what would be clearer.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}

/// Collects problems while a spec is compiled.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) errors: Vec<PlanError>,
    pub(super) warnings: Vec<Warning>,
}

impl Problems {
    pub(super) fn error(
        &mut self,
        path: impl Into<String>,
        flaw: Flaw,
        value: impl fmt::Display,
        remedy: impl Into<String>,
    ) {
        let value = text::shortened(&alloc::format!("{value}"), text::SAID);
        self.errors.push(PlanError {
            path: path.into(),
            flaw,
            value,
            remedy: remedy.into(),
        });
    }

    /// Refuses a name that is missing, too long to be kept in a state, or not what people see of it.
    pub(super) fn name(&mut self, path: &str, name: &str, of: &str) {
        let length = name.chars().count();
        if name.is_empty() {
            self.error(
                path,
                Flaw::Name,
                "an empty text",
                alloc::format!("give the {of} a name"),
            );
        } else if length > text::NAME {
            let remedy = alloc::format!("it has {length} characters; at most {}", text::NAME);
            self.error(path, Flaw::Name, text::shortened(name, 40), remedy);
        } else if let Some(hidden) = text::hidden(name) {
            let remedy = alloc::format!("leave out the character U+{:04X}", u32::from(hidden));
            self.error(path, Flaw::Name, alloc::format!("{name:?}"), remedy);
        }
    }

    pub(super) fn warn(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.warnings.push(Warning {
            path: path.into(),
            text: text.into(),
        });
    }
}
