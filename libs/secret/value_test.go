package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"offhook.dev/libs/secret"
)

const hunter = "hunter2-hunter2"

func TestASecretIsNeverPrinted(t *testing.T) {
	v := secret.NewValue(hunter)
	holder := struct {
		Name  string
		Token secret.Value
		List  []secret.Value
		By    map[string]secret.Value
	}{"x", v, []secret.Value{v}, map[string]secret.Value{"k": v}}
	said := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%w", "%T %v", "%10.3s"} {
		for name, value := range map[string]any{"alone": v, "by pointer": &v, "in a struct": holder, "in an unexported field": struct{ token secret.Value }{v}, "in a pointed struct": &holder} {
			said[verb+" "+name] = fmt.Sprintf(verb, value) //nolint:govet // wrong verbs are the point
		}
	}
	said["error"] = fmt.Errorf("token %v is wrong: %w", v, errors.New("x")).Error()
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("hello", "token", v, "holder", holder, slog.Group("group", "token", v))
		said[name] = b.String()
	}
	text, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	said["json"] = string(text)
	if text, err = yaml.Marshal(holder); err != nil {
		t.Fatal(err)
	}
	said["yaml"] = string(text)
	for how, text := range said {
		if strings.Contains(text, "hunter") || strings.Contains(text, fmt.Sprintf("%x", "hunter")) {
			t.Errorf("%s says %s", how, text)
		}
	}
	if said["%v alone"] != secret.Redacted || v.Reveal() != hunter {
		t.Errorf("control: it prints as %q and reveals %q", said["%v alone"], v.Reveal())
	}
}

func TestTheZeroValueIsNoSecret(t *testing.T) {
	if !(secret.Value{}).IsZero() || secret.NewValue("x").IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestASecretIsReadFromAFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct{ name, text, want string }{
		{"as it is", "s3cret", "s3cret"},
		{"without the line break that editors add", "s3cret\r\n", "s3cret"},
		{"with white space in front and inside", " s3 cret \t\n", " s3 cret"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v, err := secret.ReadFile(write(fmt.Sprint(i), test.text))
			if err != nil || v.Reveal() != test.want {
				t.Errorf("%q, %v", v.Reveal(), err)
			}
		})
	}
	if _, err := secret.ReadFile(write("empty", " \n")); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty file: %v", err)
	}
	if _, err := secret.ReadFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestOnlyTheSecretItselfEqualsItsHash(t *testing.T) {
	hash := secret.Hash(hunter)
	// FIPS 180-4, the example of one block.
	if got := secret.Hash("abc"); got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("the hash of abc is %s", got)
	}
	if !secret.HashEqual(hunter, hash) {
		t.Error("it does not equal its own hash")
	}
	for _, other := range []string{"", hunter + "x", hunter[:5], strings.ToUpper(hunter), hash} {
		if secret.HashEqual(other, hash) {
			t.Errorf("%q equals it", other)
		}
	}
	if secret.HashEqual("", "") || secret.HashEqual(hunter, hash[:10]) || secret.HashEqual(hunter, "") {
		t.Error("a hash that is none equals something")
	}
}
