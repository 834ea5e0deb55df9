// Package fault has the errors that calls to the host end with. Each tells its kind, as the host does, and no more: why something
// was denied stands in the operator's audit trail.
package fault

import (
	"fmt"
	"io/fs"
)

// CapabilityError says that the plugin was not granted what it asked for.
//
// errors.Is(err, fs.ErrPermission) holds for it.
type CapabilityError struct {
	// Capability is what was missing: exec, fs, http, kv, env, net.
	Capability string
	// Object is what it was asked for: a command, a path, a URL, a key.
	Object string
	// Reason is the host's text, where it gives one.
	Reason string
}

func (e *CapabilityError) Error() string {
	text := fmt.Sprintf("permission denied: capability denied: %s:%s", e.Capability, e.Object)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is tells that this is a matter of permission.
func (e *CapabilityError) Is(target error) bool { return target == fs.ErrPermission }

// ExecError says that a command did not run, or was ended by the host.
//
// errors.Is(err, fs.ErrNotExist) holds where Kind is [NotFound].
type ExecError struct {
	Command string
	Kind    Kind
	// Reason is which limit it was, or the host's text, where there is one.
	Reason string
}

// Kind is why a command did not run.
type Kind string

// What a command can fail by.
const (
	// NotFound: no such program where commands are looked for.
	NotFound Kind = "not-found"
	// Limit: more than the plugin may have at once, or in a minute.
	Limit Kind = "limit"
	// Invalid: not a command at all, such as one with a NUL in it.
	Invalid Kind = "invalid"
	// Killed: it was ended at a limit, such as that of its output or memory.
	Killed Kind = "killed"
	// IO: the host failed; its operator knows why.
	IO Kind = "io"
)

func (e *ExecError) Error() string {
	text := fmt.Sprintf("exec %q: %s", e.Command, e.Kind)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is tells that the program is not there.
func (e *ExecError) Is(target error) bool {
	return e.Kind == NotFound && target == fs.ErrNotExist
}

// CallError says that any other call to the host failed.
//
// errors.Is holds for fs.ErrNotExist and fs.ErrExist by its Kind.
type CallError struct {
	// Function is what was called, such as "fs_read".
	Function string
	// Object is what it was called for.
	Object string
	// Kind is a word of the interface, such as "not-found", "too-large" or "limit".
	Kind string
	// Reason is the host's text, where it gives one.
	Reason string
}

func (e *CallError) Error() string {
	text := fmt.Sprintf("%s %q: %s", e.Function, e.Object, e.Kind)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

// Is tells what the kind is to the standard library.
func (e *CallError) Is(target error) bool {
	switch target {
	case fs.ErrNotExist:
		return e.Kind == "not-found"
	case fs.ErrExist:
		return e.Kind == "exists"
	case fs.ErrInvalid:
		return e.Kind == "invalid"
	}
	return false
}
