//! From what a plugin's function returns to what the host is told.

use std::fmt::Display;

/// What a plugin's function returned. How it is told is chosen by its type, where the attribute has it written out: these methods
/// and those of the traits below have one name, and for each type that a function may return there is exactly one.
#[derive(Debug)]
pub struct Returned<T>(pub T);

type Told = Result<String, String>;

impl Returned<()> {
    /// Nothing to print.
    #[expect(clippy::missing_errors_doc, reason = "none")]
    pub fn answer(&self) -> Told {
        Ok(String::new())
    }
}

impl<E: Display> Returned<Result<(), E>> {
    /// Nothing to print, or the error.
    ///
    /// # Errors
    /// The function's own.
    pub fn answer(&self) -> Told {
        self.0.as_ref().map(|()| String::new()).map_err(error)
    }
}

/// Of functions that may fail.
pub trait Fallible {
    /// What is printed, or the error.
    ///
    /// # Errors
    /// The function's own.
    fn answer(&self) -> Told;
}

impl<T: Display, E: Display> Fallible for Returned<Result<T, E>> {
    fn answer(&self) -> Told {
        self.0.as_ref().map(T::to_string).map_err(error)
    }
}

/// Of functions that cannot fail.
pub trait Shown {
    /// What is printed.
    #[expect(clippy::missing_errors_doc, reason = "none")]
    fn answer(&self) -> Told;
}

impl<T: Display> Shown for Returned<T> {
    fn answer(&self) -> Told {
        Ok(self.0.to_string())
    }
}

/// The longer form, where there is one: it has the causes.
fn error(error: &impl Display) -> String {
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::{Fallible as _, Returned, Shown as _};
    use crate::{Error, ErrorKind};

    #[test]
    fn whatever_a_function_returns_is_told() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(Returned(()).answer(), ok(""));
        assert_eq!(Returned("text").answer(), ok("text"));
        assert_eq!(Returned(7).answer(), ok("7"));
        assert_eq!(Returned(Ok::<_, Error>(())).answer(), ok(""));
        assert_eq!(Returned(Ok::<_, Error>(7)).answer(), ok("7"));
        let error = || Err("no".to_owned());
        assert_eq!(Returned(Err::<(), _>("no")).answer(), error());
        assert_eq!(
            Returned(Err::<String, _>(Error::new(ErrorKind::Other, "no"))).answer(),
            error()
        );
        let boxed: Result<String, Box<dyn std::error::Error>> = Err("no".into());
        assert_eq!(Returned(boxed).answer(), error());
    }
}
