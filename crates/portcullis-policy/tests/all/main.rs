//! Behaviour of the policy.
