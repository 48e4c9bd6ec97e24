package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"
)

// Vault encrypts secrets that have to be stored where others can read: private
// keys in a bucket. The key itself is a file (age, X25519) that the processes
// which may open them share.
type Vault struct{ identity *age.X25519Identity }

// OpenVault reads the vault's key file, and makes it with mode 0600 if it is not
// there.
func OpenVault(path string) (*Vault, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createVault(path)
	}
	if err != nil {
		return nil, fmt.Errorf("vault key: %w", err)
	}
	identity, err := age.ParseX25519Identity(string(bytes.TrimSpace(data)))
	if err != nil {
		return nil, fmt.Errorf("vault key: %s holds no age key (AGE-SECRET-KEY-1...)", path)
	}
	return &Vault{identity}, nil
}

// createVault loses to another process that creates the file at the same moment,
// and then uses the other's key.
func createVault(path string) (*Vault, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("vault key: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("vault key: %w", err)
	}
	// A file of its own name for each process: in containers all are process 1.
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("vault key: %w", err)
	}
	temp := file.Name()
	defer os.Remove(temp)
	_, err = file.WriteString(identity.String() + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("vault key: %w", err)
	}
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("vault key: %w", err)
	}
	return OpenVault(path)
}

// Seal encrypts data for this vault.
func (v *Vault) Seal(data []byte) ([]byte, error) {
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, v.identity.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open decrypts what Seal made.
func (v *Vault) Open(sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), v.identity)
	if err != nil {
		return nil, errors.New("unseal: it was sealed with another vault key, or is damaged")
	}
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, errors.New("unseal: it is damaged")
	}
	return data, nil
}
