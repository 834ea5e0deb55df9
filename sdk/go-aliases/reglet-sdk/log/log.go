// Package log is github.com/portcullis-rs/portcullis/sdk/go/log.
package log

import (
	"log/slog"

	"github.com/portcullis-rs/portcullis/sdk/go/log"
)

// Handler is [log.Handler].
type Handler = log.Handler

// NewHandler is [log.NewHandler].
func NewHandler(least slog.Leveler) *Handler { return log.NewHandler(least) }
