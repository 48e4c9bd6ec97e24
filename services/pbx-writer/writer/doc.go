// Package writer is the service pbx-writer: the only process that speaks to phone
// systems.
//
// It owns each system under a lease (one owner at a time; 3CX allows one access
// token per client), reads what lines show, says whose status that is, and applies
// wants. The ledger (ledger.go) is written before and after every write, so that
// after a crash, a lost answer or a restart of the phone system nobody's choice is
// taken for ours and nothing of ours for a person's.
package writer
