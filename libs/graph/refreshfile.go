package graph

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"offhook.dev/libs/secret"
)

// RefreshFile is a RefreshStore in a file of mode 0600. One process owns it.
type RefreshFile string

// Load reads the token.
func (f RefreshFile) Load(context.Context) (secret.Value, error) {
	return secret.ReadFile(string(f))
}

// Save writes a new file beside the old one, syncs it and renames it over the
// old one.
func (f RefreshFile) Save(_ context.Context, refresh secret.Value) (err error) {
	dir := filepath.Dir(string(f))
	// CreateTemp makes the file with mode 0600.
	temp, err := os.CreateTemp(dir, "."+filepath.Base(string(f))+".*")
	if err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	defer func() {
		if err != nil {
			temp.Close()
			os.Remove(temp.Name())
		}
	}()
	if _, err = temp.WriteString(refresh.Reveal()); err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	if err = temp.Sync(); err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	if err = temp.Close(); err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	if err = os.Rename(temp.Name(), string(f)); err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes a rename in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("save refresh token: %w", err)
	}
	return nil
}
