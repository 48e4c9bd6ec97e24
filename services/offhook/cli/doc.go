// Package cli is the command offhook: what people at a terminal, and scripts, do
// with Offhook. A command talks to the control API or to the simulator over HTTP,
// or starts services; it decides nothing itself.
//
// Guarantees: data goes to standard output and everything else to standard error;
// -o json prints what INTERFACE promises; errors have a stable code and say what
// is wrong, where, and how to fix it; exit codes are 0, 1 (it failed) and 2 (usage
// or configuration).
package cli
