// Package secret keeps secrets from being shown and makes the certificates that
// Offhook needs for itself: values that print as "<secret>", files that hold
// them, a private authority for development and between services, and the key
// pairs of app registrations and encrypted notifications.
package secret
