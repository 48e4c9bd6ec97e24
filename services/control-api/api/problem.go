package api

import (
	"encoding/json"
	"errors"
	"net/http"

	"offhook.dev/libs/core/fault"
)

// Problem is an error as people and programs get it: a stable code, what is wrong,
// where, and how to put it right.
type Problem struct {
	Code  string `json:"code"`
	What  string `json:"what"`
	Where string `json:"where"`
	Fix   string `json:"fix"`
	kind  fault.Kind
}

// Error returns code and what.
func (p *Problem) Error() string { return p.Code + ": " + p.What }

// Kind classifies the problem.
func (p *Problem) Kind() fault.Kind { return p.kind }

// The codes. They are stable: scripts compare them.
const (
	CodeStarting      = "OH-API-STARTING"       // the read model is not filled yet
	CodeRequest       = "OH-API-REQUEST"        // a parameter is not what it should be
	CodeUserUnknown   = "OH-API-USER-UNKNOWN"   // no user or extension of that name
	CodeUserUnlinked  = "OH-API-USER-UNLINKED"  // the user has no extension
	CodeUserAmbiguous = "OH-API-USER-AMBIGUOUS" // several match
	CodeSlow          = "OH-API-SLOW"           // a watcher did not keep up
	CodeStopping      = "OH-API-STOPPING"       // the service ends
	CodeBroker        = "OH-API-BROKER"         // the broker did not answer
	CodeHost          = "OH-API-HOST"           // not a loopback host
	CodeOrigin        = "OH-API-ORIGIN"         // a page of another origin
	CodePath          = "OH-API-PATH"           // no such path or method
	CodeBody          = "OH-API-BODY"           // what was sent cannot be read
	CodeTenantUnknown = "OH-API-TENANT-UNKNOWN" // no tenant of that id is configured
	CodeOptions       = "OH-API-OPTIONS"        // the options or the choice cannot be so
	CodeOrder         = "OH-API-ORDER"          // what is asked for cannot be
	CodeOrderUnknown  = "OH-API-ORDER-UNKNOWN"  // no order of that id is known
	CodeNoLanes       = "OH-API-NO-LANES"       // the tenant can have no lanes
	CodeTenantMissing = "OH-API-TENANT-MISSING" // there are several, and none is named
	CodeNoContacts    = "OH-API-NO-CONTACTS"    // the tenant's contacts are not synchronised
	CodePlanUnknown   = "OH-API-PLAN-UNKNOWN"   // no plan of that id is kept
	CodePlanOver      = "OH-API-PLAN-OVER"      // it expired, or was applied
	CodeChanged       = "OH-API-CHANGED"        // somebody else changed it meanwhile
)

func problem(kind fault.Kind, code, what, where, fix string) *Problem {
	return &Problem{Code: code, What: what, Where: where, Fix: fix, kind: kind}
}

// problemOf turns any error into a Problem. What the broker said stays in the log.
func problemOf(err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	kind := fault.KindOf(err)
	if kind == fault.Cancelled {
		return problem(kind, CodeStopping, "the service is ending", "control-api", "try again in a moment")
	}
	return problem(fault.Unavailable, CodeBroker, "the broker did not answer ("+kind.String()+")", "control-api",
		"see /readyz and the log of control-api; then try again")
}

// httpStatus is the status of a kind.
func httpStatus(kind fault.Kind) int {
	switch kind {
	case fault.Invalid:
		return http.StatusBadRequest
	case fault.Denied:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Unsupported:
		return http.StatusMethodNotAllowed
	case fault.Conflict:
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

func writeProblem(w http.ResponseWriter, p *Problem) {
	status := httpStatus(p.kind)
	w.Header().Set("Content-Type", "application/json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // the client may be gone
}
