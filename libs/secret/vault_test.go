package secret_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"offhook.dev/libs/secret"
)

func openVault(t testing.TB, path string) *secret.Vault {
	t.Helper()
	v, err := secret.OpenVault(path)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seal(t testing.TB, v *secret.Vault, text string) []byte {
	t.Helper()
	sealed, err := v.Seal([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestAVaultOpensWhatItSealedAlsoAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "vault.key")
	first := openVault(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", info.Mode(), err)
	}
	for _, text := range []string{"", "x", strings.Repeat("a private key ", 10_000)} {
		sealed := seal(t, first, text)
		if len(text) > 1 && bytes.Contains(sealed, []byte(text)) {
			t.Error("sealed in the clear")
		}
		again := seal(t, first, text)
		if bytes.Equal(sealed, again) {
			t.Error("the same text is sealed to the same bytes")
		}
		if got, err := openVault(t, path).Open(sealed); err != nil || string(got) != text {
			t.Errorf("%d bytes, opened by the next process: %d bytes, %v", len(text), len(got), err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestAnotherVaultAndDamageOpenNothing(t *testing.T) {
	dir := t.TempDir()
	v := openVault(t, filepath.Join(dir, "vault.key"))
	sealed := seal(t, v, hunter)
	if _, err := openVault(t, filepath.Join(dir, "other.key")).Open(sealed); err == nil {
		t.Error("another vault opens it")
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 0x20
		if got, err := v.Open(damaged); err == nil && string(got) != hunter {
			t.Fatalf("damaged at byte %d it opens as %q", i, got)
		} else if err != nil && strings.Contains(err.Error(), hunter) {
			t.Fatalf("the error tells the secret: %v", err)
		}
	}
	for _, cut := range []int{0, 1, len(sealed) / 2, len(sealed) - 1} {
		if _, err := v.Open(sealed[:cut]); err == nil {
			t.Errorf("cut at byte %d it opens", cut)
		}
	}
}

func TestAKeyFileThatIsNoneIsToldWithoutItsContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.key")
	if err := os.WriteFile(path, []byte(hunter), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := secret.OpenVault(path)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), hunter) {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != hunter {
		t.Error("it was replaced: whatever it was, it is lost")
	}
}

func FuzzVaultOpen(f *testing.F) {
	v := openVault(f, filepath.Join(f.TempDir(), "vault.key"))
	genuine := seal(f, v, hunter)
	f.Add(genuine)
	f.Add(genuine[:len(genuine)-4])
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := v.Open(sealed); err == nil && string(got) != hunter {
			t.Fatalf("opened as %q", got)
		}
	})
}
