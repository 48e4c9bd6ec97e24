package graphsim

import (
	"fmt"
	"net/http"
	"time"
)

// loginError is an answer of the token endpoint other than a token. The codes are
// those of learn.microsoft.com/entra/identity-platform/reference-error-codes.
type loginError struct {
	status  int
	code    string // OAuth 2.0 error code
	aadsts  int
	message string
}

func loginErr(status int, code string, aadsts int, format string, args ...any) *loginError {
	return &loginError{status, code, aadsts, fmt.Sprintf(format, args...)}
}

func errNoTenant(ref string) *loginError {
	return loginErr(http.StatusBadRequest, "invalid_request", 90002,
		"Tenant '%s' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.", ref)
}

func writeLoginError(w http.ResponseWriter, now time.Time, e *loginError) {
	trace, correlation := newGUID(), newGUID()
	stamp := now.UTC().Format("2006-01-02 15:04:05Z")
	writeJSON(w, e.status, map[string]any{
		"error": e.code,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s",
			e.aadsts, e.message, trace, correlation, stamp),
		"error_codes": []int{e.aadsts}, "timestamp": stamp, "trace_id": trace, "correlation_id": correlation,
		"error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", e.aadsts),
	})
}
