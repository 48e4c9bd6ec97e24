// Package bench measures Offhook on the machine at hand: `offhook bench`, which is
// `make bench`.
//
// Each table is printed with its floor, measured in the same run: the least that a
// program could do which gives the same promises (the same TLS, the same stream,
// the same fsync), or the one step that nobody can do without (opening an RSA key).
// Read the ratio to the floor, not the figure: machines differ, and so does what
// else runs on them. That is why every run begins with the machine's load and the
// time of an fsync.
//
// Nothing fails for being slow. What fails is a table whose accounts do not add up:
// sent = stored + refused + invalid, and every extension shows in the end what it
// should.
//
// Notifications are graphsim's own, byte for byte. Where a load must not cost more
// than what it loads they are caught first and replayed (see tape).
package bench
