//! What the type system promises. That nobody outside can build an [`Authorized`] is shown by the `compile_fail`
//! example at the type itself, next to its twin that compiles.

use portcullis_policy::{Authorized, ExecRequest, PreopenRequest, Request};

/// Compiles only while `$type` does not implement `$trait`: with it, the call of `check` would be ambiguous.
macro_rules! assert_not_implemented {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<Marker> {
            fn check() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Implemented;
        impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
        <$type as Ambiguous<_>>::check();
    }};
}

#[test]
fn one_decision_is_one_act() {
    assert_not_implemented!(Authorized<ExecRequest>: Clone);
    assert_not_implemented!(Authorized<ExecRequest>: Default);
    assert_not_implemented!(Authorized<PreopenRequest>: Clone);
    assert_not_implemented!(Authorized<PreopenRequest>: Default);
    assert_not_implemented!(Authorized<ExecRequest>: From<ExecRequest>);
    assert_not_implemented!(Authorized<ExecRequest>: serde::de::DeserializeOwned);
}

#[test]
fn decisions_travel_between_threads() {
    fn travels<R: Request + Send + Sync>()
    where
        Authorized<R>: Send + Sync + 'static,
    {
    }
    travels::<ExecRequest>();
}
