package ports

import (
	"context"
	"strings"
	"time"
)

// HTTPRequest is a request of the plugin's own.
type HTTPRequest struct {
	Method  string
	URL     string
	Headers [][2]string
	Body    []byte
}

// HTTPResponse is what came back. A redirect is a response like any other.
type HTTPResponse struct {
	Status  int
	Headers [][2]string
	Body    []byte
	// Truncated is true where there was more than the plugin may be given.
	Truncated bool
}

// Header gives the first header of a name, in whatever case; empty where there is none.
func (r *HTTPResponse) Header(name string) string {
	for _, pair := range r.Headers {
		if strings.EqualFold(pair[0], name) {
			return pair[1]
		}
	}
	return ""
}

// HTTPClient sends requests.
type HTTPClient interface {
	Do(ctx context.Context, req HTTPRequest) (*HTTPResponse, error)
}

// DNSRecordType is what is asked for of a name: "A", "AAAA", "CNAME", "MX", "TXT" or "NS".
type DNSRecordType string

// MX is a host that takes mail for a name.
type MX struct {
	Host string `json:"host"`
	Pref uint16 `json:"pref"`
}

// DNSRecords are what a name has.
type DNSRecords struct {
	Records []string
	MX      []MX
}

// DNSResolver looks names up. The name server is the host's where it is empty.
type DNSResolver interface {
	Lookup(ctx context.Context, name string, kind DNSRecordType, nameserver string) (*DNSRecords, error)
}

// TCPRequest is a connection to try. It is closed at once.
type TCPRequest struct {
	Host    string
	Port    int
	TLS     bool
	Timeout time.Duration
}

// TCPResult is how it went.
type TCPResult struct {
	Connected       bool      `json:"connected"`
	Address         string    `json:"address"`
	RemoteAddr      string    `json:"remote_addr"`
	LocalAddr       string    `json:"local_addr"`
	ResponseTimeMs  int64     `json:"response_time_ms"`
	TLS             bool      `json:"tls"`
	TLSVersion      string    `json:"tls_version"`
	TLSCipherSuite  string    `json:"tls_cipher_suite"`
	TLSServerName   string    `json:"tls_server_name"`
	TLSCertSubject  string    `json:"tls_cert_subject"`
	TLSCertIssuer   string    `json:"tls_cert_issuer"`
	TLSCertNotAfter time.Time `json:"tls_cert_not_after"`
}

// TCPDialer tries connections.
type TCPDialer interface {
	Connect(ctx context.Context, req TCPRequest) (*TCPResult, error)
}

// SMTPRequest is a mail server to greet.
type SMTPRequest struct {
	Host     string
	Port     int
	TLS      bool
	StartTLS bool
	Timeout  time.Duration
}

// SMTPResult is how it went.
type SMTPResult struct {
	Connected      bool   `json:"connected"`
	Address        string `json:"address"`
	Banner         string `json:"banner"`
	ResponseTimeMs int64  `json:"response_time_ms"`
	TLS            bool   `json:"tls"`
	TLSVersion     string `json:"tls_version"`
	TLSCipherSuite string `json:"tls_cipher_suite"`
	TLSServerName  string `json:"tls_server_name"`
}

// SMTPClient greets mail servers.
type SMTPClient interface {
	Connect(ctx context.Context, req SMTPRequest) (*SMTPResult, error)
}

// FileKind is what a name stands for.
type FileKind string

// What a name can stand for.
const (
	File      FileKind = "file"
	Directory FileKind = "directory"
	Link      FileKind = "link"
	Other     FileKind = "other"
)

// FileEntry is a name in a directory.
type FileEntry struct {
	Name string   `json:"name"`
	Kind FileKind `json:"kind"`
}

// FileInfo is what is known of a name.
type FileInfo struct {
	Kind     FileKind
	Size     int64
	Modified time.Time
}

// FileSystem has whole files and single names, beneath what the plugin was granted.
type FileSystem interface {
	Read(path string) ([]byte, error)
	Write(path string, content []byte) error
	Entries(path string) ([]FileEntry, error)
	Stat(path string) (FileInfo, error)
	MakeDirectory(path string) error
	Remove(path string) error
	Rename(from, to string) error
}

// KeyPage is a part of all keys, in their order.
type KeyPage struct {
	Keys []string `json:"keys"`
	// More is true where there are others after these.
	More bool `json:"more"`
}

// KeyValueStore is what the plugin keeps. Each call is whole, and on disk when it returns.
type KeyValueStore interface {
	// Get gives false where there is no value.
	Get(key string) ([]byte, bool, error)
	Set(key string, value []byte) error
	// Delete says whether there was a value.
	Delete(key string) (bool, error)
	// List gives at most limit keys that begin with prefix and come after another, where that is not empty.
	List(prefix, after string, limit int) (KeyPage, error)
	// Swap keeps the value if what is there is expected, where nil is no value.
	Swap(key string, expected, value []byte) (bool, error)
}

// Environment has variables of the host.
type Environment interface {
	// Get gives false for what is not set, and for what was not granted.
	Get(name string) (string, bool, error)
}

// Prompter asks whoever runs the plugin. The id is what an answer can be given for beforehand.
type Prompter interface {
	// Text has the answer to an empty line in def, which is none where it is nil.
	Text(id, message string, def *string) (string, error)
	Confirm(id, message string, def bool) (bool, error)
	// Choose gives the place of an option. The default is a place too, and none where it is negative.
	Choose(id, message string, options []string, def int) (int, error)
	ChooseSome(id, message string, options []string, defs []int) ([]int, error)
}

// LogLevel is how much a line matters.
type LogLevel int32

// Levels, from least to most.
const (
	Trace LogLevel = iota
	Debug
	Info
	Warn
	Error
)

// LogAttr is a fact of a line. Type is a word such as "string", "int64" or "error".
type LogAttr struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// LogRecord is a line for the operator.
type LogRecord struct {
	Time      time.Time
	Level     LogLevel
	Message   string
	Attrs     []LogAttr
	RequestID string
}

// Logger takes lines for the operator.
type Logger interface {
	Write(record LogRecord)
}
