package graph

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Feature is something that Graph offers, though not all in every cloud.
type Feature string

// The features that Offhook uses, where it can.
const (
	FeaturePresence           Feature = "presence"               // reading and setting
	FeatureNotifications      Feature = "presence notifications" // subscriptions to presence
	FeatureCalendars          Feature = "calendars"              // calendar views
	FeatureEventNotifications Feature = "event notifications"    // subscriptions to events
	FeatureUserChanges        Feature = "user changes"           // delta of users
	FeatureContactDelta       Feature = "contact changes"        // delta of contacts and folders
	FeatureTranslateIDs       Feature = "id translation"         // translateExchangeIds
)

// Cloud is one of Microsoft's clouds: its hosts, and what it lacks. Tokens and
// app registrations of one mean nothing in another.
type Cloud struct {
	Name     string // as configured: global, usgov, dod, china
	Login    string // https URL of the login host, without a path
	Graph    string // https URL of the Graph host, without a path or version
	resource string // what tokens are asked for: stays Microsoft's where the hosts are replaced
	lacks    map[Feature]string
}

const (
	noPresence      = "Microsoft Graph in China (21Vianet) has no presence; calendars decide alone"
	noNotifications = "Microsoft offers presence notifications in the global cloud only; presence is polled"
	noTranslation   = "Microsoft Graph for US Government cannot translate Exchange ids"
	noContactDelta  = "Microsoft Graph in China (21Vianet) has no contact changes; contacts are listed and compared"
)

// clouds is the table of
// https://learn.microsoft.com/graph/deployments and of the features that each
// cloud's metadata resolves.
func clouds() []Cloud {
	gov := map[Feature]string{FeatureNotifications: noNotifications, FeatureTranslateIDs: noTranslation}
	all := []Cloud{
		{Name: "global", Login: "https://login.microsoftonline.com", Graph: "https://graph.microsoft.com"},
		{Name: "usgov", Login: "https://login.microsoftonline.us", Graph: "https://graph.microsoft.us", lacks: gov},
		{Name: "dod", Login: "https://login.microsoftonline.us", Graph: "https://dod-graph.microsoft.us", lacks: gov},
		{Name: "china", Login: "https://login.partner.microsoftonline.cn", Graph: "https://microsoftgraph.chinacloudapi.cn",
			lacks: map[Feature]string{FeaturePresence: noPresence, FeatureNotifications: noNotifications, FeatureContactDelta: noContactDelta}},
	}
	for i := range all {
		all[i].resource = all[i].Graph
	}
	return all
}

// CloudNamed returns a cloud of Microsoft's by its configured name; "" is global.
func CloudNamed(name string) (Cloud, error) {
	if name == "" {
		name = "global"
	}
	all := clouds()
	i := slices.IndexFunc(all, func(c Cloud) bool { return c.Name == name })
	if i < 0 {
		return Cloud{}, fmt.Errorf("cloud %q is none of global, usgov, dod, china", name)
	}
	return all[i], nil
}

// At returns the cloud with its hosts replaced where login or graph is not
// empty: a simulator, or a proxy in front of Microsoft.
func (c Cloud) At(login, graph string) (Cloud, error) {
	for _, replace := range []struct {
		name, url string
		host      *string
	}{{"login", login, &c.Login}, {"graph", graph, &c.Graph}} {
		if replace.url == "" {
			continue
		}
		u, err := url.Parse(replace.url)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil ||
			strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return Cloud{}, fmt.Errorf("%s endpoint %q is not https://host[:port]", replace.name, replace.url)
		}
		*replace.host = "https://" + u.Host
	}
	return c, nil
}

// Lacks returns why the cloud does not offer a feature, or "" if it does.
func (c Cloud) Lacks(f Feature) string { return c.lacks[f] }

// CloudFeature is whether a cloud offers a feature.
type CloudFeature struct {
	Feature Feature
	Offered bool
	Reason  string // why it is not offered and what happens instead, a sentence; "" if it is
}

// Features returns what of Graph exists in a cloud, every Feature once and always
// in the same order: what a person is told before they wonder.
func Features(c Cloud) []CloudFeature {
	all := []Feature{FeaturePresence, FeatureNotifications, FeatureCalendars, FeatureEventNotifications,
		FeatureUserChanges, FeatureContactDelta, FeatureTranslateIDs}
	features := make([]CloudFeature, len(all))
	for i, f := range all {
		reason := c.Lacks(f)
		features[i] = CloudFeature{Feature: f, Offered: reason == "", Reason: reason}
	}
	return features
}

// Scope is the OAuth scope that asks for all the rights consented to on this
// cloud's Graph.
func (c Cloud) Scope() string { return c.resource + "/.default" }

// Qualify turns the names of delegated permissions ("Presence.Read.All", apart by
// spaces) into scopes of this cloud's Graph. The OpenID ones stay as they are.
func (c Cloud) Qualify(permissions string) string {
	scopes := strings.Fields(permissions)
	for i, name := range scopes {
		if !slices.Contains([]string{"openid", "profile", "email", "offline_access"}, name) {
			scopes[i] = c.resource + "/" + name
		}
	}
	return strings.Join(scopes, " ")
}
