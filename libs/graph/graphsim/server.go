package graphsim

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/secret"
)

// Server is a running simulator. Make one with Start and end it with Close.
type Server struct {
	config    Config
	authority *secret.Authority
	keys      keyring
	tenants   []*Tenant
	counter   requestCounter
	base      string // https://host:port
	http      *http.Server
	poster    *http.Client // posts notifications
	posts     *postbox
	ctx       context.Context // of deliveries; ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup
}

// Start listens and serves until Close, or until ctx ends.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("graphsim: %w", err)
	}
	s := &Server{config: c.withDefaults(), authority: c.Authority}
	if s.authority == nil {
		made, err := secret.NewAuthority("graphsim", time.Now())
		if err != nil {
			return nil, fmt.Errorf("graphsim: %w", err)
		}
		s.authority = made
	}
	certificate, err := s.authority.Issue(s.config.Hosts...)
	if err != nil {
		return nil, fmt.Errorf("graphsim: %w", err)
	}
	if err := s.keys.rotate(); err != nil {
		return nil, fmt.Errorf("graphsim: %w", err)
	}
	s.posts = newPostbox(s)
	for _, tc := range s.config.Tenants {
		t, err := newTenant(s, tc)
		if err != nil {
			return nil, fmt.Errorf("graphsim: tenant %s: %w", tc.Domain, err)
		}
		s.tenants = append(s.tenants, t)
	}
	listener, err := net.Listen("tcp", s.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("graphsim: %w", err)
	}
	s.base = "https://" + reachable(listener.Addr(), s.config.Hosts[0])
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.poster = newPoster(s.config, s.authority)
	s.http = &http.Server{
		Handler:           s.counter.count(s.routes()),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          quiet(),
	}
	s.running.Go(func() { _ = s.http.ServeTLS(listener, "", "") }) // ends with ErrServerClosed
	context.AfterFunc(s.ctx, func() {
		s.posts.close()
		_ = s.http.Close()
	})
	return s, nil
}

// reachable is an address that a client can use: with the first host name where the
// simulator listens on all interfaces.
func reachable(address net.Addr, host string) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok || !tcp.IP.IsUnspecified() {
		return address.String()
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// Close stops serving and delivering and waits until both have ended. What was not
// delivered is pending in the Ledger for good.
func (s *Server) Close() error {
	s.cancel()
	s.posts.close()
	err := s.http.Close()
	s.running.Wait()
	s.poster.CloseIdleConnections()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// LoginURL is what stands for https://login.microsoftonline.com. Links and metadata
// carry the name by which the client asked instead, so other names work as well.
func (s *Server) LoginURL() string { return s.base }

// GraphURL is what stands for https://graph.microsoft.com; the version follows:
// GraphURL() + "/v1.0/users".
func (s *Server) GraphURL() string { return s.base }

// Authority returns who issued the TLS certificate: what a client must trust.
func (s *Server) Authority() *secret.Authority { return s.authority }

// Tenants returns all tenants in the order of the configuration.
func (s *Server) Tenants() []*Tenant { return s.tenants }

// Tenant returns the tenant that ref names by directory id, domain or the domain's
// first label, or nil.
func (s *Server) Tenant(ref string) *Tenant {
	for _, t := range s.tenants {
		if t.named(ref) {
			return t
		}
	}
	return nil
}

func (s *Server) now() time.Time { return s.config.Now() }

// routes is the whole surface: Graph under /v1.0, login beside it. Two muxes,
// because a tenant may have any name and the patterns would overlap.
func (s *Server) routes() http.Handler {
	login, graph := s.loginRoutes(), s.graphRoutes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1.0/") {
			graph.ServeHTTP(w, r)
			return
		}
		login.ServeHTTP(w, r)
	})
}

func (s *Server) loginRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{tenant}/.well-known/openid-configuration", s.serveMetadata("1.0"))
	mux.HandleFunc("GET /{tenant}/v2.0/.well-known/openid-configuration", s.serveMetadata("2.0"))
	mux.HandleFunc("GET /{tenant}/discovery/keys", s.serveKeys)
	mux.HandleFunc("GET /{tenant}/discovery/v2.0/keys", s.serveKeys)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/token", s.serveToken)
	mux.HandleFunc("POST /{tenant}/oauth2/v2.0/devicecode", s.serveDevice)
	mux.HandleFunc("GET /common/oauth2/deviceauth", serveDevicePage)
	return mux
}

// graphRoutes names for every operation the permissions of which one is enough.
func (s *Server) graphRoutes() http.Handler {
	mux := http.NewServeMux()
	users := permissions{app: []string{"User.Read.All", "User.ReadWrite.All", "Directory.Read.All"}}
	users.delegated = users.app
	list := permissions{app: append([]string{"User.ReadBasic.All"}, users.app...)}
	list.delegated = list.app
	presence := permissions{app: []string{"Presence.Read.All", "Presence.ReadWrite.All"}, denied: "Forbidden"}
	presence.delegated = presence.app
	self := permissions{delegated: append([]string{"User.Read"}, users.app...)}
	selfPresence := permissions{delegated: append([]string{"Presence.Read", "Presence.ReadWrite"}, presence.app...), denied: "Forbidden"}
	organization := permissions{app: []string{"Organization.Read.All", "User.Read.All", "Directory.Read.All"}}
	organization.delegated = append([]string{"User.Read"}, organization.app...)
	write := permissions{app: []string{"Presence.ReadWrite.All"}, delegated: []string{"Presence.ReadWrite", "Presence.ReadWrite.All"}, denied: "Forbidden"}
	groups := permissions{app: []string{"GroupMember.Read.All", "GroupMember.ReadWrite.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All"}}
	groups.delegated = groups.app
	calendar := permissions{app: []string{"Calendars.ReadBasic", "Calendars.Read", "Calendars.ReadWrite"}, denied: "ErrorAccessDenied", mailbox: true}
	calendar.delegated = calendar.app
	settings := permissions{app: []string{"MailboxSettings.Read", "MailboxSettings.ReadWrite"}, denied: "ErrorAccessDenied", mailbox: true}
	settings.delegated = settings.app
	contacts := permissions{app: []string{"Contacts.Read", "Contacts.ReadWrite"}, denied: "ErrorAccessDenied", mailbox: true}
	contacts.delegated = contacts.app
	photos := permissions{app: []string{"ProfilePhoto.Read.All", "ProfilePhoto.ReadWrite.All", "User.Read.All", "User.ReadBasic.All"}, denied: "ErrorAccessDenied", mailbox: true}
	photos.delegated = append([]string{"User.Read"}, photos.app...)
	anyone := permissions{anyone: true} // what is allowed depends on the resource

	graph := func(pattern string, need permissions, serve operation) {
		mux.HandleFunc(pattern, s.graph(need, serve))
	}
	graph("GET /v1.0/users", list, listUsers)
	graph("GET /v1.0/users/delta", users, userDelta)
	graph("GET /v1.0/users/delta()", users, userDelta)
	graph("GET /v1.0/users/{user}", list, getUser)
	graph("GET /v1.0/users/{user}/presence", presence, getPresence)
	graph("GET /v1.0/groups", groups, listGroups)
	graph("GET /v1.0/groups/{group}", groups, getGroup)
	graph("GET /v1.0/groups/{group}/transitiveMembers/microsoft.graph.user", groups, listMembers)
	graph("GET /v1.0/me", self, getMe)
	graph("GET /v1.0/me/presence", selfPresence, getMyPresence)
	graph("GET /v1.0/communications/presences/{user}", presence, getPresence)
	graph("POST /v1.0/communications/getPresencesByUserId", presence, getPresences)
	graph("POST /v1.0/users/{user}/presence/setPresence", write, writePresence("setPresence", shortestSession, longestSession, setPresence))
	graph("POST /v1.0/users/{user}/presence/clearPresence", write, writePresence("clearPresence", 0, 0, clearPresence))
	graph("POST /v1.0/users/{user}/presence/setUserPreferredPresence", write, writePresence("setUserPreferredPresence", 0, 0, setPreferredPresence))
	graph("POST /v1.0/users/{user}/presence/clearUserPreferredPresence", write, writePresence("clearUserPreferredPresence", 0, 0, clearPreferredPresence))
	graph("GET /v1.0/users/{user}/calendarView", calendar, calendarView)
	graph("GET /v1.0/users/{user}/calendarView/delta", calendar, calendarViewDelta)
	graph("GET /v1.0/users/{user}/calendarView/delta()", calendar, calendarViewDelta)
	graph("GET /v1.0/users/{user}/events", calendar, listEvents)
	graph("GET /v1.0/users/{user}/events/{event}", calendar, getEvent)
	graph("GET /v1.0/users/{user}/mailboxSettings", settings, getMailboxSettings)
	graph("GET /v1.0/users/{user}/mailboxSettings/{setting}", settings, getMailboxSettings)
	for _, at := range []string{"contacts", "contactFolders/{folder}/contacts"} {
		graph("GET /v1.0/users/{user}/"+at, contacts, listContacts)
		graph("GET /v1.0/users/{user}/"+at+"/delta", contacts, contactsDelta)
		graph("GET /v1.0/users/{user}/"+at+"/delta()", contacts, contactsDelta)
		graph("GET /v1.0/users/{user}/"+at+"/{contact}", contacts, getContact)
	}
	graph("GET /v1.0/users/{user}/contactFolders", contacts, listContactFolders)
	graph("GET /v1.0/users/{user}/contactFolders/{folder}", contacts, getContactFolder)
	graph("GET /v1.0/users/{user}/contactFolders/{folder}/childFolders", contacts, listChildFolders)
	graph("GET /v1.0/users/{user}/photo", photos, getPhoto)
	graph("GET /v1.0/users/{user}/photo/$value", photos, getPhotoValue)
	graph("GET /v1.0/users/{user}/photos", photos, listPhotos)
	graph("GET /v1.0/users/{user}/photos/{size}", photos, getPhoto)
	graph("GET /v1.0/users/{user}/photos/{size}/$value", photos, getPhotoValue)
	graph("POST /v1.0/$batch", anyone, s.serveBatch(s.counter.inner(mux)))
	graph("GET /v1.0/organization", organization, getOrganization)
	graph("POST /v1.0/subscriptions", anyone, createSubscription)
	graph("GET /v1.0/subscriptions", anyone, listSubscriptions)
	graph("GET /v1.0/subscriptions/{subscription}", anyone, getSubscription)
	graph("PATCH /v1.0/subscriptions/{subscription}", anyone, renewSubscription)
	graph("DELETE /v1.0/subscriptions/{subscription}", anyone, deleteSubscription)
	graph("POST /v1.0/subscriptions/{subscription}/reauthorize", anyone, reauthorizeSubscription)
	graph("/v1.0/", anyone, noSuchSegment)
	return mux
}
