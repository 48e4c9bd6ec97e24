package msgraph

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	kiota "github.com/microsoft/kiota-abstractions-go"
	"github.com/microsoftgraph/msgraph-sdk-go/models/odataerrors"

	"offhook.dev/libs/core/fault"
)

// classify is the one place where an error of the SDK, of Graph or of the sender
// gets its kind. nil stays nil.
func classify(op string, err error) error {
	var known *fault.Error
	var answer *odataerrors.ODataError
	var bare *kiota.ApiError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return &fault.Error{Kind: known.Kind, Op: op, RetryAfter: known.RetryAfter, Err: known.Err}
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Timeout, op, context.DeadlineExceeded)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Cancelled, op, context.Canceled)
	case errors.As(err, &answer):
		code, message := parts(answer)
		return fromStatus(op, answer.GetStatusCode(), code, message, answer.GetResponseHeaders())
	case errors.As(err, &bare):
		return fromStatus(op, bare.GetStatusCode(), "", "no explanation", bare.GetResponseHeaders())
	}
	return fault.New(fault.Unknown, op, fmt.Errorf("answer cannot be read: %w", err))
}

// parts reads code and message; ODataError.Error itself panics without them.
func parts(answer *odataerrors.ODataError) (code, message string) {
	if main := answer.GetErrorEscaped(); main != nil {
		code, message = text(main.GetCode()), text(main.GetMessage())
	}
	return code, message
}

func fromStatus(op string, status int, code, message string, headers *kiota.ResponseHeaders) error {
	cause := fmt.Errorf("graph answered %d %s: %s", status, code, message)
	kind := kindOf(status, code, message)
	if kind != fault.Throttled && kind != fault.Unavailable || headers == nil {
		return fault.New(kind, op, cause)
	}
	for _, value := range headers.Get("Retry-After") {
		if delay, ok := retryAfter(value, time.Now()); ok {
			return fault.After(kind, op, delay, cause)
		}
	}
	return fault.New(kind, op, cause)
}

// kindOf knows the codes that say more than their status. Codes are compared in
// lower case: the documents and the service disagree about it.
// https://learn.microsoft.com/graph/errors
func kindOf(status int, code, message string) fault.Kind {
	switch strings.ToLower(code) {
	case "toomanyrequests", "applicationthrottled", "activitylimitreached":
		return fault.Throttled
	case "syncstatenotfound", "syncstateinvalid", "resyncrequired":
		return fault.Gone // with 410, and in the field with other 40X
	case "validationerror", "invalidrequest":
		// Graph could not reach our notification URL (2024 and later, and before).
		if strings.Contains(strings.ToLower(message), "validation request") {
			return fault.Unavailable
		}
	case "erroraccessdenied", "authorization_requestdenied":
		return fault.Denied
	case "request_resourcenotfound", "resourcenotfound", "itemnotfound", "erroritemnotfound",
		"mailboxnotenabledforrestapi", "errornonexistentmailbox", "errorinvaliduser": // no mailbox, or none in the cloud
		return fault.NotFound
	case "servicenotavailable":
		return fault.Unavailable
	}
	if status == http.StatusFailedDependency {
		return fault.Throttled // a batch failed because requests in it were throttled
	}
	return fault.FromHTTP(status)
}

// text is what a pointer points to, or "".
func text(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

func truth(p *bool) bool { return p != nil && *p }
