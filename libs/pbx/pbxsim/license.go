package pbxsim

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// license is what the vendor sold.
type license struct {
	lapsed bool
	ends   time.Time // zero: never
}

// License says whether the licence is active, and when it ends: zero is never. What it
// does not allow is up to faults (Unlicensed).
func (s *Sim) License(active bool, ends time.Time) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.world.license = license{!active, ends}
}

// licenseStatus tells of the licence, with its key if that is asked for, or nothing is said
// of what is needed.
func (s *Sim) licenseStatus(w http.ResponseWriter, r request, _ string) {
	s.world.mu.Lock()
	sold := s.world.license
	s.world.mu.Unlock()
	if asked := r.URL.Query().Get("$select"); asked == "" || slices.Contains(strings.Split(asked, ","), "LicenseKey") {
		s.stats.servedSecret()
	}
	status := row{"ProductCode": "3CXENT", "LicenseActive": !sold.lapsed, "LicenseKey": "canary-license",
		"MaxSimCalls": int32(16), "ExpirationDate": nil}
	if !sold.ends.IsZero() {
		status["ExpirationDate"] = sold.ends.UTC().Format(time.RFC3339)
	}
	s.singleton(w, r, status)
}
