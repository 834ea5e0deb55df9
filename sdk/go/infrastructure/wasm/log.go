package wasm

import (
	"strconv"
	"strings"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
)

var levelNames = [...]string{"trace", "debug", "info", "warn", "error"}

// line is a record as one text, with its facts behind it.
func line(record ports.LogRecord) string {
	var text strings.Builder
	text.WriteString(record.Message)
	for _, attr := range record.Attrs {
		value := attr.Value
		if value == "" || strings.ContainsAny(value, " =\"\t\n") {
			value = strconv.Quote(value)
		}
		text.WriteString(" " + attr.Key + "=" + value)
	}
	return text.String()
}
