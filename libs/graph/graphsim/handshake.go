package graphsim

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// handshake asks a notification URL whether it wants to be one: it must answer 200
// with the decoded token as plain text
// (learn.microsoft.com/graph/change-notifications-delivery-webhooks). The token holds
// characters that arrive wrong unless the receiver decodes exactly once.
func (s *Server) handshake(ctx context.Context, target string) *graphError {
	var random [18]byte
	_, _ = rand.Read(random[:]) // never fails
	token := "Validation: Testing client application reachability for subscription Request-Id: " +
		newGUID() + " +/%2B=" + base64.StdEncoding.EncodeToString(random[:])
	separator := "?"
	if strings.Contains(target, "?") {
		separator = "&"
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.Delivery.Handshake)
	defer cancel()
	failed := func(format string, args ...any) *graphError {
		return graphErr(http.StatusBadRequest, "ValidationError", format, args...)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, target+separator+"validationToken="+url.QueryEscape(token), http.NoBody)
	if err != nil {
		return failed("Notification URL is not valid.")
	}
	r.Header.Set("Content-Type", "text/plain; charset=utf-8")
	response, err := s.poster.Do(r)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return failed("Subscription validation request timed out.")
		}
		return failed("Subscription validation request failed. Notification endpoint could not be reached.")
	}
	defer response.Body.Close()
	echo, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return failed("Subscription validation request timed out.")
	case response.StatusCode != http.StatusOK:
		status := strings.ReplaceAll(http.StatusText(response.StatusCode), " ", "")
		return failed("Subscription validation request failed. [HTTP status code is '%s'.] Notification endpoint must respond with 200 OK to validation request.", status)
	case err != nil || kind != "text/plain" || !bytes.Equal(echo, []byte(token)):
		return failed("Subscription validation request failed. Response must exactly match validationToken query parameter.")
	}
	return nil
}
