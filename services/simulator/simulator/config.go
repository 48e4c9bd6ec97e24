package simulator

import (
	"fmt"
	"path/filepath"
)

// ConfigYAML returns a configuration for services that are to work against this
// simulator: head, which has the keys that are not about tenants and systems,
// then one of each. Paths in it are those of Dir.
func (s *Simulator) ConfigYAML(head string) string {
	in := func(name string) string { return filepath.Join(s.Dir, name) }
	accounts := "[]"
	if s.account {
		accounts = fmt.Sprintf("[{name: account, refresh_token_file: %q}]", in(RefreshFile))
	}
	users := ""
	if s.policy != "" {
		users = "\n    users: {policy: " + s.policy + "}"
	}
	client, _ := s.PBX.Credentials()
	// A quoted Go string is a quoted YAML string.
	return head + fmt.Sprintf(`
tenants:
  - id: %[1]s
    microsoft365:
      directory_id: %[2]s
      client_id: %[3]s
      certificate_file: %[4]q
      endpoints: {login: %[5]q, graph: %[6]q, ca_file: %[7]q}
      accounts: %[8]s%[13]s
    systems: [%[9]s]
systems:
  - id: %[9]s
    driver: 3cx
    url: %[10]q
    client_id: %[11]q
    client_secret_file: %[12]q
    ca_file: %[7]q
    tenants: [%[1]s]
`, TenantID, DirectoryID, ClientID, in(CertificateFile), s.Graph.LoginURL(), s.Graph.GraphURL(), in(CAFile),
		accounts, s.System, s.PBX.URL(), client, in(PBXSecretFile), users)
}
