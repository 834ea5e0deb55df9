package net_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/portcullis-rs/portcullis/sdk/go/domain/ports"
	"github.com/portcullis-rs/portcullis/sdk/go/net"
)

// site answers from a table of URLs.
type site struct {
	answers map[string]ports.HTTPResponse
	asked   []ports.HTTPRequest
}

func (s *site) Do(ctx context.Context, req ports.HTTPRequest) (*ports.HTTPResponse, error) {
	s.asked = append(s.asked, req)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	answer, ok := s.answers[req.URL]
	if !ok {
		return nil, errors.New("denied")
	}
	return &answer, nil
}

func TestARequestIsSentWithAllOfItAndTheAnswerReadBack(t *testing.T) {
	s := &site{answers: map[string]ports.HTTPResponse{
		"http://a.example/p?q": {Status: 201, Headers: [][2]string{{"x-a", "1"}, {"X-A", "2"}}, Body: []byte("body")},
	}}
	req, _ := http.NewRequest(http.MethodPut, "http://a.example/p?q", strings.NewReader("sent"))
	req.Header.Add("X-B", "1")
	req.Header.Add("X-B", "2")
	response, err := (&net.Transport{Client: s}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if string(body) != "body" || err != nil || response.StatusCode != 201 || len(response.Header.Values("X-A")) != 2 {
		t.Fatal(response, string(body), err)
	}
	asked := s.asked[0]
	if asked.Method != "PUT" || string(asked.Body) != "sent" || len(asked.Headers) != 2 || asked.Headers[1] != [2]string{"X-B", "2"} {
		t.Fatalf("%+v", asked)
	}
}

func TestAClientFollowsRedirectsAndTheHostSeesEach(t *testing.T) {
	s := &site{answers: map[string]ports.HTTPResponse{
		"http://a.example/": {Status: 302, Headers: [][2]string{{"Location", "http://b.example/"}}},
	}}
	client := http.Client{Transport: &net.Transport{Client: s}}
	_, err := client.Get("http://a.example/")
	if err == nil || !strings.Contains(err.Error(), "denied") || len(s.asked) != 2 || s.asked[1].URL != "http://b.example/" {
		t.Fatal(err, s.asked)
	}
}

func TestABodyThatWasCutEndsWithAnError(t *testing.T) {
	s := &site{answers: map[string]ports.HTTPResponse{"http://a.example/": {Status: 200, Body: []byte("part"), Truncated: true}}}
	client := http.Client{Transport: &net.Transport{Client: s}}
	response, err := client.Get("http://a.example/")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if string(body) != "part" || !errors.Is(err, net.ErrTooLarge) {
		t.Fatal(string(body), err)
	}
}

func TestWithoutAHostNothingIsReached(t *testing.T) {
	_, err := net.NewClient().Get("http://a.example/")
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err = (net.Prober{}).Lookup(context.Background(), "a.example", "A", ""); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err = (net.Prober{}).Connect(context.Background(), net.TCPRequest{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err = (net.Prober{}).Greet(context.Background(), net.SMTPRequest{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
