package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/services/e2e/procs"
)

// anAccountSignsIn is a person at two terminals: `offhook authorize` in one, and the
// browser in the other. Between the two graph-poller is killed once.
func anAccountSignsIn(t *testing.T, binaries procs.Binaries) {
	s, _ := installation(t, binaries, scale{users: "5"})
	first := s.Begin("offhook", "authorize", "--tenant", "contoso")
	code := shownCode(t, s)
	s.Eventually(30*time.Second, func() string {
		if said := first.Log(); !strings.Contains(said, code) || !strings.Contains(said, "https://") {
			return "the code is not shown: " + said
		}
		return ""
	})
	s.Process("graph-poller").Kill()
	s.Start("graph-poller")
	ends(t, s, first, 1, "OH-ORDER-INTERRUPTED")
	// That code can still be entered, and leads nowhere. The person starts again.
	if output, err := s.Run("offhook", "sim", "device", "decline", code); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	second := s.Begin("offhook", "authorize", "--tenant", "contoso")
	if output, err := s.Run("offhook", "sim", "device", "approve", shownCode(t, s), "ben"); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	ends(t, s, second, 0, "ben@contoso.example is authorised")
	s.Eventually(30*time.Second, func() string {
		all, err := lanes(s)
		if err != nil {
			return err.Error()
		}
		if all["anna"].State != "listening" || all["anna"].From != "configuration" || all["ben@contoso.example"].State != "idle" || all["ben@contoso.example"].From != "authorised" {
			return fmt.Sprintf("lanes: %+v", all)
		}
		return ""
	})
	if output, err := s.Run("offhook", "deauthorize", "--tenant", "contoso", "anna"); err == nil || !strings.Contains(output, "configuration") {
		t.Errorf("an account of the configuration is given up: %v, %s", err, output)
	}
	if output, err := s.Run("offhook", "deauthorize", "--tenant", "contoso", "ben@contoso.example"); err != nil || !strings.Contains(output, "ben@contoso.example is given up") {
		t.Fatalf("%v: %s", err, output)
	}
	s.Eventually(30*time.Second, func() string {
		if all, err := lanes(s); err != nil || len(all) != 1 {
			return fmt.Sprintf("lanes: %+v, %v", all, err)
		}
		return ""
	})
}

// ends waits until a command ends with a code, having said something.
func ends(t *testing.T, s *procs.Stack, p *procs.Process, want int, says string) {
	t.Helper()
	s.Eventually(time.Minute, func() string {
		if _, ended := p.Ended(); !ended {
			return "the command does not end: " + p.Log()
		}
		return ""
	})
	if code, _ := p.Ended(); code != want || !strings.Contains(p.Log(), says) {
		t.Fatalf("the command ended with %d: %s", code, p.Log())
	}
}

// shownCode waits for the code that is to be entered.
func shownCode(t *testing.T, s *procs.Stack) (code string) {
	t.Helper()
	s.Eventually(30*time.Second, func() string {
		output, err := s.Run("offhook", "sim", "device", "list")
		if err != nil {
			return err.Error() + ": " + output
		}
		var devices []struct{ UserCode string }
		if err := json.Unmarshal([]byte(output), &devices); err != nil {
			return err.Error() + ": " + output
		}
		if len(devices) != 1 {
			return "not one sign-in waits: " + output
		}
		code = devices[0].UserCode
		return ""
	})
	return code
}

// lane is what `offhook lanes` says of one.
type lane struct{ Account, From, State, Detail string }

func lanes(s *procs.Stack) (map[string]lane, error) {
	output, err := s.Run("offhook", "lanes", "-o", "json")
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	var list []lane
	if err := json.Unmarshal([]byte(output), &list); err != nil {
		return nil, fmt.Errorf("%w: %s", err, output)
	}
	found := map[string]lane{}
	for _, l := range list {
		found[l.Account] = l
	}
	return found, nil
}
