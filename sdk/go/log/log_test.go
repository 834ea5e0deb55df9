package log_test

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/log"
)

type lines []ports.LogRecord

func (l *lines) Write(record ports.LogRecord) { *l = append(*l, record) }

func TestARecordHasItsFactsGroupsAndTypes(t *testing.T) {
	var got lines
	logger := slog.New(log.NewHandlerTo(&got, slog.LevelInfo))
	logger.Debug("below")
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	logger.With("w", 1).WithGroup("g").WarnContext(sdk.WithRequestID(context.Background(), "r"), "m",
		"s", "text", "u", uint64(2), "b", true, "f", 1.5, "d", time.Second, "t", at, "e", errors.New("no"),
		"j", []int{1}, slog.Group("in", "x", "y"), slog.Group("", "flat", 1), slog.Group("none"))
	if len(got) != 1 || got[0].Level != ports.Warn || got[0].Message != "m" || got[0].RequestID != "r" {
		t.Fatalf("%+v", got)
	}
	want := []ports.LogAttr{
		{Key: "w", Type: "int64", Value: "1"},
		{Key: "g.s", Type: "string", Value: "text"},
		{Key: "g.u", Type: "uint64", Value: "2"},
		{Key: "g.b", Type: "bool", Value: "true"},
		{Key: "g.f", Type: "float64", Value: "1.5"},
		{Key: "g.d", Type: "duration", Value: "1s"},
		{Key: "g.t", Type: "time", Value: "2026-01-02T03:04:05.000000006Z"},
		{Key: "g.e", Type: "error", Value: "no"},
		{Key: "g.j", Type: "json", Value: "[1]"},
		{Key: "g.in.x", Type: "string", Value: "y"},
		{Key: "g.flat", Type: "int64", Value: "1"},
	}
	if !reflect.DeepEqual(got[0].Attrs, want) {
		t.Fatalf("%+v", got[0].Attrs)
	}
}

func TestHandlersShareNothing(t *testing.T) {
	var got lines
	base := slog.New(log.NewHandlerTo(&got, slog.LevelDebug)).With("a", 1)
	one, other := base.With("b", 2), base.With("c", 3)
	one.Info("")
	other.Error("")
	base.Log(context.Background(), slog.LevelDebug-4, "")
	base.Debug("")
	keys := func(record ports.LogRecord) (keys []string) {
		for _, attr := range record.Attrs {
			keys = append(keys, attr.Key)
		}
		return keys
	}
	if len(got) != 3 || !reflect.DeepEqual(keys(got[0]), []string{"a", "b"}) || !reflect.DeepEqual(keys(got[1]), []string{"a", "c"}) {
		t.Fatalf("%+v", got)
	}
	if got[0].Level != ports.Info || got[1].Level != ports.Error || got[2].Level != ports.Debug {
		t.Fatalf("%+v", got)
	}
}
