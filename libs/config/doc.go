// Package config is the one configuration file: its keys, defaults and rules.
//
// Load gives a Config that is right as a whole, or Problems: everything that is
// wrong, at once, each with its place, its key and what to do. It checks what can
// be checked on this machine without asking anybody: keys, types, references
// between tenants and systems, files, certificates and their dates. It dials
// nothing, logs nothing, makes nothing up and keeps no secret in memory; secrets
// stay in their files until a method such as Microsoft365.KeyPair reads them.
//
// # Precedence
//
// Defaults < file < environment < flags, key by key.
//
// A variable is named OFFHOOK_ and the path of the key in capitals, joined by
// '_'; entries of a list are numbered from 0, and the number after the last one
// adds an entry: OFFHOOK_NATS_URL, OFFHOOK_WEBHOOK_TLS_CERT_FILE,
// OFFHOOK_TENANTS_0_MICROSOFT365_CLIENT_ID. Entries are not named by id, because
// ids may hold what variables may not. The text of a variable is the value; a
// list of texts is split at commas; a list of entries or a mapping is written as
// in the file: OFFHOOK_SYSTEMS_0_OPTIONS='{port: 5060}'. For nats.url and
// redis.url, which may hold a password, OFFHOOK_NATS_URL_FILE and
// OFFHOOK_REDIS_URL_FILE name a file with the value. A variable that names no key
// is a problem like an unknown key in the file, except OFFHOOK_CONFIG and
// OFFHOOK_SIM, which are not configuration, and what Kubernetes sets for services
// whose names begin with "offhook".
//
// Flags are named by the path with dots: "nats.url", "tenants.0.id".
//
// # Files
//
// Relative paths, wherever they are written, are relative to the folder of the
// configuration file (without one: the working directory). Load makes them
// absolute.
//
// # Showing a Config
//
// A Config holds no secret but the passwords in nats.url and redis.url; their
// type, SecretURL, shows <secret> instead under every verb, in slog, JSON and
// YAML. A driver's options may not hold secrets: a key that sounds like one must
// end in _file.
package config
