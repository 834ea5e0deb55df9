package http_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/http"
	"github.com/portcullis-rs/portcullis/sdk/go/infrastructure/wasm"
)

// site keeps what it was asked.
type site struct {
	asked  ports.HTTPRequest
	answer ports.HTTPResponse
}

func (s *site) Do(_ context.Context, req ports.HTTPRequest) (*ports.HTTPResponse, error) {
	s.asked = req
	return &s.answer, nil
}

func TestARequestIsSentAsItIsAndIsAGetWithoutAMethod(t *testing.T) {
	s := &site{}
	client := http.NewClientWith(s)
	want := http.Request{Method: "PUT", URL: "http://a.example/", Headers: [][2]string{{"x-a", "1"}}, Body: []byte("b")}
	if _, err := client.Do(context.Background(), want); err != nil || !reflect.DeepEqual(s.asked, want) {
		t.Error(s.asked, err)
	}
	if _, err := client.Get(context.Background(), "http://a.example/"); err != nil || s.asked.Method != "GET" {
		t.Error(s.asked, err)
	}
}

func TestAHeaderIsFoundInWhateverCase(t *testing.T) {
	response := http.Response{Headers: [][2]string{{"X-Kind", "first"}, {"x-kind", "second"}}}
	if got := response.Header("x-KIND"); got != "first" {
		t.Error(got)
	}
	if got := response.Header("x-other"); got != "" {
		t.Error(got)
	}
}

func TestANativeBuildHasNoHost(t *testing.T) {
	if _, err := http.NewClient().Get(context.Background(), "http://a.example/"); !errors.Is(err, wasm.ErrNoHost) {
		t.Error(err)
	}
}
