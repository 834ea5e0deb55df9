// What of the SDK reaches the network, for tests: a URL and perhaps a time, or a name to look up.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/portcullis-rs/portcullis/sdk/go"
	"github.com/portcullis-rs/portcullis/sdk/go/net"
)

func main() {}

func init() {
	sdk.RegisterFunc(func(ctx context.Context, args []string) (string, error) {
		var lines []string
		for _, arg := range args {
			words := strings.Fields(arg)
			if strings.Contains(words[0], "://") {
				lines = append(lines, get(ctx, words))
			} else {
				lines = append(lines, probe(ctx, words))
			}
		}
		return strings.Join(lines, "\n"), nil
	})
}

func get(ctx context.Context, words []string) string {
	if len(words) > 1 {
		limit, _ := time.ParseDuration(words[1])
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, limit)
		defer stop()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, words[0], strings.NewReader("sent"))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("X-Lab", "yes")
	response, err := net.NewClient().Do(req)
	if err != nil {
		return fmt.Sprintf("permission=%t deadline=%t", errors.Is(err, iofs.ErrPermission), errors.Is(err, context.DeadlineExceeded))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s %q %v", response.StatusCode, response.Header.Get("X-Peer"), body, err)
}

func probe(ctx context.Context, words []string) string {
	_, err := net.Prober{}.Lookup(ctx, words[0], "A", "")
	return fmt.Sprint(errors.Is(err, errors.ErrUnsupported))
}
