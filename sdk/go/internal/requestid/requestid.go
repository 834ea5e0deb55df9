// Package requestid finds what a context calls the work that is done under it.
package requestid

import (
	"context"
	"strings"
	"unicode/utf8"
)

// Max is how many bytes of a name reach the host.
const Max = 128

type key struct{}

// With gives the work under a context a name.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, key{}, id)
}

// From is the name of the work under a context, cut to [Max] bytes, or "". A value under the plain key "request_id" counts too:
// plugins for Reglet have it there.
func From(ctx context.Context) string {
	id, ok := ctx.Value(key{}).(string)
	if !ok {
		id, _ = ctx.Value("request_id").(string)
	}
	if len(id) > Max {
		id = id[:Max]
		for !utf8.ValidString(id) && len(id) > Max-utf8.UTFMax {
			id = id[:len(id)-1]
		}
	}
	return strings.ToValidUTF8(id, "\uFFFD")
}
