//! Taking away what a user namespace gave.

use rustix::{
    io::Errno,
    thread::{CapabilitySet, CapabilitySets},
};

/// Empties the bounding set: nothing that is executed can ever get a capability.
pub(super) fn empty_bounding_set() -> rustix::io::Result<()> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // Beyond the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives up every capability that this process has.
pub(in crate::linux) fn give_up() -> rustix::io::Result<()> {
    let none = CapabilitySet::empty();
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: none,
            permitted: none,
            inheritable: none,
        },
    )
}

/// Lets the command have every capability that this process has. Only in tests.
pub(super) fn pass_on() -> rustix::io::Result<()> {
    let mut sets = rustix::thread::capabilities(None)?;
    sets.inheritable = sets.permitted;
    rustix::thread::set_capabilities(None, sets)?;
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if sets.permitted.contains(one) {
            rustix::thread::configure_capability_in_ambient_set(one, true)?;
        }
    }
    Ok(())
}

/// Whether this process has no capability, and cannot get one.
///
/// An ordinary user cannot empty the bounding set outside of a user namespace of its own; there `no_new_privs` alone
/// sees to it that nothing comes of it, and `bounding` is not asked for.
pub(super) fn none(bounding: bool) -> rustix::io::Result<bool> {
    // What is ambient is permitted too.
    let sets = rustix::thread::capabilities(None)?;
    let own = sets.effective | sets.permitted | sets.inheritable;
    Ok(own.is_empty() && (!bounding || bounding_set_is_empty()?))
}

fn bounding_set_is_empty() -> rustix::io::Result<bool> {
    for number in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match rustix::thread::capability_is_in_bounding_set(one) {
            Ok(false) => {}
            Ok(true) => return Ok(false),
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Takes from the command of root what undoes an unconfined cell: with the first it could unmount its `/proc` and find
/// the host's processes below, with the second stop or take over the init. The init itself keeps both.
pub(super) fn keep_from_command() -> rustix::io::Result<()> {
    for capability in [CapabilitySet::SYS_ADMIN, CapabilitySet::SYS_PTRACE] {
        rustix::thread::remove_capability_from_bounding_set(capability)?;
    }
    Ok(())
}
