// Package ports is github.com/portcullis-rs/portcullis/sdk/go/domain/ports.
package ports

import "github.com/portcullis-rs/portcullis/sdk/go/domain/ports"

// All of these are those of the SDK.
type (
	CommandRequest = ports.CommandRequest
	CommandResult  = ports.CommandResult
	CommandRunner  = ports.CommandRunner
	CommandStarter = ports.CommandStarter
	Process        = ports.Process
)
