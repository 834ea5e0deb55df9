// Package log takes what log/slog writes to the operator.
//
//	slog.SetDefault(slog.New(log.NewHandler(slog.LevelInfo)))
//
// On `portcullis:core/v1` a line is written to the plugin's standard error, with its facts behind it; with the build tag `reglet` it is a
// record of the host's log.
package log

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
	"github.com/portcullis-rs/portcullis/sdk/go/internal/requestid"
)

// Handler writes records of log/slog.
type Handler struct {
	least  slog.Leveler
	logger ports.Logger
	// group is what keys begin with.
	group string
	attrs []ports.LogAttr
}

// NewHandler writes records of at least this level to the host.
func NewHandler(least slog.Leveler) *Handler {
	return NewHandlerTo(wasm.LogAdapter{}, least)
}

// NewHandlerTo writes records of at least this level to something else, such as a mock in a test.
func NewHandlerTo(logger ports.Logger, least slog.Leveler) *Handler {
	return &Handler{least: least, logger: logger}
}

// Enabled tells whether records of a level are written.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.least.Level()
}

// Handle writes a record.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	attrs := slices.Clone(h.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		attrs = added(attrs, h.group, attr)
		return true
	})
	h.logger.Write(ports.LogRecord{
		Time:      record.Time,
		Level:     level(record.Level),
		Message:   record.Message,
		Attrs:     attrs,
		RequestID: requestid.From(ctx),
	})
	return nil
}

// WithAttrs gives a handler that adds these facts to each record.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clone(h.attrs)
	for _, attr := range attrs {
		with.attrs = added(with.attrs, h.group, attr)
	}
	return &with
}

// WithGroup gives a handler whose further facts have keys that begin with this.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.group = h.group + name + "."
	return &with
}

func level(level slog.Level) ports.LogLevel {
	switch {
	case level < slog.LevelDebug:
		return ports.Trace
	case level < slog.LevelInfo:
		return ports.Debug
	case level < slog.LevelWarn:
		return ports.Info
	case level < slog.LevelError:
		return ports.Warn
	}
	return ports.Error
}

func added(attrs []ports.LogAttr, group string, attr slog.Attr) []ports.LogAttr {
	value := attr.Value.Resolve()
	if attr.Equal(slog.Attr{}) {
		return attrs
	}
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			group += attr.Key + "."
		}
		for _, inner := range value.Group() {
			attrs = added(attrs, group, inner)
		}
		return attrs
	}
	kind, text := written(value)
	return append(attrs, ports.LogAttr{Key: group + attr.Key, Type: kind, Value: text})
}

func written(value slog.Value) (kind, text string) {
	switch value.Kind() {
	case slog.KindString:
		return "string", value.String()
	case slog.KindInt64:
		return "int64", value.String()
	case slog.KindUint64:
		return "uint64", value.String()
	case slog.KindBool:
		return "bool", value.String()
	case slog.KindFloat64:
		return "float64", value.String()
	case slog.KindDuration:
		return "duration", value.String()
	case slog.KindTime:
		return "time", value.Time().Format(time.RFC3339Nano)
	}
	any := value.Any()
	if err, ok := any.(error); ok {
		return "error", err.Error()
	}
	if bytes, err := json.Marshal(any); err == nil {
		return "json", string(bytes)
	}
	return "any", fmt.Sprint(any)
}
