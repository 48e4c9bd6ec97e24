package config

import (
	"errors"
	"io"
	"net"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a zone is right or wrong by its name, not by what the machine has installed

	"offhook.dev/libs/core/identity"
)

// rule judges one text that is not empty. It returns the text as it is kept, or
// what is wrong and how to put it right.
type rule func(d *decoder, text string) (clean, what, fix string)

// rules are the formats that the is tags of Config name.
var rules = map[string]rule{
	"path":      func(d *decoder, text string) (string, string, string) { return d.absolute(text), "", "" },
	"file":      fileRule,
	"listen":    listenRule,
	"https":     urlRule("https"),
	"host":      hostRule,
	"web":       urlRule("https", "http on loopback"),
	"collector": urlRule("https", "http"), // a collector beside the service; spans hold ids, no content
	"pbx":       urlRule("https", "http", "tls", "tcp", "sips", "sip"),
	"nats":      natsRule,
	"redis":     redisRule,
	"id":        parsed(identity.ParseTenant, "id", "use 1 to 32 characters of a-z, 0-9 and '-', not beginning with '-'"),
	"guid":      parsed(identity.ParseUser, "GUID", "copy the id from the Entra admin centre; it looks like 12345678-90ab-cdef-1234-567890abcdef"),
	"extension": parsed(identity.ParseExtension, "extension", "write the number as the phone system does, without spaces"),
	"number":    numberRule,
	"user":      userRule,
	"everyone":  everyoneRule,
	"cron":      cronRule,
	"zone":      zoneRule,
	"region":    regionRule,
	"mail":      mailRule,
}

// everyone is the word for all users.
const everyone = "all"

func (d *decoder) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(d.dir, path)
}

func fileRule(d *decoder, text string) (clean, what, fix string) {
	path := d.absolute(text)
	info, err := os.Stat(path)
	switch {
	case os.IsNotExist(err):
		return "", "there is no file " + strconv.Quote(path), "create it, or correct the path; relative paths begin at the folder of the configuration file"
	case err == nil && !info.Mode().IsRegular(): // nor a pipe: reading it here would use it up
		return "", strconv.Quote(path) + " is not a file", "name a file"
	}
	// Asking for the right to read by reading a byte is the only way that is
	// right on every system.
	if err == nil {
		var file *os.File
		if file, err = os.Open(path); err == nil {
			_, err = file.Read(make([]byte, 1))
			file.Close() // was only read
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return "", strconv.Quote(path) + " is empty", "fill it, or remove the key"
	case err != nil:
		return "", strconv.Quote(path) + " cannot be read: " + oneLine(err), "let this user read it"
	}
	return path, "", ""
}

func listenRule(_ *decoder, text string) (clean, what, fix string) {
	host, port, err := net.SplitHostPort(text)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || strings.ContainsAny(host, " /@") {
		return "", show(text) + " is no address to listen on", "write host and port, as in 127.0.0.1:8080, or :8080 for every address of the machine"
	}
	return net.JoinHostPort(host, strconv.FormatUint(number, 10)), "", ""
}

// urlRule accepts URLs of the given schemes. "http on loopback" is http to the
// machine itself, where nobody listens in.
func urlRule(schemes ...string) rule {
	return func(_ *decoder, text string) (clean, what, fix string) {
		parsed, what := parseURL(text)
		if what != "" {
			return "", what, "write it as " + schemes[0] + "://host"
		}
		switch {
		case slices.Contains(schemes, parsed.Scheme):
		case parsed.Scheme == "http" && slices.Contains(schemes, "http on loopback") && loopback(parsed.Hostname()):
		default:
			return "", show(parsed.Scheme) + " is not a scheme for this URL", "use " + strings.Join(schemes, ", ")
		}
		return strings.TrimRight(text, "/"), "", ""
	}
}

// hostRule accepts https URLs of a host alone: paths are Microsoft's.
func hostRule(d *decoder, text string) (clean, what, fix string) {
	clean, what, fix = urlRule("https")(d, text)
	if parsed, err := url.Parse(clean); what == "" && (err != nil || parsed.Path != "") {
		return "", "there is a path behind the host", "write it as https://host or https://host:port"
	}
	return clean, what, fix
}

// parseURL returns what is wrong with a URL in words that do not quote it: it may
// hold a password where none belongs.
func parseURL(text string) (*url.URL, string) {
	parsed, err := url.Parse(text)
	switch {
	case err != nil || parsed.Scheme == "" || parsed.Opaque != "" || parsed.Hostname() == "" || strings.ContainsAny(parsed.Hostname(), " ,"):
		return nil, "this is no URL with a host"
	case parsed.User != nil:
		return nil, "a URL here holds no user and password"
	case parsed.RawQuery != "" || parsed.Fragment != "" || parsed.ForceQuery:
		return nil, "a URL here ends with its path"
	case !portOK(parsed):
		return nil, "the port of the URL is not between 1 and 65535"
	}
	return parsed, ""
}

func portOK(u *url.URL) bool {
	number, err := strconv.ParseUint(u.Port(), 10, 16)
	return u.Port() == "" && !strings.HasSuffix(u.Host, ":") || err == nil && number > 0
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func natsRule(_ *decoder, text string) (clean, what, fix string) {
	for part := range strings.SplitSeq(text, ",") {
		parsed, err := url.Parse(strings.TrimSpace(part))
		if err != nil || parsed.Hostname() == "" || parsed.Scheme != "nats" && parsed.Scheme != "tls" || !portOK(parsed) {
			return "", "this is no address of a NATS server", "write nats://host:4222 or tls://host:4222, several separated by commas"
		}
	}
	return text, "", ""
}

func redisRule(_ *decoder, text string) (clean, what, fix string) {
	parsed, err := url.Parse(text)
	if err == nil {
		_, dbErr := strconv.ParseUint(strings.Trim(parsed.Path, "/"), 10, 16)
		switch parsed.Scheme {
		case "redis", "rediss":
			if parsed.Hostname() != "" && portOK(parsed) && (strings.Trim(parsed.Path, "/") == "" || dbErr == nil) {
				return text, "", ""
			}
		case "unix":
			if parsed.Path != "" {
				return text, "", ""
			}
		}
	}
	return "", "this is no address of a Redis server", "write redis://host:6379/0, rediss:// for TLS, or unix:///path"
}

// parsed makes a rule of one of identity's parsers.
func parsed[T ~string](parse func(string) (T, error), noun, fix string) rule {
	return func(_ *decoder, text string) (string, string, string) {
		value, err := parse(text)
		if err != nil {
			return "", show(text) + " is no " + noun, fix
		}
		return string(value), "", ""
	}
}

// numberRule accepts an extension from which can be counted.
func numberRule(_ *decoder, text string) (clean, what, fix string) {
	number, err := identity.ParseExtension(text)
	if err != nil || strings.Trim(text, "0123456789") != "" {
		return "", show(text) + " is no number to count from", "write digits alone, as in \"200\""
	}
	return string(number), "", ""
}

var principal = regexp.MustCompile(`^[^@\s,]+@[^@\s,]+$`)

func userRule(_ *decoder, text string) (clean, what, fix string) {
	if user, err := identity.ParseUser(text); err == nil {
		return string(user), "", ""
	}
	if !principal.MatchString(text) {
		return "", show(text) + " is neither an object id nor a user principal name", "write a GUID, or a name as in anna@contoso.com"
	}
	return text, "", ""
}

func everyoneRule(d *decoder, text string) (clean, what, fix string) {
	if text == everyone {
		return text, "", ""
	}
	clean, what, fix = userRule(d, text)
	if fix != "" {
		fix += ", or the word " + everyone
	}
	return clean, what, fix
}

func cronRule(_ *decoder, text string) (clean, what, fix string) {
	if err := checkCron(text); err != nil {
		return "", show(text) + " is no schedule: " + err.Error(), "write minute, hour, day of month, month and day of week, as in \"0 2 * * *\" for 02:00 every night"
	}
	return text, "", ""
}

func zoneRule(_ *decoder, text string) (clean, what, fix string) {
	// Local is whatever the machine says: two replicas would differ.
	if _, err := time.LoadLocation(text); err != nil || text == "Local" {
		return "", show(text) + " is no time zone", "use a name of the IANA database, as in Europe/Berlin or UTC"
	}
	return text, "", ""
}

var region = regexp.MustCompile(`^[A-Z]{2}$`)

func regionRule(_ *decoder, text string) (clean, what, fix string) {
	if !region.MatchString(text) {
		return "", show(text) + " is no country", "use the two capital letters of ISO 3166, as in DE"
	}
	return text, "", ""
}

func mailRule(_ *decoder, text string) (clean, what, fix string) {
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text {
		return "", show(text) + " is no e-mail address", "write the bare address, as in pbx@contoso.com"
	}
	return text, "", ""
}
